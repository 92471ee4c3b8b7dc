//! Asking for refs: the request of protocol v2 (gitprotocol-v2, `ls-refs`) and the answers of both protocols.
//! Pure: bytes in, bytes or refs out. A name that ends with a slash stands for all refs that start with it.

use super::error::Error;
use super::pktline::{self, Packet, Packets};
use super::target::Listed;
use crate::revision::CommitId;

/// How we call ourselves inside of the protocol.
pub const AGENT: &str = concat!("agent=tagboat/", env!("CARGO_PKG_VERSION"));
/// What follows the name of a ref in a list of v0 when the line says what its annotated tag leads to.
const PEELED: &[u8] = b"^{}";

/// The body of `POST git-upload-pack` that asks for the refs that start with `name`. Branches are never tags, all else may be.
pub fn request(name: &str) -> Vec<u8> {
    let mut body = Vec::new();
    pktline::push(&mut body, b"command=ls-refs\n");
    pktline::push(&mut body, AGENT.as_bytes());
    body.extend_from_slice(pktline::DELIMITER);
    if !name.starts_with("refs/heads/") {
        pktline::push(&mut body, b"peel\n");
    }
    pktline::push(&mut body, format!("ref-prefix {name}\n").as_bytes());
    body.extend_from_slice(pktline::FLUSH);
    body
}

/// The refs of this name in the answer to [`request`].
///
/// # Errors
/// The answer is no list of refs: the host speaks another protocol, or says what is wrong.
pub fn find(answer: &[u8], name: &str) -> Result<Vec<Listed>, Error> {
    let mut found = Vec::new();
    for packet in Packets::of(answer) {
        match packet? {
            Packet::Flush => return Ok(found),
            packet => read_ref(packet.line().unwrap_or_default(), name, &mut found)?,
        }
    }
    Err(Error::protocol("a list of refs is cut off"))
}

/// What `GET info/refs` answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Advertisement {
    /// Protocol v2: the host waits for commands.
    Commands {
        /// Whether it can leave history out of a fetch.
        shallow: bool,
    },
    /// Protocol v0 or v1: a list of all refs.
    Refs {
        /// The asked ones.
        found: Vec<Listed>,
        /// Whether the host can leave history out of a fetch.
        shallow: bool,
    },
}

/// Reads the answer of `GET info/refs?service=…`, looking for the refs of this name.
///
/// # Errors
/// The answer is no advertisement.
pub fn advertisement(answer: &[u8], name: &str) -> Result<Advertisement, Error> {
    let mut packets = Packets::of(answer).peekable();
    // Smart HTTP starts with a comment and a flush; v2 hosts may leave them out.
    if let Some(Ok(Packet::Data(data))) = packets.peek()
        && data.starts_with(b"# service=")
    {
        packets.next();
        packets.next_if(|packet| matches!(packet, Ok(Packet::Flush)));
    }
    let (mut is_v2, mut found, mut shallow) = (false, Vec::new(), false);
    for packet in packets {
        let packet = packet?;
        let line = packet.line().unwrap_or_default();
        match line {
            _ if packet == Packet::Flush && is_v2 => return Ok(Advertisement::Commands { shallow }),
            _ if packet == Packet::Flush => return Ok(Advertisement::Refs { found, shallow }),
            b"version 2" => is_v2 = true,
            b"version 1" => {}
            _ if is_v2 => shallow |= line.strip_prefix(b"fetch=").is_some_and(has_shallow),
            _ if line.starts_with(b"shallow ") => {}
            _ => {
                shallow |= line.iter().position(|byte| *byte == 0).is_some_and(|end| has_shallow(&line[end + 1..]));
                read_ref(line, name, &mut found)?;
            }
        }
    }
    Err(Error::protocol("a list of refs is cut off"))
}

fn has_shallow(words: &[u8]) -> bool {
    words.split(|byte| *byte == b' ').any(|word| word == b"shallow")
}

/// `<id> <name>`, followed by attributes (v2) or, after a NUL, by capabilities (v0), where a line of its own says what a tag leads to.
fn read_ref(line: &[u8], wanted: &str, found: &mut Vec<Listed>) -> Result<(), Error> {
    if let Some(words) = line.strip_prefix(b"ERR ") {
        return Err(Error::protocol(&String::from_utf8_lossy(words)));
    }
    let mut parts = line.splitn(2, |byte| *byte == b' ');
    let id = parts.next().unwrap_or_default();
    if id == b"unborn" {
        return Ok(());
    }
    let object = read_id(id)?;
    let rest = parts.next().unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(rest.len());
    let (name, attributes) = rest.split_at(end);
    if let Some(name) = name.strip_suffix(PEELED) {
        if let Some(last) = found.last_mut().filter(|last| last.name.as_bytes() == name) {
            last.commit = object;
        }
        return Ok(());
    }
    let is_asked = if wanted.ends_with('/') { name.starts_with(wanted.as_bytes()) } else { name == wanted.as_bytes() };
    let Some(name) = std::str::from_utf8(name).ok().filter(|_| is_asked) else { return Ok(()) };
    let peeled = attributes.split(|byte| *byte == b' ').find_map(|attribute| attribute.strip_prefix(b"peeled:"));
    let commit = peeled.map(read_id).transpose()?.unwrap_or_else(|| object.clone());
    found.push(Listed { name: name.to_owned(), object, commit });
    Ok(())
}

fn read_id(id: &[u8]) -> Result<CommitId, Error> {
    std::str::from_utf8(id).unwrap_or_default().parse().map_err(|error: String| Error::protocol(&error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "refs/heads/main";

    fn id(digit: &str) -> CommitId {
        digit.repeat(40).parse().unwrap()
    }

    fn packets(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            if *line == "0000" { bytes.extend(b"0000") } else { pktline::push(&mut bytes, line.as_bytes()) }
        }
        bytes
    }

    /// The first of the refs.
    fn first(found: Vec<Listed>) -> Option<CommitId> {
        found.into_iter().next().map(|listed| listed.commit)
    }

    #[track_caller]
    fn check(lines: &[&str], expected: Result<Option<CommitId>, &str>) {
        let lines: Vec<String> =
            lines.iter().map(|l| l.replace('A', id("a").as_str()).replace('B', id("b").as_str())).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        match (find(&packets(&lines), NAME).map(first), expected) {
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{lines:?}: {e}"),
            (found, expected) => assert_eq!(found.ok(), expected.ok(), "{lines:?}"),
        }
    }

    #[test]
    fn the_head_in_an_answer_of_v2() {
        check(&["A refs/heads/main-2\n", "B refs/heads/main\n", "0000"], Ok(Some(id("b"))));
        check(&["A refs/heads/main peeled:B", "0000"], Ok(Some(id("b"))));
        check(&["unborn HEAD symref-target:refs/heads/main", "0000"], Ok(None));
        check(&["0000"], Ok(None));
        check(&["A refs/heads/main\n"], Err("cut off"));
        check(&["ERR upload-pack: no\u{7}\n"], Err("upload-pack: no\\u{7}"));
        check(&["hello\n", "0000"], Err("no commit id"));
    }

    #[test]
    fn both_kinds_of_advertisement() {
        let read = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| line.replace('C', id("c").as_str())).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            advertisement(&packets(&lines), NAME)
        };
        for (fetch, shallow) in
            [("fetch=wait-for-done shallow\n", true), ("fetch=shallower\n", false), ("fetch", false)]
        {
            let lines = ["# service=git-upload-pack\n", "0000", "version 2\n", "ls-refs\n", fetch, "0000"];
            assert_eq!(read(&lines), Ok(Advertisement::Commands { shallow }), "{fetch}");
            assert_eq!(read(&lines[2..]), Ok(Advertisement::Commands { shallow }), "{fetch}");
        }
        let main = Listed { name: NAME.into(), object: id("c"), commit: id("c") };
        for (capabilities, shallow) in [("multi_ack shallow agent=x", true), ("deepen-since agent=shallow", false)] {
            let line = format!("C {NAME}\0{capabilities}\n");
            assert_eq!(read(&[&line, "0000"]), Ok(Advertisement::Refs { found: vec![main.clone()], shallow }));
            let (line, found) = (format!("C refs/heads/mai\0{capabilities}\n"), Vec::new());
            assert_eq!(read(&["version 1\n", &line, "0000"]), Ok(Advertisement::Refs { found, shallow }));
        }
        let empty = format!("{} capabilities^{{}}\0agent=x\n", "0".repeat(40));
        assert_eq!(read(&[&empty, "0000"]), Ok(Advertisement::Refs { found: Vec::new(), shallow: false }));
        assert!(read(&["version 2\n", "ls-refs\n"]).is_err(), "cut off");
        assert!(advertisement(b"<html>", NAME).is_err());
    }

    #[test]
    fn the_request_names_one_prefix() {
        let text = String::from_utf8(request(NAME)).unwrap();
        assert!(
            text.starts_with("0014command=ls-refs\n") && text.ends_with("0001001fref-prefix refs/heads/main\n0000"),
            "{text:?}"
        );
    }

    #[test]
    fn tags_and_what_they_lead_to() {
        let text = String::from_utf8(request("refs/tags/")).unwrap();
        assert!(text.ends_with("00010009peel\n001aref-prefix refs/tags/\n0000"), "{text:?}");
        let tag = |name: &str, object: &str, commit: &str| {
            let name = format!("refs/tags/{name}");
            Listed { name, object: id(object), commit: id(commit) }
        };
        let expected = vec![tag("v1", "a", "a"), tag("v2", "b", "c")];
        let (a, b, c) = (id("a"), id("b"), id("c"));
        let v2 = [&format!("{a} refs/tags/v1\n"), &format!("{b} refs/tags/v2 peeled:{c}\n"), "0000"];
        assert_eq!(find(&packets(&v2), "refs/tags/"), Ok(expected.clone()));
        let lines = [
            format!("{a} HEAD\0x\n"),
            format!("{a} refs/tags/v1\n"),
            format!("{b} refs/tags/v2\n"),
            format!("{c} refs/tags/v2^{{}}\n"),
        ];
        let v0: Vec<&str> = lines.iter().map(String::as_str).chain(["0000"]).collect();
        assert_eq!(
            advertisement(&packets(&v0), "refs/tags/"),
            Ok(Advertisement::Refs { found: expected.clone(), shallow: false })
        );
        let found = expected[1..].to_vec();
        assert_eq!(advertisement(&packets(&v0), "refs/tags/v2"), Ok(Advertisement::Refs { found, shallow: false }));
    }

    proptest! {
        #[test]
        fn any_answer_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200), line in "[ -~]{0,60}") {
            let _ = (find(&bytes, NAME), advertisement(&bytes, NAME));
            let _ = (find(&packets(&[&line]), NAME), advertisement(&packets(&[&line, "0000"]), NAME));
        }
    }
}
