//! The push command and the report that answers it (gitprotocol-pack, report-status and side-band). Pure: bytes in and out.

use super::error::Error;
use super::lsrefs::AGENT;
use super::pktline::{self, Packet, Packets};
use crate::revision::CommitId;

/// The longest text that the host's hooks may say to us, in bytes.
const WORDS_LIMIT: usize = 16 << 10;

/// What Git says of a ref that would have moved if another one had.
const TOGETHER: &str = "atomic push failure";

/// The head of a push's body: move the ref `name` from `old` (nothing: it must not exist) to `new`. A pack follows.
pub fn command(old: Option<&CommitId>, new: &CommitId, name: &str) -> Vec<u8> {
    let nothing = "0".repeat(new.as_str().len());
    let old = old.map_or(nothing.as_str(), CommitId::as_str);
    let mut body = Vec::new();
    pktline::push(&mut body, format!("{old} {new} {name}\0report-status side-band-64k {AGENT}").as_bytes());
    body.extend_from_slice(pktline::FLUSH);
    body
}

/// The body of a push that deletes the ref `name` if it is at `old`. No pack follows.
pub fn deletion(old: &CommitId, name: &str) -> Vec<u8> {
    let nothing = "0".repeat(old.as_str().len());
    let mut body = Vec::new();
    pktline::push(&mut body, format!("{old} {nothing} {name}\0report-status side-band-64k {AGENT}").as_bytes());
    body.extend_from_slice(pktline::FLUSH);
    body
}

/// What the host did with the command.
#[derive(Debug, PartialEq, Eq)]
pub enum Report {
    /// The ref moved.
    Done,
    /// It did not, and this is all that the host said about it: hooks first, then the reason.
    Refused(String),
}

/// Reads the answer to a push of these refs. One that is refused is the answer for all.
///
/// # Errors
/// The answer is no report, or is cut off before it told the fate of each.
pub fn read(answer: &[u8], names: &[&str]) -> Result<Report, Error> {
    let (report, words) = demultiplex(answer)?;
    let mut unpack = None;
    let mut reasons = Vec::new();
    let mut told = 0;
    for packet in Packets::of(&report) {
        let Some(line) = packet?.line().map(String::from_utf8_lossy) else { continue };
        let of = |rest: &str| {
            names.iter().find_map(|name| Some((*name, rest.strip_prefix(*name)?.strip_prefix(' ')?.to_owned())))
        };
        if let Some(result) = line.strip_prefix("unpack ") {
            unpack = Some(result.to_owned()).filter(|result| result != "ok");
        } else if line.strip_prefix("ok ").is_some_and(|name| names.contains(&name)) {
            told += 1;
        } else if let Some((name, reason)) = line.strip_prefix("ng ").and_then(of) {
            told += 1;
            reasons.push((name, reason.trim().to_owned()));
        }
        if told == names.len() {
            return Ok(fate(names, &reasons, &words, unpack.as_deref()));
        }
    }
    match unpack {
        Some(result) => Err(Error::protocol(&format!("it could not unpack the push: {result}"))),
        None => Err(Error::protocol(&format!("its report does not name the branch {words}"))),
    }
}

fn fate(names: &[&str], reasons: &[(&str, String)], words: &str, unpack: Option<&str>) -> Report {
    // Of refs that move together, all but the culprit only say that one of them could not.
    let own = |(_, reason): &&(&str, String)| reason != TOGETHER;
    let Some((name, reason)) = reasons.iter().find(own).or(reasons.first()) else { return Report::Done };
    let reason = if names.first() == Some(name) { reason.clone() } else { format!("{name}: {reason}") };
    let parts = [words.trim(), unpack.unwrap_or_default(), &reason];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Report::Refused(parts.join(": "))
}

/// Splits the side bands: the report's own packets, and what hooks and host said to people.
fn demultiplex(answer: &[u8]) -> Result<(Vec<u8>, String), Error> {
    let (mut report, mut words) = (Vec::new(), Vec::new());
    for packet in Packets::of(answer) {
        let Packet::Data(data) = packet? else { continue };
        match data.split_first() {
            Some((1, rest)) => report.extend_from_slice(rest),
            Some((2, rest)) => {
                words.extend_from_slice(&rest[..rest.len().min(WORDS_LIMIT.saturating_sub(words.len()))])
            }
            Some((3, rest)) => return Err(Error::protocol(&String::from_utf8_lossy(rest))),
            // A host without side bands: the packets are the report.
            Some(_) if data.starts_with(b"ERR ") => return Err(Error::protocol(&String::from_utf8_lossy(&data[4..]))),
            Some(_) => pktline::push(&mut report, data),
            None => {}
        }
    }
    Ok((report, String::from_utf8_lossy(&words).replace('\r', "\n")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "refs/heads/main";

    fn report(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        lines.iter().for_each(|line| pktline::push(&mut bytes, line.as_bytes()));
        bytes.extend(pktline::FLUSH);
        bytes
    }

    fn band(number: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        pktline::push(&mut bytes, &[&[number], payload].concat());
        bytes
    }

    #[track_caller]
    fn check(answer: &[u8], expected: Result<Report, &str>) {
        match (read(answer, &[NAME]), expected) {
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{e}"),
            (got, expected) => assert_eq!(got.as_ref().ok(), expected.as_ref().ok(), "{got:?}"),
        }
    }

    #[test]
    fn what_a_report_says() {
        let refused = |text: &str| Ok(Report::Refused(text.to_owned()));
        check(&report(&["unpack ok\n", "ok refs/heads/main\n"]), Ok(Report::Done));
        check(&band(1, &report(&["unpack ok\n", "ok refs/heads/main\n"])), Ok(Report::Done));
        let moved = report(&["unpack ok\n", "ng refs/heads/main failed to update ref\n"]);
        check(&band(1, &moved), refused("failed to update ref"));
        let hook = report(&["unpack ok\n", "ng refs/heads/main pre-receive hook declined\n"]);
        check(
            &[band(2, b"policy:\r\nno "), band(2, b"Fridays\n"), band(1, &hook)].concat(),
            refused("policy:\n\nno Fridays: pre-receive hook declined"),
        );
        let broken = report(&["unpack index-pack abnormal exit\n", "ng refs/heads/main unpacker error\n"]);
        check(&broken, refused("index-pack abnormal exit: unpacker error"));
        check(&report(&["unpack ok\n", "ok refs/heads/other\n"]), Err("does not name the branch"));
        check(&report(&["unpack disk full\n"]), Err("disk full"));
        check(&band(3, b"out of memory"), Err("out of memory"));
        check(b"", Err("does not name the branch"));
        check(b"<html>", Err("hexadecimal"));
    }

    #[test]
    fn two_refs_move_together() {
        let both = |lines: &[&str]| read(&report(lines), &[NAME, "refs/x"]).map_err(|error| error.to_string());
        let refused = |text: &str| Ok(Report::Refused(text.to_owned()));
        assert_eq!(both(&["unpack ok\n", "ok refs/heads/main\n", "ok refs/x\n"]), Ok(Report::Done));
        let second = ["unpack ok\n", "ng refs/heads/main atomic push failure\n", "ng refs/x failed to update ref\n"];
        assert_eq!(both(&second), refused("refs/x: failed to update ref"));
        let first = ["unpack ok\n", "ng refs/heads/main failed to update ref\n", "ng refs/x atomic push failure\n"];
        assert_eq!(both(&first), refused("failed to update ref"));
        assert_eq!(both(&["unpack ok\n", "ok refs/heads/main\n", "ng refs/x no\n"]), refused("refs/x: no"));
        assert!(both(&["unpack ok\n", "ok refs/heads/main\n"]).is_err());
    }

    #[test]
    fn a_report_split_over_packets() {
        let whole = report(&["unpack ok\n", "ok refs/heads/main\n"]);
        let (a, b) = whole.split_at(7);
        check(&[band(1, a), band(2, b"hi"), band(1, b), b"0000".to_vec()].concat(), Ok(Report::Done));
    }

    #[test]
    fn the_command_is_a_compare_and_swap() {
        let (a, b): (CommitId, CommitId) = ("a".repeat(40).parse().unwrap(), "b".repeat(40).parse().unwrap());
        let text = String::from_utf8(command(Some(&a), &b, NAME)).unwrap();
        assert!(
            text[4..].starts_with(&format!("{a} {b} {NAME}\0report-status side-band-64k agent=tagboat/")),
            "{text:?}"
        );
        assert!(text.ends_with("0000"));
        assert!(
            String::from_utf8(command(None, &b, NAME)).unwrap()[4..].starts_with(&format!("{} {b} ", "0".repeat(40)))
        );
    }

    proptest! {
        #[test]
        fn any_answer_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200), line in "[ -~]{0,60}") {
            let _ = (read(&bytes, &[NAME]), read(&report(&[&line]), &[NAME]), read(&band(1, line.as_bytes()), &[NAME]));
        }
    }
}
