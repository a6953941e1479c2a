//! A private key of a client, in PEM or as a JWK: from the operator's configuration or environment.

use vestibule::{
    jose::{
        Algorithm,
        sign::{PrivateKeyError, SigningKey},
    },
    oidc::dpop::ProofKey,
};

use crate::fixture::check_line;

/// Members of a private key (RFC 7518, 6).
const PRIVATE: [&str; 6] = ["d", "dp", "dq", "p", "q", "qi"];

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let key = match SigningKey::read(text, None, None) {
        Ok(key) => key,
        Err(error) => return check_line(&error),
    };
    // The public half that goes out with proofs has nothing of the private one.
    if let Some(public) = key.public_jwk() {
        let members = public.as_object().expect("an object");
        assert!(PRIVATE.iter().all(|name| !members.contains_key(*name)));
        assert_eq!(ProofKey::new(key).expect("it has a public half").thumbprint().len(), 43);
    }
    // No key signs by an algorithm that the host does not offer.
    let error = SigningKey::read(text, Some(Algorithm::Ps256), None).err();
    assert!(matches!(error, Some(PrivateKeyError::Algorithm(_))));
}
