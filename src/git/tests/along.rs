//! What goes along with a push, on the real Git server program.

use super::server::{Server, git};
use super::{PUSH, World, bump, requests, world};
use crate::git::{Along, Error, Pushed, Second};

const GET: &str = "GET info/refs?service=git-receive-pack";

fn options(options: &[&str]) -> Along {
    Along { options: options.iter().map(|option| (*option).to_owned()).collect(), second: None }
}

fn second(name: &str, may_go_back: bool) -> Along {
    Along { options: Vec::new(), second: Some(Second { name: name.to_owned(), may_go_back }) }
}

fn allow_options(server: &Server) {
    git(&server.bare(), &["config", "receive.advertisePushOptions", "true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_reach_the_hook_of_a_host_that_takes_them() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let remote = server.remote();
    let along = options(&["topic=bumps", "ci.skip"]);
    let made = mirror.commit(bump(&head, "a.yaml", "2")).unwrap();
    let refused = mirror.push_along(&remote, "main", (Some(&head), &made), &along).await.unwrap_err();
    assert!(matches!(&refused, Error::Rejected { message } if message.contains("takes no push options")), "{refused}");

    allow_options(&server);
    server.hook(
        r#"test "$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0 $GIT_PUSH_OPTION_1" = '2 topic=bumps ci.skip' || exit 1"#,
    );
    requests(&server);
    assert_eq!(mirror.push_along(&remote, "main", (Some(&head), &made), &along).await, Ok(Pushed::Done));
    assert_eq!(requests(&server), [GET, PUSH], "asked once, pushed once");
    assert_eq!(mirror.head(&remote, "main").await, Ok(made));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ref_moves_with_the_branch_or_neither_does() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let remote = server.remote();
    let along = second("refs/heads/mirror", false);
    let at = |name: &str| git(&server.bare(), &["for-each-ref", "--format=%(objectname)", name]);
    let first = mirror.commit(bump(&head, "a.yaml", "2")).unwrap();
    requests(&server);
    assert_eq!(mirror.push_along(&remote, "main", (Some(&head), &first), &along).await, Ok(Pushed::Done));
    assert_eq!(requests(&server), [GET, PUSH], "both in one push");
    assert_eq!((at("refs/heads/main"), at("refs/heads/mirror")), (first.to_string(), first.to_string()));

    let next = mirror.commit(bump(&first, "a.yaml", "3")).unwrap();
    assert_eq!(mirror.push_along(&remote, "main", (Some(&first), &next), &along).await, Ok(Pushed::Done), "forward");
    assert_eq!(at("refs/heads/mirror"), next.to_string());

    // Somebody else's branch is not overwritten, and the bump waits for that to be settled.
    git(&server.work(), &["commit", "-q", "--allow-empty", "-m", "elsewhere"]);
    git(&server.work(), &["push", "-q", "--force", "../fleet.git", "HEAD:mirror"]);
    let elsewhere = at("refs/heads/mirror");
    let last = mirror.commit(bump(&next, "a.yaml", "4")).unwrap();
    let refused = mirror.push_along(&remote, "main", (Some(&next), &last), &along).await.unwrap_err();
    assert!(refused.to_string().contains("write + before spec.push.refspec"), "{refused}");
    assert_eq!((at("refs/heads/main"), at("refs/heads/mirror")), (next.to_string(), elsewhere));
    let along = second("refs/heads/mirror", true);
    assert_eq!(mirror.push_along(&remote, "main", (Some(&next), &last), &along).await, Ok(Pushed::Done));
    assert_eq!((at("refs/heads/main"), at("refs/heads/mirror")), (last.to_string(), last.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_moved_leaves_the_second_ref_alone() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    let remote = server.remote();
    let along = second("refs/tags/live", true);
    let made = mirror.commit(bump(&head, "a.yaml", "2")).unwrap();
    server.commit(&[("b.yaml", "1")]);
    assert_eq!(mirror.push_along(&remote, "main", (Some(&head), &made), &along).await, Ok(Pushed::Moved));
    assert_eq!(git(&server.bare(), &["for-each-ref", "refs/tags"]), "");
    for name in ["refs/heads/a..b", "main", "refs/x\ny", "refs/heads/*"] {
        let refused = mirror.push_along(&remote, "main", (Some(&head), &made), &second(name, true)).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid { .. }), "{name:?}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ref_that_a_hook_refuses_holds_the_branch() {
    let World { server, mirror, head } = world(&[("a.yaml", "1")]).await;
    server.hook(
        "while read -r old new ref; do test \"$ref\" = refs/heads/main || { echo \"no $ref\" >&2; exit 1; }; done",
    );
    let made = mirror.commit(bump(&head, "a.yaml", "2")).unwrap();
    let along = second("refs/heads/mirror", false);
    let refused = mirror.push_along(&server.remote(), "main", (Some(&head), &made), &along).await.unwrap_err();
    assert!(refused.to_string().contains("no refs/heads/mirror"), "{refused}");
    assert_eq!(mirror.head(&server.remote(), "main").await, Ok(head));
}
