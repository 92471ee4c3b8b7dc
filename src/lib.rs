//! tagboat keeps the whole image-to-cluster path of a Kubernetes cluster in Git.
//!
//! Loop one watches registries ([`watch`]) and commits tag bumps ([`update`]); loop two keeps the cluster equal to the
//! repository ([`sync`]); both stand on the branch's head ([`source`]). Each of these four is one flow that reads like its
//! sentence, beside a folder of pure steps on plain data. Everything that touches the world is one of five shells:
//! [`registry`], [`git`], [`forge`], [`cluster`], [`http`]. Steps and shells meet only in the flows.

pub mod api;

pub mod image;
pub mod revision;
pub mod version;
pub mod window;
pub mod object;
pub mod failure;
pub mod lease;
pub mod pull_request;
pub mod reach;

pub mod source;
pub mod watch;
pub mod update;
pub mod sync;
pub mod tracking;
pub mod trusting;
pub mod signing;
pub mod authenticating;
pub mod inquiring;
pub mod looking;
pub mod holding;
pub mod committing;
pub mod pushing;
pub mod proposing;
pub mod rendering;
pub mod referring;
pub mod remotes;
pub mod awaiting;
pub mod observing;
pub mod applying;
pub mod concluding;
pub mod finalizing;
pub mod leading;
pub mod listening;
pub mod quarantine;
pub mod pulse;

pub mod registry;
pub mod git;
pub mod forge;
pub mod cluster;
pub mod tool;
pub mod http;

pub mod clock;
pub mod context;
pub mod telemetry;
pub mod run;
pub mod cli;
