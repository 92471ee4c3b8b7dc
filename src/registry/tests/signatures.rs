//! What cosign leaves: at a tag, in the list of referrers, at the list's fallback tag; and registries that know neither.

use super::content::{INDEX, MANIFEST, Store, unknown};
use super::*;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// An image, its store, and its digest.
fn image() -> (Store, String) {
    let mut store = Store::default();
    let digest = store.add(MANIFEST, "{}");
    (store, digest)
}

/// Signs by tag: a layer per signature.
fn sign(store: &mut Store, image: &str, signatures: &[&str]) {
    let mut layers = vec![serde_json::json!({"mediaType": "text/plain", "digest": image})];
    for signature in signatures {
        let payload = store.add(SIMPLE, format!("payload of {signature}"));
        let annotations = serde_json::json!({"dev.cosignproject.cosign/signature": signature, "dev.sigstore.cosign/certificate": "PEM", "dev.sigstore.cosign/bundle": "{}"});
        layers.push(serde_json::json!({"mediaType": SIMPLE, "digest": payload, "annotations": annotations}));
    }
    let manifest = store.add(MANIFEST, serde_json::json!({"layers": layers}));
    store.tag(&format!("{}.sig", image.replace(':', "-")), &manifest);
}

/// An index of bundles, with something else before them.
fn bundles(store: &mut Store, bundles: &[&str]) -> String {
    let sbom = store.add(MANIFEST, "{\"layers\":[]}");
    let mut entries = vec![serde_json::json!({"digest": sbom, "artifactType": "application/spdx+json"})];
    for bundle in bundles {
        let layer = store.add(BUNDLE, bundle);
        let manifest = store.add(MANIFEST, serde_json::json!({"layers": [{"mediaType": BUNDLE, "digest": layer}]}));
        entries.push(serde_json::json!({"mediaType": MANIFEST, "digest": manifest, "artifactType": BUNDLE}));
    }
    store.add(INDEX, serde_json::json!({"manifests": entries}))
}

/// In short: `simple` signatures by their text, bundles by theirs.
#[track_caller]
fn check(script: impl Fn(&Asked) -> Response + Send + Sync + 'static, image: &str, expected: Result<&[&str], &str>) {
    let found = run(async {
        let server = Server::start(script).await;
        registry().signatures(&access(&server, None), &image.parse().unwrap(), LONG).await
    });
    let short = |signed: &Signed| match signed {
        Signed::Simple { payload, signature, certificate, chain, bundle } => {
            assert_eq!(String::from_utf8_lossy(payload), format!("payload of {signature}"));
            assert_eq!((certificate.as_deref(), chain.as_deref(), bundle.as_deref()), (Some("PEM"), None, Some("{}")));
            signature.clone()
        }
        Signed::Bundle(body) => String::from_utf8_lossy(body).into_owned(),
    };
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found.iter().map(short).collect::<Vec<_>>(), expected),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error} lacks {part}"),
        (found, _) => panic!("{found:?}, expected {expected:?}"),
    }
}

/// A store whose list of referrers is answered by this.
fn with_referrers(store: Store, referrers: impl Fn() -> Response) -> impl Fn(&Asked) -> Response {
    move |asked| if asked.target.contains("/referrers/") { referrers() } else { store.answer(asked) }
}

#[test]
fn signatures_are_found_wherever_cosign_leaves_them() {
    let (mut store, image) = image();
    check(with_referrers(store.clone(), || reply(404, &[], "")), &image, Ok(&[]));
    sign(&mut store, &image, &["s1", "s2"]);
    check(with_referrers(store.clone(), || reply(404, &[], "")), &image, Ok(&["s1", "s2"]));
    let index = bundles(&mut store, &["b1", "b2"]);
    let list = store.clone();
    let listed = move || list.answer(&Asked { target: format!("/{index}"), ..Asked::default() });
    check(with_referrers(store.clone(), listed), &image, Ok(&["s1", "s2", "b1", "b2"]));
    let index = bundles(&mut store, &["b3"]);
    store.tag(&image.replace(':', "-"), &index);
    for status in [400, 403, 404, 405, 501] {
        check(with_referrers(store.clone(), move || reply(status, &[], "")), &image, Ok(&["s1", "s2", "b3"]));
    }
    let html = || reply(200, &[("content-type", "text/html")], "<html>");
    check(with_referrers(store, html), &image, Ok(&["s1", "s2", "b3"]));
}

#[test]
fn a_registry_that_fails_never_makes_an_image_look_unsigned() {
    let (store, image) = image();
    for (status, expected) in [(401, "refused access"), (403, "refused access"), (500, "answered 500"), (429, "rate")] {
        check(with_referrers(store.clone(), move || reply(status, &[], "")), &image, Err(expected));
    }
    check(with_referrers(store, || reply(200, &[("content-type", "text/html")], "x")), &image, Err("login page"));
    check(|_| reply(500, &[], ""), &image, Err("answered 500"));
    check(|_| unknown(404, "NAME_UNKNOWN"), &image, Err("has no repository"));
}

#[test]
fn what_is_not_whole_is_left_out_and_many_are_cut() {
    let (mut store, image) = image();
    let texts: Vec<String> = (0..40).map(|n| format!("s{n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    sign(&mut store, &image, &texts);
    check(with_referrers(store.clone(), || reply(404, &[], "")), &image, Ok(&texts[..32]));
    sign(&mut store, &image, &["s1", "s2", "s3", ""]);
    let payload = |text: &str| crate::registry::manifest::sha256(format!("payload of {text}").as_bytes());
    store.spoil(&payload("s1"));
    store.remove(&payload("s2"));
    check(with_referrers(store, || reply(404, &[], "")), &image, Ok(&["s3"]));
}

#[test]
fn a_list_of_referrers_is_read_page_by_page() {
    let (mut store, image) = image();
    let pages = [bundles(&mut store, &["b1"]), bundles(&mut store, &["b2"])];
    let script = move |asked: &Asked| {
        let page = match (asked.target.contains("/referrers/"), asked.target.contains("next")) {
            (false, _) => return store.answer(asked),
            (true, is_second) => usize::from(is_second),
        };
        let mut answer = store.answer(&Asked { target: format!("/{}", pages[page]), ..asked.clone() });
        answer.headers_mut().insert("link", "<?next>; rel=next".parse().unwrap()); // the second one points at itself
        answer
    };
    check(script, &image, Ok(&["b1", "b2"]));
}
