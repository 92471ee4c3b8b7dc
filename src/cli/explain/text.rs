//! An explanation for people: what runs, what it rests on, and a line for every tag.

use std::io::{Result, Write};

use crate::api::image_policy::LastScan;
use crate::api::image_update::HoldStatus;
use crate::watch::decide::Explanation;
use crate::watch::decide::explain::HoldBack;

pub(super) fn write(out: &mut dyn Write, explanation: &Explanation) -> Result<()> {
    let name = format!("{}/{}", explanation.policy.namespace, explanation.policy.name);
    match &explanation.chosen {
        Some(chosen) => {
            let digest = chosen.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
            writeln!(out, "{name} chooses {}{digest}", chosen.tag)?;
        }
        None => writeln!(out, "{name} chooses nothing: no tag may run")?,
    }
    if let Some(held) = &explanation.held {
        writeln!(out, "  held: {}", held.reason)?;
    }
    if let Some(controller) = &explanation.controller {
        writeln!(out, "  controller: {}", controller.message)?;
        if let Some(at) = controller.chosen_at {
            writeln!(out, "  chosen at: {at:?}")?;
        }
    }
    if let Some(LastScan { image, tags, revision, changed_at, .. }) = &explanation.last_scan {
        writeln!(out, "  list: {revision} of {image}, {tags} tags, the same since {changed_at:?}")?;
    }
    for HoldBack { image_update, hold } in &explanation.holds {
        let HoldStatus { file, line, value, reason, .. } = hold;
        writeln!(out, "  held back: {value} in {file}:{line} by ImageUpdate {image_update}: {reason}")?;
    }
    for note in &explanation.notes {
        writeln!(out, "  note: {note}")?;
    }
    if !explanation.not_checked.is_empty() {
        let gates = explanation.not_checked.join(", ");
        writeln!(out, "  not checked here: {gates} (ask the cluster: tagboat explain imagepolicy NAME)")?;
    }
    let width = explanation.tags.iter().map(|tag| tag.tag.chars().count()).max().unwrap_or(0).min(60);
    for tag in &explanation.tags {
        writeln!(out, "  {:width$}  {:8}  {}", tag.tag, tag.verdict, tag.reason)?;
    }
    Ok(())
}
