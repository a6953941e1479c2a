//! Digests that stand for values which must not be written down.

use sha2::{Digest, Sha256};

/// Half a SHA-256 digest.
pub type HalfDigest = [u8; 16];

/// Half the SHA-256 digest of these parts; `what` keeps those of different things apart.
pub fn half_digest(what: &str, parts: &[&[u8]]) -> HalfDigest {
    let mut hash = Sha256::new();
    for part in [what.as_bytes()].iter().chain(parts) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}
