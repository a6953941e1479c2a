//! A logout token (Back-Channel Logout 1.0, 2.6): header and payload are the input, the signature is good.

use crate::fixture::{CLIENT, ISSUER, NOW, check_line, config, is_for, provider, verified};

pub(crate) fn run(bytes: &[u8]) {
    let Some((token, claims)) = verified(bytes) else { return };
    match provider().check_logout_token(token, NOW, config().leeway) {
        Err(error) => check_line(&error),
        Ok(token) => {
            assert!(claims["iss"] == ISSUER && is_for(&claims, CLIENT));
            // An ID token ends nothing (2.4).
            assert!(!claims.contains_key("nonce"));
            assert!(claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object());
            assert!(claims["jti"] == token.id && !token.id.is_empty());
            assert!(token.subject.is_some() || token.sid.is_some());
            assert_eq!(claims.get("sub").and_then(|sub| sub.as_str()), token.subject.as_deref());
            assert_eq!(claims.get("sid").and_then(|sid| sid.as_str()), token.sid.as_deref());
        }
    }
}
