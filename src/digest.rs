//! Digests that stand for secrets and personal data in keys, logs and memory.

use sha2::{Digest, Sha256};

/// The first half of a SHA-256 digest.
pub type HalfDigest = [u8; 16];

/// The digest of these parts, each with its length in front. `what` separates the digests of different kinds of values.
pub fn half_digest(what: &str, parts: &[&[u8]]) -> HalfDigest {
    let mut hash = Sha256::new();
    for part in [what.as_bytes()].iter().chain(parts) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}
