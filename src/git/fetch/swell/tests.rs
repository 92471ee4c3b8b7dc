//! Packs that the `git` program wrote, and packs made by hand that no program would write.

#![expect(clippy::disallowed_methods, reason = "tests start git")]

use std::io::Write;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

use super::*;
use crate::git::tests::server::git;

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(bytes).unwrap();
    zlib.finish().unwrap()
}

/// An entry's head: kind and size.
fn head(kind: u8, size: u64) -> Vec<u8> {
    let (mut rest, mut bytes) = (size >> 4, vec![kind << 4 | (size & 15) as u8]);
    while rest > 0 {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push((rest & 0x7f) as u8);
        rest >>= 7;
    }
    bytes
}

fn varint(mut size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while size > 0x7f {
        bytes.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    bytes.push(size as u8);
    bytes
}

fn pack(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = [b"PACK\0\0\0\x02".as_slice(), &(entries.len() as u32).to_be_bytes()].concat();
    bytes.extend(entries.concat());
    bytes.extend([7; 20]);
    bytes
}

/// A file's version as a difference, by the base's distance or id.
fn difference(by_id: bool, from: u64, to: u64) -> Vec<u8> {
    let content = [varint(from), varint(to), b"\x03abc".to_vec()].concat();
    let base = if by_id { vec![9; 20] } else { vec![0x81, 0x05] };
    [head(if by_id { 7 } else { 6 }, content.len() as u64), base, packed(&content)].concat()
}

/// Looks at the bytes in pieces of every small size, and at once.
#[track_caller]
fn check(bytes: &[u8], words: &str) {
    for piece in [1, 2, 7, 100, bytes.len().max(1)] {
        let mut watch = Watch::default();
        match bytes.chunks(piece).try_for_each(|piece| watch.look(piece)) {
            Ok(()) => assert!(words.is_empty() && matches!(watch.at, At::End), "{piece}: expected {words:?}"),
            Err(error) => assert!(!words.is_empty() && error.to_string().contains(words), "{piece}: {error}"),
        }
    }
}

#[test]
fn only_what_is_unpacked_as_a_whole_has_a_limit() {
    let text = vec![b'x'; 100_000];
    let file = [head(3, text.len() as u64), packed(&text)].concat();
    let limit = UNPACKED_LIMIT;
    check(&pack(&[]), "");
    check(&pack(&[file.clone(), difference(false, limit, limit), difference(true, 1, 2), file.clone()]), "");
    check(&pack(&[[head(3, 0), packed(b"")].concat(), file.clone()]), "");
    for by_id in [false, true] {
        for (from, to) in [(limit + 1, 3), (3, limit + 1), (u64::MAX, 3), (3, 1 << 63)] {
            check(&pack(&[file.clone(), difference(by_id, from, to), file.clone()]), "as a whole");
        }
        let endless = [head(if by_id { 7 } else { 6 }, 30), vec![0; if by_id { 20 } else { 1 }], packed(&[0xff; 30])];
        check(&pack(&[endless.concat()]), "as a whole");
    }
    for kind in [1, 2, 4, 6, 7] {
        check(&pack(&[head(kind, limit + 1)]), "as a whole");
    }
    check(&[b"PACK\0\0\0\x02".as_slice(), &(OBJECTS_LIMIT + 1).to_be_bytes()].concat(), "number of objects");
    check(&pack(&[head(5, 1)]), "of no kind");
    check(&pack(&[[vec![0x9f; 20]].concat()]), "entry of no");
    check(&pack(&[[head(3, 3), packed(b"more")].concat()]), "cannot be unpacked");
    check(&pack(&[[head(3, 3), vec![1; 30]].concat()]), "cannot be unpacked");
}

#[test]
fn real_packs_pass_and_real_swelling_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q", "--bare", "."]);
    let feed = |args: &[&str], input: &[u8]| {
        let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
        let mut child =
            Command::new("git").args(args).current_dir(folder.path()).stdin(stdin).stdout(stdout).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().stdout
    };
    let store = |bytes: &[u8]| String::from_utf8(feed(&["hash-object", "-w", "--stdin"], bytes)).unwrap();
    let pack = |ids: &str| feed(&["pack-objects", "-q", "--stdout", "--delta-base-offset"], ids.as_bytes());
    let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let versions: String = (0..30).map(|n| store(text.replacen("line 7", &n.to_string(), n).as_bytes())).collect();
    check(&pack(&versions), "");
    let mut zeros = vec![0; UNPACKED_LIMIT as usize + 1];
    let first = store(&zeros);
    zeros[5] = 1;
    let both = first.clone() + &store(&zeros);
    let mut watch = Watch::default();
    watch.look(&pack(&first)).unwrap();
    let swells = Watch::default().look(&pack(&both)).unwrap_err();
    assert!(matches!(swells, Error::TooLarge { .. }), "{swells}");
}

proptest! {
    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
        let mut watch = Watch::default();
        let all = [b"PACK\0\0\0\x02\0\0\0\x05".as_slice(), &bytes].concat();
        let _ = all.chunks(piece).try_for_each(|piece| watch.look(piece));
    }
}
