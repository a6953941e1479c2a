//! A signed access token (RFC 9068, 4): header and payload are the input, the signature is good.

use vestibule::oidc::access_token::check;

use crate::fixture::{API, CLIENT, ISSUER, NOW, check_line, config, is_for, verified};

pub(crate) fn run(bytes: &[u8]) {
    let Some((token, claims)) = verified(bytes) else { return };
    let config = config();
    let issuer = config.token_issuers.iter().find(|issuer| issuer.issuer == ISSUER).expect("the fixture has one");
    let is_typed = token.typ().is_some_and(|typ| typ.to_ascii_lowercase().ends_with("at+jwt"));
    match check(token, issuer, NOW, config.leeway) {
        Err(error) => check_line(&error),
        Ok(token) => {
            assert!(claims["iss"] == ISSUER && is_for(&claims, API));
            // An ID token, a logout token or one that is bound to a key is no access token.
            assert!(!["nonce", "events", "cnf"].iter().any(|name| claims.contains_key(*name)));
            assert!(claims["sub"] == token.subject() && !token.subject().is_empty());
            let ends = claims["exp"].as_f64().expect("exp is a number");
            assert!((NOW.as_secs() as f64) < ends + config.leeway.span().as_secs_f64());
            // A token for our client too may be an ID token, unless it names its type.
            assert!(!is_for(&claims, CLIENT) || is_typed || claims.contains_key("typ"));
        }
    }
}
