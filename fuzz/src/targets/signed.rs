//! What of a commit or a tag was signed. Input: the object's bytes.

use tagboat::source::signed::{commit, tag};

pub fn run(input: &[u8]) {
    if let Ok(Some(signed)) = commit(input) {
        assert!(signed.payload.len() < input.len(), "the signature is no part of what it signs");
        assert!(signed.payload.starts_with(b"tree "));
        // Headers of signatures are gone, and the message is untouched.
        assert_eq!(commit(&signed.payload), Ok(None), "what was signed is not signed itself");
        let end = |bytes: &[u8]| bytes.windows(2).position(|two| two == b"\n\n").map(|at| bytes[at..].to_vec());
        assert_eq!(end(&signed.payload), end(input));
        assert!(input.windows(7).any(|word| word == b"\ngpgsig"));
    }
    if let Ok(tag) = tag(input) {
        assert!(input.starts_with(format!("object {}\ntype {}\ntag {}", tag.object, tag.kind, tag.name).as_bytes()));
        if let Some(signed) = tag.signed {
            assert!(input.starts_with(&signed.payload) && signed.signature.starts_with("-----BEGIN "));
            assert!(input[signed.payload.len()..].starts_with(signed.signature.as_bytes()));
        }
    }
}
