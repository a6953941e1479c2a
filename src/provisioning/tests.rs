use serde_json::json;

use super::*;
use crate::oidc::PlainHttp;

type Answered = Result<Map<String, Value>, ProvisioningError>;

fn provisioning(claims: &[&str]) -> Provisioning {
    Provisioning {
        endpoint: Rc::new(ProvisioningEndpoint {
            url: Endpoint::parse("http://app.internal:8080/provision?v=1", PlainHttp::Allowed).unwrap(),
            cluster: Cluster::new("app").unwrap(),
            secret: Some(ProvisioningSecret::new("hush")),
            timeout: Duration::from_secs(2),
            at_renewal: true,
            claims: claims.iter().map(|name| (*name).to_owned()).collect(),
        }),
        is_asked: true,
        registration: Registration::Refused,
    }
}

fn body(claims: &[&str], all: &Value) -> Value {
    let user = User {
        provider: "google",
        issuer: "https://accounts.google.com",
        subject: "alice",
        claims: all.as_object().unwrap(),
    };
    let request = provisioning(claims).request(Occasion::SignIn, user);
    serde_json::from_slice(&request.body).unwrap()
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answered {
    read(Ok(CalloutResponse::new(status, body.into())))
}

#[test]
fn the_request_names_the_user_and_has_the_listed_claims_alone() {
    let all = json!({ "sub": "other", "iss": "other", "name": "Alice", "groups": ["a"], "secret": "no" });
    assert_eq!(
        body(&["email", "name", "groups"], &all),
        json!({
            "event": "sign_in", "provider": "google", "iss": "https://accounts.google.com", "sub": "alice",
            "registration": "refused", "claims": { "name": "Alice", "groups": ["a"] },
        })
    );
    let user = User { provider: "p", issuer: "i", subject: "s", claims: all.as_object().unwrap() };
    let request = provisioning(&[]).request(Occasion::Renewal, user);
    assert_eq!(
        (request.method, request.authority.as_str(), request.path.as_str(), request.cluster.as_str()),
        ("POST", "app.internal:8080", "/provision?v=1", "app")
    );
    assert!(request.headers.contains(&("authorization", "Bearer hush".to_owned())));
    assert!(request.headers.contains(&("content-type", "application/json".to_owned())));
    assert!(String::from_utf8(request.body).unwrap().contains(r#""event":"renewal""#));
}

#[test]
fn claims_that_are_too_large_are_left_out_and_named() {
    let all = json!({ "groups": "g".repeat(MAX_CLAIMS), "name": "Alice", "roles": "r".repeat(MAX_CLAIMS - 100) });
    let body = body(&["groups", "name", "roles"], &all);
    assert_eq!(body["left_out"], json!(["groups"]));
    assert_eq!(body["claims"].as_object().unwrap().keys().collect::<Vec<_>>(), ["name", "roles"]);
}

#[test]
fn only_a_valid_provisioning_response_admits_the_user() {
    let none = || Ok(Map::new());
    let status =
        |status| Err(ProvisioningError::Status(UnexpectedStatus::of(&CalloutResponse::new(status, Vec::new()))));
    let not_json = |error| Err(ProvisioningError::NotJson(error));
    let cases: [(u16, &str, Answered); 27] = [
        (200, r#"{"attributes":{"plan":"pro"}}"#, Ok(json!({ "plan": "pro" }).as_object().unwrap().clone())),
        (201, r#"{"attributes":{"plan":"pro"},"more":1}"#, Ok(json!({ "plan": "pro" }).as_object().unwrap().clone())),
        (200, "\u{feff}{\"attributes\":{}}", none()),
        (200, r#"{"attributes":{}}"#, none()),
        (200, "", none()),
        (201, "", none()),
        (204, "", none()),
        (200, "{}", Err(ProvisioningError::Malformed)),
        (200, r#"{"status":"ok"}"#, Err(ProvisioningError::Malformed)),
        (200, r#"{"attributes":null}"#, Err(ProvisioningError::Malformed)),
        (200, r#"{"attributes":["a"]}"#, Err(ProvisioningError::Malformed)),
        (200, r#"{"attributes":"a"}"#, Err(ProvisioningError::Malformed)),
        (200, r#"{"message":"no"}"#, Err(ProvisioningError::Malformed)),
        (200, "[]", not_json(JsonError::NotAnObject)),
        (200, " ", not_json(JsonError::Malformed)),
        (200, "<html>", not_json(JsonError::Malformed)),
        (200, r#"{"attributes":{"a":1,"a":2}}"#, not_json(JsonError::DuplicateMember(Quoted::new("a")))),
        (202, r#"{"attributes":{}}"#, status(202)),
        (301, r#"{"attributes":{}}"#, status(301)),
        (401, r#"{"message":"no"}"#, status(401)),
        (404, r#"{"message":"no"}"#, status(404)),
        (500, r#"{"attributes":{}}"#, status(500)),
        (403, "", Err(ProvisioningError::NoMessage)),
        (403, "RBAC: access denied", Err(ProvisioningError::NoMessage)),
        (403, r#"{"attributes":{}}"#, Err(ProvisioningError::NoMessage)),
        (403, r#"{"message":["no"]}"#, Err(ProvisioningError::NoMessage)),
        (403, r#"{"message":""}"#, Err(ProvisioningError::Refused(Message(String::new())))),
    ];
    for (status, body, expected) in cases {
        assert_eq!(answer(status, body), expected, "{status} {body}");
    }
    assert_eq!(read(Err(CalloutError::NoResponse)), Err(CalloutError::NoResponse.into()));
}

#[test]
fn a_large_answer_is_refused() {
    let large = |length: usize| json!({ "attributes": { "a": "a".repeat(length) } }).to_string();
    assert!(answer(200, large(MAX_RESPONSE - 100)).is_ok());
    assert_eq!(answer(200, large(MAX_RESPONSE)), Err(JsonError::TooLarge.into()));
    let deep = format!(r#"{{"attributes":{}1{}}}"#, r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    assert_eq!(answer(200, deep), Err(JsonError::Malformed.into()));
    let message = json!({ "message": "a".repeat(MAX_RESPONSE) }).to_string();
    assert_eq!(answer(403, message), Err(ProvisioningError::NoMessage));
}

#[test]
fn a_message_is_one_line_of_bounded_length_without_hidden_characters() {
    let shown = |message: &str| match answer(403, json!({ "message": message }).to_string()) {
        Err(ProvisioningError::Refused(message)) => message.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown("Ask Ann, or Bob."), "Ask Ann, or Bob.");
    assert_eq!(shown(" a\r\nb\0c\u{1b}[31m\u{202e}d\u{2066}\u{85} "), "a  b c [31m d");
    assert_eq!(shown("<script>"), "<script>");
    assert_eq!(shown(&"é".repeat(10_000)).chars().count(), MAX_MESSAGE);
    assert_eq!(
        answer(403, r#"{"message":"a\n\"b"}"#).unwrap_err().to_string(),
        r#"the app refuses the user, and says "a \"b""#
    );
}
