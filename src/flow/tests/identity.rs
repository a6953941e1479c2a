//! Identity headers: claims for the app, and removal of forged ones.

use serde_json::{Map, Value, json};

use super::world::{Outcome, World};

fn headers(outcome: Outcome) -> Vec<(String, String)> {
    match outcome {
        Outcome::Forwarded { headers, .. } => headers,
        other => panic!("{other:?}"),
    }
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
}

const FORGED: [(&str, &str); 11] = [
    ("x-forwarded-user", "mallory"),
    ("x-forwarded-user", "mallory2"),
    ("x_forwarded_user", "mallory"),
    ("x-forwarded_user", "mallory"),
    ("x.forwarded.user", "mallory"),
    ("x-forwarded-email", "mallory@example.com"),
    ("x-forwarded-groups", "admins, root"),
    ("x_forwarded_preferred_username", "mallory"),
    ("X-Forwarded-User", "mallory"),
    ("x.forwarded+user", "mallory"),
    ("x~forwarded!user", "mallory"),
];

#[test]
fn a_client_cannot_send_the_filters_identity_headers() {
    let mut world = World::ready();
    world.sign_in("/");
    for path in ["/public/x", "/private"] {
        let mut all = vec![(":method", "GET"), (":path", path), ("x-other", "kept")];
        all.extend(FORGED);
        let seen = headers(world.send(&all));
        assert!(seen.iter().all(|(_, value)| !value.contains("mallory") && !value.contains("root")), "{path} {seen:?}");
        assert_eq!(values(&seen, "x-other"), ["kept"]);
        let user = if path == "/private" { vec!["alice"] } else { vec![] };
        assert_eq!(values(&seen, "x-forwarded-user"), user, "{path}");
    }
}

/// Headers of other systems, in spellings that apps read alike, and headers that only resemble them.
const OF_OTHER_SYSTEMS: [(&str, bool); 20] = [
    ("x-forwarded-access-token", true),
    ("X_Forwarded_Access_Token", true),
    ("x-auth-request-email", true),
    ("x_auth.request-user", true),
    ("remote-user", true),
    ("REMOTE_USER", true),
    ("x-remote-extra-scopes", true),
    ("x-webauth-user", true),
    ("x-authentik-meta-jwks", true),
    ("x-ms-client-principal", true),
    ("x-ms-client-principal-id", true),
    ("oidc_claim_sub", true),
    ("cf-access-jwt-assertion", true),
    ("tailscale-user-login", true),
    ("x-forwarded-access-tokens", false),
    ("x-auth-token", false),
    ("cf-access-client-id", false),
    ("x-remote", false),
    ("x-forwarded-for", false),
    ("oidc", false),
];

#[test]
fn identity_headers_of_other_systems_are_removed_as_configured() {
    let send = |world: &mut World, path: &str| {
        let mut all = vec![(":method", "GET"), (":path", path)];
        all.extend(OF_OTHER_SYSTEMS.map(|(name, _)| (name, "mallory")));
        all.push(("x-company-user", "mallory"));
        headers(world.send(&all))
    };
    let has = |seen: &[(String, String)], name: &str| values(seen, name) == ["mallory"];
    for (setting, strips, strips_own) in [
        (None, true, false),
        (Some(json!(["default"])), true, false),
        (Some(json!(["X-Company-User", "default"])), true, true),
        (Some(json!(["x_company-*"])), false, true),
        (Some(json!([])), false, false),
    ] {
        let changes: Vec<_> = setting.clone().map(|setting| ("strip_request_headers", setting)).into_iter().collect();
        let mut world = World::ready_with(&changes);
        world.sign_in("/");
        for path in ["/public/x", "/private"] {
            let seen = send(&mut world, path);
            for (name, is_stripped) in OF_OTHER_SYSTEMS {
                assert_eq!(has(&seen, name), !(is_stripped && strips), "{path} {name} {setting:?}");
            }
            assert_eq!(has(&seen, "x-company-user"), !strips_own, "{path} {setting:?}");
        }
    }
}

#[test]
fn a_configured_identity_header_replaces_the_clients_stripped_one() {
    let mut world = World::ready_with(&[
        ("identity_headers", json!({ "Remote-User": "sub", "X-WEBAUTH-USER": "email" })),
        ("strip_request_headers", json!(["default", "remote-user"])),
    ]);
    world.sign_in("/");
    let seen = headers(world.send(&[
        (":method", "GET"),
        (":path", "/private"),
        ("remote_user", "mallory"),
        ("remote-user", "mallory"),
        ("x-webauth-user", "mallory"),
    ]));
    assert_eq!(values(&seen, "remote-user"), ["alice"]);
    assert_eq!(values(&seen, "x-webauth-user"), ["alice@example.com"]);
    assert!(seen.iter().all(|(_, value)| value != "mallory"), "{seen:?}");
}

#[test]
fn identity_and_credential_trailers_are_removed() {
    use crate::http::{HeaderEdit, Request};
    let world = World::ready();
    let trailers = [
        ("x_forwarded_user", "mallory"),
        ("grpc-status", "0"),
        ("authorization", "Bearer mallory"),
        ("x-forwarded-groups", "root"),
        ("x-authentik-username", "mallory"),
    ];
    let trailers = Request::new(trailers.map(|(name, value)| (name, value.as_bytes())));
    let edits = super::super::trailer_edits(&trailers, &world.config);
    let removed = |name: &str| HeaderEdit::Remove(name.to_owned());
    let expected = ["x_forwarded_user", "x-forwarded-groups", "x-authentik-username", "authorization"];
    assert_eq!(edits, expected.map(removed));
}

#[test]
fn the_filters_cookies_are_removed_and_others_are_forwarded_unchanged() {
    let mut world = World::ready();
    world.sign_in("/");
    world.visit("/public/other").reply_or_forwarded();
    let session = world.jar["__Host-vestibule"].clone();
    world.jar.clear();
    let seen = headers(world.send(&[
        (":method", "GET"),
        (":path", "/private"),
        ("cookie", &format!("a=1;  b=\"2\" ; __Host-vestibule={session}; x__Host-vestibule=3; __Host-vestibule2=4")),
        ("cookie", "__Host-vestibule-p-abc=5"),
        ("cookie", "c=6;;d"),
    ]));
    let cookies = values(&seen, "cookie");
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(
        cookies[0].starts_with("a=1;  b=\"2\" ;") && cookies[0].ends_with("x__Host-vestibule=3; __Host-vestibule2=4")
    );
    assert_eq!(cookies[1], "c=6;;d");
    assert!(!cookies.concat().contains(&session));
}

#[test]
fn a_claim_becomes_at_most_one_header() {
    type Change = fn(&mut Map<String, Value>);
    let cases: [(&str, Change, &str, &[&str]); 13] = [
        ("list", |_| (), "x-forwarded-groups", &["staff,admins"]),
        ("item with a comma", |c| drop(c.insert("groups".into(), json!(["a,b", "c"]))), "x-forwarded-groups", &["c"]),
        ("item that splits", |c| drop(c.insert("groups".into(), json!(["a\r\nx: y"]))), "x-forwarded-groups", &[]),
        ("missing", |c| drop(c.remove("groups")), "x-forwarded-groups", &[]),
        ("object", |c| drop(c.insert("groups".into(), json!({"a": 1}))), "x-forwarded-groups", &[]),
        ("number", |c| drop(c.insert("groups".into(), json!(7))), "x-forwarded-groups", &["7"]),
        (
            "not ASCII",
            |c| drop(c.insert("preferred_username".into(), json!("Bjørn"))),
            "x-forwarded-preferred-username",
            &["Bjørn"],
        ),
        (
            "spaces at an end",
            |c| drop(c.insert("groups".into(), json!([" admins", "admins\u{3000}", "staff"]))),
            "x-forwarded-groups",
            &["staff"],
        ),
        (
            "not verified, as text",
            |c| drop(c.insert("email_verified".into(), json!("false"))),
            "x-forwarded-email",
            &[],
        ),
        ("not verified, as null", |c| drop(c.insert("email_verified".into(), json!(null))), "x-forwarded-email", &[]),
        (
            "verified, as text",
            |c| drop(c.insert("email_verified".into(), json!("true"))),
            "x-forwarded-email",
            &["alice@example.com"],
        ),
        ("not verified", |c| drop(c.insert("email_verified".into(), json!(false))), "x-forwarded-email", &[]),
        ("nothing said of it", |c| drop(c.remove("email_verified")), "x-forwarded-email", &["alice@example.com"]),
    ];
    for (name, change, header, expected) in cases {
        let mut world = World::ready();
        world.provider.claims = Box::new(change);
        world.sign_in("/");
        let seen = headers(world.visit("/"));
        assert_eq!(values(&seen, header), expected, "{name}");
    }
}

impl Outcome {
    fn reply_or_forwarded(self) {
        assert!(!matches!(self, Self::Held(_)));
    }
}
