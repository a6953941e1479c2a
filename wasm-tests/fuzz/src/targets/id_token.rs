//! An ID token (OIDC Core 3.1.3.7): header and payload are the input, the signature is good.

use vestibule::{
    oidc::id_token::{Authentication, Expected, MAX_SUBJECT, Occasion, check},
    secret::{AccessToken, Nonce},
};

use crate::fixture::{CLIENT, ISSUER, NOW, check_line, config, is_for, provider, verified};

const NONCE: &str = "n-0S6_WzA2Mj";

pub(crate) fn run(bytes: &[u8]) {
    let Some((token, claims)) = verified(bytes) else { return };
    let leeway = config().leeway;
    let (access_token, nonce) = (AccessToken::new("at"), Nonce::new(NONCE));
    let expected = provider().expected_id_token(Occasion::SignIn(&nonce), &access_token, NOW, leeway);
    let verified = match check(token, &expected) {
        Ok(verified) => verified,
        Err(error) => return check_line(&error),
    };
    assert!(claims["iss"] == ISSUER && is_for(&claims, CLIENT) && claims["nonce"] == NONCE);
    let subject = verified.subject().to_owned();
    assert!(claims["sub"] == subject && (1..=MAX_SUBJECT).contains(&subject.len()));
    let ends = claims["exp"].as_f64().expect("exp is a number");
    assert!((NOW.as_secs() as f64) < ends + leeway.span().as_secs_f64());
    // OIDC Core 3.1.3.7 (3): no untrusted audience.
    assert!(claims["aud"].as_array().is_none_or(|audiences| audiences.iter().all(|audience| audience == CLIENT)));

    // OIDC Core 12.2: the same token continues the session that it began, and no session of another subject.
    let authentication = Authentication::of(&verified);
    for (known, continues) in [(subject.as_str(), true), ("somebody else", false)] {
        let (token, _) = self::verified(bytes).expect("it was verified before");
        let expected = Expected { occasion: Occasion::Refresh(known, &authentication), ..expected };
        assert_eq!(check(token, &expected).is_ok(), continues);
    }
}
