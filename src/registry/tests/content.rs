//! What a tag points at and what an image is: digests, missing manifests, platforms, creation times, and lies.

use std::sync::Arc;

use super::*;
use crate::image::Digest;
use crate::registry::manifest::sha256;

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Manifests and blobs by digest, and digests by tag, below `acme/app`.
#[derive(Debug, Default, Clone)]
pub struct Store {
    content: std::collections::BTreeMap<String, (&'static str, String)>,
}

impl Store {
    /// Adds content; returns its digest.
    pub fn add(&mut self, media_type: &'static str, body: impl ToString) -> String {
        let body = body.to_string();
        let digest = sha256(body.as_bytes());
        self.content.insert(digest.clone(), (media_type, body));
        digest
    }

    pub fn tag(&mut self, tag: &str, digest: &str) {
        let content = self.content[digest].clone();
        self.content.insert(tag.to_owned(), content);
    }

    /// Content that is not what its digest says.
    pub fn spoil(&mut self, digest: &str) {
        self.content.get_mut(digest).unwrap().1.push(' ');
    }

    pub fn remove(&mut self, digest: &str) {
        self.content.remove(digest);
    }

    pub fn image(&mut self, config: &serde_json::Value) -> String {
        let config = self.add(CONFIG, config);
        self.add(MANIFEST, serde_json::json!({"schemaVersion": 2, "config": {"mediaType": CONFIG, "digest": config}}))
    }

    pub fn answer(&self, asked: &Asked) -> Response {
        let name = asked.target.rsplit('/').next().unwrap();
        match self.content.get(name) {
            Some((media_type, body)) => {
                let digest = sha256(body.as_bytes());
                reply(200, &[("content-type", media_type), ("docker-content-digest", &digest)], body.clone())
            }
            None => unknown(404, "MANIFEST_UNKNOWN"),
        }
    }

    pub async fn serve(self) -> Server {
        Server::start(move |asked| self.answer(asked)).await
    }
}

pub fn unknown(status: u16, code: &str) -> Response {
    reply(status, &[], format!(r#"{{"errors":[{{"code":"{code}","message":"x"}}]}}"#))
}

/// The digest of the tag `v1`: the digest or a part of the error, and the methods it took.
#[track_caller]
fn check_digest(
    script: impl Fn(&Asked) -> Response + Send + Sync + 'static,
    expected: Result<&str, &str>,
    methods: &[&str],
) -> Option<Error> {
    let (found, asked) = run(async {
        let server = Server::start(script).await;
        let found = registry().digest(&access(&server, None), &"v1".parse().unwrap(), LONG).await;
        (found, server.asked())
    });
    assert_eq!(asked.iter().map(|asked| &*asked.method).collect::<Vec<_>>(), methods, "{found:?}");
    for asked in asked {
        let accept = asked.header("accept");
        assert!(matches!(&*asked.target, "/v2/acme/app/manifests/v1" | "/v2/"), "{}", asked.target);
        assert!(accept.contains(INDEX) && accept.contains(MANIFEST) && accept.contains("docker"), "{accept}");
    }
    match (found, expected) {
        (Ok(digest), Ok(expected)) => assert_eq!(digest.as_str(), expected),
        (Err(error), Err(part)) if error.to_string().contains(part) => return Some(error),
        (found, _) => panic!("{found:?}, expected {expected:?}"),
    }
    None
}

/// The SHA-256 of `{}`.
const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const OTHER: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn digested(digest: &str, body: &'static str) -> Response {
    reply(200, &[("docker-content-digest", digest), ("content-type", MANIFEST)], body)
}

#[test]
fn a_tags_digest_costs_a_head_and_is_checked() {
    check_digest(|_| digested(EMPTY, "{}"), Ok(EMPTY), &["HEAD"]);
    check_digest(|_| reply(200, &[], "{}"), Ok(EMPTY), &["HEAD", "GET"]);
    let no_head = |asked: &Asked| if asked.method == "HEAD" { reply(405, &[], "") } else { digested(EMPTY, "{}") };
    check_digest(no_head, Ok(EMPTY), &["HEAD", "GET"]);
    let sha512 = "sha512:27c74670adb75075fad058d5ceaf7b20c4e7786c83bae8a32f626f9782af34c9a33c2046ef60fd2a7878d378e29fec851806bbd9a67878f3a9f1cda4830763fd";
    let long = move |asked: &Asked| if asked.method == "HEAD" { reply(200, &[], "") } else { digested(sha512, "{}") };
    check_digest(long, Ok(sha512), &["HEAD", "GET"]);
    let lie = |asked: &Asked| if asked.method == "HEAD" { reply(200, &[], "") } else { digested(OTHER, "{}") };
    check_digest(lie, Err("is not what its digest"), &["HEAD", "GET"]);
    for text in ["", "sha256:", "sha256:xyz", "md5:d41d8cd98f00b204e9800998ecf8427e", "../../etc/passwd"] {
        check_digest(move |_| digested(text, "{}"), Err("holds no digest"), &["HEAD"]);
    }
    let html = |_: &Asked| reply(200, &[("content-type", "text/html")], "<html>");
    check_digest(html, Err("is there a login page or proxy?"), &["HEAD", "GET"]);
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let old = move |_: &Asked| reply(200, &[("content-type", old)], "{}");
    check_digest(old, Err("old schema 1"), &["HEAD", "GET"]);
    let large = |_: &Asked| reply(200, &[("content-type", MANIFEST)], vec![b' '; (4 << 20) + 1]);
    check_digest(large, Err("longer than 4194304 bytes"), &["HEAD", "GET"]);
}

#[test]
fn a_missing_tag_is_told_from_a_missing_repository() {
    let missing = |script: fn(&Asked) -> Response, part: &str, methods: &[&str]| {
        check_digest(script, Err(part), methods).unwrap().is_missing_manifest()
    };
    let both = ["HEAD", "GET"];
    assert!(missing(|_| unknown(404, "MANIFEST_UNKNOWN"), "has no manifest v1 in", &both));
    assert!(missing(|_| unknown(404, "NOT_FOUND"), "has no manifest v1 in", &both)); // Harbor
    assert!(missing(|_| reply(404, &[], ""), "has no manifest v1 in", &both));
    assert!(missing(|_| unknown(400, "MANIFEST_UNKNOWN"), "has no manifest v1 in", &both));
    assert!(!missing(|_| unknown(404, "NAME_UNKNOWN"), "has no repository", &both));
    assert!(!missing(|_| unknown(401, "UNAUTHORIZED"), "refused access", &["HEAD", "GET"]));
    assert!(!missing(|_| unknown(503, "UNAVAILABLE"), "answered 503", &["HEAD"]));
    assert!(!missing(|_| reply(429, &[], ""), "limits the rate", &["HEAD"]));
}

const CREATED: &str = "2026-11-24T12:00:00Z";

fn config(architecture: &str, created: &str) -> serde_json::Value {
    serde_json::json!({"os": "linux", "architecture": architecture, "created": created, "config": {}})
}

fn entry(digest: &str, os: &str, architecture: &str) -> serde_json::Value {
    serde_json::json!({"mediaType": MANIFEST, "digest": digest, "size": 2, "platform": {"os": os, "architecture": architecture}})
}

fn index(entries: &[serde_json::Value]) -> serde_json::Value {
    serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
}

/// The build of what a store holds at a digest: platforms and time, or a part of the error; and the number of requests.
#[track_caller]
fn check_build(store: Store, digest: &str, expected: Result<(&[&str], Option<&str>), &str>, requests: usize) {
    let (found, asked) = run(async {
        let server = store.serve().await;
        let registry = registry();
        let (access, digest) = (access(&server, None), digest.parse().unwrap());
        let found = registry.build(&access, &digest, LONG).await;
        if let Ok(build) = &found {
            let again: Arc<Build> = registry.build(&access, &digest, LONG).await.unwrap();
            assert!(Arc::ptr_eq(build, &again), "it never changes");
        }
        (found, server.asked().len())
    });
    match (found, expected) {
        (Ok(build), Ok((platforms, created))) => {
            assert_eq!(build.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(), platforms);
            assert_eq!(build.created, created.map(|text| text.parse().unwrap()));
        }
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error} lacks {part}"),
        (found, _) => panic!("{found:?}, expected {expected:?}"),
    }
    assert_eq!(asked, requests, "requests");
}

#[test]
fn an_image_tells_its_platforms_and_its_time() {
    let mut store = Store::default();
    let single = store.image(&config("amd64", CREATED));
    check_build(store.clone(), &single, Ok((&["linux/amd64"], Some(CREATED))), 2);
    let arm =
        serde_json::json!({"os": "linux", "architecture": "arm64", "variant": "v8", "created": "0001-01-01T00:00:00Z"});
    let arm = store.image(&arm);
    check_build(store.clone(), &arm, Ok((&["linux/arm64/v8"], None)), 2);

    let attestation = store.add(MANIFEST, "{}");
    let entries = [
        entry(&attestation, "unknown", "unknown"),
        entry(&single, "linux", "amd64"),
        entry(&arm, "linux", "arm64"),
        entry(&single, "linux", "amd64"),
    ];
    let many = store.add(INDEX, index(&entries));
    check_build(store.clone(), &many, Ok((&["linux/amd64", "linux/arm64"], Some(CREATED))), 3);
    let mut annotated = index(&entries);
    annotated["annotations"] = serde_json::json!({"org.opencontainers.image.created": "2026-01-02T03:04:05+01:00"});
    let annotated = store.add(INDEX, annotated);
    check_build(store.clone(), &annotated, Ok((&["linux/amd64", "linux/arm64"], Some("2026-01-02T02:04:05Z"))), 1);

    let unsaid = store.add(INDEX, index(&[serde_json::json!({"mediaType": MANIFEST, "digest": single})]));
    check_build(store.clone(), &unsaid, Ok((&["linux/amd64"], Some(CREATED))), 3);
    let nested = store.add(INDEX, index(&[serde_json::json!({"mediaType": INDEX, "digest": many})]));
    check_build(store.clone(), &nested, Ok((&["linux/amd64", "linux/arm64"], Some(CREATED))), 4);
    let deep = store.add(INDEX, index(&[serde_json::json!({"mediaType": INDEX, "digest": nested})]));
    check_build(store.clone(), &deep, Err("index of indexes"), 4);
    let empty = store.add(INDEX, index(&[]));
    check_build(store.clone(), &empty, Ok((&[], None)), 1);
    let chart =
        serde_json::json!({"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": EMPTY}});
    let chart = store.add(MANIFEST, chart);
    check_build(store, &chart, Ok((&[], None)), 1);
}

#[test]
fn an_image_that_is_not_whole_or_not_itself_is_an_error() {
    let mut store = Store::default();
    let config_digest = store.add(CONFIG, config("amd64", CREATED));
    let image = store.image(&config("amd64", CREATED));
    let mut spoilt = store.clone();
    spoilt.spoil(&image);
    check_build(spoilt, &image, Err("is not what its digest says"), 1);
    let mut spoilt = store.clone();
    spoilt.spoil(&config_digest);
    check_build(spoilt, &image, Err("is not what its digest says"), 2);
    let mut holed = store.clone();
    holed.remove(&config_digest);
    check_build(holed, &image, Err("has no blob sha256:"), 2);
    check_build(store.clone(), EMPTY, Err("has no manifest sha256:"), 1);
    for body in ["[]", "{", "<html>", r#"{"manifests":[{"digest":"../x"}]}"#, r#"{"config":{"digest":7}}"#] {
        let odd = store.add(MANIFEST, body);
        check_build(store.clone(), &odd, Err("can't be read"), 1);
    }
    let odd = store.image(&serde_json::json!({"created": 7}));
    check_build(store.clone(), &odd, Err("can't be read"), 2);
    let odd = store.image(&serde_json::json!({"os": "li\u{1b}nux", "architecture": "amd64", "created": "yesterday"}));
    check_build(store, &odd, Ok((&[], None)), 2);
}

#[test]
fn many_who_ask_for_a_build_at_once_share_it_and_callers_do_not() {
    run(async {
        let mut store = Store::default();
        let digest: Digest = store.image(&config("amd64", CREATED)).parse().unwrap();
        let server = store.serve().await;
        let (registry, access) = (registry(), access(&server, None));
        let all = futures::future::join_all((0..20).map(|_| registry.build(&access, &digest, LONG))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(registry.requests(), 2);
        let tenant = Access { credential: Some(Credential::password("a", "b")), ..access };
        registry.build(&tenant, &digest, LONG).await.unwrap();
        assert_eq!(registry.requests(), 4);
    });
}

/// A config that lies behind this address.
#[track_caller]
fn check_redirect(status: u16, location: impl Fn(&str, &str) -> String, expected: Result<(), &str>) {
    let found = run(async {
        let mut store = Store::default();
        let config_digest = store.add(CONFIG, config("amd64", CREATED));
        let digest = store.image(&config("amd64", CREATED));
        let storage = store.clone();
        let storage = Server::start(move |asked| {
            assert_eq!(asked.authorization(), None, "the storage service sees no credential");
            storage.answer(asked)
        });
        let storage = storage.await;
        let away = location(&storage.host, &config_digest);
        let script = move |asked: &Asked| match asked.authorization() {
            None => reply(401, &[("www-authenticate", "Basic realm=r")], ""),
            Some(_) if asked.target.contains("/blobs/") => reply(status, &[("location", &away)], ""),
            Some(_) => store.answer(asked),
        };
        let server = Server::start(script).await;
        let access = access(&server, Some(Credential::password("u", "p")));
        registry().build(&access, &digest.parse().unwrap(), LONG).await
    });
    match (found, expected) {
        (Ok(build), Ok(())) => assert_eq!(build.platforms.len(), 1),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error} lacks {part}"),
        (found, _) => panic!("{found:?}, expected {expected:?}"),
    }
}

#[test]
fn a_blob_may_lie_elsewhere_and_no_credential_follows() {
    for status in [301, 302, 303, 307, 308] {
        check_redirect(status, |host, digest| format!("http://{host}/bucket/{digest}"), Ok(()));
    }
    check_redirect(307, |_, _| "ftp://x.example.com/x".to_owned(), Err("neither http nor https"));
    check_redirect(307, |host, digest| format!("http://u:p@{host}/{digest}"), Err("holds credentials"));
    check_redirect(307, |_, _| String::new(), Err("more than 5 times"));
    check_redirect(307, |host, _| format!("http://{host}/gone"), Err("has no blob"));
    let to = |location: &str, registry: &str| {
        crate::registry::redirect::fits(&location.parse().unwrap(), &registry.parse().unwrap())
    };
    assert!(to("https://bucket.s3.example.com/x", "https://r.example.com/v2/").is_ok());
    assert!(to("http://bucket.s3.example.com/x", "https://r.example.com/v2/").is_err(), "never down to plain HTTP");
    assert!(to("http://169.254.169.254/latest", "http://r.example.com/v2/").is_err());
    assert!(to("https://localhost./x", "https://r.example.com/v2/").is_err());
}

#[test]
fn who_was_sent_away_comes_back_without_a_credential() {
    run(async {
        let mut store = Store::default();
        let digest = store.image(&config("amd64", CREATED));
        let storage = Server::start(|asked| {
            let (path, registry) = asked.target.split_once('?').unwrap();
            reply(307, &[("location", &format!("http://{registry}/back{path}"))], "")
        });
        let storage = storage.await;
        let away = storage.host.clone();
        let server = Server::start(move |asked| match asked.authorization() {
            None if asked.target.starts_with("/back/") => store.answer(asked),
            None => reply(401, &[("www-authenticate", "Basic realm=r")], ""),
            Some(_) => match asked.target.split_once("/blobs/") {
                Some((_, blob)) => {
                    reply(307, &[("location", &format!("http://{away}/{blob}?{}", asked.header("host")))], "")
                }
                None => store.answer(asked),
            },
        });
        let server = server.await;
        let access = access(&server, Some(Credential::password("u", "p")));
        registry().build(&access, &digest.parse().unwrap(), LONG).await.unwrap();
        let last = server.asked().pop().unwrap();
        assert!(last.target.starts_with("/back/") && last.authorization().is_none(), "{last:?}");
        assert_eq!(storage.asked().len(), 1);
    });
}
