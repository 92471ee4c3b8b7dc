//! A child process in a process group of its own, with its output in a file of the run's folder. It dies when dropped and with the run.

use std::fmt::Display;
use std::future::Future;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::sync::watch;

use super::{guard, tail};

/// See the module.
pub struct Process {
    name: String,
    pid: Pid,
    log: PathBuf,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts it; its output is appended to `NAME.log` in the run's folder.
    pub fn start(name: &str, command: &mut Command) -> Result<Self, String> {
        let log = guard::folder().join(format!("{name}.log"));
        let output = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let errors = output.try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).spawn();
        let mut child = child.map_err(|e| format!("{}: {e}", command.get_program().display()))?;
        let pid = Pid::from_raw(child.id().cast_signed());
        guard::watch(pid);
        let (tell, exit) = watch::channel(None);
        std::thread::spawn(move || {
            let status = child.wait().unwrap();
            guard::forget(pid);
            tell.send_replace(Some(status));
        });
        Ok(Self { name: name.to_owned(), pid, log, exit })
    }

    /// The process id, which is also its group's.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Everything that it has printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// How it ended, when it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Signals the whole group.
    pub fn signal(&self, signal: Signal) {
        if self.exit_status().is_none() {
            let _ = killpg(self.pid, signal);
        }
    }

    /// Waits until it has ended; the exit code as a shell gives it (128 + signal).
    pub async fn exited(&self) -> i32 {
        let mut exit = self.exit.clone();
        let status = *exit.wait_for(Option::is_some).await.expect("the thread tells before it ends");
        status.map_or(-1, |status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
    }

    /// Asks `probe` until it says `Ok`; gives up at once when the process ends.
    pub async fn ready<T, E, F>(&self, deadline: Duration, mut probe: impl FnMut() -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, E>>,
        E: Display,
    {
        let end = tokio::time::Instant::now() + deadline;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            // A server that is just starting may take a connection and never answer on it.
            let attempt = end.min(tokio::time::Instant::now() + Duration::from_secs(3));
            let state = match tokio::time::timeout_at(attempt, probe()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(state)) => state.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if let Some(status) = self.exit_status() {
                return Err(format!("{} ended ({status}):\n{}", self.name, tail(&self.log, 15)));
            }
            if tokio::time::Instant::now() >= end {
                let seconds = deadline.as_secs();
                return Err(format!("{} is not ready after {seconds} s: {state}\n{}", self.name, tail(&self.log, 15)));
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
