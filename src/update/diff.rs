//! Two texts of a file → a unified diff that `git apply` accepts at the root of the checkout.

use similar::TextDiff;

/// Lines of context around a change, as Git shows them.
const CONTEXT: usize = 3;

/// The diff of one file; empty when nothing differs.
pub fn unified(file: &str, old: &[u8], new: &[u8]) -> String {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    // Lines end at line feeds alone, as for Git; a lone carriage return is part of its line.
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let diff = TextDiff::from_slices(&old, &new);
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        if text.is_empty() {
            // After a name with a space Git writes a tab, so that its end is clear.
            let end = if file.contains(' ') { "\t" } else { "" };
            text = format!("diff --git {0} {1}\n--- {0}{end}\n+++ {1}{end}\n", name("a", file), name("b", file));
        }
        text.push_str(&format!("{}\n", hunk.header()));
        for change in hunk.iter_changes() {
            text.push_str(&change.tag().to_string());
            text.push_str(change.value());
            if !change.value().ends_with('\n') {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    text
}

/// A file's name as Git spells it in a diff: quoted when it holds characters that would end it.
fn name(side: &str, file: &str) -> String {
    let is_plain = file.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\') || b == b' ' || b >= 0x80);
    if is_plain {
        return format!("{side}/{file}");
    }
    let escaped: String = file
        .bytes()
        .map(|b| match b {
            b'"' => "\\\"".to_owned(),
            b'\\' => "\\\\".to_owned(),
            b if b.is_ascii_graphic() || b == b' ' => char::from(b).to_string(),
            b => format!("\\{b:03o}"),
        })
        .collect();
    format!("\"{side}/{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_as_git_writes_it() {
        let old = b"a\nb\nc\r\nimage: x:1";
        let new = b"a\nb\nc\r\nimage: x:2";
        assert_eq!(
            unified("apps/x.yaml", old, new),
            "diff --git a/apps/x.yaml b/apps/x.yaml\n--- a/apps/x.yaml\n+++ b/apps/x.yaml\n@@ -1,4 +1,4 @@\n a\n b\n c\r\n-image: x:1\n\\ No newline at end of file\n+image: x:2\n\\ No newline at end of file\n"
        );
        assert_eq!(unified("x", old, old), "");
        assert!(unified("a\"b\n.yaml", b"1\n", b"2\n").contains("--- \"a/a\\\"b\\012.yaml\"\n"));
    }
}
