//! Files that the real sops encrypted (`tests/data/sops/make`), files of our own, and what is said of those that can't be opened.

use std::collections::BTreeMap;

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit};
use proptest::prelude::*;
use serde_json::{Map, json};
use sha2::{Digest, Sha512};

use super::*;

macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sops/", $name)).as_slice()
    };
}

const AGE: &[u8] = data!("key.agekey");
const PGP: &[u8] = data!("key.asc");
/// Of nobody.
const OTHER: &str = "AGE-SECRET-KEY-1R2VLD554AS26HG2YS6F8D4CQFFPMXSAFG4G596WTDKXMHWE67WHQ27F609";

fn keys(entries: &[(&str, &[u8])]) -> Keys {
    Keys::new("Secret web/keys", entries.iter().map(|(name, text)| ((*name).to_owned(), text.to_vec())).collect())
}

fn open(path: &str, bytes: &[u8], keys: &Keys) -> (Vec<u8>, Vec<String>) {
    let (mut opener, mut bytes) = (Opener::new(keys), bytes.to_vec());
    opener.open(path, &mut bytes);
    (bytes, opener.problems.iter().map(ToString::to_string).collect())
}

/// A file, and what it holds.
#[track_caller]
fn check(path: &str, bytes: &[u8], expected: &[Value]) {
    let keys = keys(&[("fleet.asc", PGP), ("fleet.agekey", AGE)]);
    let (opened, problems) = open(path, bytes, &keys);
    assert_eq!(problems, Vec::<String>::new(), "{path}");
    let (documents, problems) = yaml::documents(path, &opened);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(documents.into_iter().map(|document| document.value).collect::<Vec<_>>(), expected, "{path}");
}

fn secrets() -> [Value; 2] {
    let held = json!({"password": "correct horse battery", "note": "first line\nsecond line\n", "empty": ""});
    let metadata = json!({"name": "login", "labels": {"tier": "web", "replicas": "2"}});
    [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": held}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token": "0123-staple"}}),
    ]
}

#[test]
fn objects_of_the_real_sops() {
    check("secret.yaml", data!("secret.yaml"), &secrets());
    check("secret.yaml", data!("secret-mac-only.yaml"), &secrets());
    check("secret.yaml", data!("secret-openpgp.yaml"), &secrets());
    check("secret.yaml", data!("whole-object.yaml"), &secrets());
}

#[test]
fn every_type_of_value() {
    let types = json!({
        "text": "yes", "quoted": "12", "int": 420, "hex": 31, "big": 1000, "float": 0.5, "whole": 1, "truth": true, "none": null,
        "day": "2026-11-25T00:00:00Z", "list": ["one", 2, {"deep": ["three", false]}], "empty": {"a": [], "b": {}, "c": ""},
        "text_unencrypted": "yes", "int_unencrypted": 420, "float_unencrypted": 1000, "truth_unencrypted": true,
        "day_unencrypted": "2026-11-25T00:00:00Z", "on": "key",
    });
    check("types.yaml", data!("types.yaml"), &[types]);
    let types = json!({"a": {"b": [1, true, 2.5, "xé😀/"]}, "c": "", "n_unencrypted": 2.5, "i_unencrypted": 7});
    check("types.json", data!("types.json"), &[types]);
}

#[test]
fn files_that_are_no_yaml() {
    let keys = keys(&[("fleet.agekey", AGE)]);
    for (path, sealed, plain) in [
        ("settings.env", data!("settings.env"), data!("plain/settings.env")),
        ("keystore.bin", data!("keystore.bin"), data!("plain/keystore.bin")),
    ] {
        assert_eq!(open(path, sealed, &keys), (plain.to_vec(), vec![]), "{path}");
    }
    // Nothing of these is touched.
    for text in [
        "a: 1\n",
        "sops: {}\n",
        "a: 'ENC[AES256_GCM,no'\nsops: 1\n",
        "",
        "sops: {mac: x}\nENC[AES256_GCM,\n- a: [",
        "{{ x }}",
    ] {
        assert_eq!(open("a.yaml", text.as_bytes(), &keys), (text.as_bytes().to_vec(), vec![]), "{text}");
    }
    let left = String::from_utf8_lossy(data!("secret.yaml"));
    let left = left.replace("name: login", "name: login\n    annotations: {tagboat.dev/decrypt: Disabled}");
    assert_eq!(open("a.yaml", left.as_bytes(), &keys), (left.clone().into_bytes(), vec![]));
}

/// A file with a part replaced, and what is said.
#[track_caller]
fn refused(path: &str, bytes: &[u8], (from, to): (&str, &str), with: &Keys, words: &str) {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    let (left, problems) = open(path, text.replacen(from, to, 1).as_bytes(), with);
    assert!(problems.len() == 1 && problems[0].contains(words), "{problems:?} without {words:?}");
    assert!(problems[0].starts_with(path) && left == text.replacen(from, to, 1).into_bytes());
    assert!(!problems[0].contains("horse") && !problems[0].contains("nonsense"), "{problems:?}");
}

#[test]
fn files_that_were_changed() {
    let keys = keys(&[("fleet.agekey", AGE)]);
    let mac = "its MAC does not match";
    let place = "the value at stringData.password can't be decrypted: it was changed, or moved here from another place";
    refused("a.yaml", data!("secret.yaml"), ("tier: web", "tier: db"), &keys, mac);
    refused("a.yaml", data!("secret.yaml"), ("name: token", "name: tokens"), &keys, mac);
    refused("a.yaml", data!("secret.yaml"), ("2026-", "2025-"), &keys, mac);
    refused(
        "a.yaml",
        data!("secret.yaml"),
        ("password: ENC[AES256_GCM,data:", "password: ENC[AES256_GCM,data:AAAA"),
        &keys,
        place,
    );
    refused(
        "a.yaml",
        data!("secret.yaml"),
        ("    password:", "    passwort:"),
        &keys,
        "stringData.passwort can't be decrypted",
    );
    refused(
        "a.yaml",
        data!("secret.yaml"),
        ("password: ENC[AES256_GCM,data:", "password: ENC[AES256_GCM,"),
        &keys,
        "stringData.password is malformed",
    );
    refused("a.json", data!("types.json"), ("\"i_unencrypted\": 7", "\"i_unencrypted\": 8"), &keys, mac);
    refused("a.env", data!("settings.env"), ("PLAIN_unencrypted=x", "PLAIN_unencrypted=y"), &keys, mac);
    refused("a.env", data!("settings.env"), ("USER=", "LOSER="), &keys, "the value at LOSER can't be decrypted");
    refused("a.env", data!("settings.env"), ("sops_lastmodified=", "sops_last="), &keys, "lacks mac or lastmodified");
    refused("a.bin", data!("keystore.bin"), ("\"mac\": \"ENC", "\"mac\": \"DEC"), &keys, mac);
    // With a MAC of encrypted values alone, the others may change.
    let text = String::from_utf8_lossy(data!("secret-mac-only.yaml")).replace("tier: web", "tier: db");
    assert!(open("a.yaml", text.as_bytes(), &keys).1.is_empty());
}

#[test]
fn keys_that_do_not_fit() {
    let same = ("sops", "sops");
    let sealed = data!("secret.yaml");
    refused("a.yaml", sealed, same, &keys(&[]), "Secret web/keys has no entry NAME.agekey (age) or NAME.asc (OpenPGP)");
    let recipient = String::from_utf8_lossy(AGE);
    let recipient = recipient.lines().next().unwrap().rsplit(' ').next().unwrap();
    let other = keys(&[("other.agekey", OTHER.as_bytes())]);
    refused(
        "a.yaml",
        sealed,
        same,
        &other,
        &format!("no key of Secret web/keys decrypts it; it is encrypted for age {recipient}"),
    );
    refused("a.yaml", data!("secret-openpgp.yaml"), same, &keys(&[("a.agekey", AGE)]), "it is encrypted for OpenPGP ");
    refused("a.yaml", sealed, same, &keys(&[("a.asc", PGP)]), "it is encrypted for age ");
    refused(
        "a.yaml",
        sealed,
        same,
        &keys(&[("a.agekey", b"# x\nnonsense\n")]),
        "a.agekey: line 2 is no identity of age",
    );
    refused(
        "a.yaml",
        sealed,
        same,
        &keys(&[("a.agekey", b"AGE-SECRET-KEY-PQ-1X")]),
        "line 1 is a post-quantum identity",
    );
    refused(
        "a.yaml",
        sealed,
        same,
        &keys(&[("a.agekey", b"AGE-PLUGIN-YUBIKEY-1X")]),
        "line 1 is an identity of a plugin",
    );
    refused("a.yaml", sealed, same, &keys(&[("a.asc", b"nonsense")]), "a.asc: is no armoured private key");
    let all = keys(&[("a.agekey", AGE), ("a.asc", PGP)]);
    refused("a.json", data!("groups.json"), same, &all, "split among 2 key groups");
    refused("a.ini", data!("settings.ini"), same, &all, "is an INI file");
    for (field, name) in [
        ("kms", "AWS KMS"),
        ("gcp_kms", "Google Cloud KMS"),
        ("azure_kv", "Azure Key Vault"),
        ("hc_vault", "HashiCorp Vault"),
    ] {
        refused(
            "a.json",
            data!("types.json"),
            ("\"age\":", &format!("\"{field}\":")),
            &all,
            &format!("is encrypted for {name} only"),
        );
    }
}

#[test]
fn secrets_within_secrets() {
    let all = keys(&[("a.agekey", AGE)]);
    let sealed = BASE64.encode(data!("settings.env"));
    let broken = format!("{}\n{}\n", &sealed[..70], &sealed[70..]);
    let data = json!({"settings.env": broken, "plain": BASE64.encode("x")});
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": data});
    let output = crate::sync::render::plain(&[("a.json".to_owned(), body.to_string().into_bytes())]);
    let mut manifests = output.manifests;
    assert_eq!(still_encrypted(&manifests, true).len(), 1);
    let mut opener = Opener::new(&all);
    opener.open_inside(&mut manifests);
    assert!(opener.problems.is_empty() && opener.secrets.contains(&"correct horse battery".to_owned()));
    assert_eq!(manifests[0].body["data"]["settings.env"], BASE64.encode(data!("plain/settings.env")));
    assert_eq!(still_encrypted(&manifests, true), []);

    let left = crate::sync::render::plain(&[("a.yaml".to_owned(), data!("secret.yaml").to_vec())]).manifests;
    let said: Vec<String> = still_encrypted(&left, false).iter().map(ToString::to_string).collect();
    assert_eq!(said[0], "a.yaml:2: Secret/login is encrypted by SOPS; say in spec.decryption which keys decrypt it");
    assert_eq!(said.len(), 2);
}

#[test]
fn what_was_encrypted_is_masked() {
    let all = keys(&[("a.agekey", AGE)]);
    let mut opener = Opener::new(&all);
    opener.open("a.yaml", &mut data!("secret.yaml").to_vec());
    let mask = crate::sync::substitute::Mask::default().and(&opener.secrets);
    let said = format!("login: correct horse battery, {} and 0123-staple", BASE64.encode("correct horse battery"));
    assert_eq!(mask.hide(&said), "login: ***, *** and ***");
    assert!(format!("{all:?} {:?}", mask).len() < 30);
}

const DATA_KEY: [u8; 32] = [7; 32];

fn seal(text: &str, kind: &str, place: &str) -> String {
    let iv: [u8; 32] = std::array::from_fn(|at| place.as_bytes().get(at).copied().unwrap_or(at as u8));
    let cipher = AesGcm::<Aes256, U32>::new(GenericArray::from_slice(&DATA_KEY));
    let payload = Payload { msg: text.as_bytes(), aad: place.as_bytes() };
    let sealed = cipher.encrypt(GenericArray::from_slice(&iv), payload).unwrap();
    let (data, tag) = sealed.split_at(sealed.len() - 16);
    let code = |bytes: &[u8]| BASE64.encode(bytes);
    format!("ENC[AES256_GCM,data:{},iv:{},tag:{},type:{kind}]", code(data), code(&iv), code(tag))
}

/// Encrypts every leaf, as SOPS does, and adds what it adds.
fn encrypt(value: &Value) -> Value {
    fn leaf(text: &str, kind: &str, path: &[&str], mac: &mut Sha512) -> Value {
        mac.update(text);
        Value::from(if text.is_empty() { String::new() } else { seal(text, kind, &format!("{}:", path.join(":"))) })
    }
    fn walk(value: &Value, path: &[&str], mac: &mut Sha512) -> Value {
        match value {
            Value::Null => Value::Null,
            Value::Bool(is_true) => leaf(if *is_true { "True" } else { "False" }, "bool", path, mac),
            Value::Number(number) => leaf(&number.to_string(), "int", path, mac),
            Value::String(text) => leaf(text, "str", path, mac),
            Value::Array(items) => items.iter().map(|item| walk(item, path, mac)).collect(),
            Value::Object(fields) => {
                let fields =
                    fields.iter().map(|(key, value)| (key.clone(), walk(value, &[path, &[key]].concat(), mac)));
                Value::Object(fields.collect())
            }
        }
    }
    let mut mac = Sha512::new();
    let mut sealed = walk(value, &[], &mut mac);
    let at = "2026-11-25T00:00:00Z";
    sealed[SOPS] =
        json!({"lastmodified": at, "mac": seal(&hex::encode_upper(mac.finalize()), "str", at), "version": "3.13.3"});
    sealed
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}|[a-z: \\n'\"#-]{0,12}|yes|0644|1e3|~|2026-11-25".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-z./ -]{1,6}|on|12", inner, 0..4).prop_map(map),
        ]
    })
}

fn map(entries: BTreeMap<String, Value>) -> Value {
    Value::Object(entries.into_iter().collect::<Map<_, _>>())
}

proptest! {
    /// As JSON and as YAML, whatever the values look like.
    #[test]
    fn what_is_encrypted_comes_back(entries in prop::collection::btree_map("[a-z]{1,6}", any_value(), 1..4)) {
        let value = map(entries.into_iter().filter(|(key, _)| key != SOPS).collect());
        let sealed = encrypt(&value);
        let yaml = serde_yaml::to_string(&sealed).unwrap();
        for (path, text) in [("a.json", sealed.to_string()), ("a.yaml", yaml)] {
            let file = File::read(path, text.as_bytes()).unwrap().unwrap();
            let opened = file.open(&DATA_KEY).unwrap();
            let (documents, problems) = yaml::documents(path, &opened.bytes);
            prop_assert!(problems.is_empty(), "{problems:?}");
            let read = documents.into_iter().next().map(|document| document.value);
            prop_assert_eq!(read.unwrap_or(json!({})), value.clone());
        }
    }

    /// No text breaks the reader.
    #[test]
    fn nothing_breaks_it(text in "(sops|mac|age|enc|data|ENC\\[AES256_GCM,|iv:|tag:|type:str|\\]|sops_mac=|[:=\\-\\[\\]{},\n \"a])*") {
        for path in ["a.yaml", "a.json", "a.env", "a"] {
            if let Ok(Some(file)) = File::read(path, text.as_bytes()) {
                prop_assert!(file.open(&DATA_KEY).is_err());
            }
        }
    }
}
