//! The answer of an introspection endpoint (RFC 7662, 2.2).

use vestibule::oidc::introspection::{Answer, read};

use crate::fixture::{API, NOW, check_line, config, is_for, object, response};

pub(crate) fn run(bytes: &[u8]) {
    let (config, response) = (config(), response(bytes));
    let issuer = config.token_issuers.iter().find(|issuer| issuer.introspection().is_some());
    let issuer = issuer.expect("the fixture has one");
    match read(Ok(response.clone()), issuer, NOW, config.leeway) {
        Err(error) => check_line(&error),
        Ok(Answer::Inactive) => assert_eq!(object(&response.body).expect("it is an object")["active"], false),
        Ok(Answer::Refused(error)) => check_line(&error),
        Ok(Answer::Active(token)) => {
            let claims = object(&response.body).expect("it is an object");
            assert!(response.status == 200 && claims["active"] == true && is_for(&claims, API));
            assert!(!token.subject().is_empty());
            assert!(token.ends().is_none_or(|ends| NOW < ends.plus(config.leeway.span())));
        }
    }
}
