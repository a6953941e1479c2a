//! The query of a callback (RFC 6749, 4.1.2): a repeated parameter is never taken for one value.

use vestibule::oidc::authorization::{AuthorizationResponse, MAX_QUERY, StateMatched};

use crate::fixture::{ISSUER, check_line, provider};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(response) = AuthorizationResponse::parse(bytes) else { return };
    assert!(bytes.len() <= MAX_QUERY);
    let values = |name: &str| -> Vec<String> {
        form_urlencoded::parse(bytes).filter(|(found, _)| found == name).map(|(_, value)| value.into_owned()).collect()
    };
    assert_eq!(values("state"), [response.state()]);
    let metadata = metadata();
    let matched = StateMatched::check(b"id", b"id").expect("the same bytes match");
    let Ok(outcome) = provider().accept(response, &matched, &metadata) else { return };
    // RFC 9207, 2.4: this provider says that it always sends `iss`.
    assert_eq!(values("iss"), [ISSUER]);
    match outcome {
        Ok(code) => assert!(values("code") == [code.expose()] && values("error").is_empty()),
        Err(error) => {
            assert!(values("code").is_empty() && values("error").len() == 1);
            check_line(&error);
        }
    }
}

fn metadata() -> std::rc::Rc<vestibule::oidc::provider_metadata::ProviderMetadata> {
    let document = format!(
        r#"{{"issuer":"{ISSUER}","authorization_endpoint":"{ISSUER}/a","token_endpoint":"{ISSUER}/t",
        "jwks_uri":"{ISSUER}/j","authorization_response_iss_parameter_supported":true}}"#
    );
    provider().read_metadata(document.as_bytes()).expect("it is good metadata")
}
