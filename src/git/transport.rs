//! libgit2's HTTP: its smart protocol runs on our client. In: what to fetch from where, set for one thread. Out: the pack's
//! bytes, and the failure as a value, as libgit2 itself carries only text. Runs on blocking threads, never on a worker.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use git2::transport::{Service as Action, SmartSubtransport, SmartSubtransportStream, Transport};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::client::{self, Host, REFS_LIMIT, Service};

/// The largest pack that we read, in bytes.
pub const PACK_LIMIT: usize = 4 << 30;

/// What a fetch on this thread needs.
#[derive(Clone)]
pub struct Context {
    /// Where to send requests.
    pub host: Host,
    /// The repository's URL there.
    pub base: String,
    /// Drives the requests.
    pub runtime: Handle,
    /// Ends the work.
    pub cancel: CancellationToken,
    /// A list of refs to read in place of the host's own: saves a request and, in a large repository, megabytes.
    pub advertisement: Option<Vec<u8>>,
    /// The first failure, as a value.
    pub failure: Arc<Mutex<Option<Error>>>,
}

thread_local! {
    static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Runs libgit2 work with `context` set for this thread.
pub fn within<T>(context: Context, work: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            CONTEXT.set(None);
        }
    }
    CONTEXT.set(Some(context));
    let _reset = Reset;
    work()
}

/// libgit2's factory for `http` and `https`.
pub fn make(remote: &git2::Remote<'_>) -> Result<Transport, git2::Error> {
    let context = CONTEXT.with_borrow(Clone::clone);
    let context = context.ok_or_else(|| git2::Error::from_str("no context for a git transport on this thread"))?;
    Transport::smart(remote, true, Http { context })
}

struct Http {
    context: Context,
}

impl SmartSubtransport for Http {
    fn action(&self, _url: &str, action: Action) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let (sent, limit) = match (action, &self.context.advertisement) {
            (Action::UploadPackLs, Some(bytes)) => (State::Answered { rest: bytes.clone(), next: None }, bytes.len()),
            (Action::UploadPackLs, None) => (State::Get, REFS_LIMIT),
            (Action::UploadPack, _) => (State::Post(Vec::new()), PACK_LIMIT),
            _ => return Err(git2::Error::from_str("pushes do not go through libgit2")),
        };
        Ok(Box::new(Stream { context: self.context.clone(), state: sent, left: limit }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

enum State {
    Get,
    Post(Vec<u8>),
    Answered { rest: Vec<u8>, next: Option<reqwest::Response> },
}

struct Stream {
    context: Context,
    state: State,
    left: usize,
}

impl Stream {
    /// Sends what was written, once.
    async fn send(&mut self) -> Result<(), Error> {
        let (host, base) = (&self.context.host, &self.context.base);
        let next = match &mut self.state {
            State::Answered { .. } => return Ok(()),
            State::Get => host.send(host.get(base, Service::UploadPack)).await?,
            State::Post(body) => host.send(host.post(base, Service::UploadPack, std::mem::take(body))).await?,
        };
        self.state = State::Answered { rest: Vec::new(), next: Some(next) };
        Ok(())
    }

    /// Makes sure that some bytes are there; none at the end.
    async fn fill(&mut self) -> Result<(), Error> {
        self.send().await?;
        let State::Answered { rest, next: Some(answer) } = &mut self.state else { return Ok(()) };
        while rest.is_empty() {
            let Some(chunk) = answer.chunk().await.map_err(client::unreachable)? else { return Ok(()) };
            self.left = self.left.checked_sub(chunk.len()).ok_or_else(|| Error::TooLarge {
                what: "what the git host sends, in bytes,".into(),
                limit: PACK_LIMIT as u64,
            })?;
            rest.extend_from_slice(&chunk);
        }
        Ok(())
    }
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !matches!(&self.state, State::Answered { rest, .. } if !rest.is_empty()) {
            let (runtime, cancel) = (self.context.runtime.clone(), self.context.cancel.clone());
            let filled = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => Err(Error::Cancelled),
                    filled = self.fill() => filled,
                }
            });
            if let Err(error) = filled {
                let text = error.to_string();
                self.context.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                // Never `Interrupted`: read loops would try it again.
                return Err(io::Error::other(text));
            }
        }
        let State::Answered { rest, .. } = &mut self.state else { return Ok(0) };
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        rest.drain(..count);
        Ok(count)
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Post(body) => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            _ => Err(io::Error::other("nothing can be sent on this stream")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
