//! SHELL: runs the real kustomize and helm, the only programs that we start, each on a folder that holds only the files that it needs.

use std::collections::BTreeMap;
use std::path::PathBuf;

pub mod helm;
pub mod kustomize;
mod place;
mod run;

/// Files by their path in the folder.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// Where the programs are; a bare name is looked for in our own search path.
#[derive(Debug, Clone)]
pub struct Programs {
    /// kustomize.
    pub kustomize: PathBuf,
    /// helm.
    pub helm: PathBuf,
}

/// What a program is given to read.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The files.
    pub files: &'a Tree,
    /// Whether some hold secrets, so that they may lie in memory only.
    pub is_secret: bool,
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program refused the input; its words, without the folder's name.
    #[error("{0}")]
    Refused(String),
    /// It could not be run.
    #[error("{name} can't be run ({program}): {reason}; install it beside tagboat, or name it with --{name}")]
    NotRun {
        /// Its name, as its option has it.
        name: &'static str,
        /// The program.
        program: PathBuf,
        /// Why.
        reason: String,
    },
}
