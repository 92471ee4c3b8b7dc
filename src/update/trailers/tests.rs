//! What people and hosts do to a message, and what is still read of it.

use proptest::prelude::*;

use super::*;
use crate::update::edit::Field;

const ONE: &str = r#"Tagboat-Update: ["web:app","apps/app.yaml",7,"image","x.io/app:1.0.0","x.io/app:1.1.0"]"#;
const TWO: &str = r#"Tagboat-Update: ["web:db","apps/db.yaml",3,"tag","15.1","15.2"]"#;

fn message(parts: &[&str]) -> String {
    parts.concat().replace("ONE", ONE).replace("TWO", TWO)
}

/// How many of the two trailers are read, in order.
#[track_caller]
fn check(parts: &[&str], policies: &[&str]) {
    let text = message(parts);
    let read: Vec<String> = read(&text).into_iter().map(|recorded| recorded.policy).collect();
    assert_eq!(read, policies, "{text}");
}

#[test]
fn a_message_that_people_and_hosts_edited() {
    let both = &["web:app", "web:db"];
    check(&["update 2 images\n\n- a\n\nONE\nTWO\n"], both);
    check(&["ONE"], &["web:app"]);
    check(&["\n\n  \nupdate\n\nONE"], &["web:app"]);
    check(&["update\n\nONE\nTWO\n\nLooks good to me.\n\nSigned-off-by: Ann <ann@example.com>\n"], both);
    check(&["update\n\nONE\nSigned-off-by: Ann <ann@example.com>\nTWO\n"], both);
    check(&["update\r\n\r\nONE\r\nTWO\r\n\r\nmore\r\n"], both);
    check(
        &[
            "Bumps (#12)\n\n* update app\n\n- a\n\nONE\n\n* update db\n\nTWO\n\n---------\n\nCo-authored-by: Ann <a@b.c>",
        ],
        both,
    );
    check(&["Squashed commit of the following:\n\ncommit 1\nAuthor: x\n\n    update app\n\n    ONE\n    TWO\n"], both);
    check(&["Bumps\n\n* ONE\n* TWO\n"], both);
    check(&["Bumps\n\n- ONE   \n\t- TWO\t\n"], both);
    check(&["pick\n\nONE\n(cherry picked from commit 0123456789)\n"], &["web:app"]);
    check(&["Merge branch 'bot' into main\n\nupdate app\n\nONE\n\nSee merge request acme/fleet!3"], &["web:app"]);
    check(&["update\n\nONE\nONE\nTWO"], &["web:app", "web:app", "web:db"]);
}

#[test]
fn a_message_that_takes_something_back() {
    check(&["Revert \"update app to 1.1.0\"\n\nThis reverts commit 0123.\n"], &[]);
    check(&["Revert \"update app to 1.1.0\"\n\nONE\n"], &[]);
    check(&["  Revert \"update app to 1.1.0\" (#13)\n\nReverts acme/fleet#12\n\nONE\n"], &[]);
    check(&["Revert \"Revert \"update app\"\"\n\nThis reverts commit 0123.\n\nONE"], &[]);
    check(&["Reapply \"update app\"\n\nThis reverts commit 0123.\n\nONE"], &[]);
    check(&["that was too early\r\n\r\nThis reverts commit 0123.\r\n\r\nONE\r\n"], &[]);
    check(&["Back\n\nThis reverts merge request !3\n\nONE"], &[]);
    check(&["Bumps\n\n* update app\n\nONE\n\n* Revert \"update app\"\n\nThis reverts commit 0123.\n"], &["web:app"]);
    check(&["Revert to the old naming of folders\n\nONE"], &["web:app"]);
    check(&["update app\n\nONE\n\nIf it breaks: Revert \"update app\""], &["web:app"]);
}

#[test]
fn other_lines_are_not_ours() {
    check(&[""], &[]);
    check(&["update\n\nTagboat-Update: [1]\nSigned-off-by: x\nTagboat-Update: nonsense"], &[]);
    check(&["update\n\n> ONE\n>ONE\n* > ONE\n| ONE\n"], &[]);
    check(&["update\n\nas in ONE\n\"ONE\"\n`ONE`\nNot-ONE\nONE and more\n"], &[]);
    let (wrapped, rest) = ONE.split_at(50);
    check(&["update\n\n", wrapped, "\n", rest, "\n", wrapped, "\n  ", rest, "\n"], &[]);
    check(&["update\n\n", &ONE.replace("7", "-7"), "\n", &ONE.replace("7", "\"7\""), "\n"], &[]);
    check(&["update\n\n", &ONE.replace(']', ",1]"), "\n", &ONE.to_lowercase()], &[]);
    check(&["update\n\n", &ONE.replace(": [", ":["), "\n", &ONE.replace(": [", " : ["), "\n"], &["web:app"]);
}

fn change(file: &str, old: &str, new: &str) -> Change {
    let (policy, field) = ("web:app".into(), Field::Tag);
    Change { file: file.into(), line: 7, policy, field, old: old.into(), new: new.into() }
}

proptest! {
    #[test]
    fn any_change_reads_back(file in "\\PC{1,20}|[a-z\\n\\r:#]{1,10}", old in "\\PC{0,20}", new in "[a-z0-9.:]{1,20}") {
        let change = change(&file, &old, &new);
        let message = format!("update app\n\nwhy\n\n{}", write(&[change.clone(), change]));
        let recorded = Recorded { policy: "web:app".into(), file, line: 7, field: "tag".into(), old, new };
        prop_assert_eq!(read(&message), vec![recorded.clone(), recorded]);
    }

    #[test]
    fn what_stands_around_does_not_matter(
        above in "update[ -~\\n]{0,60}", below in "(\\PC|\\n){0,60}", count in 1_usize..4,
        bullet in "[ \t]{0,4}([*-] )?", crlf in any::<bool>(), blank in "[ \t]{0,2}",
    ) {
        prop_assume!(!above.contains("This reverts"));
        let changes: Vec<Change> = (0..count).map(|n| change(&format!("{n}.yaml"), "1", "2")).collect();
        let mut lines: String = write(&changes).lines().map(|line| format!("{bullet}{line}{blank}\n")).collect();
        lines = format!("{above}\n\n{lines}\n{below}");
        if crlf {
            lines = lines.replace('\n', "\r\n");
        }
        let read: Vec<String> = read(&lines).into_iter().map(|recorded| recorded.file).collect();
        prop_assert_eq!(read, changes.into_iter().map(|change| change.file).collect::<Vec<_>>());
    }

    #[test]
    fn no_revert_is_a_write(subject in "[ -~]{0,30}", below in "(\\PC|\\n){0,30}", again in any::<bool>()) {
        let words = if again { "Reapply" } else { "Revert" };
        let message = format!("{words} \"{subject}\"\n\n{ONE}\n{below}\n{TWO}");
        prop_assert_eq!(read(&message), vec![]);
    }

    #[test]
    fn any_text_is_read(text in "(\\PC|\\n|\\r|Tagboat-Update: |\\[\"a:b\",|Revert \"){0,40}") {
        for recorded in read(&text) {
            prop_assert!(text.contains(KEY) && !recorded.file.contains('\0') | text.contains("\\u0000"));
        }
    }
}
