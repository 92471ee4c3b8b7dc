//! Patterns of a `.gitignore` × paths → which of them are ignored, as Git itself says. No repository is touched.

use git2::{Odb, Repository};

use super::Error;

/// Which of these paths the patterns of a `.gitignore` at their root ignore; a path below an ignored folder is ignored too.
///
/// # Errors
/// When libgit2 can't be used.
pub fn ignored(patterns: &str, paths: &[String]) -> Result<Vec<bool>, Error> {
    let repository = Odb::new().and_then(Repository::from_odb).map_err(Error::storage)?;
    repository.add_ignore_rule(patterns).map_err(Error::storage)?;
    paths.iter().map(|path| repository.is_path_ignored(path).map_err(Error::storage)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_git() {
        let patterns = "# tests\n*.md\ntests/\n/top.yaml\n!keep.md\ndocs/**/x.yaml\n\\#a\na/*.yaml\n";
        for (path, is_ignored) in [
            ("README.md", true),
            ("keep.md", false),
            ("sub/keep.md", false),
            ("tests/a.yaml", true),
            ("sub/tests/deep/a.yaml", true),
            ("tests.yaml", false),
            ("top.yaml", true),
            ("sub/top.yaml", false),
            ("docs/a/b/x.yaml", true),
            ("docs/x.yaml", true),
            ("#a", true),
            ("a/x.yaml", true),
            ("a/b/x.yaml", false),
        ] {
            assert_eq!(ignored(patterns, &[path.to_owned()]).unwrap(), [is_ignored], "{path}");
        }
    }
}
