//! The shell against the real Git server program.

mod along;
mod reach;
mod refs;
pub(super) mod server;
mod signing;
mod ssh;

use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use self::server::{Faults, PASSWORD, Server, files_in, git, link, remove, write};
use super::{Auth, Error, Kind, Mirror, NewCommit, Person, Pushed, Reach, Remote};
use crate::revision::CommitId;

/// A server, a mirror of its repository that holds the head of `main`, and that head.
struct World {
    server: Server,
    mirror: Mirror,
    head: CommitId,
}

async fn world(files: &[(&str, &str)]) -> World {
    let server = Server::start(files).await;
    let mirror = open(&server);
    let head = refresh(&server, &mirror).await;
    World { server, mirror, head }
}

fn open(server: &Server) -> Mirror {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        super::prepare().unwrap();
    });
    Mirror::open(&server.folder.path().join("data"), "fleet").unwrap()
}

async fn refresh(server: &Server, mirror: &Mirror) -> CommitId {
    let head = mirror.head(&server.remote(), "main").await.unwrap();
    mirror.fetch(&server.remote(), "main", &head, Reach::History).await.unwrap();
    head
}

fn id(text: &str) -> CommitId {
    text.parse().unwrap()
}

fn bump<'a>(parent: &'a CommitId, path: &str, text: &str) -> NewCommit<'a> {
    NewCommit {
        parent,
        files: vec![(path.to_owned(), text.into())],
        message: "bump".to_owned(),
        author: Person { name: "tagboat".to_owned(), email: "tagboat@example.com".to_owned() },
        time: 1_800_000_000,
    }
}

/// The requests that passed: method and the path's last part.
fn requests(server: &Server) -> Vec<String> {
    let name = |uri: &str| uri.strip_prefix("/fleet.git/").unwrap_or(uri).to_owned();
    server.seen().iter().map(|(method, uri, _)| format!("{method} {}", name(uri))).collect()
}

const HEAD: &str = "POST git-upload-pack";
const PUSH: &str = "POST git-receive-pack";

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_one_small_request_and_a_fetch_one_more() {
    let World { server, mirror, head } = world(&[("a.yaml", "x")]).await;
    assert_eq!(requests(&server), [HEAD, HEAD], "head, fetch");
    let refs: String = (0..3000).map(|n| format!("{head} refs/heads/topic/{n}\n")).collect();
    write(&server.bare().join("packed-refs"), refs.as_bytes());
    let next = id(&server.commit(&[("a.yaml", "y")]));
    for _ in 0..2 {
        assert_eq!(mirror.head(&server.remote(), "main").await.unwrap(), next);
        let seen = server.seen();
        assert!(matches!(&seen[..], [(_, _, bytes)] if *bytes < 1000), "{seen:?}");
    }
    mirror.fetch(&server.remote(), "main", &next, Reach::History).await.unwrap();
    let seen = server.seen();
    assert!(matches!(&seen[..], [(_, _, bytes)] if *bytes < 2000), "{seen:?}");
    mirror.fetch(&server.remote(), "main", &next, Reach::History).await.unwrap();
    assert_eq!(server.seen(), [], "what is here costs no request");
    assert_eq!(mirror.commit_info(&next).unwrap().parents, [head]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_v2_is_asked_by_get() {
    let server = Server::start(&[("a.yaml", "x")]).await;
    server.fault(Faults { no_v2: true, ..Faults::default() });
    let mirror = open(&server);
    refresh(&server, &mirror).await;
    mirror.head(&server.remote(), "main").await.unwrap();
    let get = "GET info/refs?service=git-upload-pack";
    assert_eq!(requests(&server), [HEAD, get, HEAD, get], "v2 tried, fell back, fetched, remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_wants_the_get_first_gets_it() {
    let server = Server::start(&[("a.yaml", "x")]).await;
    server.fault(Faults { get_first: true, ..Faults::default() });
    let mirror = open(&server);
    let head = refresh(&server, &mirror).await;
    let new = mirror.commit(bump(&head, "a.yaml", "y")).unwrap();
    assert_eq!(mirror.push(&server.remote(), "main", Some(&head), &new).await, Ok(Pushed::Done));
    let log = requests(&server);
    assert_eq!(log[..2], [HEAD, "GET info/refs?service=git-upload-pack"]);
    assert_eq!(log[log.len() - 3..], [PUSH, "GET info/refs?service=git-receive-pack", PUSH]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_within_the_origin_only() {
    let server = Server::start(&[("a.yaml", "x")]).await;
    let origin = server.url.strip_suffix("/fleet.git").unwrap();
    let old = Remote { url: format!("{origin}/old"), ..server.remote() };
    server.fault(Faults { moved_to: Some(server.url.clone()), ..Faults::default() });
    let mirror = open(&server);
    let head = mirror.head(&old, "main").await.unwrap();
    mirror.fetch(&old, "main", &head, Reach::History).await.unwrap();
    let new = mirror.commit(bump(&head, "a.yaml", "y")).unwrap();
    assert_eq!(mirror.push(&old, "main", Some(&head), &new).await, Ok(Pushed::Done));
    assert_eq!(requests(&server)[4..], [HEAD, PUSH], "the new place is remembered");
    server.fault(Faults { moved_to: Some(server.url.replace("127.0.0.1", "localhost")), ..Faults::default() });
    let elsewhere = Remote { url: format!("{origin}/old/"), ..old };
    let refused = mirror.head(&elsewhere, "main").await.unwrap_err();
    assert!(matches!(refused, Error::UnsupportedUrl { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_apart() {
    let World { server, mirror, .. } = world(&[("a.yaml", "x")]).await;
    let remote = server.remote();
    let ask = async |remote: Remote, branch: &'static str| mirror.head(&remote, branch).await.unwrap_err();
    let with = |url: &str| Remote { url: url.to_owned(), ..remote.clone() };
    let wrong = Remote { auth: Auth::Bearer("wrong-token".into()), ..remote.clone() };
    assert_eq!(ask(wrong, "main").await, Error::Authentication { status: 401 });
    assert_eq!(ask(remote.clone(), "mai").await, Error::BranchNotFound { branch: "mai".into() });
    assert!(matches!(ask(remote.clone(), "a..b\n").await, Error::Invalid { .. }));
    assert_eq!(ask(with(&remote.url.replace("fleet", "none")), "main").await, Error::RepositoryNotFound);
    for url in [
        "ssh://git@127.0.0.1/x",
        "git@127.0.0.1:x",
        "/srv/x",
        "git://127.0.0.1/x",
        "http://u:p@127.0.0.1/x",
        "http://127.0.0.1/x?y",
    ] {
        assert!(matches!(ask(with(url), "main").await, Error::UnsupportedUrl { .. }), "{url}");
    }
    let closed = std::net::Ipv4Addr::LOCALHOST;
    assert!(matches!(ask(with(&format!("http://{closed}:1/x")), "main").await, Error::Unreachable { .. }));
    server.fault(Faults { status: Some(503), ..Faults::default() });
    let busy = ask(remote.clone(), "main").await;
    assert_eq!(busy.retry_after(), Some(Duration::from_secs(7)));
    assert!(busy.to_string().ends_with("http 503: busy\\u{1b}[0m") && !busy.needs_user(), "{busy}");
    server.fault(Faults { hang: true, ..Faults::default() });
    let limit = Duration::from_millis(150);
    assert_eq!(ask(Remote { timeout: limit, ..remote.clone() }, "main").await, Error::Timeout { limit });
    let text = format!("{remote:?} {:?} {:?}", remote.auth, with("http://u:s3cret-pass@127.0.0.1/x"));
    assert!(!text.contains(PASSWORD), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_hangs_ends_and_the_next_one_works() {
    let World { server, mirror, .. } = world(&[("a.yaml", "x")]).await;
    let next = id(&server.commit(&[("a.yaml", "y")]));
    server.fault(Faults { hang: true, ..Faults::default() });
    let limit = Duration::from_millis(150);
    let slow = Remote { timeout: limit, ..server.remote() };
    assert_eq!(mirror.fetch(&slow, "main", &next, Reach::History).await, Err(Error::Timeout { limit }));
    server.fault(Faults::default());
    mirror.fetch(&server.remote(), "main", &next, Reach::History).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_gone_from_the_branch() {
    let World { server, mirror, head } = world(&[("a.yaml", "x")]).await;
    let lost = id(&server.commit(&[("a.yaml", "y")]));
    git(&server.bare(), &["update-ref", "refs/heads/main", head.as_str()]);
    git(&server.bare(), &["gc", "-q", "--prune=now"]);
    assert_eq!(
        mirror.fetch(&server.remote(), "main", &lost, Reach::History).await,
        Err(Error::CommitGone { commit: lost.to_string() })
    );
    assert!(matches!(mirror.commit_info(&lost), Err(Error::CommitGone { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_a_commit() {
    let server = Server::start(&[("apps/web/a.yaml", "tag: 1 # $x\n"), ("apps/b.yaml", "b"), ("run.sh", "")]).await;
    link("web/a.yaml", &server.work().join("apps/link.yaml"));
    link("web", &server.work().join("apps/linked"));
    server.commit(&[("big.yaml", &"x".repeat(super::BLOB_LIMIT + 1))]);
    git(&server.work(), &["update-index", "--chmod=+x", "run.sh"]);
    server.commit_index();
    let mirror = open(&server);
    let head = refresh(&server, &mirror).await;

    let info = mirror.commit_info(&head).unwrap();
    assert_eq!((info.time, info.author.name.as_str(), info.message.as_str()), (1_700_000_000, "Ann", "by hand\n"));
    let kinds = |path: &str| mirror.find(&head, path).unwrap().map(|entry| entry.kind);
    assert_eq!(kinds("apps/link.yaml"), Some(Kind::Symlink));
    assert_eq!(
        (kinds("./apps/"), kinds(""), kinds("run.sh")),
        (Some(Kind::Folder), Some(Kind::Folder), Some(Kind::Executable))
    );
    assert_eq!((kinds("apps/none"), kinds("apps/linked/a.yaml"), kinds("apps/b.yaml/c")), (None, None, None));
    assert!(matches!(mirror.find(&head, "apps/../../etc"), Err(Error::Invalid { .. })));
    let apps = mirror.find(&head, "apps").unwrap().unwrap();
    let names: Vec<String> = mirror.files(apps.id).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["b.yaml", "link.yaml", "linked", "web/a.yaml"]);
    let b = mirror.find(&head, "apps/b.yaml").unwrap().unwrap();
    assert_eq!(mirror.blob(b.id).unwrap(), b"b");
    let big = mirror.find(&head, "big.yaml").unwrap().unwrap();
    assert!(matches!(mirror.blob(big.id), Err(Error::TooLarge { .. })));

    let grep = |commit: &CommitId, path: &str| -> Vec<String> {
        mirror
            .grep(commit, path, |name| name.ends_with(".yaml"), b"$x")
            .unwrap()
            .into_iter()
            .map(|found| found.path)
            .collect()
    };
    assert_eq!(grep(&head, ""), ["apps/web/a.yaml"]);
    server.commit(&[("apps/b.yaml", "$x"), ("apps/c.txt", "$x")]);
    let next = refresh(&server, &mirror).await;
    assert_eq!(grep(&next, "apps"), ["apps/b.yaml", "apps/web/a.yaml"]);
    assert_eq!(
        (grep(&next, "apps/b.yaml"), grep(&next, "apps/linked"), grep(&next, "no")),
        (vec!["apps/b.yaml".into()], vec![], vec![])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_many_files_is_one_pack() {
    let paths: Vec<String> = (0..50).map(|n| format!("apps/{}/{n}.yaml", n % 7)).collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "old")).collect();
    let server = Server::start(&files).await;
    let mirror = open(&server);
    let head = refresh(&server, &mirror).await;
    let mut new = bump(&head, &paths[0], "0");
    new.files = paths.iter().enumerate().map(|(n, path)| (path.clone(), n.to_string().into_bytes())).collect();
    let made = mirror.commit(new.clone()).unwrap();
    assert_eq!(mirror.commit(new), Ok(made.clone()), "the same input is the same commit");
    let counts = git(&mirror.inner.path, &["count-objects", "-v"]);
    assert!(counts.starts_with("count: 0\n"), "no loose objects: {counts}");
    assert_eq!(mirror.push(&server.remote(), "main", Some(&head), &made).await, Ok(Pushed::Done));
    git(&server.bare(), &["fsck", "--strict"]);
    for (n, path) in paths.iter().enumerate() {
        assert_eq!(git(&server.bare(), &["show", &format!("main:{path}")]), n.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_changes_one_blob_and_nothing_else() {
    let server = Server::start(&[("apps/a.yaml", "1"), ("apps/b.yaml", "b"), ("run.sh", "1")]).await;
    link("apps/a.yaml", &server.work().join("link.yaml"));
    link("apps", &server.work().join("linked"));
    git(&server.work(), &["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", "a".repeat(40))]);
    git(&server.work(), &["update-index", "--chmod=+x", "run.sh"]);
    git(&server.work(), &["add", "link.yaml", "linked"]);
    server.commit_index();
    let mirror = open(&server);
    let head = refresh(&server, &mirror).await;
    server.seen();

    let mut new = bump(&head, "apps/a.yaml", "2");
    new.files.extend([("./run.sh".to_owned(), b"2".to_vec()), ("apps/new/c.yaml".to_owned(), b"c".to_vec())]);
    let made = mirror.commit(new.clone()).unwrap();
    assert_eq!(mirror.commit(new), Ok(made.clone()), "the same input is the same commit");
    assert_eq!(mirror.push(&server.remote(), "main", Some(&head), &made).await, Ok(Pushed::Done));
    assert_eq!(requests(&server), [PUSH]);
    let raw = git(&server.bare(), &["diff-tree", "-r", "--no-abbrev", head.as_str(), "main"]);
    let modes: Vec<(&str, &str)> = raw.lines().map(|line| (&line[1..14], line.rsplit('\t').next().unwrap())).collect();
    assert_eq!(
        modes,
        [("100644 100644", "apps/a.yaml"), ("000000 100644", "apps/new/c.yaml"), ("100755 100755", "run.sh")]
    );
    let text = git(&server.bare(), &["cat-file", "commit", "main"]);
    let who = "tagboat <tagboat@example.com> 1800000000 +0000";
    assert!(text.ends_with(&format!("parent {head}\nauthor {who}\ncommitter {who}\n\nbump")), "{text}");
    git(&server.bare(), &["fsck", "--strict"]);

    for path in ["link.yaml", "linked/a.yaml", "sub", "apps", "", "../x", ".git/config", "apps/.GIT/x", "a/../../b"] {
        let refused = mirror.commit(bump(&head, path, "x"));
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{path:?}: {refused:?}");
    }
    let nobody = NewCommit { author: Person { name: "<".into(), email: String::new() }, ..bump(&head, "x", "x") };
    assert!(matches!(mirror.commit(nobody), Err(Error::Invalid { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_racing_pushes_one_wins() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let (remote, left, right) = (server.remote(), bump(&head, "a.yaml", "2"), bump(&head, "a.yaml", "3"));
    let (left, right) = (mirror.commit(left).unwrap(), mirror.commit(right).unwrap());
    let other = Mirror::open(server.folder.path(), "other").unwrap();
    other.fetch(&remote, "main", &head, Reach::History).await.unwrap();
    assert_eq!(other.commit(bump(&head, "a.yaml", "3")), Ok(right.clone()), "built twice, the same commit");
    let (a, b) = tokio::join!(
        mirror.push(&remote, "main", Some(&head), &left),
        other.push(&remote, "main", Some(&head), &right)
    );
    let mut both = [a.unwrap(), b.unwrap()];
    both.sort_by_key(|pushed| *pushed == Pushed::Moved);
    assert_eq!(both, [Pushed::Done, Pushed::Moved]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_landed_before_is_done() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let made = mirror.commit(bump(&head, "a.yaml", "2")).unwrap();
    server.fault(Faults { lose_push_reply: true, ..Faults::default() });
    server.seen();
    assert_eq!(mirror.push(&server.remote(), "main", Some(&head), &made).await, Ok(Pushed::Done));
    assert_eq!(requests(&server), [PUSH, HEAD], "the reply was lost, so the head was asked for");
    assert_eq!(mirror.push(&server.remote(), "main", Some(&head), &made).await, Ok(Pushed::Done), "a replay");
    server.commit(&[("a.yaml", "4")]);
    assert_eq!(mirror.push(&server.remote(), "main", Some(&head), &made).await, Ok(Pushed::Moved));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_branch_is_made_replaced_and_guarded() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let remote = server.remote();
    let (first, second) =
        (mirror.commit(bump(&head, "a.yaml", "2")).unwrap(), mirror.commit(bump(&head, "a.yaml", "3")).unwrap());
    assert_eq!(mirror.push(&remote, "bot/x", None, &first).await, Ok(Pushed::Done));
    assert_eq!(mirror.push(&remote, "bot/x", None, &second).await, Ok(Pushed::Moved), "it exists");
    assert_eq!(mirror.push(&remote, "bot/x", Some(&first), &second).await, Ok(Pushed::Done), "no fast-forward");
    assert_eq!(mirror.head(&remote, "bot/x").await, Ok(second.clone()));
    assert_eq!(mirror.push(&remote, "gone", Some(&first), &second).await, Ok(Pushed::Moved), "it does not exist");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_is_deleted_only_as_it_was_read() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let made = mirror.commit(bump(&head, "a.yaml", "2")).unwrap();
    let folder = Remote { url: format!("file://{}", server.bare().display()), ..server.remote() };
    for remote in [server.remote(), folder] {
        assert_eq!(mirror.push(&remote, "bot/x", None, &made).await, Ok(Pushed::Done));
        assert_eq!(mirror.delete(&remote, "bot/x", &head).await, Ok(Pushed::Moved), "it is elsewhere");
        assert_eq!(mirror.head(&remote, "bot/x").await, Ok(made.clone()));
        assert_eq!(mirror.delete(&remote, "bot/x", &made).await, Ok(Pushed::Done));
        assert!(matches!(mirror.head(&remote, "bot/x").await, Err(Error::BranchNotFound { .. })));
        assert_eq!(mirror.delete(&remote, "bot/x", &made).await, Ok(Pushed::Done), "it is gone");
    }
    assert_eq!(mirror.push(&server.remote(), "bot/x", None, &made).await, Ok(Pushed::Done), "and can be made anew");
    server.hook("echo 'branches stay' >&2; exit 1");
    let refused = mirror.delete(&server.remote(), "bot/x", &made).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected { .. }) && refused.to_string().contains("branches stay"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_whose_branch_was_deleted_can_be_made_again() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let made = mirror.commit(bump(&head, "a.yaml", "2")).unwrap();
    assert_eq!(mirror.push(&server.remote(), "bot", None, &made).await, Ok(Pushed::Done));
    git(&server.bare(), &["update-ref", "-d", "refs/heads/bot"]);
    git(&server.bare(), &["gc", "-q", "--prune=now"]);
    assert_eq!(
        mirror.push(&server.remote(), "bot", None, &made).await,
        Ok(Pushed::Done),
        "the host had forgotten its objects"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_quoted() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    server.hook("echo 'no deploys on Friday' >&2; exit 1");
    let made = mirror.commit(bump(&head, "a.yaml", "2")).unwrap();
    let refused = mirror.push(&server.remote(), "main", Some(&head), &made).await.unwrap_err();
    assert_eq!(refused, Error::Rejected { message: "no deploys on Friday: pre-receive hook declined".into() });
    assert!(refused.needs_user());
    let wrong = Remote { auth: Auth::None, ..server.remote() };
    assert_eq!(mirror.push(&wrong, "main", Some(&head), &made).await, Err(Error::Authentication { status: 401 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_mirror_is_rebuilt() {
    let World { server, mirror, head } = world(&[("apps/a.yaml", "1")]).await;
    let path = mirror.inner.path.clone();
    drop(mirror);
    let damages: [fn(&Path); 4] = [
        |path| write(&path.join("HEAD"), b"garbage"),
        |path| write(&path.join("refs/tagboat/main.lock"), b""),
        |path| remove(&path.join("objects")),
        |path| remove(&path.join("objects/pack")),
    ];
    for damage in damages {
        damage(&path);
        let mirror = open(&server);
        mirror.fetch(&server.remote(), "main", &head, Reach::History).await.unwrap();
        assert!(mirror.find(&head, "apps/a.yaml").unwrap().is_some());
    }
    // Damage that shows only while it runs: a read fails, the next fetch heals.
    let mirror = open(&server);
    let tree = mirror.commit_info(&head).unwrap().tree;
    let next = id(&server.commit(&[("apps/a.yaml", "2")]));
    remove(&path.join("objects/pack"));
    assert!(matches!(mirror.list(git2::Oid::from_str(next.as_str()).unwrap()), Err(Error::Storage { .. })));
    mirror.fetch(&server.remote(), "main", &next, Reach::History).await.unwrap();
    assert_eq!(mirror.list(tree).unwrap().len(), 1);
    assert_eq!(mirror.grep(&next, "", |_| true, b"2").unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_fetches_keep_few_packs() {
    let World { server, mirror, .. } = world(&[("a.yaml", "0")]).await;
    let commits: Vec<CommitId> = (1..=60).map(|n| id(&server.commit_only(&[("a.yaml", &n.to_string())]))).collect();
    git(&server.work(), &["push", "-q", "../fleet.git", "HEAD:main"]);
    for commit in &commits {
        mirror.fetch(&server.remote(), "main", commit, Reach::History).await.unwrap();
    }
    assert!(files_in(&mirror.inner.path.join("objects/pack")) < 40);
    let a = mirror.find(&commits[59], "a.yaml").unwrap().unwrap();
    assert_eq!(mirror.blob(a.id).unwrap(), b"60");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_url_works_too() {
    let server = Server::start(&[("a.yaml", "1")]).await;
    let mirror = open(&server);
    let remote = Remote { url: format!("file://{}", server.bare().display()), auth: Auth::None, ..server.remote() };
    assert_eq!(mirror.head(&remote, "none").await, Err(Error::BranchNotFound { branch: "none".into() }));
    let head = mirror.head(&remote, "main").await.unwrap();
    mirror.fetch(&remote, "main", &head, Reach::History).await.unwrap();
    let (left, right) =
        (mirror.commit(bump(&head, "a.yaml", "2")).unwrap(), mirror.commit(bump(&head, "a.yaml", "3")).unwrap());
    assert_eq!(mirror.push(&remote, "main", Some(&head), &left).await, Ok(Pushed::Done));
    assert_eq!(mirror.push(&remote, "main", Some(&head), &left).await, Ok(Pushed::Done), "a replay");
    assert_eq!(mirror.push(&remote, "main", Some(&head), &right).await, Ok(Pushed::Moved));
    assert_eq!(mirror.push(&remote, "new", None, &right).await, Ok(Pushed::Done));
    assert_eq!(mirror.push(&remote, "new", None, &left).await, Ok(Pushed::Moved));
    git(&server.bare(), &["fsck", "--strict"]);
    let none = Remote { url: format!("file://{}/none", server.folder.path().display()), ..remote };
    assert_eq!(mirror.head(&none, "main").await, Err(Error::RepositoryNotFound));
}
