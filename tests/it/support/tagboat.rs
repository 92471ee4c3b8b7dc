//! The product as users run it: the binary that Cargo built, as a child process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;

use super::parts::program;
use super::process::Process;
use super::{free_ports, next_number, tail};

/// The binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tagboat");

/// How to run the controller. Clone it to run it again with the same data.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program: the one that was built, or another version of it.
    pub binary: PathBuf,
    /// As whom, and where.
    pub kubeconfig: PathBuf,
    /// Which namespace to serve; all when absent.
    pub namespace: Option<String>,
    /// Its mirrors of repositories.
    pub data_dir: PathBuf,
    /// Further arguments.
    pub args: Vec<OsString>,
    /// Further variables.
    pub env: Vec<(String, String)>,
    /// Beginning of the log's name.
    pub name: String,
    /// The largest file that it can write, in blocks of 512 bytes: as if the disk were full.
    pub largest_file: Option<u32>,
}

impl Launch {
    /// With one more argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// With one more variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts `tagboat run` and waits until it is ready.
    pub async fn start(&self) -> Tagboat {
        let tagboat = self.start_unready();
        tagboat.wait_ready().await;
        tagboat
    }

    /// Starts `tagboat run`.
    pub fn start_unready(&self) -> Tagboat {
        let [port] = free_ports();
        let listen = format!("127.0.0.1:{port}");
        let mut command = match self.largest_file {
            None => Command::new(&self.binary),
            Some(blocks) => {
                let mut shell = Command::new("sh");
                let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
                shell.args(["-c", &script]).arg(&self.binary);
                shell
            }
        };
        command.envs(programs());
        command.arg("run").arg("--kubeconfig").arg(&self.kubeconfig).args(["--listen", &listen]);
        command.arg("--data-dir").arg(&self.data_dir);
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        command.args(&self.args).envs(self.env.iter().cloned());
        let process = Process::start(&format!("{}-{}", self.name, next_number()), &mut command).unwrap();
        Tagboat { process, url: format!("http://{listen}") }
    }
}

/// Where the product finds the programs of this run that render; those of the machine when they were not built.
fn programs() -> Vec<(&'static str, PathBuf)> {
    let all = [("kustomize", "TAGBOAT_KUSTOMIZE"), ("helm", "TAGBOAT_HELM")];
    all.into_iter().filter_map(|(name, variable)| Some((variable, program(name).ok()?))).collect()
}

/// A running controller; killed when dropped.
pub struct Tagboat {
    process: Process,
    /// `http://127.0.0.1:PORT` of metrics, health and webhooks.
    pub url: String,
}

impl Tagboat {
    /// Waits until `/readyz` says yes.
    ///
    /// # Panics
    /// After 30 s, and at once when it ends.
    pub async fn wait_ready(&self) {
        let url = format!("{}/readyz", self.url);
        let probe = || async { reqwest::get(&url).await.and_then(reqwest::Response::error_for_status) };
        self.process.ready(Duration::from_secs(30), probe).await.unwrap_or_else(|reason| panic!("{reason}"));
    }

    /// A page of its HTTP server, such as `/metrics`.
    pub async fn get(&self, path: &str) -> String {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }

    /// Killed in the middle of whatever it does.
    pub async fn kill9(self) {
        self.process.signal(Signal::SIGKILL);
        self.process.exited().await;
    }

    /// Asked to end; its exit code.
    pub async fn terminate(self) -> i32 {
        self.process.signal(Signal::SIGTERM);
        self.process.exited().await
    }

    /// Stopped in its tracks (`SIGSTOP`), until [`Tagboat::cont`].
    pub fn stop(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// Goes on.
    pub fn cont(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Waits for its end; the exit code.
    pub async fn exited(&self) -> i32 {
        self.process.exited().await
    }

    /// Everything that it logged.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// The file that it logs to.
    pub fn log_file(&self) -> &Path {
        self.process.log()
    }

    /// The most memory that it ever held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that it holds, in bytes.
    pub fn memory_now(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The processor time that it used.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum(); // user, system
        Duration::from_millis(ticks * 10) // Linux counts in hundredths of a second
    }

    fn memory(&self, key: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.pid());
        let status =
            std::fs::read_to_string(path).unwrap_or_else(|_| panic!("tagboat is gone:\n{}", tail(self.log_file(), 20)));
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// What a command printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; -1 after a signal.
    pub code: i32,
}

/// Runs one command of the product to its end.
pub async fn cli<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    cli_with(args, "", &[]).await
}

/// The same with standard input and variables.
pub async fn cli_with<S: AsRef<std::ffi::OsStr>>(
    args: impl IntoIterator<Item = S>,
    input: &str,
    env: &[(&str, &str)],
) -> Output {
    let mut command = tokio::process::Command::new(BINARY);
    command.args(args).envs(programs()).envs(env.iter().copied()).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_bytes().to_vec();
    tokio::spawn(async move {
        let _ = stdin.write_all(&input).await; // a command that needs none may end first
    });
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await;
    let output = output.expect("a command ends within a minute").unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Output { stdout: text(&output.stdout), stderr: text(&output.stderr), code: output.status.code().unwrap_or(-1) }
}
