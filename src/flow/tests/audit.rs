//! The audit log: each sign-in, refusal, refresh and sign-out is one line, which says who, where and in which request.

use serde_json::{Value, json};

use super::{
    super::event::audit,
    world::{ISSUER, Outcome, World, document},
};
use crate::{config::AuditLog, http::CalloutResponse};

const PAGE: [(&str, &str); 3] = [(":method", "GET"), ("sec-fetch-mode", "navigate"), ("accept", "text/html")];
const SIGN_OUT: [(&str, &str); 2] = [("sec-fetch-dest", "document"), ("sec-fetch-site", "none")];

fn world() -> World {
    let mut provider = document()["providers"][0].clone();
    provider["token_endpoint_auth_method"] = json!("client_secret_basic");
    provider["security_events"] = json!({});
    let rules = json!([
        { "path": "/public/*", "access": "public" },
        { "name": "closed", "path": "/closed", "access": "deny" },
        { "name": "bosses", "path": "/bosses", "access": "required", "allow": { "groups": ["bosses"] } },
    ]);
    let mut world = World::ready_with(&[
        ("audit_log", json!("with_subject")),
        ("allow_on_headers_stop_iteration", json!(true)),
        ("sign_out", json!({ "back_channel": true, "front_channel": true })),
        ("providers", json!([provider])),
        ("rules", rules),
    ]);
    world.provider.refreshes = true;
    world
}

impl World {
    /// Opens a page in the request with this id.
    fn opens_as(&mut self, id: &str, target: &str) -> Outcome {
        let mut headers = PAGE.to_vec();
        headers.extend(SIGN_OUT);
        headers.extend([(":path", target), ("x-request-id", id)]);
        let outcome = self.send(&headers);
        self.then(outcome)
    }

    /// Posts to a path of ours, as a provider does.
    fn posts(&mut self, target: &str, content_type: &str, body: String) {
        self.body = Ok(body.into_bytes());
        let jar = std::mem::take(&mut self.jar);
        let headers =
            [(":method", "POST"), (":path", target), ("content-type", content_type), ("x-request-id", "posted")];
        let outcome = self.send_more(&headers);
        self.then(outcome);
        self.jar = jar;
    }

    /// The callback of a sign-in that begins now.
    fn callback(&mut self) -> String {
        let reply = self.visit("/oauth2/start?rd=/").reply();
        self.signs_in(&reply)
    }

    /// The lines of the audit log since the last time.
    fn audited(&mut self) -> Vec<Value> {
        let lines = self.events.drain(..).filter_map(|event| audit::line(&event, self.config.audit_log));
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
    }
}

/// What happens in a world with a session, by its name.
type Case = (&'static str, fn(&mut World));

const fn cases() -> [Case; 15] {
    [
        ("a sign-in", |world| {
            let callback = world.callback();
            world.opens_as("42", &callback);
        }),
        ("a sign-in without a session that is kept", |world| {
            let callback = world.callback();
            world.provider.token_response = Box::new(|_| Ok(CalloutResponse::new(500, Vec::new())));
            world.opens_as("42", &callback);
        }),
        ("a callback that belongs to no sign-in", |world| {
            world.opens_as("42", "/oauth2/callback?code=secret-code&state=made-up");
        }),
        ("a sign-in that cannot begin", |world| {
            world.restart();
            world.jar.clear();
            world.provider.up = false;
            let Outcome::Held(pending) = world.send(&[
                (":method", "GET"),
                (":path", "/"),
                ("sec-fetch-mode", "navigate"),
                ("accept", "text/html"),
                ("x-request-id", "42"),
            ]) else {
                panic!("the provider is not known")
            };
            world.advance(60);
            world.resume(pending);
        }),
        ("a rule that denies", |world| {
            world.opens_as("42", "/closed?token=secret");
        }),
        ("a rule for others", |world| {
            world.opens_as("42", "/bosses");
        }),
        ("a program without a session", |world| {
            world.jar.clear();
            world.send(&[(":method", "GET"), (":path", "/api"), ("x-request-id", "42")]);
        }),
        ("a refresh", |world| {
            world.advance(480);
            world.opens_as("42", "/");
        }),
        ("a refresh that fails", |world| {
            world.advance(480);
            world.provider.up = false;
            world.opens_as("42", "/");
        }),
        ("a session that was refused its refresh", |world| {
            world.advance(480);
            world.provider.refresh_tokens.clear();
            world.visit("/");
            world.settle();
            world.audited();
            world.advance(300);
            world.opens_as("42", "/");
        }),
        ("a sign-out", |world| {
            world.opens_as("42", "/oauth2/sign_out");
        }),
        ("a sign-out without a session", |world| {
            world.jar.clear();
            world.opens_as("42", "/oauth2/sign_out");
        }),
        ("a logout token", |world| {
            world.advance(1);
            let token = world.provider.logout_token(world.now, |_, _| ());
            world.posts(
                "/oauth2/backchannel_logout",
                "application/x-www-form-urlencoded",
                format!("logout_token={token}"),
            );
        }),
        ("a frame of the provider's", |world| {
            world.opens_as("42", &format!("/oauth2/frontchannel_logout?sid=idp-session&iss={ISSUER}"));
        }),
        ("a security event", |world| {
            world.advance(1);
            let token = world.provider.logout_token(world.now, |header, claims| {
                header["typ"] = json!("secevent+jwt");
                let members = claims.as_object_mut().unwrap();
                ["exp", "sub", "sid"].iter().for_each(|name| drop(members.shift_remove(*name)));
                claims["sub_id"] = json!({ "format": "iss_sub", "iss": ISSUER, "sub": "alice" });
                claims["events"] = json!({ "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {} });
            });
            world.posts("/oauth2/events", "application/secevent+jwt", token);
        }),
    ]
}

/// The lines that the cases leave; `SESSION` stands for the digest of a session.
const LINES: [&str; 15] = [
    r#"{"event":"sign_in","outcome":"success","issuer":"https://idp.example.com","subject":"alice","session":"SESSION","request_id":"42"}"#,
    r#"{"event":"sign_in","outcome":"failure","code":"token_endpoint_unavailable","issuer":"https://idp.example.com","request_id":"42"}"#,
    r#"{"event":"sign_in","outcome":"failure","code":"callback_state","issuer":"https://idp.example.com","request_id":"42"}"#,
    r#"{"event":"sign_in","outcome":"failure","code":"provider_not_ready","issuer":"https://idp.example.com","request_id":"42"}"#,
    r#"{"event":"refusal","outcome":"failure","code":"denied","rule":"closed","request_id":"42"}"#,
    r#"{"event":"refusal","outcome":"failure","code":"not_allowed","rule":"bosses","issuer":"https://idp.example.com","subject":"alice","request_id":"42"}"#,
    r#"{"event":"refusal","outcome":"failure","code":"sign_in_required","request_id":"42"}"#,
    r#"{"event":"refresh","outcome":"success","issuer":"https://idp.example.com","subject":"alice","session":"SESSION","request_id":"42"}"#,
    r#"{"event":"refresh","outcome":"failure","code":"token_endpoint_unavailable","issuer":"https://idp.example.com","subject":"alice","session":"SESSION","request_id":"42"}"#,
    r#"{"event":"sign_out","outcome":"success","by":"refused_refresh","issuer":"https://idp.example.com","subject":"alice","session":"SESSION","request_id":"42"}"#,
    r#"{"event":"sign_out","outcome":"success","by":"user","issuer":"https://idp.example.com","subject":"alice","session":"SESSION","request_id":"42"}"#,
    r#"{"event":"sign_out","outcome":"success","by":"user","request_id":"42"}"#,
    r#"{"event":"sign_out","outcome":"success","by":"back_channel","issuer":"https://idp.example.com","subject":"alice","request_id":"posted"}"#,
    r#"{"event":"sign_out","outcome":"success","by":"front_channel","issuer":"https://idp.example.com","request_id":"42"}"#,
    r#"{"event":"sign_out","outcome":"success","by":"security_event","issuer":"https://idp.example.com","subject":"alice","request_id":"posted"}"#,
];

#[test]
fn each_sign_in_refusal_refresh_and_sign_out_is_one_line() {
    for ((what, happens), expected) in cases().into_iter().zip(LINES) {
        let mut world = world();
        world.sign_in("/");
        let session = world.audited()[0]["session"].as_str().unwrap().to_owned();
        happens(&mut world);
        let mut lines: Vec<_> = world.audited();
        // A new sign-in has a session of its own.
        let is_new = what == "a sign-in";
        for line in &mut lines {
            if let Some(found) = line.get_mut("session") {
                assert_eq!((found.as_str().unwrap().len(), *found == session), (32, !is_new), "{what}");
                *found = json!("SESSION");
            }
        }
        assert_eq!(lines, [serde_json::from_str::<Value>(expected).unwrap()], "{what}");
    }
}

#[test]
fn audit_lines_contain_no_secret_and_a_subject_only_if_configured() {
    for (what, happens) in cases() {
        let mut world = world();
        world.sign_in("/");
        let cookies: Vec<_> = world.session_cookies();
        happens(&mut world);
        for event in &world.events {
            assert_eq!(audit::line(event, AuditLog::None), None, "{what}");
            let line = audit::line(event, AuditLog::WithSubject).unwrap_or_default();
            for secret in ["secret", "refresh-", "made-up", "code=", "?"] {
                assert!(!line.contains(secret), "{what}: {line}");
            }
            assert!(cookies.iter().all(|(_, value)| !line.contains(value.as_str())), "{what}: {line}");
            let line = audit::line(event, AuditLog::WithoutSubject).unwrap_or_default();
            assert!(!line.contains("alice"), "{what}: {line}");
        }
    }
}
