//! One program, run to its end or killed: with bounds for its time, its memory and its output, and nothing of our environment.
#![expect(clippy::disallowed_methods, reason = "the programs that we start")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::place::{Unmade, filled};
use super::{Error, Given};

/// How long one run may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest output: about 10,000 objects.
const OUTPUT_BYTES: usize = 64 << 20;
/// The longest complaint.
const SAID_BYTES: usize = 1 << 20;
/// From here on the program's garbage collector works hard.
const SOFT_MEMORY: &str = "320MiB";
/// The most memory that it may ask for, in bytes.
const MEMORY_BYTES: u64 = 1 << 30;

/// What to run.
pub(super) struct Call<'a> {
    /// The program's name.
    pub name: &'static str,
    /// Where it is.
    pub program: &'a Path,
    /// What took too long, if it does.
    pub work: &'static str,
    /// Arguments; the path comes last.
    pub arguments: Vec<String>,
    /// What it works on: a path in the folder.
    pub path: &'a str,
    /// Variables that name paths in the folder.
    pub environment: &'a [(&'static str, &'static str)],
    /// The files.
    pub given: Given<'a>,
}

/// A program that is given by its bare name, in our own search path: the one that it gets is empty.
fn found(program: &Path) -> PathBuf {
    let is_bare = program.components().count() == 1 && program.file_name().is_some();
    let paths = std::env::var_os("PATH").filter(|_| is_bare).unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| program.to_owned())
}

/// Runs it and returns its output. It is killed, with all that it started, when it takes too long and when nobody waits any more.
///
/// # Errors
/// When it ends with an error, takes too long, says too much, or can't be started.
pub(super) async fn run(call: Call<'_>) -> Result<Vec<u8>, Error> {
    let Call { name, program, work, .. } = call;
    let not_run = |reason: String| Error::NotRun { name, program: program.to_owned(), reason };
    let folder = filled(call.given).map_err(|unmade| match unmade {
        Unmade::Outside(path) => Error::Refused(format!("{path} leads out of the repository")),
        Unmade::Failed(reason) => not_run(reason),
    })?;
    let mut command = Command::new(found(program));
    command.args(&call.arguments).arg(folder.path().join(call.path));
    command.env_clear().env("PATH", "").env("HOME", folder.path()).env("TMPDIR", folder.path());
    command.env("GOMEMLIMIT", SOFT_MEMORY).current_dir(folder.path());
    command.envs(call.environment.iter().map(|(variable, path)| (variable, folder.path().join(path))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
    let mut child = command.spawn().map_err(|error| not_run(error.to_string()))?;
    let mut group = Group::of(&child);
    let ended = tokio::time::timeout(TIMEOUT, ended(&mut child)).await;
    let (output, said, status) = match ended {
        Ok(ended) => ended.map_err(|error| not_run(error.to_string()))?,
        Err(_) => return Err(Error::Refused(format!("{work} took longer than {} s", TIMEOUT.as_secs()))),
    };
    group.id = None;
    if output.len() > OUTPUT_BYTES {
        return Err(Error::Refused(format!("the output of {work} is larger than {} MiB", OUTPUT_BYTES >> 20)));
    }
    if !status.success() {
        let said = String::from_utf8_lossy(&said).replace(&folder.path().to_string_lossy().into_owned(), "");
        let said = if said.contains("fatal error: runtime: ") {
            format!("{work} needs more memory than {} MiB", MEMORY_BYTES >> 20)
        } else {
            said
        };
        return Err(Error::Refused(said));
    }
    Ok(output)
}

/// All that it says, and how it ended. One that says too much loses its listener, and ends.
async fn ended(child: &mut Child) -> std::io::Result<(Vec<u8>, Vec<u8>, std::process::ExitStatus)> {
    let (output, said) = (child.stdout.take(), child.stderr.take());
    let (output, said) = tokio::try_join!(up_to(output, OUTPUT_BYTES), up_to(said, SAID_BYTES))?;
    Ok((output, said, child.wait().await?))
}

async fn up_to(from: Option<impl AsyncRead + Unpin>, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(limit as u64 + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// A program and what it started; killed when dropped, unless it has ended.
struct Group {
    id: Option<rustix::process::Pid>,
}

impl Group {
    /// The group of a child that leads one; bounds its memory.
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        #[cfg(target_os = "linux")]
        if let Some(id) = id {
            let limit = rustix::process::Rlimit { current: Some(MEMORY_BYTES), maximum: Some(MEMORY_BYTES) };
            // One that has ended already needs no bound.
            let _ = rustix::process::prlimit(Some(id), rustix::process::Resource::Data, limit);
        }
        Self { id }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}
