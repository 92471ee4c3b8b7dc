//! A loop with one object that makes its flow panic and one that can't be read, against an API server of our own.
#![expect(clippy::disallowed_methods, reason = "the loop runs in the background")]

use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::tool::Programs;

const PLACE: &str = "/apis/tagboat.dev/v1alpha1/imagepolicies";

/// Serves a list of ImagePolicies, and remembers what was written.
#[derive(Clone, Default)]
struct Server {
    written: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Server {
    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        if query.contains("watch=true") {
            return std::future::pending().await;
        }
        let answer = match parts.method {
            Method::GET if path == PLACE => {
                json!({"kind": "ImagePolicyList", "apiVersion": "tagboat.dev/v1alpha1", "metadata": {"resourceVersion": "9"},
                    "items": [policy("bad", json!({})), policy("odd", json!({"interval": 5})), policy("good", json!({}))]})
            }
            Method::GET => return Ok(reply(StatusCode::NOT_FOUND, &json!({}))),
            _ => {
                let body: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap();
                self.written.lock().unwrap().push((path.clone(), body.clone()));
                if path.contains("/events") { body } else { policy("bad", json!({})) }
            }
        };
        Ok(reply(StatusCode::OK, &answer))
    }

    /// What was written at paths that end so.
    fn at(&self, end: &str) -> Vec<Value> {
        let written = self.written.lock().unwrap();
        written.iter().filter(|(path, _)| path.ends_with(end)).map(|(_, body)| body.clone()).collect()
    }
}

fn reply(code: StatusCode, body: &Value) -> Response<Body> {
    Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()
}

fn policy(name: &str, more: Value) -> Value {
    let mut policy = json!({"apiVersion": "tagboat.dev/v1alpha1", "kind": "ImagePolicy",
        "metadata": {"name": name, "namespace": "web", "uid": name, "resourceVersion": "8", "generation": 1},
        "spec": {"image": "example.com/app", "policy": {"semver": {"range": "*"}}}});
    policy["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

fn options() -> Options {
    let programs = Programs { kustomize: "kustomize".into(), helm: "helm".into() };
    Options {
        kubeconfig: None,
        namespace: None,
        listen: ([127, 0, 0, 1], 0).into(),
        concurrency: 1,
        election: None,
        cloud: Environment::default(),
        google_keys: String::new(),
        settings: Settings {
            data_dir: PathBuf::new(),
            allow_file_urls: false,
            default_service_account: None,
            programs,
            namespace: None,
        },
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        crate::clock::pause(Duration::from_millis(10)).await;
    }
    panic!("never came: {what}");
}

#[test]
fn an_object_whose_run_panics_stops_no_other() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::default();
        let answering = server.clone();
        let client =
            Client::new(tower::service_fn(move |request| answering.clone().answer(request)), "default".to_owned());
        let (jobs, mut spawned) = mpsc::unbounded_channel();
        let cluster = Cluster::new(client);
        let flows = Flows::new(&cluster, None, 1, &jobs);
        let (_start, started) = watch::channel(true);
        let context = Arc::new(context(cluster, &flows, &options(), jobs, started));
        let (wake, listed) = (flows.policies.wake.clone(), watch::Sender::new(0));
        let (panics, runs) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let counters = (panics.clone(), runs.clone());
        let flow = move |policy: Arc<ImagePolicy>, _: Arc<Context>| {
            let (panics, runs) = counters.clone();
            async move {
                if policy.name_any() == "bad" {
                    panics.fetch_add(1, Ordering::Relaxed);
                    let word = "sesame".to_owned();
                    panic!("it holds {word}");
                }
                runs.fetch_add(1, Ordering::Relaxed);
                Action::await_change()
            }
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(flows.policies.run(context.clone(), stop.clone(), listed.clone(), flow));
        tokio::spawn(async move {
            while let Some(job) = spawned.recv().await {
                job.await;
            }
        });

        until("its status", || !server.at("/bad/status").is_empty()).await;
        until("its event", || !server.at("/namespaces/web/events").is_empty()).await;
        let told = server.at("/bad/status")[0].clone();
        let ready = &told["status"]["conditions"][0];
        let facts = [("type", "Ready"), ("status", "False"), ("reason", "InternalError")];
        facts.iter().for_each(|(field, value)| assert_eq!(ready[field], *value, "{told}"));
        assert_eq!(server.at("/namespaces/web/events")[0]["reason"], "InternalError");
        assert!(!format!("{:?}", server.written.lock().unwrap()).contains("sesame"), "what it held is not told");
        assert_eq!(*listed.borrow(), 1, "one that can't be read hides none of its kind");
        until("the one that can't be read is told", || !server.at("/odd/status").is_empty()).await;
        let told = server.at("/odd/status")[0].to_string();
        assert!(told.contains("InvalidSpec") && told.contains("can't be read"), "{told}");

        // Whatever wakes it meanwhile; and the only worker is free for others.
        for round in 2..20 {
            let named = |name: &str| ObjectRef::new(name).within("web");
            wake.send(named("bad")).unwrap();
            wake.send(named("odd")).unwrap();
            wake.send(named("good")).unwrap();
            until("the other one runs", || runs.load(Ordering::Relaxed) >= round).await;
        }
        assert_eq!(panics.load(Ordering::Relaxed), 1, "it waits");
        until("another try", || panics.load(Ordering::Relaxed) == 2).await;
        until("it is counted", || {
            let text = context.metrics.text(&context.hooks.counts(), 0, context.stores.suspended());
            text.contains("reconciles_total{kind=\"ImagePolicy\",outcome=\"InternalError\"} 2")
        })
        .await;
        assert_eq!(server.at("/bad/status").len(), 1, "told once");
        assert_eq!(context.pulse.stuck(crate::clock::now().steady, Duration::from_secs(5)), None);
        stop.cancel();
        running.await.unwrap();
    });
}
