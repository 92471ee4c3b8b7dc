//! What a build reads, and what its errors say about places.

use super::*;

/// A repository of `(path, text)`.
fn repository(files: &[(&str, &str)]) -> impl FnMut(&str) -> Entry {
    let files: BTreeMap<String, String> = files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
    move |path: &str| {
        if let Some(text) = files.get(path) {
            return Entry::File(text.clone().into_bytes());
        }
        let below = |file: &String| match path {
            "" => Some(file.clone()),
            path => file.strip_prefix(path)?.strip_prefix('/').map(str::to_owned),
        };
        let names: BTreeSet<String> =
            files.keys().filter_map(below).filter_map(|rest| Some(rest.split('/').next()?.to_owned())).collect();
        if names.is_empty() { Entry::Missing } else { Entry::Dir(names.into_iter().collect()) }
    }
}

#[track_caller]
fn check(root: &str, files: &[(&str, &str)], expected: &[&str]) {
    let walked = walk(root, &mut repository(files)).map(|set| set.files.into_keys().collect::<Vec<_>>());
    assert_eq!(walked, Ok(expected.iter().map(|path| (*path).to_owned()).collect()));
}

#[track_caller]
fn check_problems(root: &str, files: &[(&str, &str)], expected: &[&str]) {
    let walked = walk(root, &mut repository(files));
    let problems: Vec<String> = walked.err().into_iter().flatten().map(|problem| problem.to_string()).collect();
    assert_eq!(problems, expected);
}

/// Every field that names files.
const KUSTOMIZATION: &str = "\
resources: [deployment.yaml, ../base, ./sub/]
components:
- ../comp
crds: [crd.json]
configurations: [names.yaml]
patches:
- path: p1.yaml
- patch: '[{op: test}]'
- old-style.yaml
patchesStrategicMerge:
- p2.yaml
- |-
  kind: Deployment
patchesJson6902:
- {path: p3.json, target: {kind: X}}
configMapGenerator:
- name: a
  files: [plain.txt, renamed=conf/x=y.txt]
  envs: [a.env]
  literals: [not=a.file]
secretGenerator:
- {name: b, env: b.env}
replacements:
- path: r.yaml
- source: {kind: X}
generators: [gen.yaml]
transformers:
- |-
  apiVersion: builtin
  kind: PatchTransformer
  path: p4.yaml
openapi: {path: schema.json}
namePrefix: x-
";

#[test]
fn every_field_that_names_a_file_is_followed() {
    let generator = "apiVersion: builtin\nkind: ConfigMapGenerator\nfiles: [g.txt, absent.txt]\n";
    let plain = [
        "deployment.yaml",
        "crd.json",
        "names.yaml",
        "p1.yaml",
        "old-style.yaml",
        "p2.yaml",
        "p3.json",
        "plain.txt",
        "conf/x=y.txt",
        "a.env",
        "b.env",
        "r.yaml",
        "p4.yaml",
        "schema.json",
        "g.txt",
        "unread.yaml",
        "sub/unread.yaml",
    ];
    let mut files: Vec<(String, &str)> = plain.iter().map(|file| (format!("o/prod/{file}"), "x")).collect();
    files.push(("o/prod/kustomization.yaml".into(), KUSTOMIZATION));
    files.push(("o/prod/gen.yaml".into(), generator));
    files.push(("o/base/kustomization.yml".into(), "resources: [b.yaml]"));
    files.push(("o/base/b.yaml".into(), ""));
    files.push(("o/comp/Kustomization".into(), "kind: Component"));
    files.push(("o/prod/sub/kustomization.yaml".into(), "bases: [../../base]"));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let mut expected: Vec<String> = plain[..15].iter().map(|file| format!("o/prod/{file}")).collect();
    expected.extend(
        [
            "o/prod/kustomization.yaml",
            "o/prod/gen.yaml",
            "o/base/kustomization.yml",
            "o/base/b.yaml",
            "o/comp/Kustomization",
            "o/prod/sub/kustomization.yaml",
        ]
        .map(String::from),
    );
    expected.sort();
    let set = walk("o/prod", &mut repository(&files)).unwrap();
    assert_eq!(set.files.into_keys().collect::<Vec<_>>(), expected);
    assert_eq!(set.missing, BTreeSet::from(["o/prod/absent.txt".to_owned()]));
}

#[test]
fn the_root_may_be_the_repository() {
    check(
        "",
        &[("kustomization.yaml", "resources: [a]"), ("a/kustomization.yaml", "{}")],
        &["a/kustomization.yaml", "kustomization.yaml"],
    );
}

#[test]
fn references_that_lead_nowhere_are_named_with_their_line() {
    let one = |text: &'static str| vec![("a/b/kustomization.yaml", text), ("a/b/file.yaml", "x"), ("a/c/x.txt", "x")];
    let cases: &[(&str, &[&str])] = &[
        (
            "resources:\n- file.yaml\n# see nope.yaml\n- nope.yaml\n",
            &[
                "a/b/kustomization.yaml:4: resources: a/b/nope.yaml is not in the repository (symbolic links are not followed)",
            ],
        ),
        ("resources: [../../../x]", &["a/b/kustomization.yaml:1: resources: ../../../x leads out of the repository"]),
        (
            "resources:\n- /etc/passwd",
            &["a/b/kustomization.yaml:2: resources: /etc/passwd leads out of the repository"],
        ),
        (
            "namespace: x\nresources:\n- https://example.com/a.yaml\n- github.com/o/r//d?ref=v1\n- git@example.com:o/r",
            &[
                "a/b/kustomization.yaml:3: resources: https://example.com/a.yaml is on the network, which a build may not use; copy it into the repository",
                "a/b/kustomization.yaml:4: resources: github.com/o/r//d?ref=v1 is on the network, which a build may not use; copy it into the repository",
                "a/b/kustomization.yaml:5: resources: git@example.com:o/r is on the network, which a build may not use; copy it into the repository",
            ],
        ),
        (
            "helmCharts: [{name: x}]",
            &["a/b/kustomization.yaml:1: helmCharts is not supported yet; commit the rendered chart"],
        ),
        (
            "components: [file.yaml]",
            &["a/b/kustomization.yaml:1: components: a/b/file.yaml is a file; name the folder of a kustomization"],
        ),
        ("resources: [../c]", &["a/b/kustomization.yaml:1: resources: a/c has no kustomization.yaml"]),
        ("patches: [{path: ../c}]", &["a/b/kustomization.yaml:1: patches: a/c is a folder; name a file"]),
        ("resources: [.]", &["a/b/kustomization.yaml:1: resources: a/b goes in a circle: a/b → a/b"]),
        ("- list", &["a/b/kustomization.yaml:1: is no kustomization"]),
        ("a: 1\n---\nb: 2", &["a/b/kustomization.yaml:3: holds several documents; a kustomization is one"]),
    ];
    for (text, expected) in cases {
        check_problems("a/b", &one(text), expected);
    }
    let broken = walk("a/b", &mut repository(&one("namePrefix: x\nresources: [file.yaml\n"))).unwrap_err();
    assert_eq!(broken.iter().map(|p| (p.file.as_str(), p.line)).collect::<Vec<_>>(), [("a/b/kustomization.yaml", 2)]);
    check_problems("gone", &[], &["spec.path: gone is not in the repository (symbolic links are not followed)"]);
    let two = [("a/kustomization.yaml", "{}"), ("a/Kustomization", "{}")];
    check_problems(
        "a",
        &two,
        &["spec.path: a has several kustomizations: Kustomization, kustomization.yaml; keep one"],
    );
}

#[test]
fn circles_are_found_and_diamonds_are_fine() {
    let circle = [("a/kustomization.yaml", "resources: [../b]"), ("b/kustomization.yaml", "resources:\n- ../a")];
    check_problems("a", &circle, &["b/kustomization.yaml:2: resources: a goes in a circle: a → b → a"]);
    let diamond = [
        ("a/kustomization.yaml", "resources: [../b, ../c]"),
        ("b/kustomization.yaml", "resources: [../d]"),
        ("c/kustomization.yaml", "resources: [../d]"),
        ("d/kustomization.yaml", ""),
    ];
    check(
        "a",
        &diamond,
        &["a/kustomization.yaml", "b/kustomization.yaml", "c/kustomization.yaml", "d/kustomization.yaml"],
    );
}

#[test]
fn paths_are_normalised() {
    let cases =
        [("./", ""), ("", ""), ("/", ""), ("./a//b/", "a/b"), ("a/../b", "b"), ("/apps", "apps"), ("a/./b/..", "a")];
    for (path, expected) in cases {
        assert_eq!(normalise(path).as_deref(), Ok(expected), "{path:?}");
    }
    assert_eq!(normalise("a/../../b").unwrap_err().reason, "path a/../../b leads out of the repository");
}

/// What kustomize v5.8.1 said, without the folder in which it ran.
#[test]
fn kustomize_words_become_one_problem() {
    let cases = [
        (
            "Error: accumulating resources: accumulating resources from 'bad.yaml': MalformedYAMLError: yaml: line 4: did not find expected key in File: bad.yaml\n",
            "apps/app/bad.yaml:4: kustomize build failed: MalformedYAMLError: yaml: line 4: did not find expected key",
        ),
        (
            "Error: accumulating resources: accumulation err='accumulating resources from '../base': read /apps/base: is a directory': recursed accumulation of path '/apps/base': accumulating resources: accumulation err='accumulating resources from 'bad.yaml': missing metadata.name in object {{v1 ConfigMap} {{ } map[] map[]}}': must build at directory: '/apps/base/bad.yaml': file is not directory\n",
            "apps/base/bad.yaml: kustomize build failed: missing metadata.name in object {{v1 ConfigMap} {{ } map[] map[]}}",
        ),
        (
            "Error: invalid Kustomization: json: unknown field \"resourcess\"\n",
            "apps/app: kustomize build failed: invalid Kustomization: json: unknown field \"resourcess\"",
        ),
        (
            "# Warning: 'bases' is deprecated.\nError: no resource matches strategic merge patch \"Secret.v1.[noGrp]/zz.[noNs]\": no matches for Id\n",
            "apps/app: kustomize build failed: no resource matches strategic merge patch \"Secret.v1.[noGrp]/zz.[noNs]\": no matches for Id",
        ),
        (
            "Error: trouble configuring builtin PatchTransformer with config: `\npatch: |-\n  password: hunter2\n  x: [\ntarget:\n  kind: ConfigMap\n`: unable to parse SM or JSON patch from [patch: \"password: hunter2\\nx: [\"]\n",
            "apps/app: kustomize build failed: trouble configuring builtin PatchTransformer …: unable to parse SM or JSON patch …",
        ),
        (
            "Error: loading KV pairs: file sources: [a=nofile]: open /apps/app/nofile: no such file or directory",
            "apps/app: kustomize build failed: loading KV pairs: file sources: [a=nofile]: open apps/app/nofile: no such file or directory",
        ),
    ];
    for (said, expected) in cases {
        assert_eq!(build_problem(said, "apps/app").to_string(), expected);
    }
    let long = build_problem(&"x".repeat(5000), "");
    assert!(long.reason.len() < 700 && long.file.is_empty());
}

#[test]
fn broken_files_of_a_build_have_their_true_line() {
    let files = BTreeMap::from([
        ("a/bad.yaml".to_owned(), b"a: 1\n---\nb: 1\n c: : x\n".to_vec()),
        ("a/kustomization.yaml".to_owned(), b"resources: [bad.yaml]".to_vec()),
        ("a/data.txt".to_owned(), b": : :".to_vec()),
    ]);
    let problems = broken_files(&files);
    assert_eq!(problems.iter().map(|p| (p.file.as_str(), p.line)).collect::<Vec<_>>(), [("a/bad.yaml", 4)]);
}
