//! Every ready-made policy chooses what the table on top of it says, through the command line.

use libtest_mimic::Trial;

use crate::support::bare_trial;
use crate::support::tagboat::cli_with;

pub fn trials() -> Vec<Trial> {
    vec![bare_trial("policies: each chooses what its table says", || async {
        let folder = format!("{}/policies", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(folder).unwrap() {
            check(entry.unwrap().path()).await;
        }
    })]
}

/// Rows of `#   TAG   VERDICT`.
fn table(text: &str) -> Vec<(String, String)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let words = rows.map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.map(|words| <[String; 2]>::try_from(words).expect("a tag and a verdict").into()).collect()
}

async fn check(path: std::path::PathBuf) {
    let expected = table(&std::fs::read_to_string(&path).unwrap());
    assert!(expected.len() >= 5, "{} needs a table of tags", path.display());
    let mut tags: Vec<&str> = expected.iter().map(|(tag, _)| tag.as_str()).collect();
    tags.reverse();
    let path = path.to_string_lossy().into_owned();
    let output = cli_with(["explain", "-f", &path, "--tags", "-", "-o", "json"], &tags.join("\n"), &[]).await;
    let explanation: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let found = explanation["tags"].as_array().unwrap().iter().map(|tag| (text(&tag["tag"]), text(&tag["verdict"])));
    let mut found: Vec<_> = found.collect();
    assert_eq!(found[0], expected[0], "{path}");
    found.sort();
    let mut sorted = expected.clone();
    sorted.sort();
    assert_eq!(found, sorted, "{path}");
}
