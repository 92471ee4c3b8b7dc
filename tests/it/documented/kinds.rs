//! The definitions of the four kinds and their pages: every field has its row, with its default, and every row a field; the reasons are
//! those that there are.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tagboat::api::condition::Reason;

use crate::support::checkout;

const PAGES: [(&str, &str); 4] = [
    ("configrepos", "configrepo.md"),
    ("imagepolicies", "imagepolicy.md"),
    ("imageupdates", "imageupdate.md"),
    ("gitsyncs", "gitsync.md"),
];

pub async fn pages_of_the_kinds() {
    for (plural, page) in PAGES {
        let definition = std::fs::read_to_string(checkout("crds").join(format!("{plural}.yaml"))).unwrap();
        let definition = Value::deserialize(serde_yaml::Deserializer::from_str(&definition)).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        let text = std::fs::read_to_string(checkout("docs").join(page)).unwrap();
        for (part, heading) in [("spec", "## Fields"), ("status", "## Status")] {
            let mut fields = BTreeMap::new();
            collect("", &schema[part], &mut fields);
            let section = section(&text, heading);
            for (field, default) in &fields {
                let start = format!("| `{field}` | ");
                let row = section.lines().find(|line| line.starts_with(&start));
                let row = row.unwrap_or_else(|| panic!("docs/{page}: {heading} has no row for {field}"));
                assert!(
                    default.as_ref().is_none_or(|default| row.contains(&format!(" | `{default}` | "))),
                    "docs/{page}: the default of {field} is {default:?}: {row}"
                );
            }
            for name in rows(section) {
                let is_known = fields.contains_key(name) || Reason::named(name).is_some();
                assert!(is_known, "docs/{page}: {heading} speaks of {name}, which is neither field nor reason");
            }
        }
    }
}

/// What stands below a heading, until the next of its level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let rest = text.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no heading {heading}"));
    rest.split("\n## ").next().unwrap()
}

/// The names in the first cells of tables.
fn rows(section: &str) -> impl Iterator<Item = &str> {
    section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next())
}

/// The fields below a schema by their paths, `[]` behind lists, each with its default if it is a plain one. Of conditions, which all
/// kinds have alike, only the name.
fn collect(prefix: &str, schema: &Value, fields: &mut BTreeMap<String, Option<String>>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let default = match &field["default"] {
            Value::String(text) => Some(text.clone()),
            plain @ (Value::Bool(_) | Value::Number(_)) => Some(plain.to_string()),
            _ => None,
        };
        fields.insert(path.clone(), default);
        if name == "conditions" {
            continue;
        }
        collect(&format!("{path}."), field, fields);
        collect(&format!("{path}[]."), &field["items"], fields);
    }
}
