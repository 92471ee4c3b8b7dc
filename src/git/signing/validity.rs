//! When an OpenPGP key may be used, and for what, by what it says of itself (RFC 9580 10.1, 5.2.3). In: a key's self-signatures.
//! Out: the span, and whether it may sign. Only signatures that hold count; revocations of subkeys count always.

use pgp::composed::SignedKeyDetails;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData};
use pgp::types::{Tag, Timestamp};

/// When a key may be used, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub from: u32,
    pub until: Option<u64>,
}

impl Validity {
    pub fn within(self, whole: Self) -> Self {
        let until = [self.until, whole.until].into_iter().flatten().min();
        Self { from: self.from.max(whole.from), until }
    }

    pub fn has_ended(self, now: i64) -> bool {
        self.until.is_some_and(|until| u64::try_from(now).is_ok_and(|now| now >= until))
    }
}

/// Whether its owner took the whole key back.
pub fn is_revoked(key: &PublicKey, details: &SignedKeyDetails) -> bool {
    details.revocation_signatures.iter().any(|signature| signature.verify_key(key).is_ok())
}

/// When the primary key may be used, and whether it may sign itself.
pub fn of_primary(key: &PublicKey, created: Timestamp, details: &SignedKeyDetails) -> (Validity, bool) {
    let users =
        details.users.iter().flat_map(|user| user.signatures.iter().map(move |signature| (signature, &user.id)));
    let of_users = users.filter(|(signature, id)| signature.verify_certification(key, Tag::UserId, id).is_ok());
    let direct = details.direct_signatures.iter().filter(|signature| signature.verify_key(key).is_ok());
    let about: Vec<&Signature> = of_users.map(|(signature, _)| signature).chain(direct).collect();
    let newest = newest(about.into_iter().filter(|signature| signature.typ() != Some(SignatureType::CertRevocation)));
    (validity(created, newest), newest.is_none_or(may_sign))
}

/// When a subkey may be used, if it may sign: nothing when it may not, or is revoked.
pub fn of_subkey(
    primary: &PublicKey,
    key: &PublicSubkey,
    created: Timestamp,
    signatures: &[Signature],
) -> Option<Validity> {
    // A revocation counts even when it cannot be checked.
    if signatures.iter().any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation)) {
        return None;
    }
    let holds = |signature: &&Signature| signature.verify_subkey_binding(primary, key).is_ok();
    let binding = newest(signatures.iter().filter(holds)).filter(|signature| signature.key_flags().sign())?;
    Some(validity(created, Some(binding)))
}

/// Whether the subkey itself says that it belongs to this key, which keeps others from claiming it as theirs (RFC 9580 5.2.3.34).
pub fn is_mutual(primary: &PublicKey, key: &PublicSubkey, signatures: &[Signature]) -> bool {
    signatures
        .iter()
        .filter_map(Signature::embedded_signature)
        .any(|back| back.verify_primary_key_binding(key, primary).is_ok())
}

fn newest<'s>(signatures: impl Iterator<Item = &'s Signature>) -> Option<&'s Signature> {
    signatures.max_by_key(|signature| signature.created())
}

/// A key without flags may do all that its algorithm can.
fn may_sign(signature: &Signature) -> bool {
    let has_flags = signature.config().is_some_and(|config| {
        config.hashed_subpackets().any(|subpacket| matches!(subpacket.data, SubpacketData::KeyFlags(_)))
    });
    !has_flags || signature.key_flags().sign()
}

fn validity(created: Timestamp, signature: Option<&Signature>) -> Validity {
    let from = created.as_secs();
    let lasts = signature.and_then(Signature::key_expiration_time).map(|duration| duration.as_secs());
    Validity { from, until: lasts.filter(|seconds| *seconds > 0).map(|seconds| u64::from(from) + u64::from(seconds)) }
}
