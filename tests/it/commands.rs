//! The offline commands as scripts use them: exit codes, JSON shapes, and a diff that Git applies. No servers.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::git::git;
use crate::support::parts::program;
use crate::support::tagboat::{Output, cli, cli_with};
use crate::support::{bare_trial, checkout, guard};

pub fn trials() -> Vec<Trial> {
    vec![
        bare_trial("commands: explain", explain),
        bare_trial("commands: update", update),
        bare_trial("commands: update of many files applies with git", the_diff_applies),
        bare_trial("commands: the README's targets", the_targets_of_the_readme),
        bare_trial("commands: lint", lint),
        bare_trial("commands: lint of targets", lint_of_targets),
        bare_trial("commands: lint of a whole checkout", lint_of_a_checkout),
        bare_trial("commands: render", render),
        bare_trial("commands: crds, help and wrong use", crds_help_and_wrong_use),
    ]
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(guard::folder()).unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: tagboat.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {{name: {name}, namespace: web}}\nspec: {{image: x.io/{name}, {spec}}}\n"
    )
}

async fn explain() {
    let files = folder(&[
        ("app.yaml", &policy("app", "policy: {semver: {range: '1.x'}}")),
        ("two.yaml", &policy("app", "policy: {semver: {range: '1.x'}, numerical: {}}")),
        ("bad.yaml", &policy("app", "policy: {semver: {range: 'newest'}}")),
        (
            "ts.yaml",
            &policy("app", "filterTags: {pattern: '^main-(?P<ts>[0-9]+)$', extract: '$ts'}, policy: {numerical: {}}"),
        ),
        ("broken.yaml", "apiVersion: [\n"),
        ("tags.txt", "1.0.0\n1.10.0\nlatest\n2.0.0\n1.9.0\n"),
    ]);
    let at = |name: &str| text(files.path().join(name));

    let output = cli(["explain", "-f", &at("app.yaml"), "--tags", &at("tags.txt"), "-o", "json"]).await;
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let said = parsed(&output);
    assert_eq!(said["policy"], json!({"namespace": "web", "name": "app"}));
    assert_eq!(said["chosen"]["tag"], "1.10.0");
    let tags: Vec<_> = said["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (t["tag"].as_str().unwrap(), t["verdict"].as_str().unwrap()))
        .collect();
    let wanted =
        [("1.10.0", "chosen"), ("1.9.0", "older"), ("1.0.0", "older"), ("2.0.0", "refused"), ("latest", "refused")];
    assert_eq!(tags, wanted);
    for tag in said["tags"].as_array().unwrap() {
        assert!(tag["reason"].as_str().is_some_and(|reason| !reason.is_empty()) && tag["rule"] == "semver", "{tag}");
    }
    let yaml = cli(["explain", "-f", &at("app.yaml"), "--tags", &at("tags.txt"), "-o", "yaml"]).await;
    assert_eq!(serde_yaml::from_str::<Value>(&yaml.stdout).unwrap(), said);

    let output =
        cli_with(["explain", "-f", &at("ts.yaml"), "--tags", "-", "-o", "json"], "main-9\nmain-10\nrelease\n", &[])
            .await;
    let said = parsed(&output);
    assert_eq!(
        (output.code, &said["chosen"]["tag"], &said["tags"][2]["rule"]),
        (0, &json!("main-10"), &json!("filter"))
    );

    let output = cli_with(["explain", "-f", &at("app.yaml"), "--tags", "-", "-o", "json"], "2.0.0\n", &[]).await;
    assert_eq!((output.code, &parsed(&output)["chosen"]), (1, &Value::Null));
    let output = cli_with(["explain", "-f", &at("app.yaml"), "--tags", "-"], "1.0.0\n$(id) x\n", &[]).await;
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("web/app") && output.stdout.contains("1.0.0"), "{}", output.stdout);

    for (file, word) in
        [("two.yaml", "policy"), ("bad.yaml", "range"), ("broken.yaml", "broken.yaml"), ("none.yaml", "none.yaml")]
    {
        let output = cli(["explain", "-f", &at(file), "--tags", &at("tags.txt")]).await;
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{file}: {output:?}");
        assert!(output.stderr.contains(word), "{file}: {}", output.stderr);
    }
    assert_eq!(cli(["explain", "-f", &at("app.yaml"), "--tags", &at("none.txt")]).await.code, 2);
}

const UPDATE: &str = "apiVersion: tagboat.dev/v1alpha1\nkind: ImageUpdate\nmetadata: {name: fleet, namespace: web}\nspec: {configRepoRef: {name: fleet}, path: ./apps}\n";

fn marked(suffix: &str, value: &str) -> String {
    format!("{value} # {{\"$imagepolicy\": \"web:app{suffix}\"}}")
}

async fn update() {
    let app = format!("# top\nimage: {}\ntag: {}\n", marked("", "x.io/app:1.0.0"), marked(":tag", "'1.0.0'"));
    let objects = format!("{UPDATE}---\n{}", policy("app", "policy: {semver: {range: '*'}}"));
    let files = folder(&[("objects.yaml", &objects), ("repo/apps/app.yaml", &app), ("repo/other.yaml", &app)]);
    let (objects, repo) = (text(files.path().join("objects.yaml")), text(files.path().join("repo")));
    let choice = "web:app=x.io/app:1.1.0";
    let run = async |more: &[&str]| cli(["update", "-f", &objects, "--path", &repo].iter().chain(more)).await;

    let output = run(&["--choose", choice, "-o", "json"]).await;
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    let change = |line: u32, field: &str, old: &str, new: &str| json!({"file": "apps/app.yaml", "line": line, "policy": "web:app", "field": field, "old": old, "new": new});
    let wanted = json!({
        "changes": [change(2, "image", "x.io/app:1.0.0", "x.io/app:1.1.0"), change(3, "tag", "1.0.0", "1.1.0")],
        "problems": [],
    });
    assert_eq!(parsed(&output), wanted);
    assert_eq!(std::fs::read_to_string(files.path().join("repo/apps/app.yaml")).unwrap(), app, "only a look");

    let output = run(&[]).await;
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "no choice, no change: {output:?}");
    let output = run(&["--choose", choice, "--write"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let now = std::fs::read_to_string(files.path().join("repo/apps/app.yaml")).unwrap();
    assert_eq!(now, app.replace("1.0.0", "1.1.0"));
    assert_eq!(std::fs::read_to_string(files.path().join("repo/other.yaml")).unwrap(), app, "below another path");
    let output = run(&["--choose", choice]).await;
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));

    std::fs::write(files.path().join("repo/apps/bad.yaml"), format!("a: 1\nb: {}\n", marked(":nope", "x"))).unwrap();
    let output = run(&["--choose", choice, "-o", "json"]).await;
    assert_eq!(output.code, 1, "{output:?}");
    let problem = &parsed(&output)["problems"][0];
    assert_eq!((&problem["file"], &problem["line"]), (&json!("apps/bad.yaml"), &json!(2)), "{problem}");
    assert!(problem["reason"].as_str().unwrap().contains("nope"), "{problem}");

    for wrong in [["--choose", "app=x"], ["--choose", "web:app=x.io/App:1"], ["--choose", "web:app"], ["-o", "xml"]] {
        let output = run(&wrong).await;
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{wrong:?}: {output:?}");
    }
    assert_eq!(cli(["update", "-f", &objects, "--path", "/does/not/exist"]).await.code, 2);
}

async fn the_diff_applies() {
    let line = marked("", "x.io/app:1.0.0");
    let long: String = (0..40).map(|n| format!("k{n}: v\n")).collect();
    let files = [
        ("apps/plain.yaml", format!("image: {line}\n")),
        ("apps/crlf.yaml", format!("# windows\r\nimage: {line}\r\nb: 1\r\n")),
        ("apps/no newline.yaml", format!("a: 1\nimage: {line}")),
        ("apps/\"quoted\".yaml", format!("image: {line}\n")),
        ("apps/tab\there/ü.yml", format!("image: {line}\n")),
        ("apps/far apart.yaml", format!("image: {line}\n{long}other: {line}\n")),
        ("apps/form\u{c}feed.yaml", format!("image: {line}\n")),
        ("apps/separators.yaml", format!("text: \"a\u{2028}b\u{85}c\"\nimage: {line}\nend: 1\n")),
        ("apps/bom.yaml", format!("\u{feff}image: {line}\n")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let (by_git, by_write) = (folder(&files), folder(&files));
    let kept = folder(&[("objects.yaml", UPDATE)]);
    let objects = text(kept.path().join("objects.yaml"));
    let run = async |path: &Path, more: &[&str]| {
        let path = path.to_str().unwrap();
        cli(["update", "-f", &objects, "--path", path, "--choose", "web:app=x.io/app:2.0.0"].iter().chain(more)).await
    };

    let diff = run(by_git.path(), &[]).await;
    assert_eq!(diff.code, 0, "{diff:?}");
    std::fs::write(by_git.path().join("the.diff"), &diff.stdout).unwrap();
    let mut apply: Command = git();
    let applied = apply.current_dir(by_git.path()).args(["apply", "--verbose", "the.diff"]).output().unwrap();
    assert!(applied.status.success(), "{}\n{}", String::from_utf8_lossy(&applied.stderr), diff.stdout);
    assert_eq!(run(by_write.path(), &["--write"]).await.code, 0);
    for (path, before) in files {
        let read = |folder: &tempfile::TempDir| std::fs::read_to_string(folder.path().join(path)).unwrap();
        assert_eq!(read(&by_write), before.replace("1.0.0", "2.0.0"), "{path:?}: only the values");
        assert_eq!(read(&by_git), read(&by_write), "{path:?}");
    }
}

async fn the_targets_of_the_readme() {
    let readme = std::fs::read_to_string(checkout("README.md")).unwrap();
    let block = readme.split("```yaml\n").map(|rest| rest.split("```").next().unwrap());
    let targets = block.into_iter().find(|block| block.trim_start().starts_with("targets:")).unwrap();
    let update =
        UPDATE.replace("spec: {configRepoRef: {name: fleet}, path: ./apps}", "spec:\n  configRepoRef: {name: fleet}");
    let kustomization = "resources:\n  - app.yaml\n";
    let files = folder(&[
        ("objects.yaml", &format!("{update}{targets}")),
        ("repo/apps/app/kustomization.yaml", kustomization),
        ("repo/apps/app/values.yaml", "image:\n  tag: \"1.0.0\" # ours\n"),
        ("repo/apps/app/settings.json", "{\"containers\": [{\"my.image\": \"x\"}]}"),
    ]);
    let (objects, repo) = (text(files.path().join("objects.yaml")), files.path().join("repo"));
    let run = async |more: &[&str]| {
        let path = repo.to_str().unwrap();
        let choice = "web:app=registry.example.com/acme/app:1.1.0";
        cli(["update", "-f", &objects, "--path", path, "--choose", choice].iter().chain(more)).await
    };
    let diff = run(&[]).await;
    assert_eq!((diff.code, diff.stderr.as_str()), (0, ""), "{diff:?}");
    std::fs::write(repo.join("the.diff"), &diff.stdout).unwrap();
    let applied = git().current_dir(&repo).args(["apply", "the.diff"]).output().unwrap();
    assert!(applied.status.success(), "{}\n{}", String::from_utf8_lossy(&applied.stderr), diff.stdout);
    let now = |file: &str| std::fs::read_to_string(repo.join("apps/app").join(file)).unwrap();
    let entry = "images:\n  - name: app\n    newName: registry.example.com/acme/app\n    newTag: 1.1.0\n";
    assert_eq!(now("kustomization.yaml"), format!("{kustomization}{entry}"));
    assert_eq!(now("values.yaml"), "image:\n  tag: \"1.1.0\" # ours\n");
    assert_eq!(now("settings.json"), "{\"containers\": [{\"my.image\": \"registry.example.com/acme/app:1.1.0\"}]}");
    let again = run(&["-o", "json"]).await;
    assert_eq!((again.code, parsed(&again)), (0, json!({"changes": [], "problems": []})));

    // What is a link is left alone, and said.
    std::fs::rename(repo.join("apps/app/values.yaml"), repo.join("apps/real.yaml")).unwrap();
    std::os::unix::fs::symlink("../real.yaml", repo.join("apps/app/values.yaml")).unwrap();
    let output = run(&["-o", "json"]).await;
    let problem = &parsed(&output)["problems"][0];
    assert_eq!((output.code, &problem["file"], &problem["line"]), (1, &json!("apps/app/values.yaml"), &json!(0)));
    assert!(problem["reason"].as_str().unwrap().contains("symbolic link"), "{problem}");
}

async fn lint_of_targets() {
    let update = |targets: &str| UPDATE.replace("path: ./apps", &format!("targets: [{targets}]"));
    let good = "{file: apps/values.yaml, key: image.tag, policy: app}";
    let files = folder(&[
        (".git/HEAD", "ref: refs/heads/main\n"),
        ("apps/values.yaml", "image: {tag: 1}\n"),
        ("flux/good.yaml", &update(good)),
        (
            "flux/bad.yaml",
            &format!(
                "# first\n{}",
                update(&format!(
                    "{good}, {{file: apps/values.yaml, key: tag, policy: app}}, {{file: no.yaml, kustomizeImage: app, policy: app}}"
                ))
            ),
        ),
        (
            "flux/patch.yaml",
            "apiVersion: tagboat.dev/v1alpha1\nkind: ImageUpdate\nmetadata: {name: fleet}\nspec: {suspend: true}\n",
        ),
    ]);
    let output = cli(["lint", &text(files.path().join("flux"))]).await;
    let said = "bad.yaml:2: ImageUpdate fleet: apps/values.yaml:1: target key tag: there is no key tag here\n\
                bad.yaml:2: ImageUpdate fleet: no.yaml: target kustomizeImage app: there is no such file\n";
    assert_eq!((output.code, output.stdout.as_str()), (1, said), "{output:?}");
    assert_eq!(cli(["lint", &text(files.path().join("flux/good.yaml"))]).await.code, 0);
}

/// With the manifests at hand, lint knows which policies there are, and who may write what.
async fn lint_of_a_checkout() {
    let policy = |name: &str| {
        format!(
            "apiVersion: tagboat.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {{name: {name}, namespace: web}}\nspec: {{}}\n---\n"
        )
    };
    let target = "targets: [{file: apps/app.yaml, key: image, policy: db}]";
    let image = |marker: &str| format!("image: x.io/app:1.0.0 # {{\"$imagepolicy\": \"{marker}\"}}\n");
    let files = folder(&[
        (".git/HEAD", "ref: refs/heads/main\n"),
        ("flux/all.yaml", &["app", "db", "idle"].map(policy).concat()),
        ("flux/fleet.yaml", &UPDATE.replace("path: ./apps", target)),
        ("apps/app.yaml", &image("web:app")),
        ("apps/gone.yaml", &image("web:gone")),
        ("apps/else.yaml", &image("else:app")),
    ]);
    let lint = |path: &str| {
        let path = text(files.path().join(path));
        async move { cli(["lint", &path]).await.stdout }
    };
    let of_the_whole = "apps/app.yaml:1: one value, two policies: target key image of policy web:db; the marker of policy web:app\n\
                        apps/else.yaml:1: policy else:app is of another namespace: only policies of namespace web write here\n\
                        apps/gone.yaml:1: policy web:gone does not exist\n\
                        flux/all.yaml:11: ImagePolicy idle: no marker and no target names it\n";
    assert_eq!(lint("").await, of_the_whole);
    // A part of it doesn't know who names what, or which policies there are.
    assert_eq!((lint("flux").await, lint("apps").await), (String::new(), String::new()));
}

async fn lint() {
    let good = format!("image: {}\n", marked("", "x.io/app:1.0.0"));
    let files = folder(&[
        ("good.yaml", &good),
        ("sub/above.yaml", "# {\"$imagepolicy\": \"web:app\"}\nimage: x.io/app:1.0.0\n"),
        ("sub/suffix.yaml", &format!("a: 1\nimage: {}\n", marked(":version", "x"))),
        ("sub/broken.yaml", &format!("a: [\n{good}")),
        ("sub/notes.txt", "# {\"$imagepolicy\": nonsense\n"),
    ]);
    let at = |name: &str| text(files.path().join(name));
    let output = cli(["lint", &at("good.yaml")]).await;
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (0, "", ""));

    let output = cli(["lint", &at(""), "-o", "json"]).await;
    assert_eq!(output.code, 1);
    let said = parsed(&output);
    let places: Vec<_> = said["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["file"].as_str().unwrap(), p["line"].as_u64().unwrap()))
        .collect();
    assert!(places.contains(&("sub/above.yaml", 1)) && places.contains(&("sub/suffix.yaml", 2)), "{places:?}");
    assert!(places.iter().any(|(file, _)| *file == "sub/broken.yaml"), "{places:?}");
    assert!(!places.iter().any(|(file, _)| file.contains("good") || file.contains("notes")), "{places:?}");

    let output = cli(["lint", &at("")]).await;
    assert_eq!((output.code, output.stdout.lines().count()), (1, places.len()));
    assert!(output.stdout.lines().any(|line| line.starts_with("sub/suffix.yaml:2: ")), "{}", output.stdout);
    assert_eq!(cli(["lint", &at("nowhere")]).await.code, 2);
}

async fn render() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n";
    let sync = "apiVersion: tagboat.dev/v1alpha1\nkind: GitSync\nmetadata: {name: apps, namespace: web}\nspec: {configRepoRef: {name: fleet}, path: ./plain, targetNamespace: prod}\n";
    let files = folder(&[
        ("repo/.git/HEAD", "ref: refs/heads/main\n"),
        ("repo/plain/map.yaml", map),
        ("repo/plain/sub/more.yaml", &map.replace("settings", "more")),
        ("repo/plain/README.md", "no manifest\n"),
        ("repo/built/kustomization.yaml", "namePrefix: my-\nresources: [../plain/map.yaml]\n"),
        ("repo/overlay/kustomization.yaml", "nameSuffix: -prod\nresources: [../base]\n"),
        ("repo/base/kustomization.yaml", "resources: [map.yaml]\n"),
        ("repo/base/map.yaml", map),
        ("repo/broken/map.yaml", &format!("{map}---\nkind: [\n")),
        ("repo/remote/kustomization.yaml", "resources: ['https://example.com/x.yaml']\n"),
        ("sync.yaml", sync),
    ]);
    let at = |name: &str| text(files.path().join(name));
    let kustomize = text(program("kustomize").unwrap());
    let run = async |args: &[&str]| cli_with(args.iter().copied(), "", &[("TAGBOAT_KUSTOMIZE", &kustomize)]).await;
    let names = |said: &Value| -> Vec<String> {
        let objects = said["objects"].as_array().unwrap().iter();
        let mut names: Vec<_> = objects.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };

    let output = run(&["render", &at("repo/plain"), "-o", "json"]).await;
    assert_eq!(
        (output.code, names(&parsed(&output))),
        (0, vec!["more".to_owned(), "settings".to_owned()]),
        "{output:?}"
    );
    let output = run(&["render", &at("repo/plain")]).await;
    assert_eq!(output.stdout.matches("kind: ConfigMap").count(), 2, "{output:?}");

    let output = run(&["render", &at("repo"), "-f", &at("sync.yaml"), "-o", "json"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    for object in parsed(&output)["objects"].as_array().unwrap() {
        assert_eq!(object["metadata"]["namespace"], "prod");
        let labels = json!({"tagboat.dev/gitsync": "apps", "tagboat.dev/gitsync-namespace": "web"});
        assert_eq!(object["metadata"]["labels"], labels);
    }

    let output = run(&["render", &at("repo/overlay"), "-o", "json"]).await;
    assert_eq!((output.code, names(&parsed(&output))), (0, vec!["settings-prod".to_owned()]), "{output:?}");

    for (folder, file) in [("repo/broken", "map.yaml"), ("repo/remote", "kustomization.yaml")] {
        let output = run(&["render", &at(folder), "-o", "json"]).await;
        assert_eq!(output.code, 1, "{folder}: {output:?}");
        let problem = &parsed(&output)["problems"][0];
        assert!(problem["file"].as_str().unwrap().ends_with(file), "{problem}");
        assert!(!problem["reason"].as_str().unwrap().is_empty(), "{problem}");
    }
    assert_eq!(run(&["render", &at("nowhere")]).await.code, 2);
    assert_eq!(run(&["render", &at("repo/plain"), "-f", &at("repo/plain/map.yaml")]).await.code, 2, "no GitSync");
}

async fn crds_help_and_wrong_use() {
    let output = cli(["crds"]).await;
    assert_eq!(output.code, 0);
    let folder = tempfile::tempdir_in(guard::folder()).unwrap();
    assert_eq!(cli(["crds", "--dir", folder.path().to_str().unwrap()]).await.code, 0);
    let mut kinds = Vec::new();
    for kind in ["configrepos", "gitsyncs", "imagepolicies", "imageupdates"] {
        let file = format!("{kind}.yaml");
        let written = std::fs::read_to_string(folder.path().join(&file)).unwrap();
        assert!(output.stdout.contains(&written), "{kind} is what is printed");
        let kept = std::fs::read_to_string(checkout("crds").join(&file)).unwrap_or_default();
        assert_eq!(kept, written, "crds/{file} is outdated: run `make crds`");
        let object: Value = serde_yaml::from_str(&written).unwrap();
        kinds.push(object["metadata"]["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        kinds.join(" "),
        "configrepos.tagboat.dev gitsyncs.tagboat.dev imagepolicies.tagboat.dev imageupdates.tagboat.dev"
    );

    for help in [["--help", ""], ["--version", ""], ["run", "--help"], ["explain", "--help"]] {
        let output = cli(help.iter().filter(|arg| !arg.is_empty())).await;
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{help:?}");
    }
    for wrong in [vec![], vec!["sail"], vec!["explain"], vec!["run", "--concurrency", "0"], vec!["lint"]] {
        let output = cli(&wrong).await;
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{wrong:?}: {output:?}");
    }
    let output = cli(["run", "--kubeconfig", "/does/not/exist"]).await;
    assert!(output.code != 0, "{output:?}");
    assert!(format!("{}{}", output.stdout, output.stderr).contains("/does/not/exist"), "{output:?}");
}
