//! Nothing stays behind: a small process of our own that knows every child and the folder of the run. It reads `+PID` and `-PID` from
//! a pipe; when the pipe closes, which the kernel does also for a killed parent, it stops the children and removes the folder.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long children may take to end by themselves.
const GRACE: Duration = Duration::from_millis(1500);

/// Children that were not reaped yet.
static LIVING: AtomicUsize = AtomicUsize::new(0);

struct Guard {
    folder: PathBuf,
    child: Mutex<Child>,
    /// Gone once the run shuts down.
    pipe: Mutex<Option<ChildStdin>>,
}

fn guard() -> &'static Guard {
    static GUARD: OnceLock<Guard> = OnceLock::new();
    GUARD.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("tagboat-it-").tempdir().unwrap().keep();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("guard")
            .arg(&folder)
            .process_group(0) // out of reach of the terminal's Ctrl-C
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pipe = child.stdin.take();
        Guard { folder, child: Mutex::new(child), pipe: Mutex::new(pipe) }
    })
}

/// The folder of the run.
pub fn folder() -> &'static Path {
    &guard().folder
}

/// From now on the process group dies with the run.
pub fn watch(pid: Pid) {
    LIVING.fetch_add(1, Ordering::SeqCst);
    tell(&format!("+{pid}\n"), || {
        let _ = killpg(pid, Signal::SIGKILL); // the run is ending: too late to start anything
    });
}

/// The process is gone.
pub fn forget(pid: Pid) {
    LIVING.fetch_sub(1, Ordering::SeqCst);
    tell(&format!("-{pid}\n"), || {});
}

/// Leaves the folder of the run for a look at its logs.
pub fn keep_folder() {
    tell("keep\n", || {});
}

fn tell(line: &str, or_else: impl FnOnce()) {
    match guard().pipe.lock().unwrap().as_mut() {
        Some(pipe) => pipe.write_all(line.as_bytes()).expect("the guard lives as long as we do"),
        None => or_else(),
    }
}

/// Stops every child and removes the folder. Returns when that is done; further calls wait for it too.
pub fn shut_down() {
    let guard = guard();
    drop(guard.pipe.lock().unwrap().take());
    let _ = guard.child.lock().unwrap().wait();
    let end = Instant::now() + GRACE;
    while LIVING.load(Ordering::SeqCst) > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2)); // their threads reap them; not every init reaps orphans
    }
}

/// The guard process.
pub fn main() -> ExitCode {
    let folder = std::env::args_os().nth(2).map(PathBuf::from);
    let mut pids = BTreeSet::new();
    let mut keeps = false;
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.split_at_checked(1) {
            Some(("+", pid)) => pids.extend(pid.parse::<i32>()),
            Some(("-", pid)) => pids.retain(|known| known.to_string() != pid),
            _ => keeps = line == "keep",
        }
    }
    let pids: Vec<Pid> = pids.into_iter().map(Pid::from_raw).collect();
    send(&pids, Signal::SIGTERM);
    let end = Instant::now() + GRACE;
    while pids.iter().any(|pid| is_running(*pid)) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    send(&pids, Signal::SIGKILL); // also what a leader that ended left in its group
    if let Some(folder) = folder.filter(|_| !keeps) {
        let _ = (0..50).find(|_| {
            std::thread::sleep(Duration::from_millis(10)); // who was just killed may still have a file open
            let _ = std::fs::remove_dir_all(&folder);
            !folder.exists()
        });
    }
    ExitCode::SUCCESS
}

fn send(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = killpg(*pid, signal);
    }
}

/// Whether a process still does anything; one that only waits to be reaped does not.
pub fn is_running(pid: Pid) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'),
        Err(_) if Path::new("/proc/self/stat").exists() => false,
        Err(_) => nix::sys::signal::kill(pid, None).is_ok(),
    }
}
