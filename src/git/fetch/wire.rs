//! The answer to a fetch, by HTTP or in a session. In: a request that was sent. Out: the bytes of the pack, piece by piece; the
//! host's refusal as an error. What comes is counted against a limit.

use std::time::Duration;

use reqwest::Response;
use tokio::time::timeout;

use crate::git::Error;
use crate::git::client;
use crate::git::pktline::{self, Packet};
use crate::git::ssh::session::Session;
use crate::revision::CommitId;

/// The largest pack that we read, in bytes.
pub const PACK_LIMIT: usize = 4 << 30;

/// How long a host may take to end an answer that has said all.
const GOODBYE: Duration = Duration::from_millis(500);

/// An answer on its way.
pub enum Wire {
    /// The body of an HTTP answer.
    Http(Body),
    /// The output of a command.
    Ssh(Session),
}

/// A body, what came of it and was not read yet, and how much may still come.
pub struct Body {
    answer: Response,
    buffer: Vec<u8>,
    left: usize,
}

impl From<Response> for Wire {
    fn from(answer: Response) -> Self {
        Self::Http(Body { answer, buffer: Vec::new(), left: PACK_LIMIT })
    }
}

/// A pack on its way.
pub struct Pack {
    wire: Wire,
    wanted: CommitId,
    /// Whether a list of where history ends comes first, as a message of its own (v0).
    has_list: bool,
}

impl Pack {
    /// The pack in an answer.
    pub fn new(wire: Wire, wanted: CommitId, has_list: bool) -> Self {
        Self { wire, wanted, has_list }
    }

    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// The host breaks off, and may say why; [`Error::CommitGone`] when it lacks the commit.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let payload = match &mut self.wire {
                Wire::Http(body) => body.payload().await,
                Wire::Ssh(session) => session.payload().await,
            };
            let Some(mut payload) = payload.map_err(|error| self.gone(error))? else {
                if std::mem::take(&mut self.has_list) {
                    continue;
                }
                return Ok(None);
            };
            match payload.first() {
                Some(1) => return Ok(Some(payload.split_off(1))),
                Some(3) => return Err(Error::protocol(&String::from_utf8_lossy(&payload[1..]))),
                // Progress; what is common; where history ends; the name of a section.
                _ => {}
            }
        }
    }

    fn gone(&self, error: Error) -> Error {
        match error {
            Error::SessionRefused { message } | Error::Protocol { message } if message.contains("not our ref") => {
                Error::CommitGone { commit: self.wanted.to_string() }
            }
            error => error,
        }
    }

    /// Says goodbye. By HTTP that is to read to the end, so that the connection is there for the next request.
    pub async fn end(self) {
        match self.wire {
            Wire::Ssh(session) => session.end().await,
            Wire::Http(mut body) => {
                let rest = async { while let Ok(Some(_)) = body.answer.chunk().await {} };
                drop(timeout(GOODBYE, rest).await);
            }
        }
    }
}

impl Body {
    /// The next packet's payload, if there is one before the message's end.
    async fn payload(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            if let Some((packet, length)) = pktline::first(&self.buffer)? {
                let payload = match packet {
                    Packet::Flush => Some(None),
                    Packet::Data(data) => Some(Some(data.to_vec())),
                    Packet::Delimiter | Packet::ResponseEnd => None,
                };
                if let Some(words) = packet.line().and_then(|line| line.strip_prefix(b"ERR ")) {
                    return Err(Error::protocol(&String::from_utf8_lossy(words)));
                }
                self.buffer.drain(..length);
                match payload {
                    Some(payload) => return Ok(payload),
                    None => continue,
                }
            }
            let chunk = self.answer.chunk().await.map_err(client::unreachable)?;
            let chunk = chunk.ok_or_else(|| Error::protocol("an answer that is cut off"))?;
            self.left = self.left.checked_sub(chunk.len()).ok_or_else(|| Error::TooLarge {
                what: "what the git host sends, in bytes,".into(),
                limit: PACK_LIMIT as u64,
            })?;
            self.buffer.extend_from_slice(&chunk);
        }
    }
}
