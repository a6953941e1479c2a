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
fn h_01_to_h_05_what_a_client_says_of_itself_is_removed_everywhere() {
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

#[test]
fn h_17_trailers_say_nothing_of_who_is_there() {
    use crate::http::{HeaderEdit, Request};
    let world = World::ready();
    let trailers = [
        ("x_forwarded_user", "mallory"),
        ("grpc-status", "0"),
        ("authorization", "Bearer mallory"),
        ("x-forwarded-groups", "root"),
    ];
    let trailers = Request::new(trailers.map(|(name, value)| (name, value.as_bytes())));
    let edits = super::super::trailer_edits(&trailers, &world.config);
    let removed = |name: &str| HeaderEdit::Remove(name.to_owned());
    assert_eq!(edits, [removed("x_forwarded_user"), removed("x-forwarded-groups"), removed("authorization")]);
}

#[test]
fn k_27_our_cookies_stay_here_and_others_pass_as_they_are() {
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
fn h_11_h_12_a_claim_becomes_a_header_or_none_but_never_two() {
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
