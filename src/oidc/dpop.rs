//! Demonstrating Proof of Possession (DPoP, RFC 9449): the provider binds tokens to our key, and each call with one of them, or
//! for them, carries a proof that we have the key. A stolen token is then of no use without it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Endpoint,
    client::{AuthenticationError, CallContext},
    error::OAuthError,
    token::refusal_code,
};
use crate::{
    http::{CalloutError, CalloutRequest, CalloutResponse, DPOP},
    jose::sign::SigningKey,
    secret::AccessToken,
};

/// The longest nonce that is repeated in a proof, in bytes.
const MAX_NONCE: usize = 256;

/// The key that tokens are bound to.
#[derive(Debug)]
pub struct ProofKey {
    key: SigningKey,
    jwk: Value,
    thumbprint: String,
}

/// The server that a proof is for. Each has nonces of its own (8.2, 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofServer {
    /// The authorization server, at its token endpoint.
    Authorization,
    /// The userinfo endpoint.
    Resource,
}

impl ProofKey {
    /// `None` where the key came without its public half, which each proof carries.
    pub fn new(key: SigningKey) -> Option<Self> {
        let jwk = key.public_jwk()?;
        // RFC 7638, 3: the members that it has are the required ones, in their order, and the text has no spaces.
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(jwk.to_string()));
        Some(Self { key, jwk, thumbprint })
    }

    /// The thumbprint of the public half, to which an authorization request binds its code (10).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Adds a proof to this call of an endpoint (4.2), with this access token where the call carries one.
    pub(super) fn prove(
        &self,
        request: &mut CalloutRequest,
        endpoint: &Endpoint,
        access_token: Option<&AccessToken>,
        context: CallContext<'_>,
    ) -> Result<(), AuthenticationError> {
        let mut jti = [0; 16];
        context.platform.random(&mut jti)?;
        let mut url = endpoint.url().clone();
        url.set_query(None);
        let mut claims = json!({
            "jti": URL_SAFE_NO_PAD.encode(jti),
            "htm": request.method,
            "htu": url.as_str(),
            "iat": context.now.as_secs(),
        });
        if let Some(claims) = claims.as_object_mut() {
            let nonce = context.proof_nonce.map(|nonce| ("nonce".to_owned(), nonce.into()));
            let digest = access_token.map(|token| URL_SAFE_NO_PAD.encode(Sha256::digest(token.expose())));
            claims.extend(nonce.into_iter().chain(digest.map(|digest| ("ath".to_owned(), digest.into()))));
        }
        let proof = self.key.sign_with_jwk("dpop+jwt", &self.jwk, &claims, context.platform)?;
        request.headers.push((DPOP, proof));
        Ok(())
    }
}

/// The nonce that a server gives for the proofs of the next calls (8.1, 8.2).
pub fn nonce(response: &Result<CalloutResponse, CalloutError>) -> Option<&str> {
    let nonce = response.as_ref().ok()?.dpop_nonce.as_deref()?;
    let is_plain = nonce.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    (is_plain && (1..=MAX_NONCE).contains(&nonce.len())).then_some(nonce)
}

/// Whether the call may be made once more with the nonce that comes with this answer: after `use_dpop_nonce` of the token endpoint,
/// which has not used the code then (8), and after any 401 of the userinfo endpoint, which is a question (9).
pub fn wants_nonce(server: ProofServer, response: &Result<CalloutResponse, CalloutError>) -> bool {
    let Ok(answer) = response else { return false };
    match server {
        ProofServer::Authorization => refusal_code(answer) == Some(OAuthError::UseDpopNonce),
        ProofServer::Resource => answer.status == 401,
    }
}

#[cfg(test)]
mod tests;
