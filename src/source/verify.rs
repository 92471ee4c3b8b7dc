//! `spec.verify` × what was verified before → what must be signed now, and what to say of what is not. Verifies nothing itself.

use crate::api::config_repo::{VerificationStatus, VerifyMode};
use crate::revision::CommitId;

/// What must be signed for a revision to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// The annotated tag that led to it.
    pub tag: bool,
    /// Its commit.
    pub head: bool,
    /// All that it can reach and this one cannot; everything when the one is no longer there.
    pub since: Option<CommitId>,
}

/// What to check, as far as `before` says what was verified; it has no say in whether the commit itself is signed. The first commit of
/// all is where trust begins: what came before it is not looked at.
pub fn checks(mode: VerifyMode, before: Option<&VerificationStatus>) -> Checks {
    // Of a commit that only a tag vouched for, nobody looked at the signature.
    let last = before.filter(|before| before.key.is_some()).map(|before| before.commit.clone());
    match mode {
        VerifyMode::Head | VerifyMode::OldHead => Checks { tag: false, head: true, since: None },
        VerifyMode::Tag => Checks { tag: true, head: false, since: None },
        VerifyMode::TagAndHead => Checks { tag: true, head: true, since: None },
        VerifyMode::EveryCommit => Checks { tag: false, head: true, since: last },
    }
}

/// Whether just this was verified before. A person who asks, or changes the object, has it verified again.
pub fn is_known(mode: VerifyMode, before: Option<&VerificationStatus>, commit: &CommitId) -> bool {
    before.is_some_and(|before| before.mode == mode && before.commit == *commit)
}

/// What is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspect {
    /// A commit, and who says to have made it.
    Commit(CommitId, String),
    /// The tag of this name.
    Tag(String),
}

/// A refusal, in words: of what, why, which keys would do, and what stays in use.
pub fn refusal(suspect: &Suspect, flaw: &str, secret: &str, last: Option<&str>) -> String {
    let (what, how) = match suspect {
        Suspect::Commit(commit, who) => (format!("commit {commit} by {who}"), "have it signed (git commit -S)"),
        Suspect::Tag(name) => (format!("tag {name}"), "sign it (git tag -s)"),
    };
    let stays = last.map_or_else(|| "nothing is in use".to_owned(), |last| format!("{last} stays in use"));
    format!("{what} is not trusted: {flaw}; {how} with a key of Secret {secret}, or add the right key there; {stays}")
}

/// What to say when one commit among many is not trusted, and signing the newest does not help.
pub fn way_on(last: &CommitId) -> String {
    format!(
        "every commit after {} must be signed: rewrite it, or look at it and set spec.verify.mode to HEAD until the head was verified",
        last.short()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: &str) -> CommitId {
        digit.repeat(40).parse().unwrap()
    }

    fn verified(mode: VerifyMode, key: Option<&str>) -> VerificationStatus {
        VerificationStatus { mode, commit: id("a"), key: key.map(str::to_owned), tag_key: None }
    }

    #[track_caller]
    fn check(mode: VerifyMode, before: Option<VerificationStatus>, expected: (bool, bool, bool)) {
        let found = checks(mode, before.as_ref());
        assert_eq!((found.tag, found.head, found.since.is_some()), expected, "{mode:?} after {before:?}");
    }

    #[test]
    fn what_must_be_signed() {
        use VerifyMode::{EveryCommit, Head, OldHead, Tag, TagAndHead};
        let (signed, by_tag) = (verified(Head, Some("k")), verified(Tag, None));
        for before in [None, Some(signed.clone()), Some(by_tag.clone())] {
            check(Head, before.clone(), (false, true, false));
            check(OldHead, before.clone(), (false, true, false));
            check(Tag, before.clone(), (true, false, false));
            check(TagAndHead, before, (true, true, false));
        }
        check(EveryCommit, None, (false, true, false));
        check(EveryCommit, Some(signed), (false, true, true));
        check(EveryCommit, Some(by_tag), (false, true, false));
    }

    #[test]
    fn what_is_known_needs_no_look() {
        let before = verified(VerifyMode::Head, Some("k"));
        assert!(is_known(VerifyMode::Head, Some(&before), &id("a")));
        assert!(!is_known(VerifyMode::EveryCommit, Some(&before), &id("a")));
        assert!(!is_known(VerifyMode::Head, Some(&before), &id("b")));
        assert!(!is_known(VerifyMode::Head, None, &id("a")));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let words = refusal(&Suspect::Commit(id("b"), "Eve".into()), "it is not signed", "keys", Some("main@sha1:x"));
        for part in
            [id("b").as_str(), "by Eve", "is not signed", "git commit -S", "Secret keys", "main@sha1:x stays in use"]
        {
            assert!(words.contains(part), "{words}");
        }
        assert!(
            refusal(&Suspect::Tag("v1".into()), "x", "keys", None)
                .contains("tag v1 is not trusted: x; sign it (git tag -s)")
        );
    }
}
