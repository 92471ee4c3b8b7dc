//! Fetching over a session, without libgit2, which would read the list of all refs first. In: the commit that is wanted and some
//! that are here. Out: the bytes of a pack, piece by piece.

use super::Ssh;
use super::session::Session;
use crate::git::Error;
use crate::git::client::{REFS_LIMIT, Service};
use crate::git::lsrefs::{self, AGENT, Advertisement};
use crate::git::pktline::{self, DELIMITER, FLUSH};
use crate::git::place::Shell;
use crate::git::transport::PACK_LIMIT;
use crate::revision::CommitId;

/// A pack on its way.
pub struct Pack(Session, CommitId);

/// What to fetch.
pub struct Ask<'a> {
    /// The ref whose head was `wanted`.
    pub name: &'a str,
    /// The commit.
    pub wanted: &'a CommitId,
    /// Commits that are here with all that they can reach.
    pub haves: &'a [CommitId],
}

/// Asks for a commit and all that it can reach, less what is here.
///
/// # Errors
/// [`Error::CommitGone`] when the host has no such ref any more; or whatever keeps us from the host.
pub async fn start(place: &Shell, login: &Ssh, ask: &Ask<'_>) -> Result<Pack, Error> {
    let mut session = Session::start(place, login, Service::UploadPack, REFS_LIMIT + PACK_LIMIT).await?;
    let request = match lsrefs::advertisement(&session.message().await?, ask.name)? {
        Advertisement::Commands => v2(ask),
        // Before v2 a host gives only what its list names; what is wanted may be below that by now.
        Advertisement::Refs(Some(head)) => v0(&Ask { wanted: &head, ..*ask }),
        Advertisement::Refs(None) => return Err(Error::CommitGone { commit: ask.wanted.to_string() }),
    };
    session.send(request).await?;
    Ok(Pack(session, ask.wanted.clone()))
}

impl Pack {
    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// The host breaks off, and may say why.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, Error> {
        while let Some(mut payload) = self.0.payload().await.map_err(|error| self.gone(error))? {
            match payload.first() {
                Some(1) => return Ok(Some(payload.split_off(1))),
                Some(3) => return Err(Error::protocol(&String::from_utf8_lossy(&payload[1..]))),
                // Progress; what is common; the name of a section.
                _ => {}
            }
        }
        Ok(None)
    }

    fn gone(&self, error: Error) -> Error {
        match error {
            Error::SessionRefused { message } if message.contains("not our ref") => {
                Error::CommitGone { commit: self.1.to_string() }
            }
            error => error,
        }
    }

    /// Says goodbye.
    pub async fn end(self) {
        self.0.end().await;
    }
}

fn v2(ask: &Ask<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    let mut line = |text: &str| pktline::push(&mut body, text.as_bytes());
    line("command=fetch\n");
    line(AGENT);
    body.extend_from_slice(DELIMITER);
    let mut line = |text: &str| pktline::push(&mut body, text.as_bytes());
    line("ofs-delta\n");
    line("no-progress\n");
    line(&format!("want {}\n", ask.wanted));
    ask.haves.iter().for_each(|have| line(&format!("have {have}\n")));
    line("done\n");
    body.extend_from_slice(FLUSH);
    body
}

fn v0(ask: &Ask<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    pktline::push(&mut body, format!("want {} side-band-64k ofs-delta no-progress {AGENT}\n", ask.wanted).as_bytes());
    body.extend_from_slice(FLUSH);
    ask.haves.iter().for_each(|have| pktline::push(&mut body, format!("have {have}\n").as_bytes()));
    pktline::push(&mut body, b"done\n");
    body
}
