//! Cookies and parameters sealed by an earlier version, recorded in `testdata/sealed.txt`. They must open in every later
//! version with the same content: otherwise an upgrade signs users out, or breaks sign-ins under way.

use serde_json::json;

use super::{
    chunks::SessionCookies,
    cookie::SameSite,
    login_loop_guard::{LoginLoopGuard, login_loop_cookie},
    pending::{PendingSignIn, State, cookie_prefix},
    return_to::Targets,
    seal::{Sealer, SessionKey, context_of},
    store::{Reference, Store},
    *,
};
use crate::{
    flow::tests::world::TestPlatform,
    http::{CalloutResponse, Request},
    origin::{Origin, Origins, SiteId},
    secret::AccessToken,
};

/// 2027-01-15 08:00:00 UTC.
const BEGUN: u64 = 1_800_000_000;
const NAME: &str = "vestibule";
fn origins() -> Origins {
    Origins::new(Origin::parse("https://app.example.com").unwrap(), std::iter::empty(), Vec::new(), None)
}

fn targets(origins: &Origins) -> Targets<'_> {
    Targets { reserved_prefix: "/.vestibule", origins, listed: &[] }
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(BEGUN + seconds)
}

fn sealer() -> Sealer {
    let key = SessionKey::parse("9f0c1e6d7a5b4c3d2e1f00112233445566778899aabbccddeeff0123456789ab").unwrap();
    Sealer::new(vec![key], &context_of(["https://app.example.com"])).unwrap()
}

fn recorded(name: &str) -> &'static str {
    let mut lines = include_str!("testdata/sealed.txt").lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| *found == name).unwrap().1
}

fn request(name: &str) -> Request {
    Request::new([("cookie", recorded(name).as_bytes())])
}

/// The recorded session with the fewest fields.
fn minimal() -> Session {
    Session {
        id: SessionId([1; 16]),
        provider: IssuerId::of_provider("https://issuer.example", "client"),
        subject: "alice".to_owned(),
        claims: Map::new(),
        userinfo_claims: Map::new(),
        app_claims: Map::new(),
        absent: Absent::default(),
        begun: at(0),
        ends: at(28_800),
        seen: at(0),
        authentication: Authentication { nonce: [2; 16], time: None, sid: None },
        generation: 0,
        grant: None,
        app_token: None,
        id_token: None,
        id_token_ends: UnixTime::default(),
        earlier_ends: None,
        site: SiteId::default(),
    }
}

/// A session of a user with these attributes.
pub(super) fn session_of_app(attributes: Value) -> Session {
    let mut session = minimal();
    session.set_attributes(attributes.as_object().unwrap().clone(), &ObjectKeys::default());
    session
}

/// The recorded session with all fields, in several cookies, with compressed claims.
fn full() -> Session {
    let groups: Vec<String> = (0..40).map(|group| format!("/departments/engineering/team-{group:03}")).collect();
    let object = |value: Value| value.as_object().unwrap().clone();
    Session {
        claims: object(
            json!({ "email": "alice@example.com", "email_verified": true, "name": "É👩‍🚀", "groups": groups }),
        ),
        userinfo_claims: object(json!({ "roles": groups, "locale": null })),
        absent: Absent {
            names: vec!["department".to_owned(), "org".to_owned()],
            claims_request: [4; 16],
            userinfo: true,
        },
        seen: at(600),
        authentication: Authentication { nonce: [2; 16], time: Some(BEGUN - 30), sid: Some("sid-1".to_owned()) },
        generation: 7,
        grant: Some(Grant::from_to(RefreshToken::new("refresh-token".repeat(60)), at(600), at(900))),
        app_token: Some(AppToken { token: AccessToken::new("access-token".repeat(100)), ends: at(900) }),
        id_token: Some(RawIdToken::new("eyJhbGciOiJFUzI1NiJ9.".repeat(150))),
        id_token_ends: at(3600),
        earlier_ends: Some(EarlierEnds { process: [5; 16], numbers: [1, 2, 3, 4, 5], stored: [at(0), at(1)] }),
        ..minimal()
    }
}

fn assert_same(opened: &Session, expected: &Session) {
    // All fields are named, so that a new one is compared too.
    let Session {
        id,
        provider,
        subject,
        claims,
        userinfo_claims,
        app_claims,
        absent,
        begun,
        ends,
        seen,
        authentication,
        generation,
        grant,
        app_token,
        id_token,
        id_token_ends,
        earlier_ends,
        site,
    } = opened;
    assert_eq!((id, provider, subject), (&expected.id, &expected.provider, &expected.subject));
    assert_eq!((claims, userinfo_claims, absent), (&expected.claims, &expected.userinfo_claims, &expected.absent));
    assert_eq!(app_claims, &expected.app_claims);
    assert_eq!((begun, ends, seen), (&expected.begun, &expected.ends, &expected.seen));
    assert_eq!((generation, id_token_ends), (&expected.generation, &expected.id_token_ends));
    assert_eq!((earlier_ends, site), (&expected.earlier_ends, &expected.site));
    assert_eq!(format!("{authentication:?}"), format!("{:?}", expected.authentication));
    let token = |token: &Option<RawIdToken>| token.as_ref().map(|token| token.expose().to_owned());
    assert_eq!(token(id_token), token(&expected.id_token));
    let app = |kept: &Option<AppToken>| kept.as_ref().map(|kept| (kept.token.expose().to_owned(), kept.ends));
    assert_eq!(app(app_token), app(&expected.app_token));
    let parts =
        |grant: &Option<Grant>| grant.as_ref().map(|it| (it.refresh_token.expose().to_owned(), it.granted, it.expires));
    assert_eq!(parts(grant), parts(&expected.grant));
}

fn pending() -> (PendingSignIn, String) {
    let request = request("pending");
    let (name, value) = cookie::with_prefix(request.lines("cookie"), &cookie_prefix(NAME)).next().unwrap();
    let name = std::str::from_utf8(name).unwrap().to_owned();
    (PendingSignIn::open(&name, value, &sealer(), targets(&origins())).unwrap(), name)
}

fn assert_is_recorded(state: &State) {
    assert_eq!(state.provider, minimal().provider);
    assert_eq!((state.return_to.as_str(), state.started, state.attempt), ("/orders?page=2#last", at(0), 2));
}

#[test]
fn a_recorded_session_opens() {
    let cookies = SessionCookies::new(NAME, SameSite::Lax, None);
    for (name, expected, count) in [("minimal session", minimal(), 1), ("full session", full(), 2)] {
        let request = request(name);
        let joined = cookies.read(&request).unwrap();
        assert_eq!(joined.count, count);
        let opened = Session::open(&cookies, &joined, &sealer(), &TestPlatform::default()).unwrap();
        assert_same(&opened, &expected);
    }
}

#[test]
fn a_recorded_reference_and_its_stored_session_open() {
    let request = request("reference");
    let reference =
        Reference::read(&request, &SessionCookies::new(NAME, SameSite::Lax, None), &sealer(), at(1)).unwrap();
    assert_eq!(reference, Reference::of(&full()));
    let body = json!({ "MGET": [recorded("stored session"), null, null, null] }).to_string().into_bytes();
    let response = Ok(CalloutResponse::new(200, body));
    let opened = Store::load_answer(response, &reference, &sealer(), &TestPlatform::default()).unwrap().unwrap();
    assert_same(&opened, &full());
}

#[test]
fn a_recorded_pending_sign_in_opens() {
    let (pending, name) = pending();
    assert_is_recorded(&pending.state);
    assert_eq!(PendingSignIn::cookie_name(&pending.state.id, &cookie_prefix(NAME)), name);
    assert!(pending.nonce.matches("recorded-nonce") && pending.verifier.matches("recorded-verifier"));
    let state = State::open(recorded("state"), &sealer(), targets(&origins())).unwrap();
    assert_is_recorded(&state);
    assert!(pending.matches(&state).is_some());
}

#[test]
fn a_recorded_login_loop_cookie_is_read() {
    let guard = LoginLoopGuard::read(&request("login loop"), &login_loop_cookie(NAME), &sealer(), at(5)).unwrap();
    assert!(!guard.would_loop());
    assert!(LoginLoopGuard::add_sign_in(Some(guard), at(6)).would_loop());
}
