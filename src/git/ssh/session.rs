//! One SSH connection and one command on it. In: a place, a login, a service of Git. Out: a stream of packets in both directions.
//! The host's key is checked before anything about us is said; every byte that comes counts against a limit.

#![expect(clippy::disallowed_methods, reason = "this is the Git shell's network")]

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use russh::client::{Config, Handle, Handler, Msg};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{AlgorithmKind, Channel, ChannelMsg, Disconnect};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Ssh;
use crate::failure::{chain, printable};
use crate::git::Error;
use crate::git::client::Service;
use crate::git::mirror::locked;
use crate::git::place::Shell;
use crate::reach::{CONNECT_TIMEOUT, READ_TIMEOUT};

/// How much of what a host says to people is kept, in bytes.
const WORDS_LIMIT: usize = 4 << 10;

/// A command that runs on the host.
pub struct Session {
    handle: Handle<Check>,
    channel: Channel<Msg>,
    /// What came and was not read yet.
    pub buffer: Vec<u8>,
    /// How many bytes may come, and how many did.
    limit: usize,
    came: usize,
    /// Whether a whole packet came. Hosts that refuse may print an empty line there, for the sake of some clients.
    pub spoke: bool,
    words: Vec<u8>,
    status: Option<u32>,
}

/// Judges the host's key.
struct Check {
    login: Ssh,
    place: Shell,
    verdict: Arc<Mutex<Option<Error>>>,
}

impl Handler for Check {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let checked = self.login.0.known.check(&self.place.host, self.place.port, &shown.public_key());
        let is_trusted = checked.is_ok() && shown.certificate().is_none();
        *locked(&self.verdict) = checked.err().map(|reason| Error::HostKey { reason });
        Ok(is_trusted)
    }
}

impl Session {
    /// Connects, logs in, and starts a service on the repository. `limit` is how many bytes may come, all in all.
    pub async fn start(place: &Shell, login: &Ssh, service: Service, limit: usize) -> Result<Self, Error> {
        let handle = connect(place, login).await?;
        let channel = handle.channel_open_session().await.map_err(broken)?;
        if matches!(service, Service::UploadPack) {
            // A host that does not take variables answers in the protocol of before, and that is the answer to it.
            channel.set_env(false, "GIT_PROTOCOL", "version=2").await.map_err(broken)?;
        }
        let command = format!("{} {}", service.name(), place.quoted_path());
        channel.exec(true, command).await.map_err(broken)?;
        Ok(Self { handle, channel, buffer: Vec::new(), limit, came: 0, spoke: false, words: Vec::new(), status: None })
    }

    /// Sends bytes to the command.
    pub async fn send(&self, bytes: Vec<u8>) -> Result<(), Error> {
        self.channel.data_bytes(bytes).await.map_err(broken)
    }

    /// Waits for more bytes; false at the end of what the command says.
    pub async fn more(&mut self) -> Result<bool, Error> {
        loop {
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    self.came += data.len();
                    if self.came > self.limit {
                        let what = "what the git host sends, in bytes,".into();
                        return Err(Error::TooLarge { what, limit: self.limit as u64 });
                    }
                    self.buffer.extend_from_slice(&data);
                    return Ok(true);
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let room = WORDS_LIMIT.saturating_sub(self.words.len());
                    self.words.extend_from_slice(&data[..data.len().min(room)]);
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => self.status = Some(exit_status),
                Some(ChannelMsg::Failure) => return Err(refused("the host runs no commands for this key")),
                None => return Ok(false),
                // Words and exit status may come after the end of the output.
                Some(_) => {}
            }
        }
    }

    /// What it means that the command ended before it had said all: without a word of the protocol it is a refusal, in the
    /// middle of an answer an accident.
    pub fn cut_off(&self) -> Error {
        let words = printable(&String::from_utf8_lossy(&self.words), 500);
        match self.status {
            _ if self.spoke => Error::Unreachable { message: format!("it ended in the middle of an answer {words}") },
            _ if !words.is_empty() => refused(&words),
            Some(status) if status != 0 => refused(&format!("its git ended with status {status}")),
            _ => Error::Unreachable { message: "it ended without an answer".into() },
        }
    }

    /// Says goodbye; the host need not answer.
    pub async fn end(self) {
        let _ = self.channel.eof().await;
        let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
    }
}

async fn connect(place: &Shell, login: &Ssh) -> Result<Handle<Check>, Error> {
    let algorithms = login.0.known.algorithms(&place.host, place.port);
    let algorithms = algorithms.map_err(|reason| Error::HostKey { reason })?;
    let mut config = Config { inactivity_timeout: Some(READ_TIMEOUT), nodelay: true, ..Config::default() };
    config.preferred.key = Cow::Owned(algorithms);
    let socket = timeout(CONNECT_TIMEOUT, TcpStream::connect((place.host.as_str(), place.port))).await;
    let socket =
        socket.map_err(|_| Error::Timeout { limit: CONNECT_TIMEOUT })?.map_err(|error| broken(error.into()))?;
    let _ = socket.set_nodelay(true);
    let verdict = Arc::default();
    let check = Check { login: login.clone(), place: place.clone(), verdict: Arc::clone(&verdict) };
    let connected = russh::client::connect_stream(Arc::new(config), socket, check).await;
    let mut handle = connected.map_err(|error| locked(&verdict).take().unwrap_or_else(|| broken(error)))?;
    authenticate(&mut handle, place, login).await?;
    Ok(handle)
}

async fn authenticate(handle: &mut Handle<Check>, place: &Shell, login: &Ssh) -> Result<(), Error> {
    let key = &login.0.key;
    let mut hash = None;
    if key.algorithm().is_rsa() {
        // A host that does not say what it takes is one of before RFC 8308, which may still know SHA-2.
        hash = handle.best_supported_rsa_hash().await.map_err(broken)?.unwrap_or(Some(HashAlg::Sha512));
        if hash.is_none() {
            return Err(refused("the host takes rsa keys with SHA-1 only, which is not safe: use an ed25519 key"));
        }
    }
    let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
    if handle.authenticate_publickey(&place.user, key).await.map_err(broken)?.success() {
        return Ok(());
    }
    let key = login.0.key.public_key();
    let key = format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
    Err(Error::KeyRefused { key, user: printable(&place.user, 100) })
}

/// The host does not let us.
pub fn refused(words: &str) -> Error {
    Error::SessionRefused { message: printable(words, 500) }
}

fn broken(error: russh::Error) -> Error {
    match error {
        russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, ours, theirs } => Error::HostKey {
            reason: format!(
                "known_hosts has only {} of it, it has {}: add the line of one of those",
                ours.join(", "),
                printable(&theirs.join(", "), 200)
            ),
        },
        russh::Error::InactivityTimeout | russh::Error::KeepaliveTimeout | russh::Error::ConnectionTimeout => {
            Error::Timeout { limit: READ_TIMEOUT }
        }
        error => Error::Unreachable { message: printable(&chain(&error), 500) },
    }
}
