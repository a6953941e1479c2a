//! Security events that an issuer pushes (RFC 8935).

use serde_json::{Value, json};

use crate::{
    envoy::Setup,
    http1::Response,
    issuer::{IdToken, Issuer},
};

/// The event of a session that was revoked (CAEP 1.0, 3.1).
pub const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// Takes security events, in an Envoy that lets filters read bodies while headers are held.
pub fn accept_events(setup: &mut Setup, security_events: Value) {
    setup.bodies_while_headers_are_held = true;
    setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
    setup.configuration["providers"][0]["security_events"] = security_events;
}

/// The token that a session of this user of the issuer is revoked, changed at the end.
pub fn revoked(issuer: &Issuer, sub: &str, change: impl FnOnce(&mut IdToken)) -> String {
    issuer.logout_token_for(None, None, |token| {
        token.header.insert("typ".to_owned(), json!("secevent+jwt"));
        token.remove("exp");
        token.set("sub_id", json!({"format": "iss_sub", "iss": token.text("iss"), "sub": sub}));
        token.set("events", json!({SESSION_REVOKED: {}}));
        change(token);
    })
}

/// Checks that an event was taken (RFC 8935, 2.2).
///
/// # Panics
/// When it was not.
#[track_caller]
pub fn assert_taken(response: &Response, what: &str) {
    assert_eq!((response.status, response.code().as_deref()), (202, Some("security_event")), "{what}: {response:?}");
    assert!(response.body.is_empty(), "{what}: {response:?}");
}

/// Checks that an event was refused with this code (RFC 8935, 2.3 and 2.4).
///
/// # Panics
/// When it was not.
#[track_caller]
pub fn assert_refused(response: &Response, err: &str, what: &str) {
    assert_eq!(response.status, 400, "{what}: {response:?}");
    assert_eq!(response.headers.text("content-type").as_deref(), Some("application/json"), "{what}");
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(body["err"], err, "{what}: {body}");
    assert!(body["description"].is_string(), "{what}: {body}");
}
