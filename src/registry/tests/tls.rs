//! TLS against a real server: whom we trust, whom the server trusts, and what becomes of everything else.

#![expect(clippy::disallowed_methods, reason = "a server of its own on loopback, in a thread")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::image::Digest;
use crate::registry::content::blob;
use crate::registry::manifest::sha256;

/// A certificate and its key; of no use anywhere but here.
type Pair = (&'static [u8], &'static [u8]);

pub const CA: &[u8] = include_bytes!("certs/ca.crt");
pub const OTHER_CA: &[u8] = include_bytes!("certs/other-ca.crt");
const CLIENT: Pair = (include_bytes!("certs/client.crt"), include_bytes!("certs/client.key"));
const SERVER: Pair = (include_bytes!("certs/server.crt"), include_bytes!("certs/server.key"));
/// For another name.
const ELSEWHERE: Pair = (include_bytes!("certs/elsewhere.crt"), include_bytes!("certs/elsewhere.key"));
/// In 2020.
const EXPIRED: Pair = (include_bytes!("certs/expired.crt"), include_bytes!("certs/expired.key"));

/// A registry of one repository. Its thread ends with the test program.
struct Secure {
    host: String,
    /// How many of the requests came with a client certificate, and how many without.
    with: Arc<AtomicUsize>,
    without: Arc<AtomicUsize>,
}

impl Secure {
    /// Whether a client certificate is needed; an optional one is asked for all the same.
    fn start((cert, key): Pair, needs_client: bool, answer: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(CA).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
        let verifier = if needs_client { verifier } else { verifier.allow_unauthenticated() };
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(cert).unwrap().into_owned()],
                PrivateKeyDer::from_pem_slice(key).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (with, without) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counts, config, answer) = ((with.clone(), without.clone()), Arc::new(config), answer.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
                let _ = serve(&mut tls, &counts, &answer); // a client that breaks off is what some tests want
            }
        });
        Self { host, with, without }
    }

    fn counts(&self) -> (usize, usize) {
        (self.with.load(Ordering::SeqCst), self.without.load(Ordering::SeqCst))
    }
}

fn serve(
    tls: &mut StreamOwned<ServerConnection, TcpStream>,
    (with, without): &(Arc<AtomicUsize>, Arc<AtomicUsize>),
    answer: &str,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        tls.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let count = if tls.conn.peer_certificates().is_some() { with } else { without };
    count.fetch_add(1, Ordering::SeqCst);
    tls.write_all(answer.as_bytes())?;
    tls.conn.send_close_notify();
    tls.flush()
}

/// A proxy for one connection; gives the head of the request for it.
fn tunnel() -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut server = TcpStream::connect(head.split(' ').nth(1).unwrap()).unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut server, &mut client); // until one of them has enough
        head
    });
    (host, thread)
}

fn listing() -> String {
    let body = r#"{"name":"acme/app","tags":["a"]}"#;
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn by(host: &str, tls: Option<Tls>) -> Access {
    Access { tls, ..Access::new(format!("{host}/acme/app").parse().unwrap()) }
}

#[track_caller]
fn check_tls(server: Pair, needs_client: bool, tls: Option<Tls>, expected: Result<(), &str>) {
    let server = Secure::start(server, needs_client, &listing());
    let found = run(registry().tags(&by(&server.host, tls), FRESH, LONG));
    match (found, expected) {
        (Ok(tags), Ok(())) => assert_eq!(names(&tags), ["a"]),
        (Err(error), Err(part)) => {
            assert!(matches!(error, Error::Unreachable { .. }) && error.to_string().contains(part), "{error}");
            assert_eq!(server.counts(), (0, 0), "no request, and no second try without TLS");
        }
        (found, _) => panic!("{found:?}, expected {expected:?}"),
    }
}

fn trusting(ca: &[u8]) -> Option<Tls> {
    Some(Tls::new(Some(ca), None).unwrap())
}

#[test]
fn a_server_is_trusted_by_its_authority_and_name_and_date() {
    check_tls(SERVER, false, trusting(CA), Ok(()));
    check_tls(SERVER, false, trusting(&[OTHER_CA, b"\n", CA].concat()), Ok(()));
    check_tls(SERVER, false, trusting(OTHER_CA), Err("UnknownIssuer"));
    check_tls(SERVER, false, None, Err("UnknownIssuer"));
    check_tls(ELSEWHERE, false, trusting(CA), Err("not valid for name"));
    check_tls(EXPIRED, false, trusting(CA), Err("expired"));
}

#[test]
fn a_client_certificate_opens_what_needs_one() {
    check_tls(SERVER, true, Some(Tls::new(Some(CA), Some(CLIENT)).unwrap()), Ok(()));
    let server = Secure::start(SERVER, true, &listing());
    let error = run(registry().tags(&by(&server.host, trusting(CA)), FRESH, LONG)).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(server.counts(), (0, 0));
    // Issued by somebody whom the server doesn't know: itself.
    let stranger = Tls::new(Some(CA), Some(SERVER)).unwrap();
    assert!(run(registry().tags(&by(&server.host, Some(stranger)), FRESH, LONG)).is_err(), "no client's certificate");
}

#[test]
fn a_client_certificate_is_shown_to_the_registry_alone() {
    let content = b"stored elsewhere";
    let digest: Digest = sha256(content).parse().unwrap();
    let store = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
        content.len(),
        String::from_utf8_lossy(content)
    );
    let store = Secure::start(SERVER, false, &store);
    let away = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://{}/x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        store.host
    );
    let server = Secure::start(SERVER, false, &away);
    let access = by(&server.host, Some(Tls::new(Some(CA), Some(CLIENT)).unwrap()));
    let found = run(async {
        let (_, session) = registry().sessions.get(&access)?;
        blob(&session, &access.repository, &digest, 1000).await
    });
    assert_eq!(found.unwrap(), content);
    assert_eq!((server.counts(), store.counts()), ((1, 0), (0, 1)), "with and without a client certificate");
}

#[test]
fn a_proxy_sees_where_the_way_leads_and_nothing_else() {
    let server = Secure::start(SERVER, true, &listing());
    let (host, proxy) = tunnel();
    let tls = Some(Tls::new(Some(CA), Some(CLIENT)).unwrap());
    let way = Some(Proxy::new(&format!("http://{host}/"), Some("pu"), Some("pp")).unwrap());
    let credential = Some(Credential::password("u", "p"));
    let access = Access { proxy: way, credential, ..by(&server.host, tls) };
    assert_eq!(names(&run(registry().tags(&access, FRESH, LONG)).unwrap()), ["a"]);
    let head = proxy.join().unwrap();
    assert!(head.starts_with(&format!("CONNECT {} ", server.host)), "{head}");
    assert!(head.to_lowercase().contains("proxy-authorization: basic chu6cha="), "{head}");
    assert_eq!(server.counts(), (1, 0));
}

#[test]
fn what_is_no_certificate_or_key_is_told_without_showing_it() {
    type Case<'a> = (Option<&'a [u8]>, Option<Pair>, &'a str);
    let cases: [Case<'_>; 7] = [
        (Some(b""), None, "CA bundle holds no certificate"),
        (Some(b"canary"), None, "CA bundle holds no certificate"),
        (Some(b"-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n"), None, "CA bundle"),
        (None, Some((b"canary", CLIENT.1)), "client certificate holds no certificate"),
        (None, Some((CLIENT.0, b"canary")), "no unencrypted key"),
        (None, Some((CLIENT.0, SERVER.1)), "do not fit"),
        (Some(CLIENT.1), None, "CA bundle holds no certificate"),
    ];
    for (ca, identity, expected) in cases {
        let error = Tls::new(ca, identity).unwrap_err();
        assert!(error.contains(expected) && !error.contains("canary"), "{error} lacks {expected}");
    }
    let tls = Tls::new(Some(CA), Some(CLIENT)).unwrap();
    assert_eq!(format!("{tls:?}"), "Tls(hidden)");
    assert_eq!(tls, Tls::new(Some(CA), Some(CLIENT)).unwrap());
    assert_ne!(tls, Tls::new(Some(CA), None).unwrap());
    assert_ne!(tls, Tls::new(None, Some(CLIENT)).unwrap());
    assert_ne!(tls, Tls::new(Some(OTHER_CA), Some(CLIENT)).unwrap());
}

#[test]
fn a_proxy_that_is_none_is_told_without_showing_it() {
    for (address, expected) in [
        ("canary:3128", "no URL such as"),
        ("canary", "no URL such as"),
        ("socks5://canary", "no URL such as"),
        ("http://", "no URL such as"),
        ("http://canary/path", "has a path"),
    ] {
        let error = Proxy::new(address, None, Some("canary")).unwrap_err();
        assert!(error.contains(expected) && !error.contains("canary"), "{error} lacks {expected}");
    }
    let proxy = |user, password| Proxy::new("http://p.example.com:3128", user, password).unwrap();
    assert_eq!(format!("{:?}", proxy(Some("canary"), Some("canary"))), "Proxy(hidden)");
    assert_eq!(proxy(None, None), proxy(None, None));
    assert_ne!(proxy(Some("a"), None), proxy(None, None));
    assert_ne!(proxy(Some("a"), Some("b")), proxy(Some("ab"), Some("")));
}
