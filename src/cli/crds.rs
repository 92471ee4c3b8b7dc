//! `tagboat crds`: the CustomResourceDefinitions, for `kubectl apply -f -`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::files;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write one file for each kind into this folder instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let definitions = crate::api::definitions()?;
    match &args.dir {
        Some(dir) => {
            files::create_folder(dir)?;
            for (plural, text) in definitions {
                files::write(&dir.join(format!("{plural}.yaml")), text.as_bytes())?;
            }
        }
        None => {
            let mut out = std::io::stdout().lock();
            for (_, text) in definitions {
                write!(out, "---\n{text}")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
