//! The command line: the only reader of arguments and environment. Thin faces over the same pure steps that the controller runs.
//! Exit codes: 0 done, 1 something is wrong in what was looked at, 2 wrong use or unreadable input.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

mod connection;
mod crds;
mod explain;
mod files;
mod lint;
mod release;
mod render;
mod update;

use crate::context::Settings;
use crate::registry::cloud::Environment;
use crate::run::{Election, Options};
use crate::telemetry::LogFormat;
use crate::tool::Programs;

/// Keeps the whole image-to-cluster path of a Kubernetes cluster in Git.
#[derive(Debug, Parser)]
#[command(name = "tagboat", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The controller: both loops.
    Run(RunArgs),
    /// Prints the CustomResourceDefinitions.
    Crds(crds::Args),
    /// An ImagePolicy's choice from a list of tags, and for every other tag why not.
    Explain(explain::Args),
    /// What the ImageUpdates in files would change in a checkout, as a diff; --write does it.
    Update(update::Args),
    /// Markers that cannot work and files that do not parse.
    Lint(lint::Args),
    /// Lets values be written again that a person took back; without a name, says what is held.
    Release(release::Args),
    /// The objects that a GitSync would apply.
    Render(render::Args),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// For scripts.
    Json,
    /// For scripts.
    Yaml,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The kubeconfig; else KUBECONFIG, the home folder's, or the cluster that it runs in
    #[arg(long, env = "TAGBOAT_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Serve only this namespace
    #[arg(long, short, env = "TAGBOAT_NAMESPACE")]
    namespace: Option<String>,
    /// Where /metrics, /livez and /readyz answer
    #[arg(long, env = "TAGBOAT_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where mirrors of the repositories are kept, on a disk or in memory; may be lost at any time
    #[arg(long, env = "TAGBOAT_DATA_DIR", default_value = "/tmp/tagboat", value_name = "DIR")]
    data_dir: PathBuf,
    /// How many objects of each kind are reconciled at once
    #[arg(long, env = "TAGBOAT_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
    /// Several replicas: only the one that holds the Lease works, the others wait
    #[arg(long, env = "TAGBOAT_LEADER_ELECTION")]
    leader_election: bool,
    /// The Lease's name
    #[arg(long, env = "TAGBOAT_LEASE_NAME", default_value = "tagboat", value_name = "NAME")]
    lease_name: String,
    /// The Lease's namespace; else the pod's, or the kubeconfig's
    #[arg(long, env = "TAGBOAT_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// The service account for GitSyncs that name none; without it they use the controller's own rights
    #[arg(long, env = "TAGBOAT_DEFAULT_SERVICE_ACCOUNT", value_name = "NAME")]
    default_service_account: Option<String>,
    /// Allow file:// repositories
    #[arg(long, env = "TAGBOAT_ALLOW_FILE_URLS")]
    allow_file_urls: bool,
    #[command(flatten)]
    programs: ProgramArgs,
    /// Where Google publishes the keys of its webhooks' tokens
    #[arg(long, env = "TAGBOAT_GOOGLE_KEYS", default_value = crate::http::hooks::GOOGLE_KEYS, value_name = "URL")]
    google_keys: String,
    /// How log lines look
    #[arg(long, env = "TAGBOAT_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or a filter such as tagboat=debug
    #[arg(long, env = "TAGBOAT_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
}

/// Where the programs are that render.
#[derive(Debug, Clone, clap::Args)]
struct ProgramArgs {
    /// The kustomize program
    #[arg(long, env = "TAGBOAT_KUSTOMIZE", default_value = "kustomize", value_name = "FILE")]
    kustomize: PathBuf,
    /// The helm program
    #[arg(long, env = "TAGBOAT_HELM", default_value = "helm", value_name = "FILE")]
    helm: PathBuf,
}

impl From<ProgramArgs> for Programs {
    fn from(ProgramArgs { kustomize, helm }: ProgramArgs) -> Self {
        Self { kustomize, helm }
    }
}

/// Runs the command line and returns the process's exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // --help and --version come this way too; a closed standard output is nobody's mistake.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match start(cli.command) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "tagboat: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn start(command: Command) -> anyhow::Result<ExitCode> {
    // First use of TLS anywhere; a second call (in tests) finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        Command::Run(args) => run(args),
        Command::Crds(args) => crds::main(&args),
        Command::Explain(args) => explain::main(&args),
        Command::Update(args) => update::main(&args),
        Command::Lint(args) => lint::main(&args),
        Command::Release(args) => release::main(&args),
        Command::Render(args) => render::main(&args),
    }
}

fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let RunArgs {
        kubeconfig,
        namespace,
        listen,
        data_dir,
        concurrency,
        leader_election,
        lease_name,
        lease_namespace,
        default_service_account,
        allow_file_urls,
        programs,
        google_keys,
        log_format,
        log,
    } = args;
    crate::telemetry::start(log_format, &log);
    crate::telemetry::note_panics();
    crate::git::prepare().context("prepare Git")?;
    let (programs, served) = (programs.into(), namespace.clone());
    let settings = Settings { data_dir, allow_file_urls, default_service_account, programs, namespace: served };
    let cloud = cloud_environment();
    let election = Election { lease: lease_name, namespace: lease_namespace, host: host() };
    let election = Some(election).filter(|_| leader_election);
    let options = Options { kubeconfig, namespace, listen, concurrency, election, cloud, google_keys, settings };
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let ended = runtime.block_on(crate::run::run(options));
    // A thread that waits for a disk or a name server is left to its fate, as by a kill.
    runtime.shutdown_background();
    match ended {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            tracing::error!("{error:#}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The pod's or machine's name, for people who read the Lease.
fn host() -> String {
    #[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
    std::env::var("HOSTNAME").unwrap_or_else(|_| "tagboat".to_owned())
}

/// What the environment says about the clouds' workload identities.
pub(crate) fn cloud_environment() -> Environment {
    #[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
    let read = |name: &&str| Some(((*name).to_owned(), std::env::var(name).ok()?));
    Environment { variables: Environment::NAMES.iter().filter_map(read).collect() }
}

/// Prints a value as JSON or YAML, or what `text` writes.
fn print(
    output: Output,
    value: &impl Serialize,
    text: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Text => text(&mut out)?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(value)?)?,
        Output::Yaml => out.write_all(serde_yaml::to_string(value)?.as_bytes())?,
    }
    out.flush()?;
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_run_has_an_environment_twin() {
        let run = Cli::command().find_subcommand("run").cloned().unwrap();
        for flag in run.get_arguments().filter(|flag| !matches!(flag.get_id().as_str(), "help" | "version")) {
            let twin = format!("TAGBOAT_{}", flag.get_long().unwrap().to_uppercase().replace('-', "_"));
            assert_eq!(flag.get_env().and_then(|name| name.to_str()), Some(twin.as_str()));
        }
    }
}
