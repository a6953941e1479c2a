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
    let platform = TestPlatform::default();
    let context = CallContext::new(UnixTime::default(), &platform);
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

fn keys() -> Vec<serde_json::Value> {
    serde_json::from_str(include_str!("../../jose/testdata/private_keys.json")).unwrap()
}

/// The payload of the assertion in this parameter; the signature is checked in `jose::sign` and by real providers.
fn claims(request: &CalloutRequest, parameter: &str) -> (serde_json::Value, serde_json::Value) {
    let assertion = pairs(request).into_iter().find(|(name, _)| name == parameter).unwrap().1;
    let part = |place: usize| {
        let part = assertion.split('.').nth(place).unwrap();
        serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    (part(0), part(1))
}

fn assertion(audience: assertion::Audience, issuer: Option<&str>, sent_as: assertion::SentAs) -> ClientAuthentication {
    let key = crate::jose::sign::SigningKey::read(&keys()[1].to_string(), None, Some("k".to_owned())).unwrap();
    let key = assertion::AssertionKey::Private(Rc::new(key));
    let issuer = issuer.map(str::to_owned);
    ClientAuthentication::Assertion(Rc::new(ClientAssertion { key, issuer, audience, sent_as }))
}

#[test]
fn an_assertion_names_client_audience_and_a_short_time() {
    use assertion::{Audience, SentAs};
    let request = grant(assertion(Audience::Issuer, None, SentAs::Assertion));
    let (header, claims_of_one) = claims(&request, "client_assertion");
    assert_eq!(header, serde_json::json!({ "alg": "ES256", "typ": "JWT", "kid": "k" }));
    let jti = claims_of_one["jti"].as_str().unwrap();
    let expected = serde_json::json!({
        "iss": "odd:id/%+", "sub": "odd:id/%+", "aud": "https://idp.example.com", "iat": 0, "exp": 120, "jti": jti,
    });
    assert_eq!((claims_of_one.clone(), jti.len()), (expected, 22));
    assert!(has(&request, "client_id") && has(&request, "client_assertion_type") && !has(&request, "client_secret"));

    let request = grant(assertion(Audience::TokenEndpoint, None, SentAs::Assertion));
    assert_eq!(claims(&request, "client_assertion").1["aud"], "https://idp.example.com/token");

    let apple = Audience::Text("https://appleid.apple.com".to_owned());
    let request = grant(assertion(apple, Some("TEAM"), SentAs::Secret));
    let (_, claims) = claims(&request, "client_secret");
    let said = ["iss", "sub", "aud"].map(|name| claims[name].as_str().unwrap());
    assert_eq!(said, ["TEAM", "odd:id/%+", "https://appleid.apple.com"]);
    assert!(!has(&request, "client_assertion"));
}

#[test]
fn injected_credentials_send_no_client_id_and_a_certificate_does() {
    let injected = grant(ClientAuthentication::Injected);
    assert!(!has(&injected, "client_id") && injected.headers.iter().all(|(name, _)| *name != "authorization"));
    let shown = grant(ClientAuthentication::Tls);
    assert!(has(&shown, "client_id") && !has(&shown, "client_secret"));
}
