//! `spec.push.refspec` and `spec.push.options` → the second ref of a push and the options that go along, or what is wrong with
//! them. The left side of a refspec (gitglossary) can only be what is pushed anyway.

use std::collections::BTreeMap;

/// How long one option may be, in bytes.
const OPTION_BYTES: usize = 4096;

/// A second ref that gets the same commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refspec {
    /// Its full name.
    pub name: String,
    /// Whether it may lose commits that it has (`+`).
    pub may_go_back: bool,
}

/// Reads a refspec of a push to `branch`.
///
/// # Errors
/// It names something else than the commit that is pushed, or no full ref beside the branch.
pub fn refspec(text: &str, branch: &str) -> Result<Refspec, String> {
    let (may_go_back, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
    let Some((from, name)) = rest.split_once(':') else {
        return Err("it needs a colon, as in HEAD:refs/heads/mirror".to_owned());
    };
    let full = format!("refs/heads/{branch}");
    if from != "HEAD" && from != branch && from != full {
        return Err(format!("only the commit itself can be pushed: write HEAD (or {full}) before the colon"));
    }
    if !name.starts_with("refs/") || name.contains([':', '*']) {
        return Err("write the full name of one ref behind the colon, as in refs/heads/mirror".to_owned());
    }
    if name == full {
        return Err(format!("{full} is what is pushed without it"));
    }
    Ok(Refspec { name: name.to_owned(), may_go_back })
}

/// The options in the form in which they are sent.
///
/// # Errors
/// A key or value that the protocol can't carry.
pub fn options(options: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let read = |(key, value): (&String, &String)| {
        if key.is_empty() || key.contains('=') {
            return Err(format!("{key:?}: a key is not empty and holds no ="));
        }
        let option = if value.is_empty() { key.clone() } else { format!("{key}={value}") };
        if option.chars().any(char::is_control) || option.len() > OPTION_BYTES {
            return Err(format!("{key:?}: no line breaks, and no more than {OPTION_BYTES} bytes"));
        }
        Ok(option)
    };
    options.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, bool), &str>) {
        match (refspec(text, "bot/x"), expected) {
            (Ok(found), Ok((name, may_go_back))) => assert_eq!((&*found.name, found.may_go_back), (name, may_go_back)),
            (Err(reason), Err(words)) => assert!(reason.contains(words), "{text}: {reason}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn refspecs() {
        check("HEAD:refs/heads/mirror", Ok(("refs/heads/mirror", false)));
        check("+HEAD:refs/tags/live", Ok(("refs/tags/live", true)));
        check("bot/x:refs/for/main", Ok(("refs/for/main", false)));
        check("refs/heads/bot/x:refs/heads/x", Ok(("refs/heads/x", false)));
        check("HEAD", Err("needs a colon"));
        check(":refs/heads/x", Err("only the commit itself"));
        check("main:refs/heads/x", Err("only the commit itself"));
        check("HEAD:mirror", Err("the full name"));
        check("HEAD:refs/heads/*", Err("the full name"));
        check("HEAD:refs/heads/a:b", Err("the full name"));
        check("HEAD:refs/heads/bot/x", Err("is what is pushed without it"));
        check("", Err("needs a colon"));
    }

    #[test]
    fn push_options() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let sent = options(&map(&[("topic", "x=y"), ("ci.skip", "")]));
        assert_eq!(sent, Ok(vec!["ci.skip".to_owned(), "topic=x=y".to_owned()]));
        for bad in [[("", "x")], [("a=b", "")], [("a", "b\nc")], [("a\0", "")]] {
            assert!(options(&map(&bad)).is_err(), "{bad:?}");
        }
        assert!(options(&map(&[("a", &"x".repeat(5000))])).is_err());
    }
}
