//! Heads without history, over HTTP and SSH: what they cost, what they can't be asked, and how history comes to them.

use super::server::{Faults, Server, git, remove, write};
use super::{bump, id, open, refresh};
use crate::git::{Depth, Error, Mirror, Pushed, Reach, Remote};
use crate::revision::CommitId;

/// A server whose branch has many commits that each left something behind, and the oldest of them.
async fn server() -> (Server, CommitId) {
    let server = Server::start(&[("apps/a.yaml", "0"), ("apps/b.yaml", "b")]).await;
    let first = id(git(&server.bare(), &["rev-parse", "main"]).trim());
    for n in 1..60_u32 {
        let mut word = n;
        let noise: String = std::iter::repeat_with(|| {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("{}\n", word >> 8)
        })
        .take(500)
        .collect();
        server.commit_only(&[("apps/a.yaml", &n.to_string()), ("noise.txt", &noise)]);
    }
    server.commit(&[("apps/a.yaml", "60")]);
    (server, first)
}

fn fetched(server: &Server) -> usize {
    server.seen().iter().map(|(_, _, bytes)| bytes).sum()
}

async fn head(server: &Server, mirror: &Mirror, reach: Reach) -> CommitId {
    let head = mirror.head(&server.remote(), "main").await.unwrap();
    mirror.fetch(&server.remote(), "main", &head, reach).await.unwrap();
    head
}

/// That the mirror has history, by Git's own judgement too.
#[track_caller]
fn is_whole(mirror: &Mirror, first: &CommitId, head: &CommitId) {
    assert_eq!(mirror.is_ancestor(first, head), Ok(true));
    let mut seen = 0;
    let mut visit = |_, _: &crate::git::Version| {
        seen += 1;
        Ok(Some(0))
    };
    mirror.history(head, &["apps/a.yaml"], Depth::default(), &mut visit).unwrap();
    assert!(seen > 50, "{seen} changes");
    assert!(!mirror.inner.path.join("shallow").exists());
    git(&mirror.inner.path, &["fsck", "--strict"]);
}

#[track_caller]
fn is_shallow(mirror: &Mirror, head: &CommitId) {
    let blob = mirror.find(head, "apps/a.yaml").unwrap().unwrap().id;
    assert!(mirror.blob(blob).is_ok());
    assert_eq!(mirror.check_history(), Err(Error::NoHistory));
    assert_eq!(mirror.is_ancestor(head, head), Err(Error::NoHistory));
    let walked = mirror.history(head, &["apps/a.yaml"], Depth::default(), &mut |_, _| Ok(None));
    assert_eq!(walked, Err(Error::NoHistory));
    git(&mirror.inner.path, &["fsck", "--strict"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_alone_is_small_and_history_comes_when_it_is_wanted() {
    for no_v2 in [false, true] {
        let (server, first) = server().await;
        server.fault(Faults { no_v2, ..Faults::default() });
        let mirror = open(&server);
        server.seen();
        let read = head(&server, &mirror, Reach::Head).await;
        let alone = fetched(&server);
        is_shallow(&mirror, &read);
        let made = mirror.commit(bump(&read, "apps/a.yaml", "x")).unwrap();
        assert_eq!(mirror.push(&server.remote(), "main", Some(&read), &made).await, Err(Error::NoHistory));

        // The next head costs what changed, also when it merges what began far below.
        git(&server.work(), &["checkout", "-q", "-b", "topic", first.as_str()]);
        server.commit_only(&[("topic.txt", "t")]);
        git(&server.work(), &["checkout", "-q", "main"]);
        git(&server.work(), &["merge", "-q", "-m", "merge", "topic"]);
        server.commit(&[("apps/a.yaml", "61")]);
        server.seen();
        let next = head(&server, &mirror, Reach::Head).await;
        let more = fetched(&server);
        is_shallow(&mirror, &next);
        assert!(mirror.find(&next, "topic.txt").unwrap().is_some());
        assert!(mirror.commit_info(&read).is_ok(), "what was read before stays");
        // A request that follows at once may come before its connection is back in the pool.
        assert!(server.connections() <= 2, "answers are read to their end: {}", server.connections());

        // As a process that starts again finds it.
        drop(mirror);
        let mirror = open(&server);
        is_shallow(&mirror, &next);
        server.seen();
        mirror.fetch(&server.remote(), "main", &next, Reach::Head).await.unwrap();
        assert_eq!(server.seen(), [], "it is here");
        mirror.fetch(&server.remote(), "main", &next, Reach::History).await.unwrap();
        let whole = fetched(&server);
        is_whole(&mirror, &first, &next);
        assert!(alone < 16_000 && more < 2_500 && whole > 100_000, "{alone} {more} {whole}");

        // From now on it stays so.
        let last = id(&server.commit(&[("apps/a.yaml", "62")]));
        mirror.fetch(&server.remote(), "main", &last, Reach::Head).await.unwrap();
        is_whole(&mirror, &first, &last);
        let mirror = open(&server);
        mirror.fetch(&server.remote(), "main", &last, Reach::History).await.unwrap();
        is_whole(&mirror, &first, &last);
        let made = mirror.commit(bump(&last, "apps/a.yaml", "x")).unwrap();
        assert_eq!(mirror.push(&server.remote(), "main", Some(&last), &made).await, Ok(Pushed::Done));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_branch_leaves_nothing_without_its_past() {
    let (server, first) = server().await;
    let mirror = open(&server);
    let lost = head(&server, &mirror, Reach::Head).await;
    git(&server.work(), &["reset", "-q", "--hard", "HEAD~2"]);
    server.commit_only(&[("apps/a.yaml", "another way")]);
    git(&server.work(), &["push", "-q", "-f", "../fleet.git", "HEAD:main"]);
    let now = head(&server, &mirror, Reach::Head).await;
    is_shallow(&mirror, &now);
    assert!(mirror.commit_info(&lost).is_ok());
    let now = head(&server, &mirror, Reach::History).await;
    is_whole(&mirror, &first, &now);
    assert_eq!(mirror.is_ancestor(&lost, &now), Ok(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_sends_the_whole_in_any_case() {
    let (server, first) = server().await;
    let folder = Remote { url: format!("file://{}", server.bare().display()), ..server.remote() };
    let mirror = open(&server);
    let head = mirror.head(&folder, "main").await.unwrap();
    mirror.fetch(&folder, "main", &head, Reach::Head).await.unwrap();
    is_whole(&mirror, &first, &head);
    // One by v0 that does not name the capability.
    for no_v2 in [false, true] {
        server.fault(Faults { no_v2, no_shallow: true, ..Faults::default() });
        let mirror = Mirror::open(server.folder.path(), &format!("other-{no_v2}")).unwrap();
        let head = self::head(&server, &mirror, Reach::Head).await;
        is_whole(&mirror, &first, &head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_a_mirror_of_heads() {
    let (server, first) = server().await;
    let mirror = open(&server);
    let read = head(&server, &mirror, Reach::Head).await;
    let path = mirror.inner.path.clone();
    drop(mirror);
    // A process that died before it had noted what it fetched, in the one place or in the other.
    for (name, bytes) in [("shallow.lock", ""), ("refs/tagboat/main.lock", ""), ("shallow", "none\n")] {
        write(&path.join(name), bytes.as_bytes());
        let mirror = open(&server);
        mirror.fetch(&server.remote(), "main", &read, Reach::Head).await.unwrap();
        is_shallow(&mirror, &read);
    }
    remove(&path.join("refs"));
    git(&path, &["init", "-q", "--bare", "."]);
    let mirror = open(&server);
    mirror.fetch(&server.remote(), "main", &read, Reach::History).await.unwrap();
    is_whole(&mirror, &first, &read);
    // A mirror with history that breaks comes back as one, whoever asks.
    let next = id(&server.commit(&[("apps/a.yaml", "next")]));
    remove(&path.join("objects/pack"));
    assert!(mirror.list(git2::Oid::from_str(next.as_str()).unwrap()).is_err());
    mirror.fetch(&server.remote(), "main", &next, Reach::Head).await.unwrap();
    is_whole(&mirror, &first, &next);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_heads_keep_few_packs() {
    let server = Server::start(&[("a.yaml", "0"), ("b.yaml", "b")]).await;
    let mirror = open(&server);
    for n in 1..=60 {
        server.commit(&[("a.yaml", &n.to_string())]);
        head(&server, &mirror, Reach::Head).await;
    }
    assert!(super::files_in(&mirror.inner.path.join("objects/pack")) < 40);
    let last = refresh(&server, &mirror).await;
    assert_eq!(mirror.check_history(), Ok(()), "as the others ask for history");
    assert_eq!(mirror.blob(mirror.find(&last, "b.yaml").unwrap().unwrap().id).unwrap(), b"b");
}
