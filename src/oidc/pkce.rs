//! Proof Key for Code Exchange (RFC 7636), method S256 only.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::{
    platform::{NoRandomness, Platform, draw},
    secret::{Nonce, PkceVerifier},
};

impl PkceVerifier {
    /// A new verifier: 256 random bits in 43 unreserved characters (4.1).
    ///
    /// # Errors
    /// [`NoRandomness`] when the platform has none.
    pub fn generate(platform: &dyn Platform) -> Result<Self, NoRandomness> {
        // Neither the verifier nor the challenge, which follows from it, may look like an attack.
        let texts = |bytes: &[u8; 32]| {
            let verifier = of_bytes(bytes);
            let challenge = challenge(&verifier);
            verifier + " " + &challenge
        };
        Ok(Self::new(of_bytes(&draw(platform, texts)?)))
    }

    /// The S256 `code_challenge` (4.2).
    pub fn challenge(&self) -> String {
        challenge(self.expose())
    }
}

impl Nonce {
    /// A new nonce: 256 random bits as base64url (OIDC Core 15.5.2).
    ///
    /// # Errors
    /// [`NoRandomness`] when the platform has none.
    pub fn generate(platform: &dyn Platform) -> Result<Self, NoRandomness> {
        Ok(Self::new(of_bytes(&draw(platform, of_bytes)?)))
    }
}

fn of_bytes(bytes: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_the_one_of_rfc_7636_appendix_b() {
        let verifier = PkceVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
