//! The entries of a large inventory ↔ one text. `base64 -d | gunzip` shows them to people.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::api::git_sync::InventoryEntry;

/// How large unpacked entries may be, in bytes: what no status of ours can hold is not ours.
pub(super) const UNPACKED: u64 = 32 << 20;

/// Packs entries; the same ones make the same text.
pub(super) fn pack(entries: &[InventoryEntry]) -> Option<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    serde_json::to_writer(&mut encoder, entries).ok()?;
    encoder.flush().ok()?;
    Some(STANDARD.encode(encoder.finish().ok()?))
}

/// Reads what [`pack`] wrote, up to so many bytes.
pub(super) fn unpack(packed: &str, limit: u64) -> Option<Vec<InventoryEntry>> {
    let compressed = STANDARD.decode(packed).ok()?;
    let mut text = Vec::new();
    GzDecoder::new(compressed.as_slice()).take(limit).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
