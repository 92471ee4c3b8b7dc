//! Variables in rendered objects (`spec.postBuild`): text with `${…}` and a set of variables → text, and the same for whole objects.
//! The language is the one of Flux (its fork of drone/envsubst). No message ever holds the value of a variable.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::hash::{hash_text, short};

mod expression;
mod functions;
mod mask;
mod objects;

pub use mask::Mask;
pub use objects::objects;

/// The longest text that a substitution may make, in bytes: no object may be larger.
pub const TEXT_BYTES: usize = 2 << 20;

/// One variable.
struct Variable {
    /// None when it isn't text.
    value: Option<String>,
    /// What it comes from, such as `Secret settings`.
    origin: String,
    is_secret: bool,
}

/// What a GitSync's expressions may name. Values are never shown.
pub struct Variables {
    values: BTreeMap<String, Variable>,
    /// Whether a variable that is not there is an error; else it is empty.
    is_strict: bool,
    /// Whether objects are looked at even without any variable.
    always: bool,
}

impl Variables {
    /// No variable yet.
    pub fn new(is_strict: bool, always: bool) -> Self {
        Self { values: BTreeMap::new(), is_strict, always }
    }

    /// Adds what an object holds; it wins over what is there. Keys that are no names are left out, as no expression can name
    /// them. Line ends go, as in Flux.
    pub fn add(&mut self, origin: &str, is_secret: bool, data: &BTreeMap<String, Vec<u8>>) {
        for (name, value) in data.iter().filter(|(name, _)| is_name(name)) {
            let value = std::str::from_utf8(value).ok().map(|text| text.replace('\n', ""));
            self.values.insert(name.clone(), Variable { value, origin: origin.to_owned(), is_secret });
        }
    }

    /// Adds variables of the spec; they win over what is there.
    ///
    /// # Errors
    /// Names the one whose name no expression can hold.
    pub fn add_inline(&mut self, field: &str, values: &BTreeMap<String, String>) -> Result<(), String> {
        for (name, value) in values {
            if !is_name(name) {
                return Err(format!(
                    "{field}: {name:?} can't be the name of a variable: use letters, digits and _, no digit first"
                ));
            }
            let value = Some(value.replace('\n', ""));
            self.values.insert(name.clone(), Variable { value, origin: field.to_owned(), is_secret: false });
        }
        Ok(())
    }

    /// Whether objects are left as they are.
    pub fn is_idle(&self) -> bool {
        self.values.is_empty() && !self.always
    }

    /// Tells one set of variables from another.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update([u8::from(self.is_strict), u8::from(self.always)]);
        for (name, variable) in &self.values {
            hash_text(&mut hasher, name);
            hash_text(&mut hasher, variable.value.as_deref().unwrap_or("\u{0}"));
            // What is secret must stay so.
            hasher.update([u8::from(variable.is_secret)]);
        }
        short(hasher)
    }

    /// What must not be shown.
    pub fn mask(&self) -> Mask {
        Mask::new(self.values.values().filter(|variable| variable.is_secret).filter_map(|v| v.value.clone()))
    }

    /// The value of a variable; none when there is no such variable.
    ///
    /// # Errors
    /// When it can't stand in a text.
    fn get(&self, name: &str) -> Result<Option<&str>, String> {
        let Some(variable) = self.values.get(name) else { return Ok(None) };
        let value = variable.value.as_deref();
        value.map(Some).ok_or_else(|| format!("the variable {name} ({}) is not UTF-8 text", variable.origin))
    }
}

/// A name as expressions have it: `[_A-Za-z][_A-Za-z0-9]*` (Flux: `spec.postBuild`).
pub fn is_name(name: &str) -> bool {
    let is_start = |c: char| c == '_' || c.is_ascii_alphabetic();
    name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c.is_ascii_digit())
}

/// A text with its expressions replaced, and the names of the variables that stood in it.
///
/// # Errors
/// Says which expression can't be read or lacks its variable.
pub fn text(text: &str, variables: &Variables) -> Result<(String, BTreeSet<String>), String> {
    if !text.contains('$') {
        return Ok((text.to_owned(), BTreeSet::new()));
    }
    let parts = expression::parse(text)?;
    let mut used = BTreeSet::new();
    let done = functions::evaluate(&parts, variables, &mut used)?;
    Ok((done, used))
}

#[cfg(test)]
mod tests;
