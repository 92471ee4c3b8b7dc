//! The little of XML that AWS STS answers in. In: a document. Out: the text of one element. What these answers never hold
//! (document types, CDATA, own entities, deep nesting) is an error; must never expand anything.

/// How deep elements may be nested.
const DEPTH: usize = 16;

/// The text of the first element whose path ends with these local names; `None` when there is none.
///
/// # Errors
/// What makes the document unfit, as a constant text.
pub(in crate::registry) fn text(document: &str, path: &[&str]) -> Result<Option<String>, &'static str> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = document;
    let mut found = None;
    while let Some(at) = rest.find('<') {
        let before = &rest[..at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix("!--") {
            rest = &after[after.find("-->").ok_or("a comment has no end")? + 3..];
            continue;
        }
        if rest.starts_with('!') {
            return Err("it has a document type or CDATA");
        }
        let end = rest.find('>').ok_or("a tag has no end")?;
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if tag.starts_with('?') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            let opened = open.last().copied().ok_or("an element ends that never began")?;
            if opened != local(name.trim_end()) {
                return Err("an element ends under another name");
            }
            if found.is_none() && open.ends_with(path) {
                found = Some(unescape(before)?);
            }
            open.pop();
        } else if !tag.ends_with('/') {
            if open.len() == DEPTH {
                return Err("its elements are nested too deeply");
            }
            open.push(local(tag.split_ascii_whitespace().next().unwrap_or_default()));
        }
    }
    if open.is_empty() { Ok(found) } else { Err("it ends in the middle") }
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or_default()
}

/// The five entities of XML 1.0 §4.6 and character references.
fn unescape(text: &str) -> Result<String, &'static str> {
    let mut parts = text.trim().split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (entity, plain) = part.split_once(';').ok_or("an entity has no end")?;
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let c = match entity {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => match (entity.strip_prefix("#x"), entity.strip_prefix('#')) {
                (Some(hex), _) => number(hex, 16),
                (None, Some(decimal)) => number(decimal, 10),
                (None, None) => None,
            },
        };
        out.push(c.ok_or("an entity is unknown")?);
        out.push_str(plain);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(document: &str, expected: Result<Option<&str>, &'static str>) {
        let expected = expected.map(|text| text.map(str::to_owned));
        assert_eq!(text(document, &["Credentials", "Key"]), expected, "{document}");
    }

    #[test]
    fn the_text_of_one_element() {
        check("<R><Credentials><Key>a</Key></Credentials></R>", Ok(Some("a")));
        check(
            "<?xml version=\"1.0\"?>\n<R xmlns=\"x\"><a:Credentials><Key b=\"c\"> a </Key></a:Credentials></R>",
            Ok(Some("a")),
        );
        check(
            "<R><Key>b</Key><!-- <Credentials> --><Credentials><Other/><Key>a</Key></Credentials></R>",
            Ok(Some("a")),
        );
        check("<Credentials><Key>1</Key><Key>2</Key></Credentials>", Ok(Some("1")));
        check("<Credentials><Key>a&amp;b&lt;&#65;&#x42;&quot;&apos;&gt;</Key></Credentials>", Ok(Some("a&b<AB\"'>")));
        check("<Credentials><Key></Key></Credentials>", Ok(Some("")));
        check("<Other><Key>a</Key></Other>", Ok(None));
        check("", Ok(None));
    }

    #[test]
    fn what_an_answer_never_holds() {
        check("<!DOCTYPE a [<!ENTITY b \"c\">]><Credentials/>", Err("it has a document type or CDATA"));
        check("<Credentials><Key><![CDATA[a]]></Key></Credentials>", Err("it has a document type or CDATA"));
        check("<Credentials><Key>&b;</Key></Credentials>", Err("an entity is unknown"));
        check("<Credentials><Key>&#xD800;</Key></Credentials>", Err("an entity is unknown"));
        check("<Credentials><Key>a & b</Key></Credentials>", Err("an entity has no end"));
        check("<Credentials><Key>a</Credentials>", Err("an element ends under another name"));
        check("</Credentials>", Err("an element ends that never began"));
        check("<Credentials><Key>a</Key>", Err("it ends in the middle"));
        check("<Credentials", Err("a tag has no end"));
        check("<!-- a", Err("a comment has no end"));
        check(&"<a>".repeat(17), Err("its elements are nested too deeply"));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(document in "[<>/!&;#a:? -]{0,40}") {
            let _ = text(&document, &["a"]);
        }

        #[test]
        fn what_is_escaped_comes_back(value in "[!-~]{1,40}") {
            let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            prop_assert_eq!(text(&format!("<a><b>{escaped}</b></a>"), &["a", "b"]), Ok(Some(value)));
        }
    }
}
