//! Commits and tags taken apart.

use proptest::prelude::*;

use super::*;

const HEAD: &str = "tree 4b\nparent 5c\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n";

#[track_caller]
fn check(raw: &str, expected: Result<Option<(&str, &str)>, &str>) {
    match (commit(raw.as_bytes()), expected) {
        (Ok(found), Ok(expected)) => {
            let found = found.map(|signed| (String::from_utf8(signed.payload).unwrap(), signed.signature));
            let found = found.as_ref().map(|(payload, signature)| (payload.as_str(), signature.as_str()));
            assert_eq!(found, expected, "{raw:?}");
        }
        (Err(reason), Err(words)) => assert!(reason.contains(words), "{raw:?}: {reason}"),
        (found, _) => panic!("{raw:?}: {found:?}"),
    }
}

#[test]
fn commits() {
    let plain = format!("{HEAD}\ngpgsig x\n y\n");
    check(&plain, Ok(None));
    let signed = format!("{HEAD}gpgsig -----BEGIN\n \n aa\n -----END\nencoding x\n\nwords\n\ngpgsig x\n");
    check(&signed, Ok(Some((&format!("{HEAD}encoding x\n\nwords\n\ngpgsig x\n"), "-----BEGIN\n\naa\n-----END"))));
    let both = format!("{HEAD}gpgsig-sha256 b\n c\ngpgsig a\n\nwords");
    check(&both, Ok(Some((&format!("{HEAD}\nwords"), "a"))));
    check(&format!("{HEAD}gpgsig-sha256 b\n c\n\nwords"), Ok(None));
    check(&format!("{HEAD}gpgsig a\ngpgsig b\n\nwords"), Err("more than one signature"));
    check(&format!("{HEAD}gpgsigs a\n\nwords"), Ok(None));
    check("gpgsig a\ntree 4b\n\n", Err("no commit"));
    check("tree 4b\n", Err("no end"));
    check(&format!("{HEAD}gpgsig {}\n\nwords", "x".repeat(70_000)), Err("longer than"));
}

#[test]
fn tags() {
    let head = "object 4b\ntype commit\ntag v1\ntagger A <a> 1 +0000\n\n";
    let found = tag(format!("{head}words\n").as_bytes()).unwrap();
    assert_eq!((&*found.object, &*found.kind, &*found.name, found.signed), ("4b", "commit", "v1", None));
    let quoted = format!("{head}words\n-----BEGIN PGP SIGNATURE-----\nno\n");
    let found =
        tag(format!("{quoted}-----BEGIN SSH SIGNATURE-----\naa\n-----END SSH SIGNATURE-----\n").as_bytes()).unwrap();
    let signed = found.signed.unwrap();
    assert_eq!(signed.payload, quoted.as_bytes());
    assert_eq!(signed.signature, "-----BEGIN SSH SIGNATURE-----\naa\n-----END SSH SIGNATURE-----");
    for bad in
        ["tree 4b\n\n", "object 4b\ntag v1\n\n", "type commit\nobject 4b\ntag v1\n\n", "", "object \ntype x\ntag y\n\n"]
    {
        assert!(tag(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

proptest! {
    /// Whatever the message, putting a signature in and taking it out gives back the commit.
    #[test]
    fn what_was_put_in_comes_out(message in "[ -~\n]{0,80}", signature in "[!-~]{1,20}(\n[!-~]{0,20}){0,3}[!-~]") {
        let (payload, header) = (format!("{HEAD}\n{message}"), signature.replace('\n', "\n "));
        let found = commit(format!("{HEAD}gpgsig {header}\n\n{message}").as_bytes()).unwrap().unwrap();
        prop_assert_eq!((found.payload, found.signature), (payload.into_bytes(), signature));
    }

    #[test]
    fn anything_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[ -~\n]{0,100}") {
        let _ = (commit(&bytes), tag(&bytes), commit(format!("tree {text}").as_bytes()), tag(text.as_bytes()));
    }
}
