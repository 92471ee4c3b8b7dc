//! Registries that are not open to all: pull secrets of a service account, an own certificate authority, client certificates,
//! and a proxy on the way.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tagboat::api::ImagePolicy;
use tagboat::api::condition::Reason;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::setup::*;
use crate::support::registry::{LOGIN, Registry};
use crate::support::world::World;
use crate::support::{checkout, private_registry, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("private: pull secrets of a service account", pull_secrets_of_a_service_account),
        trial("private: an own authority and a client certificate", an_own_authority_and_a_client_certificate),
        trial("private: a proxy with a password", a_proxy_with_a_password),
    ]
}

async fn pull_secrets_of_a_service_account(world: World) {
    let registry = private_registry().await;
    let repository = world.repository("app");
    registry.push(&repository, "1.0.0").await;
    world.registry_secret("elsewhere", "registry.example.com", ("who", "ever")).await;
    world.registry_secret("pull", &registry.host, LOGIN).await;
    let image = format!("{}/{repository}", registry.host);
    let spec = format!("{{image: '{image}', insecure: true, interval: 1s, serviceAccountName: puller, {NEWEST}}}");
    apply(&world, "ImagePolicy", "app", &spec).await;
    let _tagboat = world.tagboat().await;
    let missing = eventually_says(&world, "app", "puller").await;
    assert_eq!(latest(&missing), None);

    let account = |secrets: &str| {
        format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: puller}}\nimagePullSecrets: [{secrets}]\n")
    };
    world.apply_yaml(&account("")).await;
    ready::<ImagePolicy>(&world, "app", "False", Reason::RegistryAuthenticationFailed).await;
    // One that nobody made and one for another registry come before the right one.
    world.apply_yaml(&account("{name: nowhere}, {name: elsewhere}, {name: pull}")).await;
    request::<ImagePolicy>(&world, "app", "again").await;
    chosen(&world, "app", "1.0.0").await;
}

/// Waits until `Ready` is false and says this.
async fn eventually_says(world: &World, policy: &str, words: &str) -> ImagePolicy {
    let what = format!("{policy} says {words}");
    crate::support::wait::wait_for(&world.api::<ImagePolicy>(), policy, &what, SOON, |policy| {
        let ready = policy?.conditions().iter().find(|condition| condition.kind == "Ready")?;
        (ready.status == "False" && ready.message.contains(words)).then(|| policy.cloned())?
    })
    .await
}

fn certificate(name: &str) -> PathBuf {
    checkout("src/registry/tests/certs").join(name)
}

/// The text of a certificate or key that tests share.
pub fn pem(name: &str) -> String {
    std::fs::read_to_string(certificate(name)).unwrap()
}

/// A registry that speaks TLS, and passes on what the shared one has.
async fn tls_registry(world: &World, more: Value) -> Registry {
    let mut tls = json!({"certificate": certificate("server.crt"), "key": certificate("server.key")});
    tls.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let behind = format!("http://{}", world.registry.direct());
    let change = move |config: &mut Value| {
        config["http"]["tls"] = tls;
        config["proxy"] = json!({"remoteurl": behind});
    };
    Registry::start_with(&format!("{}-tls", world.namespace), change).await.unwrap_or_else(|reason| panic!("{reason}"))
}

async fn policy(world: &World, registry: &Registry, spec: &str) {
    let image = format!("{}/{}", registry.direct(), world.repository("app"));
    apply(world, "ImagePolicy", "app", &format!("{{image: '{image}', interval: 1s, {NEWEST}{spec}}}")).await;
}

async fn an_own_authority_and_a_client_certificate(world: World) {
    world.push("app", &["1.0.0"]).await;
    let registry = tls_registry(&world, json!({"clientcas": [certificate("ca.crt")]})).await;
    world.secret("strange", "Opaque", json!({"ca.crt": pem("other-ca.crt")})).await;
    world.secret("ca", "Opaque", json!({"ca.crt": pem("ca.crt")})).await;
    let both = json!({"ca.crt": pem("ca.crt"), "tls.crt": pem("client.crt"), "tls.key": pem("client.key")});
    world.secret("client", "Opaque", both).await;
    world.secret("half", "Opaque", json!({"ca.crt": pem("ca.crt"), "tls.crt": pem("client.crt")})).await;

    let tagboat = world.tagboat().await;
    policy(&world, &registry, "").await;
    let unknown: ImagePolicy = ready(&world, "app", "False", Reason::ScanFailed).await;
    assert!(message(&unknown).contains("certificate"), "{}", message(&unknown));
    policy(&world, &registry, ", certSecretRef: {name: strange}").await;
    let unknown: ImagePolicy = ready(&world, "app", "False", Reason::ScanFailed).await;
    assert!(message(&unknown).contains("certificate"), "{}", message(&unknown));
    policy(&world, &registry, ", certSecretRef: {name: half}").await;
    let half: ImagePolicy = ready(&world, "app", "False", Reason::InvalidSecret).await;
    assert!(message(&half).contains("half") && message(&half).contains("tls.key"), "{}", message(&half));
    policy(&world, &registry, ", certSecretRef: {name: ca}").await;
    let unproved: ImagePolicy = ready(&world, "app", "False", Reason::ScanFailed).await;
    assert_eq!(latest(&unproved), None);
    policy(&world, &registry, ", certSecretRef: {name: client}").await;
    chosen(&world, "app", "1.0.0").await;
    assert!(!tagboat.log().contains("PRIVATE KEY"));
}

async fn a_proxy_with_a_password(world: World) {
    world.push("app", &["1.0.0"]).await;
    let registry = tls_registry(&world, json!({})).await;
    world.secret("ca", "Opaque", json!({"ca.crt": pem("ca.crt")})).await;
    let (address, tunnels) = proxy().await;
    let secret = |password: &str| json!({"address": address, "username": "ferry", "password": password});
    world.secret("wrong", "Opaque", secret("row-9")).await;
    world.secret("right", "Opaque", secret("row-4")).await;
    let tagboat = world.tagboat().await;
    policy(&world, &registry, ", certSecretRef: {name: ca}, proxySecretRef: {name: wrong}").await;
    let refused = eventually_says(&world, "app", &registry.direct()).await;
    assert_eq!((latest(&refused), tunnels.load(Ordering::Relaxed)), (None, 0), "no way around the proxy");
    assert!(!message(&refused).contains("row-9"), "{}", message(&refused));
    policy(&world, &registry, ", certSecretRef: {name: ca}, proxySecretRef: {name: right}").await;
    chosen(&world, "app", "1.0.0").await;
    assert!(tunnels.load(Ordering::Relaxed) > 0);
    assert!(!tagboat.log().contains("row-"), "no secret in the log");
}

/// A proxy that makes tunnels for who knows `ferry:row-4`; its address, and how many it made.
pub async fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let tunnels = Arc::new(AtomicUsize::new(0));
    let made = tunnels.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(tunnel(stream, made.clone()));
        }
    });
    (address, tunnels)
}

async fn tunnel(stream: TcpStream, made: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut target, mut is_known, mut line) = (None, false, String::new());
    while stream.read_line(&mut line).await? > 2 {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["CONNECT", to, _] => target = Some((*to).to_owned()),
            [name, "Basic", login] if name.eq_ignore_ascii_case("proxy-authorization:") => {
                is_known = *login == "ZmVycnk6cm93LTQ="; // ferry:row-4
            }
            _ => {}
        }
        line.clear();
    }
    let Some(target) = target.filter(|_| is_known) else {
        return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
    };
    made.fetch_add(1, Ordering::Relaxed);
    let mut to = TcpStream::connect(target).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut stream, &mut to).await.map(drop)
}
