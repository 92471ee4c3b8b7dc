//! From files to the objects that are applied.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn options(target: Option<&str>) -> Options {
    Options {
        owner: ("flux".into(), "app".into()),
        uid: None,
        target_namespace: target.map(str::to_owned),
        common_metadata: CommonMetadata::default(),
    }
}

/// As the flow does it: built-in kinds by their table, all others in namespaces.
fn finished(rendered: Rendered, options: &Options) -> Rendered {
    let manifests = rendered.manifests.clone();
    finish(rendered, options, &|gvk| builtin_scope(gvk, &manifests).unwrap_or(Scope::Namespaced))
}

fn one(text: &str) -> Rendered {
    plain(&[("a/x.yaml".to_owned(), text.as_bytes().to_vec())])
}

/// The body of the only object, without the owner's labels.
#[track_caller]
fn body(text: &str) -> Value {
    let done = finished(one(text), &options(None));
    assert_eq!(done.problems, [], "{text}");
    let [manifest] = done.manifests.as_slice() else { panic!("one object: {text}") };
    let mut body = manifest.body.clone();
    let labels = body["metadata"]["labels"].as_object_mut().unwrap();
    assert_eq!(labels.remove("tagboat.dev/gitsync"), Some(json!("app")));
    assert_eq!(labels.remove("tagboat.dev/gitsync-namespace"), Some(json!("flux")));
    body
}

#[track_caller]
fn check(rule: &str, text: &str, wanted: &[&str]) {
    let done = finished(one(text), &options(None));
    let problems: Vec<String> = done.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, wanted, "{rule}");
}

#[test]
fn file_names() {
    for (name, wanted) in [
        ("a.yaml", true),
        ("a.yml", true),
        ("a.json", true),
        ("b/c.yaml", true),
        ("a.yaml.bak", false),
        ("README.md", false),
        (".yaml", false),
        ("a.YAML", false),
    ] {
        assert_eq!(is_manifest_file_name(name), wanted, "{name}");
    }
}

#[test]
fn what_is_no_object_is_a_problem_with_its_place() {
    let rows: [(&str, &str, &[&str]); 18] = [
        ("an object", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", &[]),
        ("no document", "# nothing\n", &[]),
        ("text", "hello\n", &["a/x.yaml:1: a Kubernetes object is a mapping, but here is text"]),
        ("values of a chart", "replicas: 2\n", &["a/x.yaml:1: apiVersion is missing"]),
        ("no kind", "# x\napiVersion: v1\n", &["a/x.yaml:2: kind is missing"]),
        ("a number as apiVersion", "apiVersion: 1\nkind: A\n", &["a/x.yaml:1: apiVersion is a number; quote it"]),
        ("no metadata", "apiVersion: v1\nkind: Pod\n", &["a/x.yaml:1: Pod: metadata.name is missing"]),
        (
            "a list as metadata",
            "apiVersion: v1\nkind: Pod\nmetadata: []\n",
            &["a/x.yaml:1: Pod: metadata is a list, not a mapping"],
        ),
        (
            "no name",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: ''}\n",
            &["a/x.yaml:1: Pod: metadata.name is missing"],
        ),
        (
            "a bool as name",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: on}\n",
            &["a/x.yaml:1: Pod: metadata.name is a bool; quote it"],
        ),
        (
            "a path as name",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: ../b}\n",
            &["a/x.yaml:1: Pod: metadata.name \"../b\" is no name of an object"],
        ),
        (
            "generateName",
            "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}\n",
            &["a/x.yaml:1: Job: metadata.generateName makes a new object with every apply; set metadata.name"],
        ),
        (
            "a number as namespace",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: 12}\n",
            &["a/x.yaml:1: Pod: metadata.namespace is a number; quote it"],
        ),
        (
            "no namespace's name",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: A/b}\n",
            &["a/x.yaml:1: Pod: metadata.namespace \"A/b\" is no name of a namespace"],
        ),
        (
            "a label that is no text",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {on: 'x', v: 1.10}}\n",
            &["a/x.yaml:1: Pod: metadata.labels[\"v\"] is a number; quote it"],
        ),
        ("labels without values", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: }\n", &[]),
        (
            "items that are no list",
            "apiVersion: v1\nkind: List\nitems: 1\n",
            &["a/x.yaml:1: items of kind List is no list"],
        ),
        (
            "only the broken document",
            "a: [\n---\napiVersion: v1\nkind: Pod\n",
            &["a/x.yaml:1: can't be read as YAML: unclosed bracket '['", "a/x.yaml:3: Pod: metadata.name is missing"],
        ),
    ];
    for (rule, text, wanted) in rows {
        check(rule, text, wanted);
    }
}

#[test]
fn lists_stand_for_their_items() {
    let names = |text: &str| -> Vec<String> {
        let done = finished(one(text), &options(None));
        assert_eq!(done.problems, []);
        done.manifests.iter().map(|manifest| manifest.key.to_string()).collect()
    };
    let nested = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n- apiVersion: v1\n  kind: ConfigMapList\n  items:\n  - metadata: {name: a}\n";
    assert_eq!(names(nested), ["ConfigMap/flux/a", "Pod/flux/b"]);
    assert_eq!(names("apiVersion: v1\nkind: List\nitems: []\n"), [""; 0]);
    assert_eq!(names("apiVersion: v1\nkind: List\n"), [""; 0]);
    assert_eq!(names("apiVersion: x.io/v1\nkind: AllowList\nmetadata: {name: a}\n"), ["AllowList/flux/a"]);
}

#[test]
fn namespaces() {
    let text = "{apiVersion: v1, kind: Pod, metadata: {name: own, namespace: web}}\n---\n\
        {apiVersion: v1, kind: Pod, metadata: {name: none}}\n---\n\
        {apiVersion: v1, kind: Namespace, metadata: {name: web, namespace: x}}\n---\n\
        {apiVersion: x.io/v1, kind: Thing, metadata: {name: t}}\n---\n\
        {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.x.io}, \
         spec: {group: x.io, scope: Cluster, names: {kind: Thing}}}\n";
    for (target, own, none) in [(None, "web", "flux"), (Some("prod"), "prod", "prod")] {
        let done = finished(one(text), &options(target));
        assert_eq!(done.problems, []);
        let keys: Vec<String> = done.manifests.iter().map(|manifest| manifest.key.to_string()).collect();
        let pods = [format!("Pod/{none}/none"), format!("Pod/{own}/own")];
        assert_eq!(keys[..1], ["Namespace/web"]);
        assert_eq!(keys[1..3], pods);
        assert_eq!(keys[3..], ["CustomResourceDefinition/things.x.io", "Thing/t"]);
        for manifest in &done.manifests {
            let namespace = manifest.body["metadata"].get("namespace").and_then(Value::as_str).unwrap_or_default();
            assert_eq!(namespace, manifest.key.namespace, "{}", manifest.key);
        }
    }
}

#[test]
fn objects_take_their_normal_form() {
    let server = "creationTimestamp: null\n  managedFields: []\n  resourceVersion: '1'\n  uid: a\n  generation: 1\n  selfLink: /";
    let text = format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  {server}\nstatus: {{phase: x}}\n");
    let wanted =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "flux", "labels": {}}});
    assert_eq!(body(&text), wanted);

    let secret = body(
        "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {a: eA==, b: eQ==}, stringData: {b: hello, c: ''}}",
    );
    assert_eq!(secret["data"], json!({"a": "eA==", "b": "aGVsbG8=", "c": ""}));
    assert_eq!(secret.get("stringData"), None);

    let with_ports = |ports: &str| {
        format!("{{containers: [{{name: a, ports: {ports}}}], initContainers: [{{name: b, ports: {ports}}}]}}")
    };
    let ports = with_ports("[{containerPort: 1}, {containerPort: 1, protocol: UDP}, {containerPort: 2, protocol: }]");
    let wanted = json!([
        {"containerPort": 1, "protocol": "TCP"},
        {"containerPort": 1, "protocol": "UDP"},
        {"containerPort": 2, "protocol": "TCP"},
    ]);
    for (api_version, kind, before, after, pointer) in [
        ("v1", "Pod", "", "", "/spec"),
        ("apps/v1", "Deployment", "{template: {spec: ", "}}", "/spec/template/spec"),
        ("apps/v1", "DaemonSet", "{template: {spec: ", "}}", "/spec/template/spec"),
        ("batch/v1", "Job", "{template: {spec: ", "}}", "/spec/template/spec"),
        (
            "batch/v1",
            "CronJob",
            "{jobTemplate: {spec: {template: {spec: ",
            "}}}}",
            "/spec/jobTemplate/spec/template/spec",
        ),
    ] {
        let text =
            format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: a}}, spec: {before}{ports}{after}}}");
        let body = body(&text);
        assert_eq!(body.pointer(&format!("{pointer}/containers/0/ports")), Some(&wanted), "{kind}");
        assert_eq!(body.pointer(&format!("{pointer}/initContainers/0/ports")), Some(&wanted), "{kind}");
    }
    let service = body(
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}, {port: 53, protocol: UDP}]}}",
    );
    assert_eq!(service["spec"]["ports"], json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]));
    let other = body("{apiVersion: x.io/v1, kind: Thing, metadata: {name: a}, spec: {ports: [{port: 80}]}}");
    assert_eq!(other["spec"]["ports"], json!([{"port": 80}]), "only built-in kinds are known");
}

#[test]
fn a_secret_s_value_is_never_in_a_message() {
    let text = "{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {pin: 123456}}";
    check("a number", text, &["a/x.yaml:1: Secret/flux/a: stringData.pin is no text; quote it"]);
}

#[test]
fn the_whole_is_checked() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}}";
    let same = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: flux}}";
    let files = [("b.yaml", format!("# x\n{same}\n")), ("a.yaml", format!("{pod}\n"))];
    let files = files.map(|(file, text)| (file.to_owned(), text.into_bytes()));
    let done = finished(plain(&files), &options(None));
    assert_eq!(
        done.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a.yaml:1: Pod/flux/a is also in b.yaml:2; keep one of them"]
    );

    let built = finished(from_build(format!("{pod}\n---\n{same}\n").as_bytes()), &options(None));
    assert_eq!(
        built.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["Pod/flux/a is also in the same build; keep one of them"]
    );

    let long = Options { owner: ("flux".into(), "a".repeat(64)), ..options(None) };
    let done = finished(one(pod), &long);
    assert!(done.problems[0].reason.ends_with("give the GitSync a shorter name"), "{:?}", done.problems);

    let many: String =
        (0..=OBJECTS).map(|n| format!("---\n{{apiVersion: v1, kind: Pod, metadata: {{name: a{n}}}}}\n")).collect();
    let done = finished(one(&many), &options(None));
    assert_eq!(done.problems.len(), 1);
    assert_eq!(done.problems[0].reason, "10001 objects are more than the 10000 that one GitSync may have; split it");
}

#[test]
fn labels_and_annotations_of_all() {
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let common_metadata = CommonMetadata {
        labels: pairs(&[("team", "web"), ("tagboat.dev/gitsync", "other")]),
        annotations: pairs(&[("note", "${x}")]),
    };
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {team: none, own: x}}}";
    let done = finished(one(pod), &Options { common_metadata, ..options(None) });
    let labels =
        json!({"team": "web", "own": "x", "tagboat.dev/gitsync": "app", "tagboat.dev/gitsync-namespace": "flux"});
    assert_eq!(done.manifests[0].body["metadata"]["labels"], labels);
    assert_eq!(done.manifests[0].body["metadata"]["annotations"], json!({"note": "${x}"}));
}

#[test]
fn a_name_with_a_variable_is_looked_at_when_it_has_its_value() {
    let read = one("{apiVersion: v1, kind: Pod, metadata: {name: '${a/b/c}', namespace: '${ns}'}}");
    assert_eq!(read.problems, []);
    let done = finished(read, &options(None));
    assert!(done.problems[0].reason.contains("metadata.name"), "{:?}", done.problems);
}

proptest! {
    #[test]
    fn rendering_again_changes_nothing(names in proptest::collection::vec("[a-c]", 1..6), kinds in proptest::collection::vec(0..4_usize, 6)) {
        let kinds: Vec<&str> = kinds.iter().map(|kind| ["Pod", "Secret", "Namespace", "Service"][*kind]).collect();
        let text: String = names.iter().zip(&kinds)
            .map(|(name, kind)| format!("---\n{{apiVersion: v1, kind: {kind}, metadata: {{name: {name}}}, stringData: {{a: b}}, spec: {{ports: [{{port: 1}}]}}}}\n"))
            .collect();
        let once = finished(one(&text), &options(None));
        let keys: Vec<&ObjectKey> = once.manifests.iter().map(|manifest| &manifest.key).collect();
        prop_assert!(keys.is_sorted());
        let again = finished(once.clone(), &options(None));
        prop_assert_eq!(&once.manifests, &again.manifests);
    }
}
