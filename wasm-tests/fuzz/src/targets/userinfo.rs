//! The answer of the userinfo endpoint (OIDC Core 5.3.2), beside the claims of an ID token, which are before the first
//! line break.

use vestibule::{http::CalloutResponse, oidc::userinfo::Userinfo};

use crate::fixture::{check_line, object, parts};

const SUBJECT: &str = "248289761001";

pub(crate) fn run(bytes: &[u8]) {
    let (id_token, body) = parts(bytes);
    let response = CalloutResponse::new(200, body.to_vec());
    let userinfo = match Userinfo::read(Ok(response), SUBJECT) {
        Ok(userinfo) => userinfo,
        Err(error) => return check_line(&error),
    };
    let claims = object(body).expect("it is an object");
    assert_eq!(claims["sub"], SUBJECT);
    let id_token = object(id_token).unwrap_or_default();
    for name in claims.keys() {
        let Some(claim) = userinfo.claim(name, &id_token) else { continue };
        // Userinfo sets no claim of the sign-in, and changes none of the ID token.
        assert!(!["sub", "iss", "aud", "exp", "acr", "amr", "auth_time", "sid", "nonce"].contains(&name.as_str()));
        if let Some(signed) = id_token.get(name) {
            assert_eq!(name, "_claim_names");
            let signed = signed.as_object().expect("only objects are joined");
            assert!(signed.iter().all(|(member, value)| claim[member] == *value));
        }
    }
}
