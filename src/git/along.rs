//! What goes along with a push: options for the host, and a second ref that gets the same commit. In: what the host says of
//! itself (gitprotocol-pack, gitprotocol-capabilities). Out: the commands, or why the host can't do that. Pure.

use super::error::Error;
use super::lsrefs::AGENT;
use super::pktline::{self, Packet, Packets};
use crate::revision::CommitId;

/// What goes along with a push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Along {
    /// Push options, as they are sent: `key=value` or `key`.
    pub options: Vec<String>,
    /// A second ref that gets the commit: both move, or none.
    pub second: Option<Second>,
}

/// A second ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Second {
    /// Its full name.
    pub name: String,
    /// Whether it may lose commits that it has.
    pub may_go_back: bool,
}

impl Along {
    /// Whether there is anything for which the host must be asked first.
    pub fn is_nothing(&self) -> bool {
        self.options.is_empty() && self.second.is_none()
    }
}

/// What a host says before a push.
#[derive(Debug, PartialEq, Eq)]
pub struct Advertised {
    capabilities: Vec<String>,
    /// The commit of the second ref.
    pub second: Option<CommitId>,
}

impl Advertised {
    fn can(&self, what: &str) -> bool {
        self.capabilities.iter().any(|capability| capability == what)
    }
}

/// Reads the refs that a receive-pack lists, with or without the comment of smart HTTP before them; looks for the ref `name`.
///
/// # Errors
/// It is no such list.
pub fn advertised(answer: &[u8], name: Option<&str>) -> Result<Advertised, Error> {
    let mut found = Advertised { capabilities: Vec::new(), second: None };
    let mut is_first = true;
    let mut packets = Packets::of(answer).peekable();
    if let Some(Ok(Packet::Data(data))) = packets.peek()
        && data.starts_with(b"# service=")
    {
        packets.next();
        packets.next_if(|packet| matches!(packet, Ok(Packet::Flush)));
    }
    for packet in packets {
        let packet = packet?;
        let Some(line) = packet.line() else { return Ok(found) };
        if let Some(words) = line.strip_prefix(b"ERR ") {
            return Err(Error::protocol(&String::from_utf8_lossy(words)));
        }
        let line = String::from_utf8_lossy(line);
        if line == "version 1" || line.starts_with("shallow ") {
            continue;
        }
        let (line, capabilities) = line.split_once('\0').unwrap_or((&line, ""));
        if std::mem::take(&mut is_first) {
            found.capabilities = capabilities.split(' ').map(str::to_owned).collect();
        }
        let Some((id, of)) = line.split_once(' ') else { return Err(Error::protocol("a list of refs that is none")) };
        if name == Some(of) {
            found.second = Some(id.parse().map_err(|error: String| Error::protocol(&error))?);
        }
    }
    Err(Error::protocol("a list of refs is cut off"))
}

/// The head of a push's body, the branch and what goes along, and whether the second ref is in it: it is not when it is there
/// already. A pack follows.
///
/// # Errors
/// [`Error::Rejected`] when the host lacks what that needs.
pub fn commands(
    (old, new, name): (Option<&CommitId>, &CommitId, &str),
    along: &Along,
    host: &Advertised,
) -> Result<(Vec<u8>, bool), Error> {
    let mut capabilities = format!("report-status side-band-64k {AGENT}");
    if !along.options.is_empty() {
        if !host.can("push-options") {
            return Err(Error::rejected(
                "it takes no push options (receive.advertisePushOptions is off there): remove spec.push.options",
            ));
        }
        capabilities.push_str(" push-options");
    }
    let second = along.second.as_ref().filter(|_| host.second.as_ref() != Some(new));
    if second.is_some() {
        if !host.can("atomic") {
            return Err(Error::rejected("it cannot move two refs together (atomic): remove spec.push.refspec"));
        }
        capabilities.push_str(" atomic");
    }
    let nothing = "0".repeat(new.as_str().len());
    let id = |id: Option<&CommitId>| id.map_or(nothing.clone(), ToString::to_string);
    let mut body = Vec::new();
    pktline::push(&mut body, format!("{} {new} {name}\0{capabilities}", id(old)).as_bytes());
    if let Some(second) = second {
        pktline::push(&mut body, format!("{} {new} {}", id(host.second.as_ref()), second.name).as_bytes());
    }
    body.extend_from_slice(pktline::FLUSH);
    if !along.options.is_empty() {
        along.options.iter().for_each(|option| pktline::push(&mut body, option.as_bytes()));
        body.extend_from_slice(pktline::FLUSH);
    }
    Ok((body, second.is_some()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(digit: &str) -> CommitId {
        digit.repeat(40).parse().unwrap()
    }

    fn list(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            let line = line.replace('A', id("a").as_str()).replace('B', id("b").as_str());
            if line == "0000" { bytes.extend(b"0000") } else { pktline::push(&mut bytes, line.as_bytes()) }
        }
        bytes
    }

    const COMMENT: &str = "# service=git-receive-pack\n";

    #[test]
    fn what_a_host_says() {
        let both =
            list(&[COMMENT, "0000", "A refs/heads/main\0report-status atomic push-options\n", "B refs/x\n", "0000"]);
        let said = advertised(&both, Some("refs/x")).unwrap();
        assert!(said.can("atomic") && said.can("push-options") && !said.can("push"));
        assert_eq!(said.second, Some(id("b")));
        assert_eq!(advertised(&both, None).unwrap().second, None);
        let empty = list(&[&format!("{} capabilities^{{}}\0atomic", "0".repeat(40)), "0000"]);
        assert!(advertised(&empty, Some("refs/x")).unwrap().can("atomic"));
        for (bad, words) in [
            (list(&["ERR no\n"]), "no"),
            (list(&[COMMENT, "0000", "A refs/heads/main\0\n"]), "cut off"),
            (list(&["login\n", "0000"]), "is none"),
            (list(&["x refs/x\n", "0000"]), "unexpected"),
        ] {
            let error = advertised(&bad, Some("refs/x")).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[track_caller]
    fn check_refused(along: &Along, capabilities: &str, words: &str) {
        let host = Advertised { capabilities: capabilities.split(' ').map(str::to_owned).collect(), second: None };
        let error = commands((Some(&id("a")), &id("b"), "refs/heads/main"), along, &host).unwrap_err();
        assert!(error.to_string().contains(words) && error.needs_user(), "{error}");
    }

    #[test]
    fn what_is_asked_of_it() {
        let options = Along { options: vec!["topic=x".into(), "ci.skip".into()], second: None };
        let second = Second { name: "refs/x".into(), may_go_back: false };
        let both = Along { second: Some(second), ..options.clone() };
        check_refused(&options, "report-status atomic", "takes no push options");
        check_refused(&both, "push-options", "cannot move two refs together");
        let body = |along: &Along, second: Option<CommitId>| {
            let host = Advertised { capabilities: vec!["atomic".into(), "push-options".into()], second };
            let (bytes, both) = commands((None, &id("b"), "refs/heads/main"), along, &host).unwrap();
            assert_eq!(both, String::from_utf8_lossy(&bytes).contains("refs/x"));
            let lines = Packets::of(&bytes).map(|packet| match packet.unwrap() {
                Packet::Data(data) => String::from_utf8_lossy(data).replace('\0', " ").replace(AGENT, "AGENT"),
                _ => "flush".to_owned(),
            });
            lines.collect::<Vec<_>>().join("\n").replace(id("b").as_str(), "B").replace(id("a").as_str(), "A")
        };
        let nothing = "0".repeat(40);
        let first = format!("{nothing} B refs/heads/main report-status side-band-64k AGENT push-options");
        let options_lines = "flush\ntopic=x\nci.skip\nflush";
        assert_eq!(body(&options, None), format!("{first}\n{options_lines}"));
        assert_eq!(body(&both, Some(id("a"))), format!("{first} atomic\nA B refs/x\n{options_lines}"));
        assert_eq!(body(&both, None), format!("{first} atomic\n{nothing} B refs/x\n{options_lines}"));
        assert_eq!(body(&both, Some(id("b"))), format!("{first}\n{options_lines}"), "it is there already");
    }

    proptest! {
        #[test]
        fn any_answer_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200), line in "[ -~]{0,60}") {
            let _ = (advertised(&bytes, Some("refs/x")), advertised(&list(&[&line, "0000"]), Some("refs/x")));
        }
    }
}
