//! The answer of the token endpoint (RFC 6749, 5.1 and 5.2).

use vestibule::oidc::token::{TokenResponse, TokenType};

use crate::fixture::{check_line, object, response};

pub(crate) fn run(bytes: &[u8]) {
    let response = response(bytes);
    let tokens = match TokenResponse::read(Ok(response.clone()), TokenType::Bearer) {
        Ok(tokens) => tokens,
        Err(error) => {
            assert!(TokenResponse::read_for_code(Ok(response), TokenType::Bearer).is_err());
            return check_line(&error);
        }
    };
    let members = object(&response.body).expect("it is an object");
    assert!(response.status == 200 && members["access_token"] == tokens.access_token.expose());
    assert!(!tokens.access_token.expose().is_empty());
    assert!(members["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")));
    let is_sent = |name: &str, token: &str| members[name] == token && !token.is_empty();
    assert!(tokens.id_token.as_ref().is_none_or(|token| is_sent("id_token", token.expose())));
    assert!(tokens.refresh_token.as_ref().is_none_or(|token| is_sent("refresh_token", token.expose())));
    // OIDC Core 3.1.3.3: a code brings an ID token.
    assert_eq!(TokenResponse::read_for_code(Ok(response), TokenType::Bearer).is_ok(), tokens.id_token.is_some());
}
