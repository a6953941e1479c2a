//! A security event token (RFC 8417): header and payload are the input, the signature is good.

use vestibule::{jose::claims::ExpectedIssuer, oidc::security_event::check};

use crate::fixture::{CLIENT, ISSUER, NOW, check_line, config, is_for, provider, verified};

pub(crate) fn run(bytes: &[u8]) {
    let Some((token, claims)) = verified(bytes) else { return };
    let transmitter = provider().transmitter.as_ref().expect("the fixture takes security events");
    match check(token, transmitter, ExpectedIssuer::Exactly(ISSUER), NOW, config().leeway) {
        Err(error) => check_line(&error),
        Ok(token) => {
            assert!(claims["iss"] == ISSUER && is_for(&claims, CLIENT));
            assert!(claims["jti"] == token.id && !token.id.is_empty());
            let events = claims["events"].as_object().expect("events");
            assert!(!events.is_empty() && token.subjects.len() + token.ignored.len() <= events.len());
            // An identifier is one that the payload has, and of this provider's users.
            let text = serde_json::Value::Object(claims.clone());
            for subject in &token.subjects {
                let named = [&subject.user, &subject.session];
                assert!(named.iter().any(|name| name.is_some()));
                named.into_iter().flatten().for_each(|name| assert!(holds(&text, name)));
            }
            token.ignored.iter().for_each(|(event, _)| check_line(event));
        }
    }
}

fn holds(value: &serde_json::Value, text: &str) -> bool {
    match value {
        serde_json::Value::Object(members) => members.values().any(|member| holds(member, text)),
        serde_json::Value::Array(items) => items.iter().any(|item| holds(item, text)),
        other => other == text,
    }
}
