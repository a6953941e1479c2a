//! Signed tokens, read and made, without anything of OpenID Connect. May import `platform`, `quoted` and `time`.
//!
//! Each step of a verification has its type, so that none can be left out: [`jws::UnverifiedJws`] (the form is right) →
//! [`verify::VerifiedJws`] (the signature is right) → [`claims::VerifiedClaims`] (issuer, audience and dates are right).
//!
//! Specifications: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (algorithms), RFC 7519 (JWT), RFC 8037 and RFC 9864
//! (EdDSA), RFC 8725 (best current practice).

use crate::platform::HashFunction;

pub mod claims;
mod der;
mod ecdsa;
pub mod json;
pub mod jwk;
pub mod jwks;
pub mod jws;
pub mod members;
mod pem;
mod private_key;
mod public_key;
mod rsa;
pub mod sign;
pub mod verify;

/// A signature algorithm of JWS (RFC 7518, 3.1; RFC 8037). `none` is not one, nor are the HMACs, with which a public key
/// could be used as a shared secret (RFC 8725, 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// The algorithm of this `alg`, which is case-sensitive (RFC 7515, 4.1.1). `Ed25519` is RFC 9864's name for the one kind
    /// of `EdDSA` that is supported.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Self::EdDsa),
            _ => Self::ALL.into_iter().find(|algorithm| algorithm.name() == name),
        }
    }

    /// The value of `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The hash function of the signature, and of `at_hash` (OIDC Core 3.1.3.6).
    pub const fn hash(self) -> HashFunction {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => HashFunction::Sha256,
            Self::Rs384 | Self::Ps384 | Self::Es384 => HashFunction::Sha384,
            Self::Rs512 | Self::Ps512 | Self::Es512 | Self::EdDsa => HashFunction::Sha512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_found_by_its_exact_name() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
    }

    #[test]
    fn unknown_algorithm_names_are_refused() {
        let names = [
            "", "none", "None", "nOnE", "HS256", "HS384", "HS512", " RS256", "RS256 ", "rs256", "RS256\0", "RS1",
            "ES256K", "Ed448", "ed25519", "EDDSA", "RSA-OAEP", "dir",
        ];
        for name in names {
            assert_eq!(Algorithm::from_name(name), None, "{name:?}");
        }
    }
}
