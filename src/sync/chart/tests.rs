//! What helm is given and asked, and what its answers say about places.

use super::*;
use crate::sync::input::tests::Repository;

fn release(spec: &str) -> Release {
    let text = format!(
        "{{apiVersion: tagboat.dev/v1alpha1, kind: GitSync, metadata: {{name: web, namespace: shop}}, spec: {{configRepoRef: {{name: fleet}}, {spec}}}}}"
    );
    Release::of(&serde_yaml::from_str(&text).unwrap())
}

fn repository() -> Repository {
    let files = ["web/Chart.yaml", "web/templates/a.yaml", "web/values.yaml", "web/prod.yaml", "all.yaml"];
    Repository(files.map(|path| (path.to_owned(), format!("# {path}\n"))).into())
}

/// What helm is asked for, and the files that it is given.
#[track_caller]
fn check(spec: &str, arguments: &str, files: &[&str]) {
    let release = release(spec);
    let chart = release.read("web", &mut repository()).unwrap();
    assert_eq!(release.arguments(&chart).join(" "), arguments);
    assert_eq!(chart.files.keys().collect::<Vec<_>>(), files);
}

const OWN: [&str; 4] = ["chart/Chart.yaml", "chart/prod.yaml", "chart/templates/a.yaml", "chart/values.yaml"];

#[test]
fn what_helm_is_asked_for() {
    check("path: web", "--namespace=shop --include-crds=true --skip-tests=true -- web", &OWN);
    check(
        "path: web, targetNamespace: prod, helm: {releaseName: my, valuesFiles: [prod.yaml, ../all.yaml, /all.yaml], values: {a: 1}, \
         skipCrds: true, kubeVersion: v1.30.0, apiVersions: [a/v1]}",
        "--namespace=prod --values=values/0.yaml --values=values/1.yaml --values=values/2.yaml --values=values/spec.json \
         --kube-version=v1.30.0 --api-versions=a/v1 --include-crds=false --skip-tests=true -- my",
        &[&OWN[..], &["values/0.yaml", "values/1.yaml", "values/2.yaml", "values/spec.json"]].concat(),
    );
    check(
        "helm: {releaseName: --output-dir=/}",
        "--namespace=shop --include-crds=true --skip-tests=true -- --output-dir=/",
        &OWN,
    );
    let mut known = release("helm: {apiVersions: [a/v1]}");
    known.know("v1.37.0", ["b/v1".to_owned()]);
    let arguments = known.arguments(&Chart::default()).join(" ");
    assert!(arguments.contains("--kube-version=v1.37.0 --api-versions=a/v1 --api-versions=b/v1"), "{arguments}");
}

#[track_caller]
fn check_problems(spec: &str, expected: &[&str]) {
    let problems = release(spec).read("web", &mut repository()).unwrap_err();
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn values_files_that_cannot_be_read() {
    check_problems(
        "helm: {valuesFiles: [none.yaml, ../../secret.yaml, templates, 'https://example.com/values.yaml']}",
        &[
            "spec.helm.valuesFiles[0]: web/none.yaml is not in the repository (symbolic links are not followed)",
            "spec.helm.valuesFiles[1]: ../../secret.yaml leads out of the repository",
            "spec.helm.valuesFiles[2]: web/templates is a folder; name a file",
            "spec.helm.valuesFiles[3]: https://example.com/values.yaml is on the network, which a render may not use; copy it into the repository",
        ],
    );
    check_problems(
        &format!("helm: {{releaseName: {}}}", "x".repeat(54)),
        &[&format!(
            "web: the release's name {:?} must have 1 to 53 characters; set spec.helm.releaseName",
            "x".repeat(54)
        )],
    );
    let mut ignoring = release("helm: {valuesFiles: [none.yaml, prod.yaml], ignoreMissingValuesFiles: true}");
    let chart = ignoring.read("web", &mut repository()).unwrap();
    assert_eq!(chart.values, [("values/1.yaml".to_owned(), "web/prod.yaml".to_owned())]);
    ignoring.is_asked = false;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert!(ignoring.is_chart("web", &names(&["Chart.yaml"])).unwrap());
    assert!(!ignoring.is_chart("web", &names(&["Chart.yaml", "kustomization.yaml"])).unwrap());
    assert!(release("helm: {}").is_chart("web", &names(&["Chart.yaml", "kustomization.yaml"])).unwrap());
    assert!(release("helm: {}").is_chart("web", &names(&["app.yaml"])).is_err());
}

#[test]
fn objects_come_with_their_templates() {
    let chart = Chart { root: "apps/web".to_owned(), ..Chart::default() };
    let object = |file: &str, name: &str, hook: &str| {
        format!(
            "---\n# Source: {file}\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, annotations: {{helm.sh/hook: '{hook}'}}}}\ndata:\n  a: |\n    # Source: nowhere\n"
        )
    };
    let output = [
        object("web/templates/a.yaml", "a", "pre-install,pre-upgrade"),
        object("web/charts/db/templates/b.yaml", "b", "post-upgrade,post-delete"),
        object("web/templates/c.yaml", "c", "test"),
        object("web/templates/d.yaml", "d", "pre-delete, post-rollback"),
        "---\n# Source: web/templates/e.yaml\nkind: ConfigMap\n".to_owned(),
        "---\n# Source: web/templates/f.yaml\na: [\n".to_owned(),
    ];
    let rendered = objects(&chart, output.concat().as_bytes());
    let found: Vec<_> = rendered.manifests.iter().map(|m| (m.key.name.as_str(), m.file.as_str())).collect();
    assert_eq!(found, [("a", "apps/web/templates/a.yaml"), ("b", "apps/web/charts/db/templates/b.yaml")]);
    let problems: Vec<String> = rendered.problems.iter().map(ToString::to_string).collect();
    assert!(
        problems.iter().any(|p| p == "apps/web/templates/e.yaml: once rendered, apiVersion is missing"),
        "{problems:?}"
    );
    assert!(
        problems.iter().any(|p| p.starts_with("apps/web/templates/f.yaml: once rendered, can't be read")),
        "{problems:?}"
    );
}

/// helm's words, and what is made of them.
#[track_caller]
fn check_failed(said: &str, expected: &str) {
    let chart = Chart {
        root: "apps/web".into(),
        values: vec![("values/0.yaml".into(), "all.yaml".into())],
        ..Chart::default()
    };
    assert_eq!(template_problem(said, &chart).to_string(), expected);
}

#[test]
fn what_helm_refuses() {
    check_failed(
        "Error: web/templates/b.yaml:1:13\n  executing \"web/templates/b.yaml\" at <.Values.b.c.d>:\n    nil pointer evaluating interface {}.c\n\nUse --debug flag to render out invalid YAML\n",
        "apps/web/templates/b.yaml:1: helm template failed: web/templates/b.yaml:1:13 executing \"web/templates/b.yaml\" at <.Values.b.c.d>: nil pointer evaluating interface {}.c",
    );
    check_failed(
        "Error: execution error at (web/templates/b.yaml:3:21): need c\n",
        "apps/web/templates/b.yaml:3: helm template failed: execution error at (web/templates/b.yaml:3:21): need c",
    );
    check_failed(
        "Error: an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: redis, gone\n",
        "apps/web: the chart's dependencies are not in its charts folder: redis, gone; nothing is fetched: run `helm dependency build` and commit charts/",
    );
    check_failed(
        "Error: failed to parse /values/0.yaml: error converting YAML to JSON",
        "apps/web: helm template failed: failed to parse all.yaml: error converting YAML to JSON",
    );
}
