//! A Git host by HTTPS whose authority nobody knows, that wants a client certificate, behind a proxy that wants a password.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, ImageUpdate};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::says;
use crate::private::{pem, proxy};
use crate::setup::*;
use crate::support::world::World;

pub async fn by_certificate_and_proxy(world: World) {
    world.push("app", &["1.0.0", "1.1.0"]).await;
    let repo = world.repo("fleet", &[("app.yaml", &marked(&world, "app", "1.0.0"))]);
    let behind = world.git.url.trim_start_matches("http://").to_owned();
    let host = front(behind.clone()).await;
    let url = repo.url.replace(&world.git.url, &format!("https://{host}"));
    let login = json!({"username": world.git.username, "password": world.git.password});
    let with = |more: Value| {
        let mut all = login.clone();
        all.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        all
    };
    let (ca, client) =
        (json!({"ca.crt": pem("ca.crt")}), json!({"tls.crt": pem("client.crt"), "tls.key": pem("client.key")}));
    world.secret("plain", "Opaque", login.clone()).await;
    world.secret("strange", "Opaque", with(json!({"ca.crt": pem("other-ca.crt")}))).await;
    world.secret("ca", "Opaque", with(ca.clone())).await;
    world.secret("half", "Opaque", with(json!({"ca.crt": pem("ca.crt"), "tls.crt": pem("client.crt")}))).await;
    let mut both = with(ca);
    both.as_object_mut().unwrap().extend(client.as_object().cloned().unwrap());
    world.secret("client", "Opaque", both).await;
    let (address, tunnels) = proxy().await;
    let proxy = |password: &str| json!({"address": address, "username": "ferry", "password": password});
    world.secret("wrong-proxy", "Opaque", proxy("row-9")).await;
    world.secret("proxy", "Opaque", proxy("row-4")).await;

    let tagboat = world.tagboat().await;
    let fleet = async |secret: &str, more: &str| {
        let spec = format!("{{url: '{url}', interval: 1s, secretRef: {{name: {secret}}}{more}}}");
        apply(&world, "ConfigRepo", "fleet", &spec).await;
    };
    for secret in ["plain", "strange"] {
        fleet(secret, "").await;
        let unknown: ConfigRepo = ready(&world, "fleet", "False", Reason::GitOperationFailed).await;
        assert!(message(&unknown).contains("certificate"), "{}", message(&unknown));
    }
    fleet("half", "").await;
    let half: ConfigRepo = ready(&world, "fleet", "False", Reason::InvalidSecret).await;
    assert!(message(&half).contains("Secret half: tls.crt and tls.key belong together"), "{}", message(&half));
    fleet("ca", "").await;
    ready::<ConfigRepo>(&world, "fleet", "False", Reason::GitOperationFailed).await;
    assert_eq!(repo.requests().len(), 0, "nobody came through yet");
    fleet("client", ", proxySecretRef: {name: wrong-proxy}").await;
    let refused = says::<ConfigRepo>(&world, "fleet", "cannot be reached").await;
    assert_eq!(tunnels.load(Ordering::Relaxed), 0, "no way around the proxy: {refused}");
    fleet("client", ", proxySecretRef: {name: proxy}").await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    image_policy(&world, "app", "app", NEWEST).await;
    image_update(&world, "batchWindow: 10ms").await;
    in_git(&repo, "app.yaml", ":1.1.0 ").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    assert!(tunnels.load(Ordering::Relaxed) > 0);
    let log = tagboat.log();
    assert!(
        !log.contains("row-") && !log.contains("PRIVATE KEY") && !log.contains(world.git.password),
        "no secret in the log"
    );
}

/// TLS before a server, for who shows a certificate; its host and port.
pub async fn front(behind: String) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem("ca.crt").as_bytes()).unwrap()).unwrap();
    let config = ServerConfig::builder()
        .with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pem("server.crt").as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(pem("server.key").as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut from = acceptor.accept(stream).await?;
                let mut to = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    host
}
