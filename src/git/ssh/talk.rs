//! What is said over a session (gitprotocol-v2, gitprotocol-pack). In: a question. Out: a branch's head, or the fate of a push.
//! Both by the packets that HTTP carries too; only who speaks first differs.

use super::Ssh;
use super::session::{Session, refused};
use crate::git::client::{REFS_LIMIT, REPORT_LIMIT, Service};
use crate::git::lsrefs::{self, Advertisement};
use crate::git::pktline::{self, FLUSH, Packet};
use crate::git::place::Shell;
use crate::git::report::{self, Report};
use crate::git::{Error, Listed};

/// The refs of this name. Some hundred bytes each when the host speaks protocol v2, else its whole list of refs.
pub async fn refs(place: &Shell, login: &Ssh, name: &str) -> Result<Vec<Listed>, Error> {
    let mut session = Session::start(place, login, Service::UploadPack, REFS_LIMIT).await?;
    let found = match lsrefs::advertisement(&session.message().await?, name)? {
        Advertisement::Refs { found, .. } => found,
        Advertisement::Commands { .. } => {
            session.send(lsrefs::request(name)).await?;
            lsrefs::find(&session.message().await?, name)?
        }
    };
    session.send(FLUSH.to_vec()).await?;
    session.end().await;
    Ok(found)
}

/// Sends what is to be done about what the host says of itself and its refs, and a pack; the host's report on the refs in it.
pub async fn push<'n>(
    place: &Shell,
    login: &Ssh,
    commands: impl FnOnce(&[u8]) -> Result<(Vec<u8>, Vec<&'n str>), Error>,
    pack: &[u8],
) -> Result<Report, Error> {
    let mut session = Session::start(place, login, Service::ReceivePack, REFS_LIMIT + REPORT_LIMIT).await?;
    let (mut body, names) = commands(&session.message().await?)?;
    body.extend_from_slice(pack);
    session.send(body).await?;
    let report = report::read(&session.message().await?, &names)?;
    session.end().await;
    Ok(report)
}

impl Session {
    /// The bytes of one message, its flush included.
    ///
    /// # Errors
    /// The command ends before, and may have said why in a last packet, or to people.
    pub async fn message(&mut self) -> Result<Vec<u8>, Error> {
        let mut end = 0;
        loop {
            let Some((length, is_end)) = self.packet_at(end, |packet| packet == Packet::Flush).await? else {
                return Err(self.cut_off());
            };
            end += length;
            if is_end {
                let rest = self.buffer.split_off(end);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
        }
    }

    /// The next packet's payload, if there is one before the message's end.
    pub async fn payload(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let read = |packet: Packet<'_>| match packet {
                Packet::Flush => Some(None),
                Packet::Data(data) => Some(Some(data.to_vec())),
                Packet::Delimiter | Packet::ResponseEnd => None,
            };
            let Some((length, payload)) = self.packet_at(0, read).await? else { return Err(self.cut_off()) };
            self.buffer.drain(..length);
            if let Some(payload) = payload {
                return Ok(payload);
            }
        }
    }

    /// Waits for the packet that begins at this place of the buffer; its length, and what is made of it.
    async fn packet_at<T>(&mut self, at: usize, read: impl Fn(Packet<'_>) -> T) -> Result<Option<(usize, T)>, Error> {
        loop {
            if let Some((packet, length)) = pktline::first(&self.buffer[at..])? {
                if let Some(words) = packet.line().and_then(|line| line.strip_prefix(b"ERR ")) {
                    return Err(refused(&String::from_utf8_lossy(words)));
                }
                self.spoke = true;
                return Ok(Some((length, read(packet))));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }
}
