//! What of a repository is followed: a tag, the newest of a range, a ref by its full name, a commit. On a real Git server, and what
//! happens when it moves, goes and comes back.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, ImageUpdate};

use crate::objects::{config_map, exists};
use crate::setup::*;
use crate::support::git::Repo;
use crate::support::wait::wait_for;
use crate::support::world::World;
use crate::support::{gitea_host, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("refs: a tag that moves, goes and comes back", a_tag),
        trial("refs: the newest tag of a range", a_range),
        trial("refs: a ref by its full name", a_name),
        trial("refs: a commit, alone and with its branch", a_commit),
        trial("refs: all of them at Gitea", at_gitea),
        trial("refs: only a branch can be written to", only_a_branch),
        trial("refs: what admission refuses", admission),
    ]
}

/// A ConfigRepo that follows this, with the login `git`.
pub async fn follow(world: &World, url: &str, spec: &str) {
    let spec = format!("{{url: '{url}', interval: 1s, secretRef: {{name: git}}, {spec}}}");
    apply(world, "ConfigRepo", "fleet", &spec).await;
}

/// A repository whose one ConfigMap says this, with a GitSync for it.
async fn greeting(world: &World, greeting: &str) -> Repo {
    let repo = world.repo("fleet", &[("map.yaml", &config_map("map", greeting))]);
    world.git_secret("git").await;
    git_sync(world, "path: ., prune: true").await;
    repo
}

fn say(repo: &Repo, greeting: &str) -> String {
    repo.commit(&[("map.yaml", &config_map("map", greeting))], greeting)
}

/// Waits until the cluster says this.
pub async fn says(world: &World, greeting: &str) {
    let what = format!("the greeting {greeting}");
    wait_for(&world.api::<ConfigMap>(), "map", &what, SOON, |map| {
        (map?.data.as_ref()?.get("greeting")? == greeting).then_some(())
    })
    .await;
}

/// Waits until the ConfigRepo is ready at this.
pub async fn at(world: &World, revision: &str) -> ConfigRepo {
    wait_for(&world.api::<ConfigRepo>(), "fleet", &format!("ready at {revision}"), SOON, |repo| {
        let repo = repo?;
        let ready = repo.conditions().iter().find(|condition| condition.kind == "Ready")?;
        let is_at = repo.status.as_ref()?.revision.as_ref()?.to_string() == revision;
        let is_new = ready.observed_generation == repo.metadata.generation;
        (is_at && is_new && ready.status == "True").then(|| repo.clone())
    })
    .await
}

async fn gone(world: &World, words: &[&str]) {
    let repo: ConfigRepo = ready(world, "fleet", "False", Reason::RefNotFound).await;
    let stalled = repo.conditions().iter().any(|condition| condition.kind == "Stalled" && condition.status == "True");
    assert!(stalled, "a person has to act: {:?}", repo.conditions());
    for words in words {
        assert!(message(&repo).contains(words), "{}", message(&repo));
    }
}

async fn a_tag(world: World) {
    let repo = greeting(&world, "one").await;
    let first = repo.head();
    follow(&world, &repo.url, "ref: {tag: live}").await;
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    gone(&world, &["has no tag \"live\""]).await;
    git_says(&repo, &["tag", "live", &first]);
    request::<ConfigRepo>(&world, "fleet", "made").await;
    at(&world, &format!("live@sha1:{first}")).await;
    says(&world, "one").await;
    let second = say(&repo, "two");
    // An annotated one leads to its commit.
    git_says(&repo, &["-c", "user.name=p", "-c", "user.email=p@x", "tag", "-f", "-a", "-m", "x", "live", &second]);
    at(&world, &format!("live@sha1:{second}")).await;
    says(&world, "two").await;
    git_says(&repo, &["tag", "-d", "live"]);
    gone(&world, &["has no tag \"live\""]).await;
    drop(tagboat);
    let _tagboat = world.run(&launch).await;
    let map = world.api::<ConfigMap>();
    map.delete("map", &kube::api::DeleteParams::default()).await.unwrap();
    says(&world, "two").await;
    gone(&world, &["has no tag \"live\""]).await;
    // Back to what was before is what the tag says, too.
    git_says(&repo, &["tag", "live", &first]);
    request::<ConfigRepo>(&world, "fleet", "back").await;
    at(&world, &format!("live@sha1:{first}")).await;
    says(&world, "one").await;
}

async fn a_range(world: World) {
    let repo = greeting(&world, "one").await;
    let tag = |name: &str| git_says(&repo, &["tag", name]);
    for name in ["v1", "v1.0.0", "v2.0.0-rc.1", "latest"] {
        tag(name);
    }
    let first = repo.head();
    follow(&world, &repo.url, "ref: {semver: '>=1.0.0'}").await;
    let tagboat = world.tagboat().await;
    at(&world, &format!("v1.0.0@sha1:{first}")).await;
    let second = say(&repo, "two");
    git_says(&repo, &["-c", "user.name=p", "-c", "user.email=p@x", "tag", "-a", "-m", "x", "v1.10.0"]);
    tag("v1.9.0");
    at(&world, &format!("v1.10.0@sha1:{second}")).await;
    says(&world, "two").await;
    git_says(&repo, &["tag", "-d", "v1.10.0", "v1.9.0"]);
    gone(&world, &["tag v1.10.0 any more", "is older (v1.0.0)", "spec.ref.semver"]).await;
    // Another controller on another disk stays there too.
    drop(tagboat);
    let _tagboat = world.tagboat().await;
    request::<ConfigRepo>(&world, "fleet", "again").await;
    gone(&world, &["tag v1.10.0 any more"]).await;
    says(&world, "two").await;
    let third = say(&repo, "three");
    tag("v1.11.0");
    at(&world, &format!("v1.11.0@sha1:{third}")).await;
    says(&world, "three").await;
    // A person may go back.
    follow(&world, &repo.url, "ref: {semver: '~1.0'}").await;
    at(&world, &format!("v1.0.0@sha1:{first}")).await;
    says(&world, "one").await;
    follow(&world, &repo.url, "ref: {semver: '>=2.0.0-0'}").await;
    at(&world, &format!("v2.0.0-rc.1@sha1:{first}")).await;
    follow(&world, &repo.url, "ref: {semver: '>=7.0.0'}").await;
    gone(&world, &["has no tag in the range \">=7.0.0\", of 5 tags"]).await;
    exists::<ConfigMap>(&world, "map", true).await;
}

async fn a_name(world: World) {
    let repo = greeting(&world, "one").await;
    let first = repo.head();
    git_says(&repo, &["update-ref", "refs/pull/1/head", &first]);
    follow(&world, &repo.url, "ref: {name: refs/pull/1/head}").await;
    let _tagboat = world.tagboat().await;
    at(&world, &format!("refs/pull/1/head@sha1:{first}")).await;
    says(&world, "one").await;
    let second = say(&repo, "two");
    follow(&world, &repo.url, "ref: {name: refs/heads/main}").await;
    at(&world, &format!("refs/heads/main@sha1:{second}")).await;
    says(&world, "two").await;
    git_says(&repo, &["tag", "v1", &first]);
    follow(&world, &repo.url, "ref: {name: refs/tags/v1}").await;
    at(&world, &format!("refs/tags/v1@sha1:{first}")).await;
    says(&world, "one").await;
    follow(&world, &repo.url, "ref: {name: refs/pull/2/head}").await;
    gone(&world, &["has no ref \"refs/pull/2/head\""]).await;
    exists::<ConfigMap>(&world, "map", true).await;
}

async fn a_commit(world: World) {
    let repo = greeting(&world, "one").await;
    let first = repo.head();
    let second = say(&repo, "two");
    follow(&world, &repo.url, &format!("ref: {{commit: {first}}}")).await;
    let tagboat = world.tagboat().await;
    at(&world, &format!("sha1:{first}")).await;
    says(&world, "one").await;
    let before = repo.requests().len();
    request::<ConfigRepo>(&world, "fleet", "again").await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(repo.requests().len(), before, "what is here needs no question");

    follow(&world, &repo.url, &format!("ref: {{commit: {first}, branch: main}}")).await;
    at(&world, &format!("main@sha1:{first}")).await;
    follow(&world, &repo.url, &format!("ref: {{commit: {second}, branch: main}}")).await;
    at(&world, &format!("main@sha1:{second}")).await;
    says(&world, "two").await;
    drop(tagboat);
    let _tagboat = world.tagboat().await;
    // Rewound, it is on its branch no more; what is applied stays.
    git_says(&repo, &["update-ref", "refs/heads/main", &first]);
    let words = format!("commit {second} on its branch \"main\"");
    gone(&world, &[&words]).await;
    says(&world, "two").await;
    git_says(&repo, &["update-ref", "refs/heads/main", &second]);
    at(&world, &format!("main@sha1:{second}")).await;
    let nothing = "ab".repeat(20);
    follow(&world, &repo.url, &format!("ref: {{commit: {nothing}}}")).await;
    gone(&world, &[&format!("has no commit {nothing}"), "spec.ref.branch"]).await;
}

async fn at_gitea(world: World) {
    let gitea = gitea_host().await;
    let repo = gitea.repo(&world.namespace.replace("--", "-"), &[("map.yaml", &config_map("map", "one"))]).await;
    let (user, password) = crate::support::registry::LOGIN;
    world.secret("git", "Opaque", json!({"username": user, "password": password})).await;
    git_sync(&world, "path: ., prune: true").await;
    let url = gitea.url(&repo);
    let first = repo.head();
    git_says(&repo, &["-c", "user.name=p", "-c", "user.email=p@x", "tag", "-a", "-m", "x", "v1.0.0"]);
    git_says(&repo, &["update-ref", "refs/pull/7/head", &first]);
    let second = say(&repo, "two");
    let _tagboat = world.tagboat().await;
    for (spec, revision) in [
        ("{tag: v1.0.0}".to_owned(), format!("v1.0.0@sha1:{first}")),
        ("{branch: main}".to_owned(), format!("main@sha1:{second}")),
        ("{semver: '*'}".to_owned(), format!("v1.0.0@sha1:{first}")),
        (format!("{{commit: {second}}}"), format!("sha1:{second}")),
        ("{name: refs/pull/7/head}".to_owned(), format!("refs/pull/7/head@sha1:{first}")),
        (format!("{{commit: {second}, branch: main}}"), format!("main@sha1:{second}")),
    ] {
        follow(&world, &url, &format!("ref: {spec}")).await;
        at(&world, &revision).await;
        says(&world, if revision.ends_with(&first) { "one" } else { "two" }).await;
    }
}

async fn only_a_branch(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    let first = repo.head();
    git_says(&repo, &["tag", "v1.0.0"]);
    world.git_secret("git").await;
    follow(&world, &repo.url, "ref: {tag: v1.0.0}").await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    let _tagboat = world.tagboat().await;
    let check = |update: &ImageUpdate, words: &[&str]| {
        for words in words {
            assert!(message(update).contains(words), "{}", message(update));
        }
    };
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::InvalidSpec).await;
    check(&refused, &["spec.push.branch: ConfigRepo fleet follows no branch", "v1.0.0@sha1:", "spec.ref.branch"]);
    let request = "pullRequest: {provider: gitea, secretRef: {name: git}}";
    image_update(&world, &format!("batchWindow: 10ms, push: {{branch: bot/x}}, {request}")).await;
    let refused: ImageUpdate = ready(&world, "fleet", "False", Reason::InvalidSpec).await;
    check(&refused, &["spec.pullRequest: ConfigRepo fleet follows no branch"]);
    image_update(&world, "batchWindow: 10ms, push: {branch: bot/x}").await;
    asked("the proposal", 1, || repo.branch("bot/x").into_iter().count()).await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    let parent = git_says(&repo, &["rev-parse", "bot/x^"]);
    assert_eq!((parent.trim(), repo.head()), (first.as_str(), first.clone()), "on the tag, and not on the branch");
}

async fn admission(world: World) {
    let refuse = async |spec: Value, words: &str| {
        let object = json!({"apiVersion": "tagboat.dev/v1alpha1", "kind": "ConfigRepo", "metadata": {"name": "fleet"}, "spec": spec});
        let object: ConfigRepo = serde_json::from_value(object).unwrap();
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let made = world.api::<ConfigRepo>().create(&params, &object).await;
        match made {
            Ok(_) => assert_eq!(words, "", "it is taken"),
            Err(error) => assert!(!words.is_empty() && error.to_string().contains(words), "{error}"),
        }
    };
    let id = "a1".repeat(20);
    let of = |reference: Value| json!({"url": "https://git.example.com/x", "ref": reference});
    for taken in [
        json!({}),
        json!({"branch": "x"}),
        json!({"tag": "x"}),
        json!({"semver": "*"}),
        json!({"name": "refs/pull/1/head"}),
        json!({"commit": id}),
        json!({"commit": id, "branch": "x"}),
    ] {
        refuse(of(taken), "").await;
    }
    refuse(of(json!({"branch": "x", "tag": "x"})), "branch goes alone or with commit: remove it beside tag").await;
    refuse(of(json!({"tag": "x", "semver": "*"})), "set only one of tag, semver, name and commit").await;
    refuse(of(json!({"commit": id, "name": "refs/x"})), "set only one of tag, semver, name and commit").await;
    refuse(of(json!({"commit": "a1a1"})), "write all 40 digits").await;
    refuse(of(json!({"name": "pull/1/head"})), "write the ref's full name").await;
    let verify = |reference: Value, mode: &str| {
        let verify = json!({"mode": mode, "secretRef": {"name": "keys"}});
        json!({"url": "https://git.example.com/x", "ref": reference, "verify": verify})
    };
    for mode in ["HEAD", "head", "EveryCommit"] {
        refuse(verify(json!({}), mode), "").await;
    }
    for mode in ["Tag", "TagAndHEAD"] {
        refuse(verify(json!({"tag": "x"}), mode), "").await;
        refuse(verify(json!({"semver": "*"}), mode), "").await;
        refuse(verify(json!({"name": "refs/tags/x"}), mode), "").await;
        refuse(verify(json!({"branch": "x"}), mode), "Tag and TagAndHEAD need ref.tag").await;
        refuse(verify(json!({"name": "refs/pull/1/head"}), mode), "Tag and TagAndHEAD need ref.tag").await;
    }
}
