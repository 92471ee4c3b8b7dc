//! Link headers and bodies as tables, and any text at all.

use super::*;

const HERE: &str = "https://r.example.com/v2/acme/app/tags/list?n=1000";

fn follow(value: &str) -> Result<Option<String>, String> {
    let mut headers = HeaderMap::new();
    headers.insert(LINK, value.parse().unwrap());
    next(&headers, &HERE.parse().unwrap()).map(|url| url.map(String::from))
}

#[track_caller]
fn check(value: &str, expected: Option<&str>) {
    assert_eq!(follow(value).unwrap().as_deref(), expected, "{value}");
}

#[test]
fn links_are_read_in_every_spelling() {
    let second = Some("https://r.example.com/v2/acme/app/tags/list?last=b&n=1000");
    check(r#"</v2/acme/app/tags/list?last=b&n=1000>; rel="next""#, second);
    check("</v2/acme/app/tags/list?last=b&n=1000>;rel=next", second);
    check(r#"<?last=b&n=1000>; title="a, b; rel=next"; REL="prev NEXT""#, second);
    check(r#"<https://r.example.com:443/v2/acme/app/tags/list?last=b&n=1000>; rel="next""#, second);
    check(r#"</first>; rel="first", <?last=b&n=1000>; rel="next""#, second);
    check(r#"</last>; rel="last""#, None);
    check(r#"</last>; title="rel=next""#, None);
    check(r#"</last>; title="; rel=next""#, None);
    check("", None);
    check("</last", None);
    check("rel=next", None);
}

#[test]
fn links_elsewhere_are_refused() {
    for value in [
        "<http://r.example.com/x>; rel=next",
        "<https://r.example.com:8443/x>; rel=next",
        "<https://example.com/x>; rel=next",
        "<//evil.example.com/x>; rel=next",
        "<https://u:p@r.example.com/x>; rel=next",
        "<file:///etc/passwd>; rel=next",
        "<https://[>; rel=next",
    ] {
        assert!(follow(value).is_err(), "{value}");
    }
}

proptest::proptest! {
    #[test]
    fn any_link_stays_at_home(value in "[ -~]{0,80}") {
        if let Ok(Some(url)) = follow(&value) {
            proptest::prop_assert!(url.starts_with("https://r.example.com/"), "{}", url);
        }
        if let Ok(Some(url)) = follow(&format!("<{value}>; rel=next")) {
            proptest::prop_assert!(url.starts_with("https://r.example.com/"), "{}", url);
        }
    }

    #[test]
    fn any_body_gives_valid_tags_or_an_error(tags: Vec<String>, noise: Vec<u8>) {
        let body = serde_json::json!({"name": "acme/app", "tags": tags}).to_string();
        let names = read(body.as_bytes(), "acme/app").unwrap();
        proptest::prop_assert_eq!(names.tags.len() + names.skipped as usize, tags.len());
        let mut cut = body.into_bytes();
        cut.pop();
        proptest::prop_assert!(read(&cut, "acme/app").is_err());
        let _ = read(&noise, "acme/app");
    }
}
