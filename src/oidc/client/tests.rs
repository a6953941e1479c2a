use super::*;
use crate::{
    oidc::{
        testing::{TestPlatform, metadata, relying_party},
        token::code_grant,
    },
    secret::{AuthorizationCode, PkceVerifier},
};

fn grant(authentication: ClientAuthentication) -> CalloutRequest {
    let mut relying_party = relying_party();
    relying_party.client_id = "odd:id/%+".to_owned();
    relying_party.authentication = authentication;
    let (code, verifier) = (AuthorizationCode::new("c+d&e=f"), PkceVerifier::new("v"));
    let context = CallContext { now: UnixTime::default(), platform: &TestPlatform::default(), other_method: false };
    code_grant(&relying_party, &metadata(), &code, &verifier, "https://app.example.com/oauth2/callback", context)
        .unwrap()
}

fn pairs(request: &CalloutRequest) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn has(request: &CalloutRequest, name: &str) -> bool {
    pairs(request).iter().any(|(found, _)| found == name)
}

#[test]
fn basic_credentials_are_form_urlencoded_before_they_are_joined() {
    let request = grant(ClientAuthentication::Basic(ClientSecret::new("s p+a%c&e:~")));
    let authorization = request.headers.iter().find(|(name, _)| *name == "authorization").unwrap();
    let decoded = STANDARD.decode(authorization.1.strip_prefix("Basic ").unwrap()).unwrap();
    assert_eq!(String::from_utf8(decoded).unwrap(), "odd%3Aid%2F%25%2B:s+p%2Ba%25c%26e%3A%7E");
    assert!(!has(&request, "client_secret") && !has(&request, "client_id"));
    assert!(pairs(&request).contains(&("code".to_owned(), "c+d&e=f".to_owned())));
}

#[test]
fn posted_credentials_are_in_the_body_alone() {
    let request = grant(ClientAuthentication::Post(ClientSecret::new("s&c")));
    assert!(pairs(&request).contains(&("client_secret".to_owned(), "s&c".to_owned())));
    assert!(request.headers.iter().all(|(name, _)| *name != "authorization"));
}

#[test]
fn a_public_client_names_itself_and_sends_no_secret() {
    let request = grant(ClientAuthentication::None);
    assert!(has(&request, "client_id") && has(&request, "code_verifier") && !has(&request, "client_secret"));
    assert!(request.headers.iter().all(|(name, _)| *name != "authorization"));
}
