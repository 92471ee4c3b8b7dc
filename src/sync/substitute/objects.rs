//! Substitution in whole objects: as if in the YAML that Flux prints of each, where a text without quotes may become a number.

use serde_json::{Map, Value};

use super::{Variables, text};
use crate::api::SUBSTITUTE;
use crate::object::{Manifest, Problem};
use crate::sync::render::{Rendered, identified};
use crate::sync::yaml;

/// Flux's label or annotation that keeps an object as it is.
const FLUX_SUBSTITUTE: &str = "kustomize.toolkit.fluxcd.io/substitute";

/// Replaces the expressions of all objects but those whose label or annotation says `disabled`.
///
/// Problems name the object and the field.
pub fn objects(rendered: Rendered, variables: &Variables) -> Rendered {
    if variables.is_idle() {
        return rendered;
    }
    let Rendered { manifests, mut problems } = rendered;
    let mask = variables.mask();
    let mut done = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        if is_disabled(&manifest.body) {
            done.push(manifest);
            continue;
        }
        let (file, line) = (manifest.file.clone(), manifest.line);
        match object(manifest, variables) {
            Ok(manifest) => done.push(manifest),
            Err(reason) => problems.push(Problem { file, line, reason: mask.hide(&reason) }),
        }
    }
    Rendered { manifests: done, problems }
}

fn is_disabled(body: &Value) -> bool {
    let says = |place: &str, key: &str| body.pointer(place)?.get(key)?.as_str();
    ["/metadata/labels", "/metadata/annotations"].into_iter().any(|place| {
        [SUBSTITUTE, FLUX_SUBSTITUTE].into_iter().filter_map(|key| says(place, key)).any(|value| value == "disabled")
    })
}

fn object(manifest: Manifest, variables: &Variables) -> Result<Manifest, String> {
    let Manifest { key, mut body, file, line, .. } = manifest.clone();
    let mut path = Vec::new();
    let changed = value(&mut body, &mut path, variables).map_err(|reason| {
        let path: String = path.concat();
        format!("{key}: {}: {reason}", path.trim_start_matches('.'))
    })?;
    if !changed {
        return Ok(manifest);
    }
    // The reason might quote a value.
    identified(body, &file, line).map_err(|_| {
        format!(
            "{key}: with its variables put in, apiVersion, kind, name, namespace, labels or annotations are not what they must be; \
             a number or bool that is to be text needs quotes within the variable's value"
        )
    })
}

/// Works on one value and everything below. On an error `path` leads to it.
fn value(value: &mut Value, path: &mut Vec<String>, variables: &Variables) -> Result<bool, String> {
    match value {
        Value::String(scalar) if scalar.contains('$') => {
            let new = self::scalar(scalar, variables)?;
            let is_new = new.as_str() != Some(scalar);
            *value = new;
            Ok(is_new)
        }
        Value::Array(items) => {
            let mut changed = false;
            for (at, item) in items.iter_mut().enumerate() {
                path.push(format!("[{at}]"));
                changed |= self::value(item, path, variables)?;
                path.pop();
            }
            Ok(changed)
        }
        Value::Object(fields) => {
            let mut changed = keys(fields, variables)?;
            for (key, item) in fields.iter_mut() {
                path.push(format!(".{key}"));
                changed |= self::value(item, path, variables)?;
                path.pop();
            }
            Ok(changed)
        }
        _ => Ok(false),
    }
}

/// Keys stay texts, whatever is put into them.
fn keys(fields: &mut Map<String, Value>, variables: &Variables) -> Result<bool, String> {
    if !fields.keys().any(|key| key.contains('$')) {
        return Ok(false);
    }
    let mut new = Map::new();
    for (key, value) in std::mem::take(fields) {
        let named = format!("key {key}");
        let (key, _) = text(&key, variables).map_err(|reason| format!("{named}: {reason}"))?;
        if new.insert(key, value).is_some() {
            return Err(format!("{named}: with its variables put in, the key is there twice"));
        }
    }
    *fields = new;
    Ok(true)
}

/// A text with its variables. One that YAML would print without quotes is then read as YAML, as Flux has it: `${port}` becomes
/// a number, and stays a text when the variable's value has quotes of its own.
fn scalar(scalar: &str, variables: &Variables) -> Result<Value, String> {
    let (new, used) = text(scalar, variables)?;
    if used.is_empty() || !is_plain(scalar) {
        return Ok(Value::String(new));
    }
    let unreadable = || {
        let names: Vec<&str> = used.iter().map(String::as_str).collect();
        format!(
            "with the variables put in ({}), this can't be read as YAML; quotes within a variable's value make it text",
            names.join(", ")
        )
    };
    if new.chars().any(|c| c.is_control()) {
        return Err(unreadable());
    }
    let (documents, problems) = yaml::documents("", format!("v: {new}\n").as_bytes());
    let mut read = match documents.as_slice() {
        [document] if problems.is_empty() => document.value.clone(),
        _ => return Err(unreadable()),
    };
    let read = match read.as_object_mut() {
        Some(fields) if fields.len() == 1 => fields.remove("v").unwrap_or(Value::Null),
        _ => return Err(unreadable()),
    };
    // A ` #` in a value would cut off the rest in silence.
    let is_quoted = new.trim_start().starts_with(['"', '\'']);
    match &read {
        Value::String(text) if !is_quoted && text != new.trim() => Err(unreadable()),
        _ => Ok(read),
    }
}

/// Whether YAML as Go prints it writes a text with an expression without quotes, on one line.
fn is_plain(text: &str) -> bool {
    let starts_well = !text.starts_with([
        '#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', ' ', '?', ':', '-',
    ]) || is_word_after(text);
    starts_well
        && !text.ends_with([' ', ':'])
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.chars().any(char::is_control)
        && !text.contains(['\u{feff}', '\u{2028}', '\u{2029}'])
}

/// `-`, `?` and `:` are nothing special with something else than a blank behind them.
fn is_word_after(text: &str) -> bool {
    text.starts_with(['-', '?', ':']) && text.chars().nth(1).is_some_and(|c| !c.is_whitespace())
}
