//! Pull secrets as users really write them.

use super::*;

/// The user whose password is found for the image, `-` for nobody; `key` stands for an entry of user `key`.
#[track_caller]
fn check(image: &str, keys: &[&str], expected: Option<&str>) {
    let auths: serde_json::Map<_, _> =
        keys.iter().map(|key| ((*key).to_owned(), serde_json::json!({"username": key, "password": "p"}))).collect();
    let secret = serde_json::json!({ "auths": auths }).to_string();
    let found = credential(secret.as_bytes(), &image.parse().unwrap()).unwrap();
    assert_eq!(found, expected.map(|key| Credential::password(key, "p")), "{image} in {keys:?}");
}

#[test]
fn keys_are_read_in_every_form() {
    for key in [
        "r.example.com",
        "R.Example.com",
        "r.example.com/",
        "https://r.example.com",
        "http://r.example.com/v1/",
        "https://r.example.com/v2/",
        "https://r.example.com/v2",
        "r.example.com/acme",
        "https://r.example.com/v2/acme/",
        "r.example.com/acme/app",
        "*.example.com",
        "r.*.com",
        "r*.exa?ple.com",
    ] {
        check("r.example.com/acme/app", &[key], Some(key));
    }
    for key in [
        "example.com",
        "r.example.com:443",
        "other.example.com",
        "r.example.com/acm",
        "r.example.com/acme/app/more",
        "r.example.com/v3",
        "*",
        "*.com",
        "*.*.example.com",
        "r.example.*:5000",
        "",
    ] {
        check("r.example.com/acme/app", &[key], None);
    }
    check("r.example.com:5000/app", &["r.example.com"], None);
    check("r.example.com:5000/app", &["*.example.com:5000"], Some("*.example.com:5000"));
}

#[test]
fn docker_hub_has_many_names() {
    for image in ["nginx", "library/nginx", "docker.io/library/nginx", "index.docker.io/library/nginx"] {
        for key in [
            "https://index.docker.io/v1/",
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
            "https://docker.io/library",
        ] {
            check(image, &[key], Some(key));
        }
    }
    check("acme/app", &["https://index.docker.io/v1/", "docker.io/acme"], Some("docker.io/acme"));
    check("ghcr.io/acme/app", &["https://index.docker.io/v1/"], None);
}

#[test]
fn the_closest_entry_wins() {
    let keys =
        ["*.example.com", "r.example.com", "r.example.com/acme", "*.example.com/acme/app", "r.example.com/acme/app/x"];
    check("r.example.com/acme/app", &keys, Some("*.example.com/acme/app"));
    check("r.example.com/acme/web", &keys, Some("r.example.com/acme"));
    check("r.example.com/acmeworks/web", &keys, Some("r.example.com"));
    check("s.example.com/x", &keys, Some("*.example.com"));
}

#[track_caller]
fn check_entry(entry: &str, expected: Result<Option<Credential>, &str>) {
    let secret = format!(r#"{{"auths":{{"r.example.com":{entry}}},"credsStore":"desktop"}}"#);
    let found = credential(secret.as_bytes(), &"r.example.com/app".parse().unwrap());
    match (found, expected) {
        (Err(error), Err(part)) => assert!(error.contains(part), "{error} lacks {part}"),
        (found, expected) => assert_eq!(found, expected.map_err(str::to_owned), "{entry}"),
    }
}

#[test]
fn entries_are_read_in_every_form() {
    let user = || Ok(Some(Credential::password("user", "pa:ss")));
    check_entry(r#"{"auth":"dXNlcjpwYTpzcw=="}"#, user());
    check_entry(r#"{"auth":"dXNlcjpwYTpzcw"}"#, user());
    check_entry(r#"{"auth":"dXNlcjpwYTpzcw==\n"}"#, user());
    check_entry(r#"{"username":"user","password":"pa:ss","email":"x"}"#, user());
    check_entry(r#"{"username":"stale","password":"stale","auth":"dXNlcjpwYTpzcw=="}"#, user());
    check_entry(r#"{"auth":"PHRva2VuPjo=","identitytoken":"id"}"#, Ok(Some(Credential::identity("id"))));
    check_entry(r#"{"registrytoken":"rt","auth":""}"#, Ok(Some(Credential::registry("rt"))));
    check_entry("{}", Ok(None));
    check_entry("null", Ok(None));
    check_entry(r#"{"auth":"","username":"","password":""}"#, Ok(None));
    check_entry(r#"{"auth":"%%%"}"#, Err(r#"entry "r.example.com": auth is no base64"#));
    check_entry(r#"{"auth":"dXNlcg=="}"#, Err("no colon"));
    check_entry(r#"{"username":"user"}"#, Err("both"));
}

#[test]
fn a_broken_secret_is_told_without_showing_it() {
    let image = "r.example.com/app".parse().unwrap();
    for secret in [
        r#"{"auths":"canary"}"#,
        r#"{"auths":{"r.example.com":{"auth":"canary"#,
        r#"{"auths":{"x":"canary"}}"#,
        "canary",
    ] {
        let error = credential(secret.as_bytes(), &image).unwrap_err();
        assert!(error.contains("line 1") && !error.contains("canary"), "{error}");
    }
    assert_eq!(credential(br#"{"auths":{}}"#, &image), Ok(None));
    assert_eq!(credential(b"{}", &image), Ok(None));
    let other = br#"{"auths":{"other.example.com":{"auth":"%%%"}}}"#;
    assert_eq!(credential(other, &image), Ok(None), "only the entry that matches must be whole");
}

#[test]
fn credentials_differ_in_kind_and_in_every_part() {
    let all = [
        Credential::password("ab", "c"),
        Credential::password("a", "bc"),
        Credential::password("abc", ""),
        Credential::identity("abc"),
        Credential::registry("abc"),
    ];
    for (n, one) in all.iter().enumerate() {
        for (m, other) in all.iter().enumerate() {
            assert_eq!(one == other, n == m);
        }
    }
    assert_eq!(format!("{:?}", all[0]), "Credential(hidden)");
}

proptest::proptest! {
    #[test]
    fn any_secret_is_read_or_refused(secret: String, key: String) {
        let image = "r.example.com/acme/app".parse().unwrap();
        let _ = credential(secret.as_bytes(), &image);
        let one = serde_json::json!({"auths": {key: {"username": "u", "password": "p"}}}).to_string();
        let _ = credential(one.as_bytes(), &image);
    }

    #[test]
    fn a_glob_is_what_it_says(text in "[ab]{0,8}", head in "[ab]{0,3}", tail in "[ab]{0,3}") {
        let expected = text.len() >= head.len() + tail.len() && text.starts_with(&head) && text.ends_with(&tail);
        proptest::prop_assert_eq!(glob(format!("{head}*{tail}").as_bytes(), text.as_bytes()), expected);
        proptest::prop_assert!(glob(b"*?*", text.as_bytes()) != text.is_empty());
    }
}
