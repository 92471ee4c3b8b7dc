//! What a person can do when a host's rules refuse a push. In: the host's own words. Out: words that go after them, or none.

/// How hosts name a branch that only proposals reach.
const PROTECTED: [&str; 4] = ["protected branch", "protected ref", "pull request", "merge request"];

/// What helps when these words are those of a protected branch.
pub fn on_refusal(words: &str) -> Option<&'static str> {
    let words = words.to_lowercase();
    let is_protected = PROTECTED.iter().any(|name| words.contains(name));
    is_protected.then_some("; let tagboat push to it, or have it propose on a branch of its own: set spec.push.branch")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_branches_of_several_hosts() {
        for words in [
            "Gitea: Not allowed to push to protected branch main: pre-receive hook declined",
            "GH006: Protected branch update failed for refs/heads/main: protected branch hook declined",
            "GitLab: You are not allowed to push code to protected branches on this project.",
            "TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch.",
        ] {
            assert!(on_refusal(words).is_some_and(|advice| advice.contains("spec.push.branch")), "{words}");
        }
        assert_eq!(on_refusal("no deploys on Friday: pre-receive hook declined"), None);
    }
}
