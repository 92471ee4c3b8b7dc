//! Repositories that are too large, or made to hurt: what is fine in them is bumped, the rest is told or left as it is.

use std::io::Write;
use std::process::Stdio;

use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, ImageUpdate};

use super::{FILE, seen, written};
use crate::setup::*;
use crate::support::git::{Repo, git};
use crate::support::world::World;

const MIB: u64 = 1 << 20;

/// Git's answer to a command that reads.
fn feed(repo: &Repo, args: &[&str], input: &[u8]) -> String {
    let mut child = git()
        .arg("--git-dir")
        .arg(&repo.folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let written = std::thread::scope(|scope| {
        let writes = scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output().unwrap();
        writes.join().unwrap().unwrap();
        output
    });
    assert!(written.status.success(), "git {args:?}");
    String::from_utf8_lossy(&written.stdout).trim_end().to_owned()
}

/// Puts a tree on the branch, as a person's commit; its lines are those of `git ls-tree`.
fn put_tree(repo: &Repo, lines: &str) -> String {
    let tree = feed(repo, &["mktree", "--missing"], lines.as_bytes());
    let commit = git_says(repo, &["commit-tree", "-p", "main", "-m", "a tree", &tree]);
    git_says(repo, &["update-ref", "refs/heads/main", &commit]);
    commit
}

pub async fn beyond_the_limits(world: World) {
    const FILES: usize = 20_000;
    let repo = one_app(&world, FILE).await;
    world.push("app", &["1.1.0"]).await;
    let marked = marked(&world, "app", "1.0.0");
    let huge = format!("{marked}{}", "# a long line that says nothing, again and again\n".repeat(50_000));
    let deep = format!("{}deep.yaml", "d/".repeat(50));
    let others: Vec<(String, String)> =
        (0..FILES).map(|n| (format!("many/{}/{n}.yaml", n % 100), format!("n: {n}\n"))).collect();
    let mut files: Vec<(&str, &str)> = others.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let long = format!("{marked}long: {}\n", "x".repeat(1_000_000));
    files.extend([("huge.yaml", huge.as_str()), (&deep, &marked), ("long.yaml", &long)]);
    repo.commit(&files, "all that there is");
    let tagboat = world.tagboat().await;
    for path in [FILE, &deep, "long.yaml"] {
        in_git(&repo, path, ":1.1.0 ").await;
    }
    let update: ImageUpdate = ready(&world, "fleet", "False", Reason::UpdateProblems).await;
    let problems = update.status.unwrap().problems;
    assert_eq!(problems.iter().map(|problem| problem.file.as_str()).collect::<Vec<_>>(), ["huge.yaml"]);
    assert!(problems[0].reason.contains("2 MiB"), "{problems:?}");
    assert_eq!(repo.file_at_head("huge.yaml").unwrap(), huge);
    assert_eq!(written(&repo).len(), 3);

    // Deeper than anybody looks: the bump says so and does not guess.
    let deeper = format!("{}deep.yaml", "e/".repeat(100));
    let head = repo.commit(&[(&deeper, &marked)], "deeper");
    let failed: ImageUpdate = ready(&world, "fleet", "False", Reason::GitOperationFailed).await;
    assert!(message(&failed).contains("the depth of folders"), "{}", message(&failed));
    assert_eq!(repo.head(), head);
    repo.remove(&[&deeper], "not so deep");
    seen(&world, &repo).await;
    println!("{} MiB at most", tagboat.peak_memory() / MIB);
    assert!(!tagboat.log().contains("panicked"));
}

/// Zeros by the hundred megabytes, which a pack makes some hundred kilobytes of. Alone they are never held in memory as a whole; as
/// versions of each other, which Git stores as differences, they would be: those are refused, and what was read before stays in use.
pub async fn packs_that_swell(world: World) {
    const SIZE: usize = 96 << 20;
    let repo = one_app(&world, FILE).await;
    let mut zeros = vec![0; SIZE];
    let mut swell = |versions: std::ops::Range<usize>| {
        let mut tree = git_says(&repo, &["ls-tree", "main"]);
        for n in versions {
            zeros[n * 1000] = 1;
            let blob = feed(&repo, &["hash-object", "-w", "--stdin"], &zeros);
            tree += &format!("\n100644 blob {blob}\tzeros-{n}.yaml");
        }
        put_tree(&repo, &format!("{tree}\n"));
    };
    swell(0..1);
    let tagboat = world.tagboat().await;
    world.push("app", &["1.1.0"]).await;
    in_git(&repo, FILE, ":1.1.0 ").await;
    seen(&world, &repo).await;
    let before = repo.head();
    let alone = tagboat.peak_memory() / MIB;

    swell(1..3);
    let swollen = repo.head();
    let failed: ConfigRepo = ready(&world, "fleet", "False", Reason::GitOperationFailed).await;
    assert!(message(&failed).contains("is larger than the limit of 67108864"), "{}", message(&failed));
    assert!(failed.status.unwrap().revision.unwrap().to_string().ends_with(&before), "what was read before");
    world.push("app", &["1.2.0"]).await;
    let failed: ImageUpdate = ready(&world, "fleet", "False", Reason::GitOperationFailed).await;
    assert!(message(&failed).contains("is larger than the limit of 67108864"), "{}", message(&failed));
    assert_eq!(repo.head(), swollen, "nothing is pushed onto what nobody read");
    git_says(&repo, &["update-ref", "refs/heads/main", &before]);
    in_git(&repo, FILE, ":1.2.0 ").await;
    let versions = tagboat.peak_memory() / MIB;
    println!("a file of {} MiB: {alone} MiB at most; versions of it: {versions} MiB", SIZE as u64 / MIB);
    assert!(versions < 120, "{alone} {versions} MiB");
    assert_eq!(written(&repo), ["1.1.0", "1.2.0"]);
}

pub async fn astray(world: World) {
    let repo = one_app(&world, FILE).await;
    world.push("app", &["1.1.0"]).await;
    let app = git_says(&repo, &["rev-parse", "main:app.yaml"]);
    let link = |to: &str| feed(&repo, &["hash-object", "-w", "--stdin"], to.as_bytes());
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n";
    let pointer = feed(&repo, &["hash-object", "-w", "--stdin"], pointer.as_bytes());
    let below = feed(&repo, &["mktree"], format!("100644 blob {app}\tconfig\n").as_bytes());
    let sane = format!(
        "100644 blob {app}\tapp.yaml\n120000 blob {}\tabsolute.yaml\n120000 blob {}\tlink.yaml\n120000 blob {}\tout.yaml\n\
         160000 commit {}\tmodule.yaml\n100644 blob {pointer}\tlarge.yaml\n100755 blob {app}\trun.yaml\n",
        link("/etc/passwd"),
        link(FILE),
        link("../../etc/passwd"),
        "1".repeat(40),
    );
    let before = put_tree(&repo, &sane);
    let tagboat = world.tagboat().await;
    in_git(&repo, FILE, ":1.1.0 ").await;
    let update: ImageUpdate = ready(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(update.status.unwrap().problems, []);
    let changed = git_says(&repo, &["diff-tree", "-r", &before, "main"]);
    let changed: Vec<String> = changed
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            [words[0].trim_start_matches(':'), words[1], words[5]].join(" ")
        })
        .collect();
    assert_eq!(changed, ["100644 100644 app.yaml", "100755 100755 run.yaml"], "nothing else, and modes stay");

    // Names that no Git would take from a working copy.
    let names = [".git", "..", ".", "git~1", ".GIT"];
    let odd: String = names.iter().map(|name| format!("040000 tree {below}\t{name}\n")).collect();
    let now = git_says(&repo, &["ls-tree", "main"]);
    let before = put_tree(&repo, &format!("{now}\n{odd}"));
    world.push("app", &["1.2.0"]).await;
    chosen(&world, "app", "1.2.0").await;
    let update =
        crate::support::wait::wait_for(&world.api::<ImageUpdate>(), "fleet", "what became of it", SOON, |update| {
            let status = update?.status.as_ref()?;
            let is_pushed =
                status.observed_revision.as_ref()?.to_string().ends_with(&repo.head()) && repo.head() != before;
            (is_pushed || status.conditions[0].status == "False").then(|| update.cloned())?
        })
        .await;
    println!("{}", message(&update));
    let changed = git_says(&repo, &["diff-tree", "-r", "--name-only", &before, "main"]);
    assert!(changed.is_empty() || changed == "app.yaml\nrun.yaml", "{changed}");
    put_tree(&repo, &now);
    world.push("app", &["1.3.0"]).await;
    in_git(&repo, FILE, ":1.3.0 ").await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    assert!(!tagboat.log().contains("panicked"));
}

pub async fn odd_yaml(world: World) {
    let repo = one_app(&world, FILE).await;
    world.push("app", &["1.1.0"]).await;
    let marked = marked(&world, "app", "1.0.0");
    let names: Vec<String> = (0..12).map(|n| format!("x{n}")).collect();
    let mut bomb = "x0: &x0 [a, a, a, a, a, a, a, a, a]\n".to_owned();
    for pair in names.windows(2) {
        bomb.push_str(&format!("{}: &{} [{}]\n", pair[1], pair[1], vec![format!("*{}", pair[0]); 9].join(", ")));
    }
    let merge = format!("base: &base {{a: 1}}\n<<: [*base, *base]\n{marked}");
    let documents = "---\na: 1\n".repeat(10_000) + "---\n" + &marked;
    let flow = format!("a: {}{}\n{marked}", "[".repeat(5_000), "]".repeat(5_000));
    let files = [
        ("bomb.yaml", format!("{bomb}{marked}")),
        ("merge.yaml", merge),
        ("documents.yaml", documents),
        ("flow.yaml", flow),
        ("twice.yaml", format!("image: x\n{marked}")),
        ("tabs.yaml", format!("a: [\t1,\t2]\t# x\n{marked}")),
        ("bom.yaml", format!("\u{feff}{marked}")),
        ("crlf.yaml", format!("a: 1\r\n{}", marked.replace('\n', "\r\n"))),
    ];
    let list: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let before = repo.commit(&list, "odd");
    let tagboat = world.tagboat().await;
    in_git(&repo, FILE, ":1.1.0 ").await;
    let update = seen(&world, &repo).await;
    let problems = update.status.unwrap().problems;
    for problem in &problems {
        println!("{}:{}: {}", problem.file, problem.line, problem.reason);
    }
    for (path, text) in &files {
        let now = repo.file_at_head(path).unwrap();
        let is_told = problems.iter().any(|problem| problem.file == *path);
        let wanted = if is_told { text.clone() } else { text.replace(":1.0.0 ", ":1.1.0 ") };
        assert!(now == wanted, "{path}: only the tag's bytes, or nothing and a word about it");
    }
    for fine in ["bomb.yaml", "documents.yaml", "bom.yaml", "crlf.yaml"] {
        assert!(problems.iter().all(|problem| problem.file != fine), "{problems:?}");
    }
    assert_eq!(repo.log()[0].parents, [before]);
    assert!(!tagboat.log().contains("panicked"));
}
