//! Keys that are replaced under their `kid`, and forged tokens, which must not use up the fetches and slots of others.

use serde_json::{Value, json};

use super::{
    super::{Decision, Step, event::Reason, limits::Slot},
    world::{ISSUER, Outcome, PARTNERS, World, document, header, ok},
};
use crate::{http::Request, platform::ClientAddress};

const API: &str = "https://api.example.com";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const CHANNEL: &str = "/oauth2/backchannel_logout";

fn changes() -> [(&'static str, Value); 3] {
    [
        (
            "providers",
            json!([{
                "issuer": ISSUER, "client_id": "client", "client_secret": "secret", "access_token_audiences": [API],
            }]),
        ),
        ("sign_out", json!({ "back_channel": true })),
        ("allow_on_headers_stop_iteration", json!(true)),
    ]
}

fn world() -> World {
    World::ready_with(&changes())
}

/// A world before the first fetch of metadata and keys.
fn early() -> World {
    let mut document = document();
    changes().into_iter().for_each(|(name, value)| document[name] = value);
    World::with(&document)
}

fn fetches(world: &World) -> usize {
    world.provider.asked.get("/jwks").copied().unwrap_or_default()
}

fn access_token(world: &World, change: impl Fn(&mut Value, &mut Value)) -> String {
    let mut header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": world.provider.kid });
    let mut claims = json!({
        "iss": ISSUER, "aud": API, "sub": "robot", "client_id": "robot",
        "iat": world.now.as_secs(), "exp": world.now.as_secs() + 300,
    });
    change(&mut header, &mut claims);
    world.provider.signed(&header, &claims)
}

/// An access token with the signature of another one.
fn forged(world: &World, number: usize) -> String {
    let signed = access_token(world, |_, _| ());
    let text = access_token(world, |_, claims| claims["jti"] = json!(number));
    format!("{}.{}", text.rsplit_once('.').unwrap().0, signed.rsplit_once('.').unwrap().1)
}

fn bring(world: &mut World, token: &str) -> Outcome {
    let jar = std::mem::take(&mut world.jar);
    let outcome = world.send(&[(":method", "GET"), (":path", "/page"), ("authorization", &format!("Bearer {token}"))]);
    world.jar = jar;
    outcome
}

/// Brings a forged token and waits for the answer.
fn forge(world: &mut World, number: usize) -> (u16, &'static str) {
    let token = forged(world, number);
    let outcome = bring(world, &token);
    world.then(outcome).code()
}

fn log_out(world: &mut World) -> Outcome {
    let token = world.provider.logout_token(world.now, |_, _| ());
    world.body = Ok(format!("logout_token={token}").into_bytes());
    world.send_more(&[(":method", "POST"), (":path", CHANNEL), FORM])
}

/// The callback request of a new sign-in.
fn begun(world: &mut World) -> Request {
    world.jar.clear();
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let cookies: Vec<_> = world.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    let lines = [(":method", "GET"), (":path", callback.as_str()), ("cookie", cookies.as_str())];
    Request::new(lines.into_iter().map(|(name, value)| (name, value.as_bytes())))
}

#[track_caller]
fn assert_passes(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Forwarded { reason: Reason::Bearer, .. }), "{outcome:?}");
}

#[track_caller]
fn assert_signs_in(world: &mut World) {
    world.jar.clear();
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    let outcome = world.visit(&callback);
    assert_eq!(world.then(outcome).code(), (303, "signed_in"));
}

/// All slots for requests that are held with a token that may be forged.
pub(super) fn all_slots(world: &mut World) -> Vec<Slot> {
    let slot = |last| world.env(|env| env.limits.unauthenticated.take(ClientAddress::V4([198, 51, 100, last]), 0));
    (0..64).filter_map(slot).collect()
}

#[test]
fn a_key_replaced_under_its_kid_is_fetched_for_every_kind_of_token() {
    let mut world = world();
    world.provider.refreshes = true;
    assert_signs_in(&mut world);
    world.provider.replace_key(2);
    assert_signs_in(&mut world);
    assert_eq!(fetches(&world), 2);
    world.advance(60);
    world.provider.replace_key(3);
    let token = access_token(&world, |_, _| ());
    let held = bring(&mut world, &token);
    assert_passes(&world.then(held));
    world.advance(60);
    world.provider.replace_key(4);
    let held = log_out(&mut world);
    assert_eq!(world.then(held).code(), (200, "logged_out"));
    assert_signs_in(&mut world);
    world.advance(480);
    world.provider.replace_key(5);
    let held = world.visit("/");
    let outcome = world.then(held);
    assert!(matches!(&outcome, Outcome::Forwarded { cookies, .. } if cookies.len() == 1), "{outcome:?}");
    assert_eq!(fetches(&world), 5);
}

#[test]
fn a_key_of_another_kind_under_the_same_kid_is_fetched_too() {
    let mut world = early();
    // RFC 8037, appendix A.2.
    let before = json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }] });
    world.provider.jwks = Some(ok(&before));
    world.settle();
    world.provider.jwks = None;
    assert_signs_in(&mut world);
    assert_eq!(fetches(&world), 2);
}

#[test]
fn invalid_signatures_cause_one_key_fetch_and_block_no_other_fetch() {
    let mut world = world();
    for number in 0..100 {
        world.worker = number % 2;
        assert_eq!(forge(&mut world, number), (401, "invalid_token"), "{number}");
    }
    assert_eq!(fetches(&world), 2, "the first, and one more");
    // A bearer token with a new key, and a sign-in with a replaced one, succeed all the same.
    world.provider.rotate();
    let token = access_token(&world, |_, _| ());
    let held = bring(&mut world, &token);
    assert_passes(&world.then(held));
    world.provider.replace_key(3);
    world.advance(1);
    assert_signs_in(&mut world);
    assert_eq!(fetches(&world), 4);
    world.advance(60);
    for number in 0..100 {
        assert_eq!(forge(&mut world, number), (401, "invalid_token"), "{number}");
    }
    assert_eq!(fetches(&world), 5, "once more in the next interval");
}

#[test]
fn refetching_unchanged_keys_keeps_cached_verifications() {
    let mut world = world();
    let token = access_token(&world, |_, _| ());
    assert_passes(&bring(&mut world, &token));
    assert_eq!(forge(&mut world, 0), (401, "invalid_token"));
    assert_eq!(fetches(&world), 2);
    let trials = world.platform.trials.get();
    assert_passes(&bring(&mut world, &token));
    assert_eq!(world.platform.trials.get(), trials);
}

#[test]
fn a_token_held_before_the_first_key_fetch_causes_one_more_fetch() {
    // The keys are fetched, and rotated in the same second.
    type Arrive = fn(&mut World) -> Outcome;
    type Check = fn(&Outcome) -> bool;
    let cases: [(Arrive, Check); 2] = [
        (
            |world| {
                let token = access_token(world, |_, _| ());
                bring(world, &token)
            },
            |outcome| matches!(outcome, Outcome::Forwarded { .. }),
        ),
        (log_out, |outcome| matches!(outcome, Outcome::Replied(reply) if reply.code == "logged_out")),
    ];
    for (arrive, is_good) in cases {
        let mut world = early();
        let old = ok(&world.provider.jwks());
        world.provider.rotate();
        let Outcome::Held(waiter) = arrive(&mut world) else { panic!("nothing is known yet") };
        world.provider.jwks = Some(old);
        world.settle();
        world.provider.jwks = None;
        let held = world.resume(waiter);
        assert!(matches!(held, Outcome::Held(_)), "it asks for newer keys: {held:?}");
        let outcome = world.then(held);
        assert!(is_good(&outcome), "{outcome:?}");
        assert_eq!(fetches(&world), 2);
    }
    // A forged one asks once as well.
    let mut world = early();
    let token = access_token(&world, |header, _| header["kid"] = json!("unknown"));
    let Outcome::Held(waiter) = bring(&mut world, &token) else { panic!("nothing is known yet") };
    world.settle();
    let held = world.resume(waiter);
    assert_eq!(world.then(held).code(), (401, "invalid_token"));
    assert_eq!(fetches(&world), 2);
}

/// A world with four keys without `kid`, and a signer for each.
fn nameless() -> (World, Vec<World>) {
    let mut signers: Vec<_> = (1..=4).map(|_| World::new()).collect();
    (1..=4).zip(&mut signers).for_each(|(number, signer)| signer.partners.replace_key(number));
    let keys: Vec<_> = signers.iter().map(|signer| signer.partners.pem()).collect();
    let issuer = json!({ "issuer": PARTNERS, "audiences": [API], "public_keys": keys });
    (World::ready_with(&[("token_issuers", json!([issuer]))]), signers)
}

fn signed_by(signer: &World, number: usize) -> String {
    let header = json!({ "alg": "ES256", "typ": "at+jwt" });
    let (now, claims) = (signer.now.as_secs(), json!({ "iss": PARTNERS, "aud": API, "sub": "robot", "jti": number }));
    let mut claims = claims;
    claims["iat"] = json!(now);
    claims["exp"] = json!(now + 300);
    signer.partners.signed(&header, &claims)
}

#[test]
fn after_many_failures_a_token_without_kid_is_tried_with_one_key() {
    let (mut world, signers) = nameless();
    // Every key is tried, for each may have signed.
    for (number, signer) in signers.iter().enumerate() {
        assert_passes(&bring(&mut world, &signed_by(signer, number)));
    }
    let mut stranger = World::new();
    stranger.partners.replace_key(9);
    let before = world.platform.trials.get();
    for number in 0..200 {
        let code = bring(&mut world, &signed_by(&stranger, number)).code();
        assert!(matches!(code, (401, "invalid_token") | (503, "busy")), "{code:?}");
    }
    let trials = world.platform.trials.get() - before;
    assert!(trials <= 200 + 16, "{trials} trials of 200 tokens");
    // A good token among them: the keys take turns, so that one of four tries is the right one.
    let good = |world: &mut World, signer: &World| {
        (0..4).any(|_| matches!(bring(world, &signed_by(signer, 7)), Outcome::Forwarded { .. }))
    };
    assert!(signers.iter().all(|signer| good(&mut world, signer)));
    world.sign_in("/page");
    // A second later every key is tried again.
    world.advance(1);
    assert!(
        signers.iter().all(|signer| { matches!(bring(&mut world, &signed_by(signer, 8)), Outcome::Forwarded { .. }) })
    );
}

#[test]
fn the_last_used_key_verifies_valid_tokens_while_many_fail() {
    let (mut world, signers) = nameless();
    let [_, _, in_use, _] = &signers[..] else { panic!() };
    assert_passes(&bring(&mut world, &signed_by(in_use, 0)));
    for number in 0..200 {
        let _ = bring(&mut world, &forged_for_partners(&signers[0], number));
        assert_passes(&bring(&mut world, &signed_by(in_use, number)));
    }
}

fn forged_for_partners(signer: &World, number: usize) -> String {
    let (text, other) = (signed_by(signer, number), signed_by(signer, number + 1));
    format!("{}.{}", text.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1)
}

#[test]
fn filters_in_one_process_have_separate_key_fetch_limits() {
    let mut one = world();
    let mut document = document();
    changes().into_iter().for_each(|(name, value)| document[name] = value);
    document["external_url"] = json!("https://other.example.com");
    let mut other = World::with(&document);
    other.platform = one.platform.clone();
    other.workers = super::world::workers(&other.config, &other.platform);
    other.settle();
    assert_eq!((fetches(&one), fetches(&other)), (1, 1));
    for number in 0..4 {
        let token = access_token(&other, |header, _| header["kid"] = json!(format!("unknown-{number}")));
        let outcome = bring(&mut other, &token);
        assert_eq!(other.then(outcome).code(), (401, "invalid_token"));
    }
    one.provider.rotate();
    let token = access_token(&one, |_, _| ());
    let held = bring(&mut one, &token);
    assert_passes(&one.then(held));
}

#[test]
fn an_added_session_key_keeps_the_shared_documents() {
    let mut world = world();
    let mut changed = document();
    changes().into_iter().for_each(|(name, value)| changed[name] = value);
    let old = changed["session"]["keys"][0].clone();
    changed["session"]["keys"] = json!(["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", old]);
    let reloaded = World::with(&changed);
    world.config = reloaded.config;
    world.workers = super::world::workers(&world.config, &world.platform);
    assert!(world.drive().is_empty());
    assert_eq!(world.visit("/page").code(), (302, "sign_in_started"));
    assert_eq!(fetches(&world), 1);
}

#[test]
fn forged_callbacks_of_one_address_leave_slots_for_other_clients() {
    let mut world = world();
    world.platform.client.set(66);
    let mut under_way = Vec::new();
    let mut refused = 0;
    for _ in 0..150 {
        let request = begun(&mut world);
        match world.start(request) {
            step @ Step::Wait(_) => under_way.push(step),
            Step::Done(Decision::Reply(reply)) => {
                assert_eq!((reply.status, reply.code, header(&reply, "retry-after")), (503, "busy", Some("5")));
                refused += 1;
            }
            step => panic!("{step:?}"),
        }
    }
    assert_eq!((under_way.len(), refused), (24, 126));
    // A sign-in from another address succeeds at once.
    world.platform.client.set(1);
    assert_signs_in(&mut world);
    // A sign-in from the same address succeeds if it takes two seconds, as a user does.
    world.platform.client.set(66);
    world.jar.clear();
    let reply = world.visit("/page").reply();
    let callback = world.signs_in(&reply);
    assert_eq!(world.visit(&callback).code(), (503, "busy"));
    world.advance(2);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"), "it was not used up");
    // Dropped requests give their slots back.
    drop(under_way);
    let request = begun(&mut world);
    assert!(matches!(world.start(request), Step::Wait(_)));
}

#[test]
fn held_tokens_of_one_address_leave_slots_for_other_clients() {
    let mut world = early();
    world.platform.client.set(66);
    let token = access_token(&world, |_, _| ());
    let held: Vec<_> = (0..40).map(|_| bring(&mut world, &token)).collect();
    let is_held = |outcome: &&Outcome| matches!(outcome, Outcome::Held(_));
    assert_eq!(held.iter().filter(is_held).count(), 16);
    world.platform.client.set(1);
    let other = bring(&mut world, &token);
    assert_passes(&world.then(other));
    drop(held);
    assert_eq!(all_slots(&mut world).len(), 32);
}
