use serde_json::{Value, json};

use super::*;
use crate::{
    oidc::testing::{TestPlatform, metadata, relying_party},
    time::UnixTime,
};

fn read(body: &Value) -> Result<TokenResponse, TokenEndpointError> {
    TokenResponse::read(Ok(CalloutResponse::new(200, body.to_string().into_bytes())), TokenType::Bearer)
}

#[test]
fn a_refresh_request_has_only_grant_type_and_refresh_token() {
    let platform = TestPlatform::default();
    let context = CallContext::new(UnixTime::default(), &platform);
    let request = refresh_grant(&relying_party(), &metadata(), &RefreshToken::new("r&t=+ "), context).unwrap();
    let pairs: Vec<_> = form_urlencoded::parse(&request.body).into_owned().collect();
    assert_eq!(
        pairs,
        [("grant_type", "refresh_token"), ("refresh_token", "r&t=+ ")].map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
}

#[test]
fn expires_in_may_be_a_number_or_a_string() {
    for (value, expected) in [
        (json!(3600), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(" 3600.5 "), Some(3600)),
        (json!(3600.5), Some(3600)),
        (json!(0), Some(0)),
        (json!(-5), Some(0)),
        (json!("-5"), Some(0)),
        (json!(1e18), Some(1_000_000_000_000_000_000)),
        (json!(1e300), Some(u64::MAX)),
        (json!("1e999"), None),
        (json!("NaN"), None),
        (json!("soon"), None),
        (json!(true), None),
        (json!([3600]), None),
        (Value::Null, None),
    ] {
        let body = json!({ "access_token": "a", "token_type": "Bearer", "expires_in": value });
        assert_eq!(read(&body).unwrap().expires_in, expected.map(Duration::from_secs), "{value}");
    }
}

#[test]
fn optional_tokens_are_strings_or_absent() {
    let body = |id_token: Value, refresh_token: Value| json!({ "access_token": "a", "token_type": "bearer", "id_token": id_token, "refresh_token": refresh_token });
    let none = read(&body(Value::Null, Value::Null)).unwrap();
    assert!(none.id_token.is_none() && none.refresh_token.is_none());
    let empty = read(&body(json!(""), json!(""))).unwrap();
    assert!(empty.id_token.is_none() && empty.refresh_token.is_none());
    for odd in [json!(1), json!(false), json!(["x"]), json!({})] {
        assert_eq!(read(&body(odd.clone(), Value::Null)).unwrap_err(), TokenEndpointError::Malformed("id_token"));
        assert_eq!(read(&body(Value::Null, odd)).unwrap_err(), TokenEndpointError::Malformed("refresh_token"));
    }
    assert!(read(&body(Value::Null, json!("x".repeat(MAX_TOKEN + 1)))).unwrap().refresh_token.is_none());
}

#[test]
fn a_required_member_of_a_token_response_must_not_be_empty() {
    let body = |name: &str| {
        let mut body = json!({ "access_token": "a", "token_type": "bearer" });
        body[name] = json!("");
        read(&body).unwrap_err()
    };
    assert_eq!(body("access_token"), TokenEndpointError::Malformed("access_token"));
    assert_eq!(body("token_type"), TokenEndpointError::Malformed("token_type"));
}

#[test]
fn a_refusal_is_logged_with_its_description() {
    let read = |status: u16, body: &str| {
        let response = CalloutResponse::new(status, body.as_bytes().to_vec());
        TokenResponse::read(Ok(response), TokenType::Bearer).unwrap_err().to_string()
    };
    for (status, body, expected) in [
        (400, r#"{"error":"invalid_client"}"#, "the provider refused: invalid_client"),
        (
            401,
            r#"{"error":"invalid_request","error_description":"Pushed Authorization Request is only allowed."}"#,
            r#"the provider refused: invalid_request ("Pushed Authorization Request is only allowed.")"#,
        ),
        (
            200,
            "\u{feff}{\"error\":\"<b>\",\"error_description\":\"a\\r\\nb \\u001b[31m\"}",
            r#"the provider refused: unknown_error "<b>" ("a\r\nb \u{1b}[31m")"#,
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"no code SplxlOBeZQQYbYS6WxSbIA"}"#,
            r#"the provider refused: invalid_grant ("no code [...]")"#,
        ),
        (400, r#"{"error":"invalid_grant","error_description":7}"#, "the provider refused: invalid_grant"),
        (400, r#"{"error":"","error_description":"x"}"#, "the token endpoint answered 400"),
        (
            500,
            r#"{"error":"server_error","error_description":"no database"}"#,
            r#"the token endpoint answered 500, and says server_error ("no database")"#,
        ),
        (404, "<html>", "the token endpoint answered 404: nothing is at its URL"),
        (
            404,
            r#"{"error":"not_found"}"#,
            r#"the token endpoint answered 404: nothing is at its URL, and says unknown_error "not_found""#,
        ),
        (404, r#"{"error":"invalid_grant"}"#, "the provider refused: invalid_grant"),
    ] {
        assert_eq!(read(status, body), expected);
    }
}

#[test]
fn lenient_token_responses_are_read_and_malformed_ones_refused() {
    let read = |status, body: &str| {
        let response = CalloutResponse::new(status, body.as_bytes().to_vec());
        TokenResponse::read_leniently(Ok(response), TokenType::Bearer).map(|tokens| {
            let refresh_token = tokens.refresh_token.map(|token| token.expose().to_owned());
            (tokens.access_token.expose().to_owned(), refresh_token, tokens.expires_in.map(|life| life.as_secs()))
        })
    };
    let malformed = |name| Err(TokenEndpointError::Malformed(name));
    let good = |refresh_token: Option<&str>, life| Ok(("a".to_owned(), refresh_token.map(str::to_owned), life));
    for (body, expected) in [
        (r#"{"access_token":"a"}"#, good(None, None)),
        (r#"{"access_token":"a","token_type":"bearer","scope":"a,b"}"#, good(None, None)),
        (r#"{"access_token":"a","token_type":"","expires_in":"60"}"#, good(None, Some(60))),
        ("access_token=a&expires_in=60&scope=x%2Cy", good(None, Some(60))),
        ("access_token=a&token_type=BEARER&refresh_token=r%2B&scope=", good(Some("r+"), None)),
        (r#"{"access_token":"a","token_type":"mac"}"#, malformed("token_type")),
        ("access_token=a&token_type=mac", malformed("token_type")),
        (r#"{"token_type":"bearer"}"#, malformed("access_token")),
        ("access_token=&token_type=bearer", malformed("access_token")),
        ("access_token=a&access_token=b", Err(JsonError::Malformed.into())),
        ("<html>a</html>", Err(JsonError::Malformed.into())),
        ("<a href=x>a</a>", malformed("access_token")),
        ("", Err(JsonError::Malformed.into())),
        ("[]", Err(JsonError::NotAnObject.into())),
    ] {
        assert_eq!(read(200, body), expected, "{body}");
    }
    let refused = |body: &str| match read(200, body) {
        Err(TokenEndpointError::Refused(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(r#"{"error":"invalid_grant"}"#), "invalid_grant");
    assert_eq!(refused("error=bad_verification_code&error_description=used"), r#"bad_verification_code ("used")"#);
    assert_eq!(
        refused(r#"{"error":{"type":"OAuthException","message":"used"}}"#),
        r#"unknown_error "OAuthException" ("used")"#
    );
    assert!(matches!(read(500, "access_token=a"), Err(TokenEndpointError::Status(_))));
}
