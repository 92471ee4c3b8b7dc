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
    Commands {
        /// Whether it can leave history out of a fetch.
        shallow: bool,
    },
    /// Protocol v0 or v1: a list of all refs.
    Refs {
        /// The asked one's commit.
        found: Option<CommitId>,
        /// Whether the host can leave history out of a fetch.
        shallow: bool,
    },
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
    let (mut is_v2, mut found, mut shallow) = (false, None, false);
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
                found = found.or(read_ref(line, name)?);
            }
        }
    }
    Err(Error::protocol("a list of refs is cut off"))
}

fn has_shallow(words: &[u8]) -> bool {
    words.split(|byte| *byte == b' ').any(|word| word == b"shallow")
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
        for (capabilities, shallow) in [("multi_ack shallow agent=x", true), ("deepen-since agent=shallow", false)] {
            let line = format!("C {NAME}\0{capabilities}\n");
            assert_eq!(read(&[&line, "0000"]), Ok(Advertisement::Refs { found: Some(id("c")), shallow }));
            let (line, found) = (format!("C refs/heads/mai\0{capabilities}\n"), None);
            assert_eq!(read(&["version 1\n", &line, "0000"]), Ok(Advertisement::Refs { found, shallow }));
        }
        let empty = format!("{} capabilities^{{}}\0agent=x\n", "0".repeat(40));
        assert_eq!(read(&[&empty, "0000"]), Ok(Advertisement::Refs { found: None, shallow: false }));
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

    proptest! {
        #[test]
        fn any_answer_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200), line in "[ -~]{0,60}") {
            let _ = (find(&bytes, NAME), advertisement(&bytes, NAME));
            let _ = (find(&packets(&[&line]), NAME), advertisement(&packets(&[&line, "0000"]), NAME));
        }
    }
}
