//! The request for a pack (gitprotocol-v2 `fetch`, gitprotocol-pack "Packfile Negotiation"), over HTTP and SSH alike.
//! Pure: what is wanted and what is here in, bytes out.

use super::Reach;
use crate::git::lsrefs::AGENT;
use crate::git::pktline::{self, DELIMITER, FLUSH};
use crate::revision::CommitId;

/// What to fetch.
pub struct Ask<'a> {
    /// The commit.
    pub wanted: &'a CommitId,
    /// Commits that are here: with all that they can reach, or, for [`Reach::Head`], with their trees.
    pub haves: &'a [CommitId],
    /// How much of what comes before it.
    pub reach: Reach,
}

impl Ask<'_> {
    /// The request of protocol v2.
    pub fn v2(&self) -> Vec<u8> {
        let mut body = Vec::new();
        pktline::push(&mut body, b"command=fetch\n");
        pktline::push(&mut body, AGENT.as_bytes());
        body.extend_from_slice(DELIMITER);
        for argument in ["ofs-delta\n", "no-progress\n"] {
            pktline::push(&mut body, argument.as_bytes());
        }
        if self.reach == Reach::Head {
            pktline::push(&mut body, b"thin-pack\n");
        }
        pktline::push(&mut body, format!("want {}\n", self.wanted).as_bytes());
        self.cut(&mut body);
        self.end(&mut body);
        body.extend_from_slice(FLUSH);
        body
    }

    /// The request of protocol v0. Some hosts answer only who knows `multi_ack`.
    pub fn v0(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let more = if self.reach == Reach::Head { " shallow thin-pack" } else { "" };
        let capabilities = format!("multi_ack side-band-64k ofs-delta no-progress{more} {AGENT}");
        pktline::push(&mut body, format!("want {} {capabilities}\n", self.wanted).as_bytes());
        self.cut(&mut body);
        body.extend_from_slice(FLUSH);
        self.end(&mut body);
        body
    }

    /// Where history ends here, and where it shall end. Without this the host would send all that a merge brought in from below.
    /// The head before is still a base for differences: that is what a thin pack is for.
    fn cut(&self, body: &mut Vec<u8>) {
        if self.reach == Reach::Head {
            self.haves.iter().for_each(|have| pktline::push(body, format!("shallow {have}\n").as_bytes()));
            pktline::push(body, b"deepen 1\n");
        }
    }

    fn end(&self, body: &mut Vec<u8>) {
        self.haves.iter().for_each(|have| pktline::push(body, format!("have {have}\n").as_bytes()));
        pktline::push(body, b"done\n");
    }
}
