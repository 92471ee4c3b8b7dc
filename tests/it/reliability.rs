//! The table of what can go wrong names its tests; this checks that they exist.

use libtest_mimic::{Failed, Trial};

use crate::architecture::{files, root};

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("reliability: every test of the table exists", || {
        let table = std::fs::read_to_string(root().join("tests/reliability.md")).unwrap();
        let sources: String = files("src")
            .into_iter()
            .chain(files("tests/it"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        let missing = missing(&table, &sources);
        if missing.is_empty() { Ok(()) } else { Err(Failed::from(missing.join("\n"))) }
    })]
}

/// Names of the last column that are neither a trial nor a function, and rows that name none.
fn missing(table: &str, sources: &str) -> Vec<String> {
    let mut missing = Vec::new();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Row")).collect();
    assert!(rows.len() >= 54, "the table has its rows");
    for row in rows {
        let cell = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            missing.push(format!("{row}: no test"));
        }
        let exists = |name: &&&str| {
            sources.contains(&format!("fn {name}(")) || sources.contains(&format!("\"{name}\"")) || is_fuzz_target(name)
        };
        missing.extend(names.iter().filter(|name| !exists(name)).map(|name| format!("{name} is no test")));
    }
    missing
}

fn is_fuzz_target(name: &str) -> bool {
    root().join("fuzz/corpus").join(name).is_dir()
}
