//! A certificate authority, a certificate log and a signature log of the tests' own, which vouch for what a test wants.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeZone, Utc};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// A private key of any of those involved.
pub struct Secret(EcdsaKeyPair);

impl Secret {
    pub fn new() -> Self {
        let (how, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(how, pkcs8.as_ref(), &random).unwrap())
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// The public key as SubjectPublicKeyInfo.
    pub fn public(&self) -> Vec<u8> {
        let kind = sequence(&[oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")]);
        sequence(&[kind, bits(self.0.public_key().as_ref())])
    }

    pub fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.public())
    }

    fn id(&self) -> Vec<u8> {
        sha256(&self.public())
    }
}

/// What a signature says and who vouches for it; a test changes what it is about.
#[derive(Clone)]
pub struct Said {
    pub issuer: &'static str,
    pub subject: &'static str,
    /// When the certificate was made, which lasts for ten minutes.
    pub certified: DateTime<Utc>,
    /// When the log took the entry.
    pub logged: DateTime<Utc>,
    /// The log's entry is for this and not for what was signed.
    pub logged_message: Option<&'static [u8]>,
    pub has_sct: bool,
    pub is_for_code: bool,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            issuer: "https://token.example.com",
            subject: "https://git.example.com/acme/app/build.yaml@refs/heads/main",
            certified: Utc.with_ymd_and_hms(2025, 1, 15, 12, 0, 0).unwrap(),
            logged: Utc.with_ymd_and_hms(2025, 1, 15, 12, 1, 0).unwrap(),
            logged_message: None,
            has_sct: true,
            is_for_code: true,
        }
    }
}

/// The annotations of a signature in cosign's first format.
#[derive(Clone)]
pub struct Annotations {
    pub signature: String,
    pub certificate: String,
    pub log: Value,
}

/// See the module.
pub struct Authority {
    ca: Secret,
    pub certificate: Vec<u8>,
    certificates: Secret,
    log: Secret,
}

impl Authority {
    pub fn new() -> Self {
        let ca = Secret::new();
        let extensions = [
            extension("2.5.29.19", true, &sequence(&[tlv(0x01, &[0xff])])),
            extension("2.5.29.15", true, &tlv(0x03, &[1, 0x06])),
        ];
        let from = Utc.with_ymd_and_hms(2024, 1, 1, 0, 0, 0).unwrap();
        let until = Utc.with_ymd_and_hms(2034, 1, 1, 0, 0, 0).unwrap();
        let body = certificate_body([1, from.timestamp(), until.timestamp()], &name("harbour"), &ca, &extensions);
        let certificate = signed_by(&ca, &body);
        Self { ca, certificate, certificates: Secret::new(), log: Secret::new() }
    }

    /// `trusted_root.json`, with the authority trusted until then.
    pub fn root(&self, until: &str) -> Value {
        let log = |secret: &Secret, url: &str| {
            json!({
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(secret.public()),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": {"start": "2024-01-01T00:00:00Z"},
                },
                "logId": {"keyId": STANDARD.encode(secret.id())},
            })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(&self.log, "https://log.example.com")],
            "certificateAuthorities": [{
                "subject": {"organization": "example", "commonName": "harbour"},
                "uri": "https://ca.example.com",
                "certChain": {"certificates": [{"rawBytes": STANDARD.encode(&self.certificate)}]},
                "validFor": {"start": "2024-01-01T00:00:00Z", "end": until},
            }],
            "ctlogs": [log(&self.certificates, "https://certificates.example.com")],
        })
    }

    /// A signature in cosign's first format.
    pub fn simple(&self, said: &Said, payload: &[u8]) -> Annotations {
        let signer = Secret::new();
        let certificate = pem("CERTIFICATE", &self.certify(said, &signer));
        let signature = signer.sign(payload);
        let logged = said.logged_message.unwrap_or(payload);
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hex::encode(sha256(logged))}},
                "signature": {
                    "content": STANDARD.encode(&signature),
                    "publicKey": {"content": STANDARD.encode(&certificate)},
                },
            },
        });
        let body = body.to_string();
        let log = json!({
            "SignedEntryTimestamp": self.promise(said, body.as_bytes(), 7),
            "Payload": {
                "body": STANDARD.encode(&body),
                "integratedTime": said.logged.timestamp(),
                "logIndex": 7,
                "logID": hex::encode(self.log.id()),
            },
        });
        Annotations { signature: STANDARD.encode(signature), certificate, log }
    }

    /// A signature in cosign's second format: a bundle with a statement.
    pub fn bundle(&self, said: &Said, statement: &[u8]) -> Value {
        let signer = Secret::new();
        let certificate = self.certify(said, &signer);
        let signature = STANDARD.encode(signer.sign(&in_envelope(statement)));
        let logged = said.logged_message.unwrap_or(statement);
        let hash = |of: &[u8]| json!({"algorithm": "sha256", "value": hex::encode(sha256(of))});
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": hash(b"not looked at by anyone"),
                "payloadHash": hash(logged),
                "signatures": [{
                    "signature": signature,
                    "verifier": STANDARD.encode(pem("CERTIFICATE", &certificate)),
                }],
            },
        });
        let body = body.to_string();
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(certificate)},
                "tlogEntries": [{
                    "logIndex": "7",
                    "logId": {"keyId": STANDARD.encode(self.log.id())},
                    "kindVersion": {"kind": "dsse", "version": "0.0.1"},
                    "integratedTime": said.logged.timestamp().to_string(),
                    "inclusionPromise": {"signedEntryTimestamp": self.promise(said, body.as_bytes(), 7)},
                    "inclusionProof": self.proof(body.as_bytes()),
                    "canonicalizedBody": STANDARD.encode(&body),
                }],
            },
            "dsseEnvelope": {
                "payload": STANDARD.encode(statement),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": signature}],
            },
        })
    }

    /// A certificate for a signer, with the certificate log's promise.
    fn certify(&self, said: &Said, signer: &Secret) -> Vec<u8> {
        let usage = if said.is_for_code { "1.3.6.1.5.5.7.3.3" } else { "1.3.6.1.5.5.7.3.1" };
        let subject = tlv(if said.subject.contains("://") { 0x86 } else { 0x81 }, said.subject.as_bytes());
        let mut extensions = vec![
            extension("2.5.29.15", true, &tlv(0x03, &[7, 0x80])),
            extension("2.5.29.37", false, &sequence(&[oid(usage)])),
            extension("2.5.29.17", true, &sequence(&[subject])),
            // Fulcio still writes the issuer in its old way too.
            extension("1.3.6.1.4.1.57264.1.1", false, said.issuer.as_bytes()),
            extension("1.3.6.1.4.1.57264.1.8", false, &tlv(0x0c, said.issuer.as_bytes())),
        ];
        let from = said.certified.timestamp();
        let body = |extensions: &[Vec<u8>]| certificate_body([2, from, from + 600], &sequence(&[]), signer, extensions);
        if said.has_sct {
            let sct = self.certificate_promise(from * 1000, &body(&extensions));
            extensions.push(extension("1.3.6.1.4.1.11129.2.4.2", false, &tlv(0x04, &sct)));
        }
        signed_by(&self.ca, &body(&extensions))
    }

    /// RFC 6962's SignedCertificateTimestampList for a certificate without it.
    fn certificate_promise(&self, at: i64, body: &[u8]) -> Vec<u8> {
        let mut signed = vec![0, 0]; // version 1, a certificate's time
        signed.extend(at.to_be_bytes());
        signed.extend([0, 1]); // a certificate without this list
        signed.extend(sha256(&self.ca.public()));
        signed.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
        signed.extend(body);
        signed.extend([0, 0]); // no extensions
        let mut sct = vec![0];
        sct.extend(self.certificates.id());
        sct.extend(at.to_be_bytes());
        sct.extend([0, 0, 4, 3]); // no extensions, SHA-256, ECDSA
        sct.extend(with_length(&self.certificates.sign(&signed)));
        with_length(&with_length(&sct))
    }

    /// Rekor's SignedEntryTimestamp.
    fn promise(&self, said: &Said, body: &[u8], index: u64) -> String {
        let (body, log) = (STANDARD.encode(body), hex::encode(self.log.id()));
        let time = said.logged.timestamp();
        let text = format!(r#"{{"body":"{body}","integratedTime":{time},"logID":"{log}","logIndex":{index}}}"#);
        STANDARD.encode(self.log.sign(text.as_bytes()))
    }

    /// That an entry is the first of two.
    fn proof(&self, body: &[u8]) -> Value {
        let leaf = sha256(&[&[0], body].concat());
        let other = sha256(b"another entry");
        let root = sha256(&[&[1], leaf.as_slice(), other.as_slice()].concat());
        let note = format!("log.example.com - 1\n2\n{}\n", STANDARD.encode(&root));
        let signature = [&self.log.id()[..4], &self.log.sign(note.as_bytes())].concat();
        json!({
            "logIndex": "0",
            "rootHash": STANDARD.encode(root),
            "treeSize": "2",
            "hashes": [STANDARD.encode(other)],
            "checkpoint": {"envelope": format!("{note}\n— log.example.com {}\n", STANDARD.encode(signature))},
        })
    }
}

/// What a bundle's signature is made of (DSSE's pre-authentication encoding).
pub fn in_envelope(statement: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 28 application/vnd.in-toto+json {} ", statement.len());
    [head.as_bytes(), statement].concat()
}

pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

pub fn pem(kind: &str, der: &[u8]) -> String {
    let lines: Vec<String> =
        STANDARD.encode(der).as_bytes().chunks(64).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let head = match length {
        0..0x80 => vec![tag, u8::try_from(length).unwrap()],
        0x80..0x100 => vec![tag, 0x81, u8::try_from(length).unwrap()],
        _ => [vec![tag, 0x82], u16::try_from(length).unwrap().to_be_bytes().to_vec()].concat(),
    };
    [head.as_slice(), value].concat()
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], bytes].concat())
}

fn oid(text: &str) -> Vec<u8> {
    let arcs: Vec<u64> = text.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut bytes = vec![u8::try_from(arcs[0] * 40 + arcs[1]).unwrap()];
    for arc in &arcs[2..] {
        let sevens = (0..10).rev().map(|at| arc >> (7 * at)).skip_while(|rest| *rest == 0).collect::<Vec<_>>();
        let last = sevens.len().max(1) - 1;
        let low = |seven: u64| u8::try_from(seven & 0x7f).unwrap();
        bytes.extend(sevens.iter().take(last).map(|seven| low(*seven) | 0x80));
        bytes.push(low(*arc));
    }
    tlv(0x06, &bytes)
}

fn extension(id: &str, is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if is_critical { tlv(0x01, &[0xff]) } else { Vec::new() };
    sequence(&[oid(id), critical, tlv(0x04, value)])
}

fn name(common: &str) -> Vec<u8> {
    let part = sequence(&[oid("2.5.4.3"), tlv(0x0c, common.as_bytes())]);
    sequence(&[tlv(0x31, &part)])
}

/// Number, and from when until when in seconds.
fn certificate_body([number, from, until]: [i64; 3], subject: &[u8], key: &Secret, extensions: &[Vec<u8>]) -> Vec<u8> {
    let time = |seconds| {
        tlv(0x17, DateTime::from_timestamp(seconds, 0).unwrap().format("%y%m%d%H%M%SZ").to_string().as_bytes())
    };
    sequence(&[
        tlv(0xa0, &[2, 1, 2]),
        tlv(0x02, &[u8::try_from(number).unwrap()]),
        sequence(&[oid("1.2.840.10045.4.3.2")]),
        name("harbour"),
        sequence(&[time(from), time(until)]),
        subject.to_vec(),
        key.public(),
        tlv(0xa3, &sequence(extensions)),
    ])
}

fn signed_by(ca: &Secret, body: &[u8]) -> Vec<u8> {
    sequence(&[body.to_vec(), sequence(&[oid("1.2.840.10045.4.3.2")]), bits(&ca.sign(body))])
}
