//! The answer to a pushed authorization request (RFC 9126, 2.2), and the nonce that comes with answers to DPoP proofs (RFC 9449,
//! 8), which is before the first line break.

use vestibule::{
    http::CalloutResponse,
    oidc::{dpop, pushed},
};

use crate::fixture::{check_line, object, parts, response};

pub(crate) fn run(bytes: &[u8]) {
    let (nonce, rest) = parts(bytes);
    let given = CalloutResponse { dpop_nonce: String::from_utf8(nonce.to_vec()).ok(), ..response(rest) };
    let response = Ok(given.clone());
    if let Some(nonce) = dpop::nonce(&response) {
        // It goes into a signed JSON text, and no control character gets there.
        assert!((1..=256).contains(&nonce.len()) && nonce.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    match pushed::read(response) {
        Err(error) => check_line(&error),
        Ok(request_uri) => {
            assert!(matches!(given.status, 200 | 201));
            assert_eq!(object(&given.body).expect("it is an object")["request_uri"], request_uri);
            // It goes into a Location header.
            assert!(!request_uri.is_empty() && request_uri.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
