//! How encrypted files are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::reference::LocalRef;

/// How encrypted files are read. They are decrypted in memory only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// What encrypted them.
    pub provider: DecryptionProvider,
    /// A Secret with the private keys: identities of age in entries `NAME.agekey`, armoured keys of OpenPGP in entries `NAME.asc`. It is
    /// read and watched as the service account.
    pub secret_ref: LocalRef,
}

/// What encrypted files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecryptionProvider {
    /// SOPS 3: YAML, JSON, dotenv and whole files, for age or OpenPGP.
    Sops,
}
