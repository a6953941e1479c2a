//! Public keys of any kind that verifies signatures.

use super::{Algorithm, ecdsa::EcKey, rsa::RsaKey};

/// A public key.
#[derive(Debug, Clone)]
pub(super) enum PublicKey {
    Ec(EcKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    Rsa(RsaKey),
}

impl PublicKey {
    /// An Ed25519 key of 32 bytes.
    pub(super) fn ed25519(bytes: &[u8]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::try_from(bytes).ok()?;
        // With a point of small order, a signature can be made without a private key.
        (!key.is_weak()).then_some(Self::Ed25519(key))
    }

    /// Whether keys of this kind may verify this algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self {
            Self::Ec(key) => algorithm == key.curve().algorithm(),
            Self::Ed25519(_) => matches!(algorithm, EdDsa),
            Self::Rsa(_) => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
        }
    }
}
