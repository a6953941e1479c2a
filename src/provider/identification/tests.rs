use std::rc::Rc;

use serde_json::{Value, json};

use super::{
    super::{Protocol, github::GitHub},
    *,
};
use crate::{
    claims::{IssuerId, ObjectKeys},
    oidc::{
        Endpoint, PlainHttp,
        testing::{TestPlatform, metadata, openid_provider, relying_party},
    },
};

fn provider(protocol: Protocol) -> Provider {
    Provider {
        id: IssuerId::of_provider("https://idp.example.com", "client"),
        name: "default".to_owned(),
        title: "Example".to_owned(),
        logo: None,
        css_class: None,
        email_domains: Vec::new(),
        relying_party: relying_party(),
        protocol,
        object_keys: ObjectKeys::default(),
        allow: None,
        says_email_verified: true,
        transmitter: None,
        provisioning: None,
    }
}

fn github() -> Provider {
    let api = Endpoint::parse("https://api.github.com", PlainHttp::Never).unwrap();
    provider(Protocol::GitHub(Box::new(GitHub::new("https://github.com", api, PlainHttp::Never).unwrap())))
}

fn ok(body: &Value) -> Result<CalloutResponse, CalloutError> {
    Ok(CalloutResponse::new(200, body.to_string().into_bytes()))
}

fn tokens() -> Value {
    json!({ "access_token": "a", "token_type": "bearer", "refresh_token": "r", "expires_in": 60 })
}

/// Follows the steps with these answers. Returns the requested paths, the identity and the granted tokens.
fn follow(provider: &Provider, answers: &[Value]) -> (Vec<String>, Box<Identity>, Granted) {
    let metadata = provider.configured_metadata().map_or_else(|| Rc::new(metadata()), Rc::clone);
    let mut identification = provider.identification(ok(&tokens())).unwrap();
    let mut paths = Vec::new();
    loop {
        identification = match identification.next(provider, &metadata) {
            Step::Call(call) => {
                let answer = ok(&answers[paths.len()]);
                let platform = TestPlatform::default();
                let context = CallContext::new(UnixTime::default(), &platform);
                paths.push(call.request(provider, context).unwrap().path);
                call.answered(answer).unwrap()
            }
            Step::Known(identity, granted) => return (paths, identity, granted),
            Step::VerifyIdToken(step) => panic!("{step:?}"),
        };
    }
}

fn claim(identity: &Identity, name: &str) -> Option<Value> {
    identity.userinfo().unwrap().claim(name, identity.claims())
}

#[test]
fn github_is_called_once_for_each_needed_endpoint() {
    let user = json!({ "id": 7, "login": "alice", "email": "unverified@example.com" });
    let (paths, identity, granted) = follow(&github(), std::slice::from_ref(&user));
    assert_eq!((paths, identity.subject()), (vec!["/user".to_owned()], "7"));
    assert_eq!(claim(&identity, "email"), None);
    // Nothing would continue the session, so the refresh token is not kept.
    assert!(granted.refresh_token.is_none() && granted.id_token.is_none());

    let mut provider = github();
    provider.ask_for(&["email".to_owned()]);
    assert_eq!(provider.relying_party.scopes, ["user:email"]);
    let emails = json!([{ "email": "alice@example.com", "primary": true, "verified": true }]);
    let (paths, identity, _) = follow(&provider, &[user, emails]);
    assert_eq!(paths, ["/user", "/user/emails?per_page=100&page=1"]);
    assert_eq!(claim(&identity, "email"), Some(json!("alice@example.com")));
}

#[test]
fn a_failed_call_identifies_no_user() {
    let provider = github();
    let identification = provider.identification(ok(&tokens())).unwrap();
    let Step::Call(call) = identification.next(&provider, provider.configured_metadata().unwrap()) else { panic!() };
    let error = call.answered(Err(CalloutError::NoResponse)).unwrap_err();
    assert_eq!(error, UserinfoError::Callout(CalloutError::NoResponse));
}

#[test]
fn openid_connect_requires_an_id_token_and_verifies_it_first() {
    let provider = provider(Protocol::Oidc(Box::new(openid_provider())));
    let none = provider.identification(ok(&tokens())).unwrap_err();
    assert_eq!(none, TokenEndpointError::Malformed("id_token"));
    let mut body = tokens();
    body["id_token"] = json!("a.b.c");
    let identification = provider.identification(ok(&body)).unwrap();
    let Step::VerifyIdToken(step) = identification.next(&provider, &metadata()) else { panic!() };
    assert_eq!((step.id_token().expose(), step.access_token().expose()), ("a.b.c", "a"));
}
