//! Tags, other refs and commits: how they are found, and how they come into the mirror, by every way to a host.

use super::server::{Faults, Server, git};
use super::{id, open};
use crate::git::{Error, Listed, Mirror, Reach, Remote, Target};
use crate::revision::CommitId;

/// A server with two commits on `main`; the first has the plain tag `light`, the annotated tags `v1.0.0` and `twice` (a tag of a tag)
/// and is the head of a pull request.
async fn server() -> (Server, CommitId, CommitId) {
    let server = Server::start(&[("a.yaml", "1")]).await;
    let bare = server.bare();
    let first = id(git(&bare, &["rev-parse", "main"]).trim());
    git(&bare, &["tag", "light", first.as_str()]);
    git(&bare, &["tag", "-a", "-m", "one", "v1.0.0", first.as_str()]);
    git(&bare, &["tag", "-a", "-m", "two", "twice", "v1.0.0"]);
    git(&bare, &["update-ref", "refs/pull/1/head", first.as_str()]);
    let second = id(&server.commit(&[("a.yaml", "2")]));
    (server, first, second)
}

async fn one(mirror: &Mirror, remote: &Remote, name: &str) -> Listed {
    let mut found = mirror.refs(remote, name).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

async fn all_of_them(remote: &Remote, mirror: &Mirror, (first, second): (&CommitId, &CommitId), reach: Reach) {
    for name in ["refs/tags/light", "refs/tags/v1.0.0", "refs/tags/twice", "refs/pull/1/head"] {
        let found = one(mirror, remote, name).await;
        assert_eq!((&*found.name, &found.commit), (name, first));
        assert_eq!(found.object != found.commit, name.ends_with("v1.0.0") || name.ends_with("twice"), "{name}");
        let target = Target::Ref { name: name.to_owned(), object: found.object.clone() };
        mirror.fetch(remote, &target, first, reach).await.unwrap();
        assert!(mirror.raw(&found.object).is_ok(), "{name}");
        assert_eq!(mirror.blob(mirror.find(first, "a.yaml").unwrap().unwrap().id).unwrap(), b"1");
    }
    let names: Vec<String> =
        mirror.refs(remote, "refs/tags/").await.unwrap().into_iter().map(|listed| listed.name).collect();
    assert_eq!(names, ["refs/tags/light", "refs/tags/twice", "refs/tags/v1.0.0"]);
    assert_eq!(mirror.refs(remote, "refs/tags/v1").await.unwrap(), []);
    mirror.fetch(remote, "main", second, reach).await.unwrap();
    assert_eq!(mirror.blob(mirror.find(second, "a.yaml").unwrap().unwrap().id).unwrap(), b"2");
    git(&mirror.inner.path, &["fsck", "--strict"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_every_protocol() {
    for (v2, reach) in [(true, Reach::Head), (true, Reach::History), (false, Reach::Head), (false, Reach::History)] {
        let (server, first, second) = server().await;
        server.fault(Faults { no_v2: !v2, ..Faults::default() });
        let mirror = open(&server);
        all_of_them(&server.remote(), &mirror, (&first, &second), reach).await;
    }
    let (server, first, second) = server().await;
    let folder = Remote { url: format!("file://{}", server.bare().display()), ..server.remote() };
    all_of_them(&folder, &open(&server), (&first, &second), Reach::History).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_by_its_id() {
    let (server, first, _) = server().await;
    git(&server.bare(), &["update-ref", "-d", "refs/pull/1/head"]);
    let folder = Remote { url: format!("file://{}", server.bare().display()), ..server.remote() };
    let gone = id(&"ab".repeat(20));
    open(&server);
    for (remote, key) in [(server.remote(), "http"), (folder, "folder")] {
        let mirror = Mirror::open(&server.folder.path().join("data"), key).unwrap();
        let error = mirror.fetch(&remote, &Target::Commit, &gone, Reach::Head).await.unwrap_err();
        assert_eq!(error, Error::CommitGone { commit: gone.to_string() });
        mirror.fetch(&remote, &Target::Commit, &first, Reach::Head).await.unwrap();
        assert!(mirror.commit_info(&first).is_ok());
        server.seen();
        mirror.fetch(&remote, &Target::Commit, &first, Reach::Head).await.unwrap();
        assert_eq!(server.seen(), [], "it is here");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_annotated_tag_costs() {
    let (server, first, _) = server().await;
    let mirror = open(&server);
    mirror.fetch(&server.remote(), &Target::Commit, &first, Reach::Head).await.unwrap();
    let tag = one(&mirror, &server.remote(), "refs/tags/v1.0.0").await;
    assert!(mirror.raw(&tag.object).is_err(), "only the commit came");
    server.seen();
    let target = Target::Ref { name: tag.name.clone(), object: tag.object.clone() };
    mirror.fetch(&server.remote(), &target, &tag.commit, Reach::Head).await.unwrap();
    let seen = server.seen();
    assert!(seen.len() == 1 && seen[0].2 < 600, "the tag alone: {seen:?}");
    assert!(String::from_utf8(mirror.raw(&tag.object).unwrap()).unwrap().contains("tag v1.0.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_since_a_commit() {
    let (server, first, second) = server().await;
    let third = id(&server.commit(&[("a.yaml", "3")]));
    let mirror = open(&server);
    mirror.fetch(&server.remote(), "main", &third, Reach::Head).await.unwrap();
    assert_eq!(mirror.since(&third, &first, 9), Err(Error::NoHistory));
    mirror.fetch(&server.remote(), "main", &third, Reach::History).await.unwrap();
    assert_eq!(mirror.since(&third, &first, 9), Ok(vec![second.clone(), third.clone()]));
    assert_eq!(mirror.since(&third, &third, 9), Ok(Vec::new()));
    assert_eq!(mirror.since(&third, &id(&"ab".repeat(20)), 9).unwrap().len(), 3, "all, when that is gone");
    assert!(matches!(mirror.since(&third, &first, 1), Err(Error::TooLarge { .. })));
    assert!(matches!(mirror.refs(&server.remote(), "heads/main").await, Err(Error::Invalid { .. })));
}
