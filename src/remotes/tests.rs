//! What is shared by whom, and who has to wait.

use super::*;

fn kubeconfig(token: &str) -> Kubeconfig {
    let text = format!(
        "{{current-context: c, contexts: [{{name: c, context: {{cluster: a, user: u}}}}], \
         clusters: [{{name: a, cluster: {{server: 'https://127.0.0.1:1'}}}}], users: [{{name: u, user: {{token: {token}}}}}]}}"
    );
    Kubeconfig::read(text.as_bytes()).unwrap()
}

fn user(name: &str) -> Owner {
    ("web".to_owned(), name.to_owned())
}

type Woken = mpsc::UnboundedReceiver<ObjectRef<GitSync>>;

fn remotes(concurrency: u16) -> (Arc<Remotes>, mpsc::UnboundedReceiver<Job>, Woken) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ((jobs, started), (wake, woken)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    (Arc::new(Remotes::new(concurrency, jobs, wake)), started, woken)
}

#[tokio::test]
async fn a_kubeconfig_is_opened_once_and_closed_with_its_last_user() {
    let (remotes, mut started, _woken) = remotes(16);
    let a = remotes.enter(&kubeconfig("t1"), &user("a")).unwrap();
    let b = remotes.enter(&kubeconfig("t1"), &user("b")).unwrap();
    let other = remotes.enter(&kubeconfig("t2"), &user("a")).unwrap();
    assert_eq!(a.site(), b.site());
    assert_ne!(a.site(), other.site());
    assert_eq!(a.site().cluster(), other.site().cluster(), "one and the same cluster");
    let job = started.try_recv().unwrap();
    assert!(started.try_recv().is_ok() && started.try_recv().is_err(), "one job a kubeconfig");
    assert!(!remotes.leave(a.site(), &user("a")) && !remotes.leave(a.site(), &user("a")));
    assert!(remotes.leave(a.site(), &user("b")));
    job.await;
    assert_eq!(remotes.users(), [(other.site().clone(), user("a"))]);
}

#[tokio::test]
async fn one_cluster_takes_at_most_half_of_the_places() {
    let (remotes, _started, mut woken) = remotes(4);
    let names = ["a", "b", "c", "d"];
    let site = names.map(|name| remotes.enter(&kubeconfig("t"), &user(name)).unwrap())[0].site().clone();
    let first = remotes.place(&site, &user("a"));
    let second = remotes.place(&site, &user("b"));
    assert!(first.is_some() && second.is_some());
    assert!(remotes.place(&site, &user("c")).is_none() && remotes.place(&site, &user("d")).is_none());
    drop(first);
    assert_eq!(woken.try_recv().unwrap().name, "c");
    assert!(woken.try_recv().is_err(), "one place, one who is woken");
    let third = remotes.place(&site, &user("c"));
    drop((second, third));
    assert_eq!(woken.try_recv().unwrap().name, "d");
    let elsewhere = remotes.enter(&kubeconfig("other"), &user("e")).unwrap();
    assert!(remotes.place(elsewhere.site(), &user("e")).is_some());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_known_to_be_gone_until_nobody_uses_it() {
    let (remotes, mut started, mut woken) = remotes(4);
    let cluster = remotes.enter(&kubeconfig("t"), &user("a")).unwrap();
    let link = cluster.link().unwrap().clone();
    let job = started.try_recv().unwrap();
    let story = async {
        link.doubt();
        while link.broken().is_none() {
            tokio::task::yield_now().await;
        }
        assert!(woken.try_recv().is_err());
        remotes.leave(cluster.site(), &user("a"));
    };
    tokio::join!(job, story);
}

#[test]
fn what_is_said_of_a_secret() {
    let data = |key: &str, text: &str| Data::from([(key.to_owned(), text.as_bytes().to_vec())]);
    let text = "{contexts: [{name: c, context: {cluster: a, user: u}}], clusters: [{name: a, cluster: {server: 'https://a'}}], \
                users: [{name: u, user: {token: t}}]}";
    for (key, wanted) in [("value", None), ("value.yaml", None), ("mine", Some("mine"))] {
        assert!(read(Some(&data(key, text)), wanted, "Secret web/x").is_ok(), "{key}");
    }
    let cases = [
        (None, None, "Secret web/x does not exist"),
        (Some(data("config", text)), None, "has no key value or value.yaml: put the kubeconfig there, or name its key"),
        (Some(data("value", text)), Some("mine"), "has no key mine"),
        (Some(data("value", "canary")), None, "Secret web/x, key value: it is no kubeconfig"),
    ];
    for (data, key, expected) in cases {
        let said = read(data.as_ref(), key, "Secret web/x").unwrap_err().message;
        assert!(said.starts_with("spec.kubeConfig.secretRef: ") && said.contains(expected), "{said}");
        assert!(!said.contains("canary"));
    }
}
