//! Every example of the pages in `docs/`, tried as a reader would: files are written into a checkout, commands are run there by a shell,
//! and what they print is compared. Pages that talk to a cluster get one, with a controller, a registry and a Git host.

use std::path::{Path, PathBuf};

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use libtest_mimic::Trial;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::registry::LOGIN;
use crate::support::tagboat::cli;
use crate::support::world::{World, make_namespace};
use crate::support::{bare_trial, checkout, gitea_host, guard, trial};

mod kinds;
mod page;
mod reader;

use page::{Block, Command, Form};
use reader::{ANN, GIT, Live, PAGES, REGISTRY, Reader, repository, run};

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("documented: the API server takes every object", objects),
        bare_trial("documented: what tables of messages say is in the code", messages),
        bare_trial("documented: links lead somewhere", links),
        bare_trial("documented: every field has its row", kinds::pages_of_the_kinds),
        bare_trial("documented: the README's markers", markers_of_the_readme),
        bare_trial("documented: how pages are read", how_pages_are_read),
    ];
    for (name, text) in pages() {
        let title: &'static str = Box::leak(format!("documented: {name}").into_boxed_str());
        trials.push(match text.contains("$ kubectl ") {
            true => trial(title, move |world| with_a_cluster(world, name)),
            false => bare_trial(title, move || without_a_cluster(name)),
        });
    }
    trials
}

/// The pages by their names.
fn pages() -> Vec<(String, String)> {
    let files = std::fs::read_dir(checkout("docs")).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut pages: Vec<_> = files.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect();
    pages.sort();
    pages
}

fn blocks(name: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(checkout("docs").join(name)).unwrap();
    page::read(&text).unwrap_or_else(|reason| panic!("docs/{name}:{reason}"))
}

async fn without_a_cluster(name: String) {
    let reader = Reader::new(&name, Vec::new());
    run(reader.git().args(["init", "-q", "-b", "main"]));
    for block in blocks(&name) {
        reader.follow(&block, None).await;
    }
}

/// The namespace is the page's own, so that two pages can be tried at once.
async fn with_a_cluster(mut world: World, name: String) {
    let text = std::fs::read_to_string(checkout("docs").join(&name)).unwrap();
    let namespace = text.split("namespace: ").nth(1).unwrap().split(|c: char| !c.is_ascii_lowercase()).next().unwrap();
    make_namespace(&world.client, namespace).await;
    namespace.clone_into(&mut world.namespace);
    let (url, login) = match text.contains("  pullRequest:") {
        true => at_gitea(&world, &name).await,
        false => {
            world.git_secret("fleet-git").await;
            let url = world.repo("fleet", &[]).url;
            let login = format!("http://{}:{}@", world.git.username, world.git.password);
            (url.clone(), url.replace("http://", &login))
        }
    };
    let pages = url.trim_end_matches(".git").to_owned();
    let reader = Reader::new(&name, vec![(GIT, url), (PAGES, pages), (REGISTRY, world.registry.host.clone())]);
    reader.begin(&login);
    let mut live = Live { world, tagboat: None, kubeconfig: PathBuf::new() };
    live.kubeconfig = live.world.cluster.kubeconfig("person");
    for block in blocks(&name) {
        reader.follow(&block, Some(&mut live)).await;
    }
}

/// A repository at a host that has pull requests: its URL for the controller, and for the reader.
async fn at_gitea(world: &World, page: &str) -> (String, String) {
    let gitea = gitea_host().await;
    let name = repository(page);
    gitea.empty_repo(&name, ANN).await;
    let token = gitea.token(&name, &["all"]).await;
    world.secret("fleet-git", "Opaque", json!({"username": LOGIN.0, "password": token})).await;
    let place = |host: &str| format!("http://{host}/{}/{name}.git", LOGIN.0);
    (place(&gitea.registry.host), place(&format!("{}:{}@{}", ANN.0, ANN.1, gitea.registry.direct())))
}

async fn markers_of_the_readme() {
    let readme = std::fs::read_to_string(checkout("README.md")).unwrap();
    let blocks = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let marked: Vec<&str> = blocks.filter(|text| text.contains("$imagepolicy")).collect();
    assert!(!marked.is_empty(), "the README shows markers");
    for text in marked {
        let folder = tempfile::tempdir_in(guard::folder()).unwrap();
        std::fs::write(folder.path().join("app.yaml"), text).unwrap();
        let said = cli(["lint".as_ref(), folder.path().as_os_str()]).await;
        assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{text}");
    }
}

/// What the trials of the pages stand on: nothing is passed over, and what differs is seen.
async fn how_pages_are_read() {
    let read =
        |text: &str| page::read(text).map(|blocks| blocks.into_iter().map(|block| block.form).collect::<Vec<_>>());
    let file = Form::File { path: "a.yaml".into(), text: "a: 1\n".into() };
    assert_eq!(read("Words.\n\n`a.yaml`:\n\n```yaml\na: 1\n```\n"), Ok(vec![file]));
    let after = Form::After { path: "a.yaml".into(), text: "a: 2\n".into() };
    assert_eq!(read("`a.yaml`, afterwards:\n```yaml\na: 2\n```"), Ok(vec![after]));
    let command = |words: &str, says: &str| Command { words: words.into(), says: says.into() };
    let commands = vec![command("a", "x\n\ny\n"), command("b c", "")];
    assert_eq!(read("```console\n$ a\nx\n\ny\n$ b \\\n   c\n```"), Ok(vec![Form::Console(commands)]));
    let image = Form::Push { repository: "a/b".into(), tag: "1".into() };
    assert_eq!(read("<!-- test: the registry gets a/b:1 -->"), Ok(vec![image]));
    assert_eq!(read("<!-- test: a person closes pull request 7 -->"), Ok(vec![Form::Close(7)]));
    for unknown in ["```\n$ a\n```", "```sh\na\n```", "```console\nx\n```", "<!-- test: nothing -->", "```text\n```"] {
        assert!(read(unknown).is_err(), "{unknown}");
    }
    for (text, said, is_so) in [
        ("a\nb \n", "a\nb\n", true),
        ("a\nb\nc\n", "a\n…\n", true),
        ("a\n", "a\n…\n", true),
        ("id 5f0c (x)\n", "id … (x)\n", true),
        ("id 5f0c\n(x)\n", "id …(x)\n", false),
        ("a\n", "", false),
        ("", "a\n", false),
        ("a.b\n", "a.c\n", false),
        ("a\nb\n", "a\n", false),
    ] {
        assert_eq!(page::is_as_said(text, said), is_so, "{text:?} as {said:?}");
    }
    let table = "| Message | Cause |\n|---|---|\n| `a … b` | c |\n\n| Other |\n|---|\n| `d` |\n";
    assert_eq!(page::messages(table), ["a … b"]);
}

/// Objects of ours in pages and README. Of a part, what is missing is filled in.
async fn objects(world: World) {
    let readme = std::fs::read_to_string(checkout("README.md")).unwrap();
    let mut texts: Vec<(String, String)> = readme
        .split("```yaml\n")
        .skip(1)
        .map(|rest| ("README.md".to_owned(), rest.split("```").next().unwrap().to_owned()))
        .filter(|(_, text)| text.starts_with("apiVersion:"))
        .collect();
    assert!(!texts.is_empty(), "the README has objects");
    for (name, _) in pages() {
        for Block { line, form } in blocks(&name) {
            let place = format!("docs/{name}:{line}");
            match form {
                Form::Objects(text) => texts.push((place, text)),
                Form::File { text, .. } | Form::After { text, .. } if text.contains("tagboat.dev/") => {
                    texts.push((place, text));
                }
                _ => {}
            }
        }
    }
    for (place, text) in texts {
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = Value::deserialize(document).unwrap_or_else(|error| panic!("{place}: {error}"));
            take(&world, &place, whole(object)).await;
        }
    }
}

/// An object of which a page shows only the kind and some fields.
fn whole(mut object: Value) -> Value {
    if object.get("apiVersion").is_some() {
        return object;
    }
    object["apiVersion"] = json!("tagboat.dev/v1alpha1");
    object["metadata"] = json!({"name": "part"});
    let kind = object["kind"].clone();
    let spec = object["spec"].as_object_mut().expect("a kind and a spec");
    match kind.as_str() {
        Some("ImageUpdate" | "GitSync") => drop(spec.entry("configRepoRef").or_insert(json!({"name": "fleet"}))),
        Some("ImagePolicy") => {
            spec.entry("image").or_insert(json!("registry.example.com/acme/app"));
            spec.entry("policy").or_insert(json!({"semver": {"range": "*"}}));
        }
        _ => {}
    }
    object
}

async fn take(world: &World, place: &str, mut object: Value) {
    object["metadata"]["namespace"] = json!(world.namespace);
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let types = object.types.as_ref().expect("apiVersion and kind");
    let gvk = GroupVersionKind::try_from(types).unwrap();
    let (resource, _) = pinned_kind(&world.client, &gvk).await.unwrap_or_else(|error| panic!("{place}: {error}"));
    let api: kube::Api<DynamicObject> = kube::Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    // What the schema does not know is an error.
    let params = PatchParams {
        dry_run: true,
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::apply("reader").force()
    };
    let name = object.metadata.name.clone().expect("a name");
    let taken = api.patch(&name, &params, &Patch::Apply(&object)).await;
    taken.unwrap_or_else(|error| panic!("{place}: {} {name}: {error}", gvk.kind));
}

/// What a page says that the program says is somewhere in its code.
async fn messages() {
    let mut code = String::new();
    for path in crate::architecture::files("src") {
        let text = std::fs::read_to_string(path).unwrap();
        let lines =
            text.lines().map(|line| line.trim_end().strip_suffix('\\').unwrap_or(&format!("{line}\n")).to_owned());
        code.push_str(&lines.collect::<String>());
    }
    // A text that goes on in the next line begins there behind blanks.
    let code: Vec<&str> = code.split_whitespace().collect();
    let code = code.join(" ").replace("\\\"", "\"");
    let mut seen = 0;
    for (name, text) in pages() {
        for message in page::messages(&text) {
            for part in message.split('…').map(str::trim).filter(|part| !part.is_empty()) {
                assert!(code.contains(part), "docs/{name}: nothing says {part:?}");
            }
            seen += 1;
        }
    }
    assert!(seen > 0, "a page has a table of messages");
}

/// Links to files of the repository, and to headings of pages.
async fn links() {
    let readme = ("../README.md".to_owned(), std::fs::read_to_string(checkout("README.md")).unwrap());
    for (name, text) in pages().into_iter().chain([readme]) {
        let from = checkout("docs").join(&name);
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let to = if path.is_empty() { from.clone() } else { from.parent().unwrap().join(path) };
            assert!(to.exists(), "{name}: {link} leads nowhere");
            let text = if heading.is_empty() { String::new() } else { std::fs::read_to_string(&to).unwrap() };
            let has_it = text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading);
            assert!(heading.is_empty() || has_it, "{name}: {link}: no such heading");
        }
    }
}

/// How hosts make an address of a heading.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>().replace(' ', "-")
}
