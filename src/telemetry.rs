//! Log lines and counters. The lists of label values are closed, so that no name from outside becomes a time series.

use std::cell::Cell;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

use crate::api::condition::Reason;
use crate::http::hooks::Counts;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Starts logging to standard error; `filter` is a level or a tracing filter such as `tagboat=debug`.
pub fn start(format: LogFormat, filter: &str) {
    // kube's own lines and spans say what ours say already.
    let filter = format!("kube_runtime=warn,kube_client=warn,kube_client::client::builder=off,{filter}");
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// How many panics there were, whoever caught them.
static PANICS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The last one of this thread, in words.
    static PANICKED: Cell<Option<String>> = const { Cell::new(None) };
}

/// From now on a panic is one log line and a count. Its words may hold a part of what was worked on, which may be secret: they are
/// shown only when they were written into the program.
pub fn note_panics() {
    std::panic::set_hook(Box::new(note));
}

pub(crate) fn note(panic: &PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let words = words(panic);
    tracing::error!("panicked at {words}");
    PANICKED.set(Some(words));
}

/// Where this thread panicked last, and why; to be asked once, by whoever caught it.
pub fn panicked() -> String {
    PANICKED.take().unwrap_or_else(|| "an unknown place".to_owned())
}

fn words(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    match panic.payload().downcast_ref::<&'static str>() {
        Some(text) => format!("{place}: {}", crate::failure::printable(text, 200)),
        None => place,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Run {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Heard {
    outcome: &'static str,
}

/// All counters.
pub struct Metrics {
    registry: Registry,
    runs: Family<Run, Counter>,
    pushes: Counter<u64, AtomicU64>,
    applies: Counter<u64, AtomicU64>,
    corrections: Counter<u64, AtomicU64>,
    prunes: Counter<u64, AtomicU64>,
    webhooks: Family<Heard, Counter>,
    registry_requests: Counter<u64, AtomicU64>,
    leader: Gauge,
    suspended: Family<Of, Gauge>,
    panics: Counter<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tagboat");
        let runs = Family::default();
        let (pushes, applies, corrections, prunes) = <(Counter, Counter, Counter, Counter)>::default();
        registry.register("reconciles", "Runs of a flow, by kind and outcome (a reason, or ok)", runs.clone());
        registry.register("pushes", "Commits pushed to config repositories", pushes.clone());
        registry.register("applies", "Objects applied", applies.clone());
        registry.register("drift_corrections", "Changes by others that were undone", corrections.clone());
        registry.register("prunes", "Objects deleted because they left Git", prunes.clone());
        let webhooks = Family::default();
        registry.register("webhooks", "Webhooks that came, by what became of them", webhooks.clone());
        let registry_requests = Counter::default();
        let help = "Requests to registries and their token servers";
        registry.register("registry_requests", help, registry_requests.clone());
        let leader = Gauge::default();
        registry.register("leader", "Whether this replica is the one that works", leader.clone());
        let suspended = Family::default();
        registry.register("suspended", "Objects that stand still as spec.suspend asks, by kind", suspended.clone());
        let panics = Counter::default();
        let help = "Panics: each is a bug, and the failure of the one object that was worked on";
        registry.register("panics", help, panics.clone());
        Self {
            panics,
            suspended,
            webhooks,
            registry_requests,
            leader,
            registry,
            runs,
            pushes,
            applies,
            corrections,
            prunes,
        }
    }
}

impl Metrics {
    /// A flow ran; `failed` is the reason if it did.
    pub fn reconciled(&self, kind: &'static str, failed: Option<Reason>) {
        self.runs.get_or_create(&Run { kind, outcome: failed.map_or("ok", Reason::as_str) }).inc();
    }

    /// This replica works from now on.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// A commit was pushed.
    pub fn pushed(&self) {
        self.pushes.inc();
    }

    /// An object was applied.
    pub fn applied(&self) {
        self.applies.inc();
    }

    /// A change by someone else was undone.
    pub fn corrected(&self) {
        self.corrections.inc();
    }

    /// An object was pruned.
    pub fn pruned(&self) {
        self.prunes.inc();
    }

    /// All counters in the OpenMetrics text format; some are counted elsewhere. `suspended` is the number of suspended
    /// objects of each kind.
    pub fn text(&self, webhooks: &Counts, registry_requests: u64, suspended: [(&'static str, usize); 4]) -> String {
        let Counts { genuine, unknown, malformed, old, repeated, unread, busy, wakes } = *webhooks;
        let outcomes = [
            ("genuine", genuine),
            ("unknown", unknown),
            ("malformed", malformed),
            ("old", old),
            ("repeated", repeated),
            ("unread", unread),
            ("busy", busy),
            ("wake", wakes),
        ];
        for (outcome, count) in outcomes {
            self.webhooks.get_or_create(&Heard { outcome }).inner().store(count, Ordering::Relaxed);
        }
        self.registry_requests.inner().store(registry_requests, Ordering::Relaxed);
        self.panics.inner().store(PANICS.load(Ordering::Relaxed), Ordering::Relaxed);
        for (kind, count) in suspended {
            self.suspended.get_or_create(&Of { kind }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // Writing into a string can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
