//! `exclusionList`: tags that never count. Patterns come in; a tag is left out when one of them matches somewhere in it.

use std::sync::{Arc, LazyLock};

use super::filter::Filter;
use crate::api::image_policy::FilterTags;

/// What signing tools leave beside an image: cosign's signatures, attestations and bills of materials, and the tags that stand in
/// for the referrers API (OCI distribution specification, "Referrers Tag Schema"). Flux leaves out `.sig` alone.
const USUAL: [&str; 2] = [r"\.(sig|att|sbom)$", r"^sha256-[0-9a-f]{64}$"];

/// The usual ones, which nearly every policy has: compiled once.
static COMPILED: LazyLock<Exclusion> = LazyLock::new(|| Exclusion::compile(USUAL).expect("the usual patterns compile"));

/// Compiled patterns.
#[derive(Debug, Clone)]
pub struct Exclusion {
    patterns: Arc<[(Box<str>, Filter)]>,
}

impl Exclusion {
    /// Compiles the patterns, in the dialect and with the limits of `filterTags.pattern`; without any list, what is usual.
    ///
    /// # Errors
    /// The index of a pattern that can't be compiled, and why.
    pub fn parse(patterns: Option<&[String]>) -> Result<Self, (usize, String)> {
        match patterns {
            Some(patterns) => Self::compile(patterns.iter().map(String::as_str)),
            None => Ok(COMPILED.clone()),
        }
    }

    fn compile<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Self, (usize, String)> {
        let compile = |(at, pattern): (usize, &str)| {
            let filter = Filter::parse(&FilterTags { pattern: pattern.to_owned(), extract: None });
            filter.map(|filter| (pattern.into(), filter)).map_err(|flaw| (at, flaw.reason))
        };
        Ok(Self { patterns: patterns.into_iter().enumerate().map(compile).collect::<Result<_, _>>()? })
    }

    /// The first pattern that leaves the tag out, if one does.
    pub fn pattern(&self, tag: &str) -> Option<&str> {
        let excludes = |(_, filter): &&(Box<str>, Filter)| filter.apply(tag).is_some();
        self.patterns.iter().find(excludes).map(|(pattern, _)| &**pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(exclusion: &Exclusion, tag: &str, pattern: Option<&str>) {
        assert_eq!(exclusion.pattern(tag), pattern, "{tag}");
    }

    #[test]
    fn what_signing_tools_leave_is_left_out_unless_the_policy_says_otherwise() {
        let hex = "0123456789abcdef".repeat(4);
        let usual = Exclusion::parse(None).unwrap();
        for tag in [&format!("sha256-{hex}.sig"), &format!("sha256-{hex}"), "1.0.0.att", "1.0.0.sbom"] {
            assert!(usual.pattern(tag).is_some(), "{tag}");
        }
        for tag in ["1.0.0", "sha256-abc", "signature", "main-1-sig", "sbom"] {
            assert!(usual.pattern(tag).is_none(), "{tag}");
        }
        let none = Exclusion::parse(Some(&[])).unwrap();
        check(&none, "1.0.0.sig", None);
    }

    #[test]
    fn patterns_match_anywhere_and_say_which_did() {
        let own = Exclusion::parse(Some(&["-debug$".to_owned(), r"^\d+$".to_owned()])).unwrap();
        check(&own, "1.0-debug", Some("-debug$"));
        check(&own, "20260101", Some(r"^\d+$"));
        check(&own, "debug-1", None);
    }

    #[test]
    fn a_pattern_that_cannot_compile_is_named() {
        let (at, reason) = Exclusion::parse(Some(&["a".to_owned(), "(".to_owned()])).unwrap_err();
        assert_eq!(at, 1);
        assert!(!reason.is_empty());
    }
}
