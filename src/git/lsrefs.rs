//! Asking for one branch's head: the request of protocol v2 (gitprotocol-v2, `ls-refs`) and the answers of both protocols.
//! Pure: bytes in, bytes or a commit id out.

use super::error::Error;
use super::pktline::{self, Packet, Packets};
use crate::revision::CommitId;

/// How we call ourselves inside of the protocol.
pub const AGENT: &str = concat!("agent=tagboat/", env!("CARGO_PKG_VERSION"));

/// The body of `POST git-upload-pack` that asks for the refs that start with `name`.
pub fn request(name: &str) -> Vec<u8> {
    let mut body = Vec::new();
    pktline::push(&mut body, b"command=ls-refs\n");
    pktline::push(&mut body, AGENT.as_bytes());
    body.extend_from_slice(pktline::DELIMITER);
    pktline::push(&mut body, format!("ref-prefix {name}\n").as_bytes());
    body.extend_from_slice(pktline::FLUSH);
    body
}

/// The commit of the ref `name` in the answer to [`request`]; nothing when it is not listed.
///
/// # Errors
/// The answer is no list of refs: the host speaks another protocol, or says what is wrong.
pub fn find(answer: &[u8], name: &str) -> Result<Option<CommitId>, Error> {
    let mut found = None;
    for packet in Packets::of(answer) {
        match packet? {
            Packet::Flush => return Ok(found),
            packet => found = found.or(read_ref(packet.line().unwrap_or_default(), name)?),
        }
    }
    Err(Error::protocol("a list of refs is cut off"))
}

/// What `GET info/refs` answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Advertisement {
    /// Protocol v2: the host waits for commands.
    Commands,
    /// Protocol v0 or v1: the refs, of which the asked one is this.
    Refs(Option<CommitId>),
}

/// Reads the answer of `GET info/refs?service=…`, looking for the ref `name`.
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
    let mut found = None;
    for packet in packets {
        match packet? {
            Packet::Flush => return Ok(Advertisement::Refs(found)),
            packet => {
                let line = packet.line().unwrap_or_default();
                match line {
                    b"version 2" => return Ok(Advertisement::Commands),
                    b"version 1" => {}
                    _ if line.starts_with(b"shallow ") => {}
                    _ => found = found.or(read_ref(line, name)?),
                }
            }
        }
    }
    Err(Error::protocol("a list of refs is cut off"))
}

/// `<id> <name>`, followed by attributes (v2) or, after a NUL, by capabilities (v0).
fn read_ref(line: &[u8], name: &str) -> Result<Option<CommitId>, Error> {
    if let Some(words) = line.strip_prefix(b"ERR ") {
        return Err(Error::protocol(&String::from_utf8_lossy(words)));
    }
    let mut parts = line.splitn(2, |byte| *byte == b' ');
    let id = parts.next().and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default();
    let id = if id == "unborn" { None } else { Some(id.parse().map_err(|e: String| Error::protocol(&e))?) };
    let rest = parts.next().unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(rest.len());
    Ok(id.filter(|_| &rest[..end] == name.as_bytes()))
}

/// The bytes of a v0 advertisement that names just one ref. A client that knows the ref's commit already can read it in
/// place of the host's own; the capabilities are those that every smart HTTP host of the last decade has.
pub fn advertise(id: &CommitId, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    pktline::push(&mut bytes, b"# service=git-upload-pack\n");
    bytes.extend_from_slice(pktline::FLUSH);
    let capabilities = "multi_ack side-band-64k ofs-delta";
    pktline::push(&mut bytes, format!("{id} {name}\0{capabilities}\n").as_bytes());
    bytes.extend_from_slice(pktline::FLUSH);
    bytes
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

    #[track_caller]
    fn check(lines: &[&str], expected: Result<Option<CommitId>, &str>) {
        let lines: Vec<String> =
            lines.iter().map(|l| l.replace('A', id("a").as_str()).replace('B', id("b").as_str())).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        match (find(&packets(&lines), NAME), expected) {
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{lines:?}: {e}"),
            (found, expected) => assert_eq!(found.ok(), expected.ok(), "{lines:?}"),
        }
    }

    #[test]
    fn the_head_in_an_answer_of_v2() {
        check(&["A refs/heads/main-2\n", "B refs/heads/main\n", "0000"], Ok(Some(id("b"))));
        check(&["A refs/heads/main peeled:B", "0000"], Ok(Some(id("a"))));
        check(&["unborn HEAD symref-target:refs/heads/main", "0000"], Ok(None));
        check(&["0000"], Ok(None));
        check(&["A refs/heads/main\n"], Err("cut off"));
        check(&["ERR upload-pack: no\u{7}\n"], Err("upload-pack: no\\u{7}"));
        check(&["hello\n", "0000"], Err("no commit id"));
    }

    #[test]
    fn both_kinds_of_advertisement() {
        let v2 = packets(&["# service=git-upload-pack\n", "0000", "version 2\n", "ls-refs\n", "0000"]);
        assert_eq!(advertisement(&v2, NAME), Ok(Advertisement::Commands));
        let v0 = advertise(&id("c"), NAME);
        assert_eq!(advertisement(&v0, NAME), Ok(Advertisement::Refs(Some(id("c")))));
        assert_eq!(advertisement(&v0, "refs/heads/mai"), Ok(Advertisement::Refs(None)));
        let empty = format!("{} capabilities^{{}}\0agent=x\n", "0".repeat(40));
        assert_eq!(advertisement(&packets(&[&empty, "0000"]), NAME), Ok(Advertisement::Refs(None)));
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

    proptest! {
        #[test]
        fn any_answer_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200), line in "[ -~]{0,60}") {
            let _ = (find(&bytes, NAME), advertisement(&bytes, NAME));
            let _ = (find(&packets(&[&line]), NAME), advertisement(&packets(&[&line, "0000"]), NAME));
        }
    }
}
