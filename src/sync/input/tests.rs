//! Which files are taken, and what is put around them.

use super::*;
use crate::api::GitSyncSpec;
use crate::sync::render;

pub(in crate::sync) struct Repository(pub BTreeMap<String, String>);

impl Files for Repository {
    fn look(&mut self, path: &str) -> Entry {
        if let Some(text) = self.0.get(path) {
            return Entry::File(text.clone().into_bytes());
        }
        let names: BTreeSet<String> =
            self.below(path).iter().map(|file| file.split('/').next().unwrap_or_default().to_owned()).collect();
        if names.is_empty() { Entry::Missing } else { Entry::Dir(names.into_iter().collect()) }
    }

    fn below(&mut self, folder: &str) -> Vec<String> {
        let within = |file: &String| match folder {
            "" => Some(file.clone()),
            folder => file.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned),
        };
        self.0.keys().filter_map(within).collect()
    }

    fn bytes(&mut self, path: &str) -> Vec<u8> {
        self.0[path].clone().into_bytes()
    }
}

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

fn repository() -> Repository {
    let files = [
        ("apps/a.yaml", MAP),
        ("apps/sub/b.yaml", MAP),
        ("apps/sub/notes.md", "x"),
        ("apps/built/kustomization.yaml", "resources: [c.yaml, ../../base, deep]\n"),
        ("apps/built/c.yaml", MAP),
        ("apps/built/deep/kustomization.yaml", "{}"),
        ("apps/built/deep/unread.yaml", "x"),
        ("apps/comp/kustomization.yaml", "kind: Component\npatches: [{path: p.yaml}]\n"),
        ("apps/comp/p.yaml", MAP),
        ("base/kustomization.yaml", "resources: [d.yaml]\n"),
        ("base/d.yaml", MAP),
        (
            "over/kustomization.yml",
            "resources: [../base]\nnamePrefix: own-\nimages: [{name: a, newTag: '1'}, {name: b}]\n",
        ),
    ];
    Repository(files.map(|(path, text)| (path.to_owned(), text.to_owned())).into())
}

fn overlay(spec: &str) -> Overlay {
    let spec: GitSyncSpec = serde_yaml::from_str(&format!("{{configRepoRef: {{name: fleet}}, {spec}}}")).unwrap();
    Overlay::of(&spec)
}

/// The plain files, and the files of the build that follows.
#[track_caller]
fn check(path: &str, spec: &str, plain: &[&str], build: &[&str]) -> BTreeMap<String, String> {
    let overlay = overlay(spec);
    let (names, files) = match choose(path, &overlay, &Release::default(), &mut repository()).unwrap() {
        Input::Kustomization { files, .. } => (Vec::new(), files),
        Input::Plain(chosen) => {
            let names = chosen.files.iter().map(|(name, _)| name.clone()).collect();
            let rendered = render::plain(&chosen.files);
            (names, chosen.build(&overlay, &rendered).transpose().unwrap().unwrap_or_default())
        }
        Input::Chart(..) => panic!("no chart"),
    };
    assert_eq!(names, plain);
    assert_eq!(files.keys().collect::<Vec<_>>(), build);
    files.into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

#[track_caller]
fn check_problem(path: &str, spec: &str, expected: &str) {
    let problems = choose(path, &overlay(spec), &Release::default(), &mut repository()).unwrap_err();
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
}

#[test]
fn plain_files_stay_plain() {
    check("apps/sub", "", &["apps/sub/b.yaml"], &[]);
    check("apps/sub", "targetNamespace: web", &["apps/sub/b.yaml"], &[]);
}

#[test]
fn plain_files_with_additions_are_built() {
    let files = check(
        "apps/sub",
        "namePrefix: my-",
        &["apps/sub/b.yaml"],
        &["apps/sub/.tagboat-objects.json", "apps/sub/kustomization.yaml"],
    );
    assert_eq!(files["apps/sub/kustomization.yaml"], r#"{"resources":[".tagboat-objects.json"],"namePrefix":"my-"}"#);
    assert_eq!(
        files["apps/sub/.tagboat-objects.json"],
        "---\n{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}\n"
    );
}

#[test]
fn kustomizations_below_are_built() {
    let files = check(
        "apps",
        "components: [comp]",
        &["apps/a.yaml", "apps/sub/b.yaml"],
        &[
            "apps/.tagboat-objects.json",
            "apps/built/c.yaml",
            "apps/built/deep/kustomization.yaml",
            "apps/built/kustomization.yaml",
            "apps/comp/kustomization.yaml",
            "apps/comp/p.yaml",
            "apps/kustomization.yaml",
            "base/d.yaml",
            "base/kustomization.yaml",
        ],
    );
    let made = r#"{"resources":[".tagboat-objects.json","./built"],"components":["comp"]}"#;
    assert_eq!(files["apps/kustomization.yaml"], made);
}

#[test]
fn a_kustomization_gets_the_additions() {
    let names = ["base/d.yaml", "base/kustomization.yaml", "over/kustomization.yml"];
    let own = &repository().0["over/kustomization.yml"].clone();
    assert_eq!(&check("over", "", &[], &names)["over/kustomization.yml"], own, "as it stands");
    let spec = "targetNamespace: web, nameSuffix: -x, namePrefix: my-, images: [{name: a, newTag: '2'}, {name: c, digest: 'sha256:0'}], \
                patches: [{patch: '[]', target: {kind: Deployment, labelSelector: a=b}}]";
    assert_eq!(
        check("over", spec, &[], &names)["over/kustomization.yml"],
        "{\"resources\":[\"../base\"],\"namePrefix\":\"my-\",\
         \"images\":[{\"name\":\"a\",\"newTag\":\"2\"},{\"name\":\"b\"},{\"name\":\"c\",\"digest\":\"sha256:0\"}],\
         \"namespace\":\"web\",\"nameSuffix\":\"-x\",\
         \"patches\":[{\"patch\":\"[]\",\"target\":{\"kind\":\"Deployment\",\"labelSelector\":\"a=b\"}}]}"
    );
    let with = ["apps/comp/kustomization.yaml", "apps/comp/p.yaml", names[0], names[1], names[2]];
    let files = check("over", "components: [../none, ../apps/comp], ignoreMissingComponents: true", &[], &with);
    assert!(files["over/kustomization.yml"].ends_with(r#""components":["../apps/comp"]}"#));
}

#[test]
fn what_is_wrong_has_its_place() {
    check_problem("nowhere", "", "nowhere: the folder is not in the repository");
    check_problem("over", "components: [../../x]", "spec.components[0]: ../../x leads out of the repository");
    check_problem("over", "components: [/base]", "spec.components[0]: /base leads out of the repository");
    check_problem(
        "over",
        "components: ['https://example.com/x']",
        "spec.components[0]: https://example.com/x is on the network, which a build may not use; copy it into the repository",
    );
    check_problem(
        "over",
        "components: [../none]",
        "spec.components[0]: none is not in the repository (symbolic links are not followed)",
    );
    check_problem("over", "components: [../apps]", "spec.components[0]: apps has no kustomization.yaml");
    check_problem("over", "patches: [{patch: x}, {patch: '# none'}]", "spec.patches[1].patch is empty");
    let said =
        choose("over", &overlay("patches: [{patch: '[a'}]"), &Release::default(), &mut repository()).unwrap_err();
    assert!(said[0].reason.starts_with("spec.patches[0].patch: line 1: can't be read as YAML"), "{said:?}");
}
