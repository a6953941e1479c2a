mod logout;
mod refresh;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};

use serde_json::json;

use super::*;
use crate::{
    http1::{Answering, Response, form, single},
    keys::{base64url, from_base64url, sha256, tests::holds},
};

const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";

fn ask(issuer: &Issuer, request: &str) -> std::io::Result<Response> {
    let mut connection = Connection::open(([127, 0, 0, 1], issuer.port()).into(), Duration::from_secs(5))?;
    connection.send(request.as_bytes())?;
    connection.read_response(Answering::Other)
}

fn get(issuer: &Issuer, target: &str) -> Response {
    ask(issuer, &format!("GET {target} HTTP/1.1\r\nhost: issuer\r\n\r\n")).unwrap()
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn code(issuer: &Issuer) -> String {
    code_for(issuer, "openid")
}

fn code_for(issuer: &Issuer, scope: &str) -> String {
    let query = encoded(&[
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", "http://app/cb"),
        ("scope", scope),
        ("state", "s"),
        ("nonce", "n"),
        ("code_challenge_method", "S256"),
        ("code_challenge", &base64url(&sha256(VERIFIER.as_bytes()))),
    ]);
    let back = get(issuer, &format!("/authorize?{query}")).location().unwrap();
    let answer = form(back.strip_prefix("http://app/cb?").unwrap().as_bytes());
    assert_eq!(single(&answer, "state"), Some("s"));
    assert_eq!(single(&answer, "iss"), Some(issuer.url().as_str()));
    single(&answer, "code").unwrap().to_owned()
}

fn redeem(issuer: &Issuer, code: &str, change: fn(&mut Vec<(&str, &str)>)) -> Response {
    let mut parameters = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", "http://app/cb"),
        ("code_verifier", VERIFIER),
    ];
    change(&mut parameters);
    post(issuer, "/token", &parameters)
}

fn post(issuer: &Issuer, path: &str, parameters: &[(&str, &str)]) -> Response {
    let body = encoded(parameters);
    let part = |text| encoded(&[("", text)]).trim_start_matches('=').to_owned();
    let credentials = STANDARD.encode(format!("{}:{}", part(CLIENT_ID), part(CLIENT_SECRET)));
    let length = body.len();
    ask(
        issuer,
        &format!(
            "POST {path} HTTP/1.1\r\nauthorization: Basic {credentials}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
    .unwrap()
}

fn parsed(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

fn id_token(issuer: &Issuer) -> (Value, Value, bool) {
    let response = parsed(&redeem(issuer, &code(issuer), |_| {}));
    read(issuer, response["id_token"].as_str().unwrap())
}

/// Header and claims of a token, and whether a published key verifies it.
fn read(issuer: &Issuer, compact: &str) -> (Value, Value, bool) {
    let parts: Vec<&str> = compact.split('.').collect();
    let header: Value = serde_json::from_slice(&from_base64url(parts[0])).unwrap();
    let claims: Value = serde_json::from_slice(&from_base64url(parts[1])).unwrap();
    let jwks = parsed(&get(issuer, "/jwks"));
    let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]);
    let algorithm = Algorithm::ALL.into_iter().find(|known| header["alg"] == known.name());
    let valid = key.zip(algorithm).is_some_and(|(key, algorithm)| {
        let signed = format!("{}.{}", parts[0], parts[1]);
        holds(key, algorithm, signed.as_bytes(), &from_base64url(parts[2]))
    });
    (header, claims, valid)
}

#[test]
fn the_test_issuer_signs_in_at_once_and_its_tokens_verify() {
    let issuer = Issuer::start();
    let (header, claims, valid) = id_token(&issuer);
    assert!(valid);
    assert_eq!((&header["alg"], &claims["nonce"], &claims["aud"]), (&json!("RS256"), &json!("n"), &json!(CLIENT_ID)));
    issuer.rotate();
    let (rotated, _, valid) = id_token(&issuer);
    assert!(valid && rotated["kid"] != header["kid"]);
}

#[test]
fn the_test_issuer_issues_access_tokens_and_rotates_their_key() {
    let issuer = Issuer::start();
    let first = issuer.access_token("https://api.example.com", |_| {});
    let kid = |token: &str| -> Value {
        let header = from_base64url(token.split('.').next().unwrap());
        serde_json::from_slice::<Value>(&header).unwrap()["kid"].clone()
    };
    let published = || -> Vec<Value> {
        let jwks: Value = serde_json::from_str(&get(&issuer, "/jwks").text()).unwrap();
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect()
    };
    assert!(published().contains(&kid(&first)));
    issuer.next_p256(true);
    let second = issuer.access_token("https://api.example.com", |_| {});
    assert!(kid(&first) != kid(&second) && published().contains(&kid(&first)) && published().contains(&kid(&second)));
    issuer.next_p256(false);
    assert!(!published().contains(&kid(&first)) && !published().contains(&kid(&second)));
    assert!(issuer.secrets().contains(&second));
}

#[test]
fn the_test_issuer_refuses_a_mismatched_or_used_code() {
    let issuer = Issuer::start();
    let other: fn(&mut Vec<(&str, &str)>) = |form| form[3].1 = "another-verifier-of-forty-three-characters-or-so";
    assert_eq!(redeem(&issuer, &code(&issuer), other).status, 400);
    assert_eq!(redeem(&issuer, &code(&issuer), |form| form[2].1 = "http://app/other").status, 400);
    assert_eq!(redeem(&issuer, "unknown", |_| {}).status, 400);
    let used = code(&issuer);
    assert_eq!((redeem(&issuer, &used, |_| {}).status, redeem(&issuer, &used, |_| {}).status), (200, 400));
    assert_eq!(get(&issuer, "/authorize?response_type=code").status, 400);
}

#[test]
fn the_test_issuer_issues_faulty_id_tokens_on_request() {
    let issuer = Issuer::start();
    let faults: [(Spoil, bool); 6] = [
        (|token| token.signing = Signing::Unpublished, false),
        (|token| token.signing = Signing::None, false),
        (|token| token.signing = Signing::Hmac(token.public.pem.clone().into_bytes()), false),
        (|token| token.signing = Signing::Published(Algorithm::Es512), true),
        (|token| token.without_kid = true, false),
        (|token| token.raw_claims = Some(token.with_members(r#""sub":"mallory""#)), true),
    ];
    for (index, (fault, expected)) in faults.into_iter().enumerate() {
        issuer.misbehave(Fault::IdToken(fault));
        assert_eq!(id_token(&issuer).2, expected, "fault {index}");
        issuer.behave();
    }
}

#[test]
fn the_test_issuer_sends_faulty_responses_and_stops_on_request() {
    let mut issuer = Issuer::start();
    let discovery = "GET /.well-known/openid-configuration HTTP/1.1\r\n\r\n";
    let spoilt = |answer| {
        issuer.misbehave(Fault::Answer(Endpoint::Discovery, answer));
        let response = ask(&issuer, discovery);
        issuer.behave();
        response
    };
    assert_eq!(spoilt(Answer::status(500)).unwrap().status, 500);
    assert!(spoilt(Answer::ResetBeforeHeaders).is_err());
    assert!(spoilt(Answer::ResetMidBody).is_err());
    let edited = spoilt(Answer::Edited(|metadata| metadata["issuer"] = json!("http://other")));
    assert!(edited.unwrap().text().contains("http://other"));
    assert!(ask(&issuer, discovery).unwrap().text().contains(&issuer.url()));
    issuer.down();
    assert!(ask(&issuer, discovery).is_err());
    issuer.up();
    assert_eq!(ask(&issuer, discovery).unwrap().status, 200);
    assert_eq!(issuer.requests(Endpoint::Discovery).len(), 6);
}
