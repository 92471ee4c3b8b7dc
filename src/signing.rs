//! Part of LOOP 1b: with which key an ImageUpdate's commits are signed. In: the object. Out: the key from its Secret, or why it
//! cannot be used, in which case nothing is committed. The Secret is read at each run; the key is opened anew when it changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use sha2::{Digest, Sha256};

use crate::api::ImageUpdate;
use crate::api::condition::Reason;
use crate::api::image_update::SigningType;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::git::SigningKey;
use crate::quarantine::caught_aside;
use crate::source::secret_failure;

/// A key that is open, and the hash of the Secret that it is from.
pub type Kept = Option<([u8; 32], Arc<SigningKey>)>;

/// The key that the object asks for, if it asks for one.
///
/// # Errors
/// The Secret is missing, lacks the key, or holds one that cannot sign.
pub async fn key(update: &ImageUpdate, cluster: &Cluster, kept: &mut Kept) -> Result<Option<Arc<SigningKey>>, Failure> {
    let Some(wanted) = &update.spec.commit.signing_key else {
        *kept = None;
        return Ok(None);
    };
    let (namespace, name) = (update.namespace().unwrap_or_default(), &wanted.secret_ref.name);
    let data = cluster.secret(&namespace, name).await.map_err(|error| secret_failure(&error))?;
    let hash = hash(wanted.kind, &data);
    if let Some((_, key)) = kept.as_ref().filter(|(of, _)| *of == hash) {
        return Ok(Some(key.clone()));
    }
    *kept = None;
    let kind = wanted.kind;
    // Opening a locked key is slow on purpose.
    let opened = caught_aside(move || SigningKey::new(kind, &data)).await?;
    let key = opened.map_err(|reason| {
        Failure::user(Reason::InvalidSecret, format!("Secret {namespace}/{name}: {reason}; nothing is pushed unsigned"))
    })?;
    let key = Arc::new(key);
    *kept = Some((hash, key.clone()));
    Ok(Some(key))
}

fn hash(kind: SigningType, data: &BTreeMap<String, Vec<u8>>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([kind as u8]);
    for (key, value) in data {
        for part in [key.as_bytes(), value] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}
