//! Every ready-made policy chooses what the table on top of it says, through the command line.

use libtest_mimic::Trial;

use crate::support::bare_trial;
use crate::support::tagboat::cli_with;

pub fn trials() -> Vec<Trial> {
    vec![bare_trial("policies: each chooses what its table says", || async {
        let folder = format!("{}/policies", env!("CARGO_MANIFEST_DIR"));
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 15, "there is one for every way in which people tag");
        for file in files {
            check(file).await;
        }
    })]
}

/// A row `#   TAG   VERDICT`, or `#   TAG   VERDICT   TIME` where the time of the build decides.
struct Row {
    tag: String,
    verdict: String,
    built: String,
}

fn table(text: &str) -> Vec<Row> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let read = |row: &str| {
        let mut words = row.split_whitespace().map(str::to_owned);
        let (tag, verdict) = (words.next().unwrap(), words.next().expect("a tag and a verdict"));
        Row { tag, verdict, built: words.collect() }
    };
    rows.map(read).collect()
}

async fn check(path: std::path::PathBuf) {
    let expected = table(&std::fs::read_to_string(&path).unwrap());
    assert!(expected.len() >= 5, "{} needs a table of tags", path.display());
    let tags: Vec<String> = expected.iter().rev().map(|row| format!("{} {}", row.tag, row.built)).collect();
    let expected: Vec<(String, String)> = expected.into_iter().map(|row| (row.tag, row.verdict)).collect();
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
