//! Envoy runs the filter again on a request that it redirects itself.

use serde_json::{Value, json};

use super::{
    super::{
        event::{Event, Reason},
        *,
    },
    world::{Outcome, STATIC_TOKEN, World, static_tokens},
};
use crate::http::{HeaderEdit, Request};

type Headers = Vec<(String, String)>;

fn world(more: &[(&str, Value)]) -> World {
    let mut changes = vec![
        ("internal_redirects", json!(true)),
        static_tokens(),
        (
            "rules",
            json!([
                { "path": "/public/*", "access": "public" },
                { "path": "/staff/*", "access": "required", "allow": { "groups": ["staff"] } },
                { "path": "/owners/*", "access": "required", "allow": { "groups": ["owners"] } },
                { "path": "/token/*", "access": "required", "authorization": "access_token" },
                { "path": "/bare/*", "access": "required", "authorization": "strip" },
            ]),
        ),
    ];
    changes.extend(more.iter().cloned());
    World::ready_with(&changes)
}

/// A client's request, and the state that Envoy keeps from pass to pass.
struct Redirected {
    headers: Headers,
    /// The filter state.
    credentials: Option<Vec<u8>>,
    /// Whether the answer to the last pass sets cookies. Those of earlier passes are lost.
    sets_cookies: bool,
}

fn request_of(headers: &Headers) -> Request {
    Request::new(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
}

fn apply<'a>(headers: &mut Headers, edits: impl Iterator<Item = &'a HeaderEdit>) {
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    for edit in edits {
        match edit {
            HeaderEdit::Add(name, value) => headers.push((name.clone(), text(value))),
            HeaderEdit::Remove(name) => headers.retain(|(found, _)| found != name),
            HeaderEdit::Set(name, value) => {
                headers.retain(|(found, _)| found != name);
                headers.push((name.clone(), text(value)));
            }
        }
    }
}

impl Redirected {
    /// A client's request with the browser's cookies and these headers.
    fn new(world: &World, more: &[(&str, &str)]) -> Self {
        let mut headers =
            vec![(":method".to_owned(), "GET".to_owned()), (":authority".to_owned(), "app.example.com".into())];
        headers.push(("sec-fetch-mode".to_owned(), "navigate".to_owned()));
        let own = world.jar.iter().map(|(name, value)| ("cookie".to_owned(), format!("{name}={value}; theirs=1")));
        headers.extend(own);
        headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self { headers, credentials: None, sets_cookies: false }
    }

    /// A pass through the filter, as the glue performs it: the headers that the app sees, or the reply.
    fn pass(&mut self, world: &mut World, path: &str) -> Result<(Reason, Headers), LocalReply> {
        self.headers.retain(|(name, _)| name != ":path");
        self.headers.push((":path".to_owned(), path.to_owned()));
        let request = request_of(&self.headers);
        if let Some(credentials) = &self.credentials {
            let edits = authorize::internal_redirect::undo(&request, credentials, &world.config).unwrap();
            apply(&mut self.headers, edits.iter());
        }
        let request = request_of(&self.headers);
        let mut step = world.start(request.clone());
        if let Step::Wait(waiter) = step {
            world.settle();
            step = world.decide(|_| waiter.resume());
        }
        match step {
            Step::Done(Decision::Forward(Forward { permit, edits, cookies })) => {
                self.sets_cookies = cookies.is_some();
                apply(&mut self.headers, edits.headers());
                self.credentials = edits.credentials.clone().or(self.credentials.take());
                let seen = self.headers.clone();
                // The app redirects.
                self.headers.retain(|(name, _)| name != "x-envoy-original-url");
                self.headers.push(("x-envoy-original-url".to_owned(), format!("https://app.example.com{path}")));
                Ok((permit.reason(), seen))
            }
            other => match world.perform(other, &request) {
                Outcome::Replied(reply) => Err(reply),
                other => panic!("{other:?}"),
            },
        }
    }
}

fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// The user in the headers of a forwarded pass. The app gets no cookie of ours.
#[track_caller]
fn user(outcome: &Result<(Reason, Headers), LocalReply>) -> Option<&str> {
    let (_, headers) = outcome.as_ref().unwrap_or_else(|reply| panic!("{reply:?}"));
    assert!(!headers.iter().any(|(name, value)| name == "cookie" && value.contains("vestibule")), "{headers:?}");
    value(headers, "x-forwarded-user")
}

fn code(outcome: Result<(Reason, Headers), LocalReply>) -> (u16, &'static str) {
    let reply = outcome.expect_err("a refusal");
    (reply.status, reply.code)
}

#[test]
fn each_pass_is_decided_by_its_own_rule_with_the_clients_session() {
    let mut world = world(&[]);
    world.sign_in("/");
    let mut request = Redirected::new(&world, &[("cookie", "other=2")]);
    for (path, expected) in [
        ("/a", Some("alice")),
        ("/b", Some("alice")),
        ("/public/c", None),
        ("/staff/d", Some("alice")),
        ("/public/e", None),
        ("/public/f", None),
        ("/g", Some("alice")),
    ] {
        let outcome = request.pass(&mut world, path);
        assert_eq!(user(&outcome), expected, "{path}");
        let cookies: Vec<_> =
            request.headers.iter().filter(|(name, _)| name == "cookie").map(|(_, value)| value.as_str()).collect();
        assert!(cookies.contains(&"other=2") && cookies.iter().any(|line| line.contains("theirs=1")), "{cookies:?}");
    }
    assert_eq!(code(request.pass(&mut world, "/owners/x")), (403, "not_allowed"));
}

#[test]
fn an_internal_redirect_does_not_inherit_the_previous_identity() {
    // Without a session: a public page redirects to one that is not public.
    let mut world = world(&[]);
    let mut request = Redirected::new(&world, &[]);
    assert_eq!(user(&request.pass(&mut world, "/public/a")), None);
    assert_eq!(code(request.pass(&mut world, "/b")), (302, "sign_in_started"));

    // The session ends between the passes.
    world.sign_in("/");
    let mut request = Redirected::new(&world, &[]);
    assert_eq!(user(&request.pass(&mut world, "/a")), Some("alice"));
    world.advance(8 * 3600);
    assert_eq!(code(request.pass(&mut world, "/b")), (302, "sign_in_started"));
}

#[test]
fn a_client_cannot_forge_an_internal_redirect() {
    let forged = [
        ("x-envoy-original-url", "https://app.example.com/"),
        ("x-forwarded-user", "mallory"),
        ("vestibule_credentials", "mallory"),
        ("cookie", "__Host-vestibule=forged"),
    ];
    let mut world = world(&[]);
    let mut request = Redirected::new(&world, &forged);
    assert_eq!(code(request.pass(&mut world, "/a")), (302, "sign_in_started"));
    let mut request = Redirected::new(&world, &forged);
    assert_eq!(user(&request.pass(&mut world, "/public/a")), None);
    assert_eq!(code(request.pass(&mut world, "/b")), (302, "sign_in_started"));
    // Credentials from filter state are checked like a client's own.
    let mut request = Redirected::new(&world, &forged);
    for credentials in [&b""[..], b"\x0a\x18__Host-vestibule=forged!", b"\xff\xff", b"\x12\x0fBearer forged-t"] {
        let undo = authorize::internal_redirect::undo(&request_of(&request.headers), credentials, &world.config);
        if undo.is_some() {
            request.credentials = Some(credentials.to_vec());
            let outcome = request.pass(&mut world, "/a").expect_err("nobody is there");
            assert!(matches!(outcome.code, "sign_in_started" | "invalid_token" | "sign_in_required"), "{outcome:?}");
        }
    }
}

#[test]
fn a_forwarded_token_does_not_authenticate_after_an_internal_redirect() {
    let mut world = world(&[]);
    world.sign_in("/");
    for sent in [&[][..], &[("authorization", "Basic bWU6bWU=")]] {
        let mut request = Redirected::new(&world, sent);
        let expected = sent.first().map(|(_, value)| *value);
        let passes = [
            ("/token/a", Some("Bearer at")),
            ("/b", expected),
            ("/bare/c", None),
            ("/token/d", Some("Bearer at")),
            ("/public/e", expected),
        ];
        for (path, expected) in passes {
            let (_, headers) = request.pass(&mut world, path).unwrap();
            assert_eq!(value(&headers, "authorization"), expected, "{path}");
        }
    }
}

#[test]
fn a_bearer_token_is_verified_in_each_pass() {
    let mut world = world(&[]);
    world.sign_in("/");
    let bearer = format!("Bearer {STATIC_TOKEN}");
    let mut request = Redirected::new(&world, &[("authorization", &bearer)]);
    for path in ["/a", "/bare/b", "/c"] {
        let outcome = request.pass(&mut world, path);
        assert_eq!((user(&outcome), outcome.as_ref().unwrap().0), (Some("ci"), Reason::Bearer), "{path}");
    }
    // The session beside it is not taken in its place.
    assert_eq!(code(request.pass(&mut world, "/staff/d")), (403, "not_allowed"));
}

#[test]
fn the_filters_own_headers_of_a_pass_are_not_refused_as_forged() {
    let policies = json!({ "people": { "access": "required" } });
    let mut world = world(&[("policies", policies), ("route_metadata", json!(true))]);
    world.sign_in("/");
    let mut request = Redirected::new(&world, &[]);
    assert_eq!(user(&request.pass(&mut world, "/a")), Some("alice"));
    assert_eq!(user(&request.pass(&mut world, "/b")), Some("alice"));
    // A client's own header still is.
    let mut request = Redirected::new(&world, &[("x-forwarded-user", "alice")]);
    assert_eq!(code(request.pass(&mut world, "/a")), (400, "reserved_header"));
}

#[test]
fn a_session_renewed_in_the_first_pass_is_used_in_the_second() {
    let mut world = world(&[]);
    world.provider.refreshes = true;
    world.sign_in("/");
    world.advance(590);
    let mut request = Redirected::new(&world, &[]);
    assert_eq!(user(&request.pass(&mut world, "/a")), Some("alice"));
    assert!(request.sets_cookies);
    // The browser still gets its new cookie: with the answer to the second pass, which is the one that goes out.
    assert_eq!(user(&request.pass(&mut world, "/b")), Some("alice"));
    assert!(request.sets_cookies);
    assert_eq!(world.provider.refresh_tokens, ["refresh-2"]);
}

#[test]
fn a_stored_session_passes_an_internal_redirect() {
    let store = json!({ "cluster": "webdis" });
    let mut world = world(&[("session", json!({ "store": store }))]);
    world.sign_in("/");
    let mut request = Redirected::new(&world, &[]);
    assert_eq!(stored(&mut request, &mut world, "/a").as_deref(), Some("alice"));
    assert_eq!(stored(&mut request, &mut world, "/b").as_deref(), Some("alice"));
}

/// A pass that asks the store.
fn stored(request: &mut Redirected, world: &mut World, path: &str) -> Option<String> {
    request.headers.retain(|(name, _)| name != ":path");
    request.headers.push((":path".to_owned(), path.to_owned()));
    if let Some(credentials) = &request.credentials {
        let edits =
            authorize::internal_redirect::undo(&request_of(&request.headers), credentials, &world.config).unwrap();
        apply(&mut request.headers, edits.iter());
    }
    let sent = request_of(&request.headers);
    let Step::Wait(pending) = world.start(sent) else { panic!("the store is asked") };
    let call = pending.take_calls().remove(0);
    let result = world.answer_call(call.request());
    call.answer(result);
    let step = world.decide(|_| pending.resume());
    let Step::Done(Decision::Forward(Forward { edits, .. })) = step else { panic!("a session") };
    apply(&mut request.headers, edits.headers());
    request.credentials.clone_from(&edits.credentials);
    value(&request.headers, "x-forwarded-user").map(str::to_owned)
}

#[test]
fn without_internal_redirects_no_credentials_are_kept_and_one_warning() {
    let mut world = world(&[("internal_redirects", json!(false))]);
    world.sign_in("/");
    let lines = |world: &World| {
        let news = |event: &&Event| {
            event.level() == event::Level::Warn && event.to_string().contains("`internal_redirects: true`")
        };
        world.events.iter().filter(news).count()
    };
    for _ in 0..3 {
        let mut request = Redirected::new(&world, &[]);
        assert_eq!(user(&request.pass(&mut world, "/a")), Some("alice"));
        assert_eq!(request.credentials, None);
        assert_eq!(code(request.pass(&mut world, "/b")), (302, "sign_in_started"));
    }
    assert_eq!(lines(&world), 1);
}
