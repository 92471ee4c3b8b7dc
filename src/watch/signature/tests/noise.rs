//! Nothing that is made up counts, and nothing makes the judge fall over.

use proptest::prelude::*;

use super::*;

/// Pieces of what the formats consist of, put together at random, get further than random bytes do.
fn scraps() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just("\"critical\":".to_owned()),
        Just("\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\"".to_owned()),
        Just("\"verificationMaterial\":{\"publicKey\":{}}".to_owned()),
        Just("\"verificationMaterial\":{\"certificate\":{\"rawBytes\":\"MAA=\"},\"tlogEntries\":[]}".to_owned()),
        Just(
            "\"dsseEnvelope\":{\"payload\":\"e30=\",\"payloadType\":\"\",\"signatures\":[{\"sig\":\"AAAA\"}]}"
                .to_owned()
        ),
        Just("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_owned()),
        Just("\"Payload\":{\"body\":\"e30=\",\"integratedTime\":1,\"logIndex\":1,\"logID\":\"00\"}".to_owned()),
        Just("\"SignedEntryTimestamp\":\"AAAA\"".to_owned()),
        ".{0,12}".prop_map(|text| text),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn trust() -> Trust {
    let root = TrustedRoot::parse(Authority::new().root("2030-01-01T00:00:00Z").to_string().as_bytes()).unwrap();
    let anyone = || Match::parse_pattern(".*").unwrap();
    Trust {
        keys: vec![Key::parse("cosign.pub", Secret::new().pem().as_bytes()).unwrap()],
        keyless: Some(Keyless { identities: vec![Identity { issuer: anyone(), subject: anyone() }], root }),
    }
}

proptest! {
    #[test]
    fn random_bytes_never_count(payload in prop::collection::vec(any::<u8>(), 0..300), signature in "[A-Za-z0-9+/=]{0,100}") {
        let trust = trust();
        prop_assert!(judged(&trust, DIGEST, &[simple(&payload, &signature), Signature::Bundle(&payload)]).is_err());
    }

    #[test]
    fn random_scraps_never_count(payload in scraps(), certificate in scraps(), chain in scraps(), log in scraps()) {
        let trust = trust();
        let signature = Signature::Simple {
            payload: payload.as_bytes(),
            signature: "AAAA",
            certificate: Some(&certificate),
            chain: Some(&chain),
            bundle: Some(&log),
        };
        let wrapped = format!("{{{payload}}}");
        prop_assert!(judged(&trust, DIGEST, &[signature, Signature::Bundle(wrapped.as_bytes())]).is_err());
    }

    #[test]
    fn random_keys_patterns_and_roots_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), text in scraps()) {
        prop_assert!(Key::parse("k", &bytes).is_err());
        prop_assert!(Key::parse("k", authority::pem("PUBLIC KEY", &bytes).as_bytes()).is_err());
        prop_assert!(TrustedRoot::parse(&bytes).is_err());
        prop_assert!(TrustedRoot::parse(text.as_bytes()).is_err());
        let _ = Match::parse_pattern(&text);
    }
}
