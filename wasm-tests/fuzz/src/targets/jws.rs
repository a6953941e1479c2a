//! A compact JWS (RFC 7515, 7.1), unsigned or with a signature that is hardly ever valid.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use vestibule::jose::{
    Algorithm,
    jws::{MAX_TOKEN, UnverifiedJws},
    verify::{Origin, verify},
};

use crate::fixture::{Host, NOW, check_line, keys, object};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let token = match UnverifiedJws::parse(text) {
        Ok(token) => token,
        Err(error) => return check_line(&error),
    };
    assert!(text.len() <= MAX_TOKEN);
    let parts: Vec<&str> = text.split('.').collect();
    let decoded: Vec<_> = parts.iter().map(|part| URL_SAFE_NO_PAD.decode(part).expect("it is base64url")).collect();
    let [header, payload, _] = &decoded[..] else { panic!("{} parts", decoded.len()) };
    // No other text is the same token.
    assert!(decoded.iter().zip(&parts).all(|(bytes, part)| URL_SAFE_NO_PAD.encode(bytes) == **part));

    let header = object(header).expect("the header is an object");
    let algorithm = header["alg"].as_str().expect("alg is a text");
    assert_eq!(Algorithm::from_name(algorithm), Some(token.algorithm()));
    assert!(!["b64", "crit", "zip"].iter().any(|name| header.contains_key(*name)));
    let kid = header.get("kid").and_then(|kid| kid.as_str()).filter(|kid| !kid.is_empty());
    assert_eq!(token.kid(), kid);
    if let Some(issuer) = token.claimed_issuer() {
        assert_eq!(object(payload).expect("the payload is an object")["iss"], issuer);
    }
    // A valid signature is SHA-256 of the text, which an input hardly ever holds.
    if let Err(error) = verify(&token, keys(), &Algorithm::ALL, Origin::Request(NOW), &Host::default()) {
        check_line(&error);
    }
}
