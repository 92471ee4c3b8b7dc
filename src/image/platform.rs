//! Noun: what an image runs on. In: a text such as `linux/arm64/v8`, or the three words of a manifest. Out: a platform that
//! can be compared. Pure; must never let other than plain words in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Invalid, invalid};

const WHAT: &str = "platform";

/// Operating system, architecture and variant, in Go's words (OCI image specification, "platform").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `v8`; most architectures have none.
    pub variant: Option<String>,
}

impl Platform {
    /// Checks the words of a manifest; an empty variant is none.
    ///
    /// # Errors
    /// When a word is empty, longer than 32 characters, or holds other than `[a-z0-9._-]`.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Result<Self, Invalid> {
        let variant = variant.filter(|variant| !variant.is_empty());
        for word in [Some(os), Some(architecture), variant].into_iter().flatten() {
            let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
            if word.is_empty() || word.len() > 32 || !word.bytes().all(is_plain) {
                return Err(invalid(
                    WHAT,
                    word,
                    "each part is 1 to 32 characters of 'a' to 'z', digits, '.', '_', '-'",
                ));
            }
        }
        Ok(Self { os: os.to_owned(), architecture: architecture.to_owned(), variant: variant.map(str::to_owned) })
    }

    /// Whether an image for this platform is one for the wanted platform: system and architecture are the same, and so is the
    /// variant if one is wanted. A missing variant is the architecture's usual one: `v8` of arm64, `v7` of arm, `v1` of amd64
    /// (containerd's normal form).
    pub fn runs_on(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.usual_variant() == wanted.variant.as_deref())
    }

    fn usual_variant(&self) -> Option<&str> {
        self.variant.as_deref().or(match &*self.architecture {
            "amd64" => Some("v1"),
            "arm64" => Some("v8"),
            "arm" => Some("v7"),
            _ => None,
        })
    }
}

impl FromStr for Platform {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts: Vec<&str> = text.splitn(4, '/').collect();
        match parts[..] {
            [os, architecture] => Self::new(os, architecture, None),
            [os, architecture, variant] if !variant.is_empty() => Self::new(os, architecture, Some(variant)),
            _ => Err(invalid(WHAT, text, "write os/architecture or os/architecture/variant, such as linux/arm64/v8")),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl TryFrom<String> for Platform {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(image: &str, wanted: &str, expected: bool) {
        let (image, wanted): (Platform, Platform) = (image.parse().unwrap(), wanted.parse().unwrap());
        assert_eq!(image.runs_on(&wanted), expected, "{image} for {wanted}");
    }

    #[test]
    fn a_missing_variant_is_the_usual_one() {
        check("linux/amd64", "linux/amd64", true);
        check("linux/amd64", "linux/amd64/v1", true);
        check("linux/amd64", "linux/amd64/v3", false);
        check("linux/amd64/v3", "linux/amd64", true);
        check("linux/amd64", "linux/arm64", false);
        check("windows/amd64", "linux/amd64", false);
        check("linux/arm64", "linux/arm64/v8", true);
        check("linux/arm64/v8", "linux/arm64", true);
        check("linux/arm64/v9", "linux/arm64/v8", false);
        check("linux/arm", "linux/arm/v7", true);
        check("linux/arm/v6", "linux/arm/v7", false);
        check("linux/arm/v6", "linux/arm", true);
        check("linux/ppc64le", "linux/ppc64le", true);
        check("linux/riscv64", "linux/riscv64/x", false);
    }

    #[test]
    fn only_platforms_are_read_and_come_back_as_they_were() {
        for text in ["linux/amd64", "linux/arm64/v8", "wasip1/wasm"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for text in ["", "linux", "linux/", "/amd64", "linux/arm/", "linux/arm/v7/x", "Linux/amd64", "linux/a\nb"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }
}
