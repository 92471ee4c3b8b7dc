//! Issuer and subject of a certificate come in, whether a policy trusts them goes out. An empty name matches nothing.

use regex::bytes::{Regex, RegexBuilder};

/// Longest pattern, in bytes.
const LONGEST_PATTERN: usize = 1024;
/// Memory of a compiled pattern, in bytes.
const LARGEST_PROGRAM: usize = 1 << 20;
/// How deep groups may nest.
const DEEPEST: u32 = 100;

/// Who may sign: both must match.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who checked the signer, such as `https://token.actions.githubusercontent.com`.
    pub issuer: Match,
    /// Who signed, such as a workflow's URL or an e-mail address.
    pub subject: Match,
}

impl Identity {
    /// Whether these names, which a trusted authority vouches for, are the ones.
    pub(super) fn is(&self, issuer: &str, subject: &str) -> bool {
        !issuer.is_empty() && !subject.is_empty() && self.issuer.matches(issuer) && self.subject.matches(subject)
    }
}

/// How a name must read.
#[derive(Debug, Clone)]
pub enum Match {
    /// Letter by letter.
    Exact(String),
    /// By a pattern, from [`parse_pattern`](Self::parse_pattern).
    Pattern(Regex),
}

impl Match {
    /// A pattern for the whole name: unlike with cosign's `--certificate-identity-regexp`, a part that matches is not enough.
    ///
    /// # Errors
    /// When it is no pattern in RE2's language, or too large.
    pub fn parse_pattern(pattern: &str) -> Result<Self, String> {
        if pattern.len() > LONGEST_PATTERN {
            return Err(format!("the pattern is longer than {LONGEST_PATTERN} bytes"));
        }
        let build =
            |text: &str| RegexBuilder::new(text).unicode(false).size_limit(LARGEST_PROGRAM).nest_limit(DEEPEST).build();
        let wrong = |error: regex::Error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large when compiled".to_owned(),
            error => format!("not a pattern: {}", error.to_string().lines().last().unwrap_or_default()),
        };
        // By itself first: `a)|(b` must not become a pattern by what is put around it.
        build(pattern).map_err(wrong)?;
        Ok(Self::Pattern(build(&format!(r"\A(?:{pattern})\z")).map_err(wrong)?))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(wanted) => wanted == name,
            Self::Pattern(pattern) => pattern.is_match(name.as_bytes()),
        }
    }
}
