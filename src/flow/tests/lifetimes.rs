//! Lifetimes of sessions, their size in cookies, and the rotation of their keys.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    super::event::Event,
    world::{Outcome, START, World, document},
};
use crate::time::UnixTime;

fn cookies(outcome: &Outcome) -> usize {
    let Outcome::Forwarded { cookies, .. } = outcome else { panic!("{outcome:?}") };
    cookies.len()
}

fn is_in(world: &mut World) -> bool {
    world.settle();
    match world.visit("/") {
        Outcome::Forwarded { .. } => true,
        outcome => {
            assert_eq!(outcome.code(), (302, "sign_in_started"));
            false
        }
    }
}

#[test]
fn a_session_outlives_its_id_token_and_access_token() {
    // The ID token expires after five minutes, the access token after ten.
    let mut world = World::ready();
    world.sign_in("/");
    world.advance(8 * 3600 - 1);
    assert!(is_in(&mut world));
    world.advance(1);
    assert!(!is_in(&mut world));
}

#[test]
fn the_idle_timeout_slides_in_steps_of_a_tenth() {
    let mut world = World::ready_with(&[("session", json!({ "idle_timeout_seconds": 600 }))]);
    world.sign_in("/");
    world.advance(59);
    assert_eq!(cookies(&world.visit("/")), 0);
    world.advance(1);
    assert_eq!(cookies(&world.visit("/")), 1);
    assert_eq!(cookies(&world.visit("/")), 0);
    for _ in 0..10 {
        world.advance(599);
        assert!(is_in(&mut world));
    }
    world.advance(600);
    assert!(!is_in(&mut world));
}

#[test]
fn sliding_does_not_move_the_absolute_end() {
    let mut world = World::ready_with(&[("session", json!({ "idle_timeout_seconds": 600, "lifetime_seconds": 3600 }))]);
    world.sign_in("/");
    for minute in 1..60 {
        world.advance(60);
        assert!(is_in(&mut world), "{minute}");
    }
    world.advance(60);
    assert!(!is_in(&mut world));
}

#[test]
fn a_shortened_lifetime_applies_to_existing_sessions() {
    let mut world = World::ready();
    world.sign_in("/");
    world.reconfigure(|config| config.session.lifetimes.absolute = std::time::Duration::from_secs(600));
    world.advance(599);
    assert!(is_in(&mut world));
    world.advance(1);
    assert!(!is_in(&mut world));
}

#[test]
fn a_clock_jump_causes_no_panic_and_revives_no_session() {
    let mut world = World::ready_with(&[("session", json!({ "idle_timeout_seconds": 600 }))]);
    world.provider.refreshes = true;
    world.sign_in("/");
    for now in [0, START - 3600, START + 3600, u64::MAX, START + 700] {
        world.now = UnixTime::from_secs(now);
        let outcome = world.visit("/");
        assert!(!matches!(outcome, Outcome::Forwarded { .. }), "{now}: {outcome:?}");
    }
    world.now = UnixTime::from_secs(START + 1);
    assert!(matches!(world.visit("/"), Outcome::Forwarded { .. }));
}

/// Text that does not compress.
fn noise(bytes: usize) -> String {
    let mut text = String::new();
    for block in 0_u64.. {
        text.extend(Sha256::digest(block.to_le_bytes()).iter().map(|byte| char::from(b'!' + byte % 90)));
        if text.len() >= bytes {
            break;
        }
    }
    text.truncate(bytes);
    text
}

/// A world whose user has a `name` of so many bytes, the only claim that the session keeps.
fn with_name_of(bytes: usize) -> World {
    let mut world = World::ready_with(&[
        ("identity_headers", json!({ "X-Name": "name" })),
        ("sign_out", json!({ "at_provider": false })),
    ]);
    world.provider.claims = Box::new(move |claims| drop(claims.insert("name".to_owned(), json!(noise(bytes)))));
    world
}

#[test]
fn a_session_is_split_into_cookies_and_needs_all_of_them() {
    for (bytes, expected) in [(10, 1), (2500, 1), (6000, 2), (9000, 3), (12_500, 4), (16_000, 5)] {
        let mut world = with_name_of(bytes);
        world.sign_in("/");
        let whole = world.session_cookies();
        assert_eq!(whole.len(), expected, "{bytes}");
        assert!(is_in(&mut world), "{bytes}");
        for (name, value) in &whole {
            world.jar.remove(name);
            assert!(!is_in(&mut world), "{bytes}: without {name}");
            world.jar.extend(whole.clone());
            let mut altered = value.clone().into_bytes();
            let last = altered.len() - 1;
            altered[last / 2] ^= 1;
            world.jar.insert(name.clone(), String::from_utf8_lossy(&altered).into_owned());
            assert!(!is_in(&mut world), "{bytes}: with another {name}");
            world.jar.extend(whole.clone());
        }
        assert!(is_in(&mut world), "{bytes}");
    }
}

#[test]
fn cookies_of_two_sessions_do_not_combine_and_surplus_ones_are_deleted() {
    let mut world = with_name_of(9000);
    world.sign_in("/");
    let older = world.session_cookies();
    world.sign_in_again();
    let newer = world.session_cookies();
    for place in 0..newer.len() {
        let mut mixed = newer.clone();
        mixed[place] = older[place].clone();
        world.jar.extend(mixed);
        assert!(!is_in(&mut world), "{place}");
    }
    world.jar.extend(newer);
    world.provider.claims = Box::new(|claims| drop(claims.insert("name".to_owned(), json!("short"))));
    world.sign_in_again();
    assert_eq!(world.session_cookies().len(), 1, "{:?}", world.jar.keys());
    assert!(is_in(&mut world));
}

#[test]
fn a_session_with_four_hundred_groups_fits_into_cookies() {
    let mut world = World::ready();
    world.provider.refreshes = true;
    let groups: Vec<String> = (0..400_u32)
        .map(|group| {
            let digest = Sha256::digest(group.to_le_bytes());
            let hex =
                |from: usize, to: usize| digest[from..to].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            format!("{}-{}-{}-{}-{}", hex(0, 4), hex(4, 6), hex(6, 8), hex(8, 10), hex(10, 16))
        })
        .collect();
    let kept = groups.clone();
    world.provider.claims = Box::new(move |claims| drop(claims.insert("groups".to_owned(), json!(kept))));
    world.sign_in("/");
    assert!((2..=4).contains(&world.session_cookies().len()), "{}", world.session_cookies().len());
    let info = [(":method", "GET"), (":path", "/oauth2/userinfo")];
    let body: Value = serde_json::from_slice(&world.send(&info).reply().body).unwrap();
    assert_eq!(body["claims"]["groups"], json!(groups));
}

#[test]
fn a_large_session_omits_optional_tokens_instead_of_failing() {
    // For the sign-out at the provider the session keeps the ID token, which repeats the name.
    let mut world = with_name_of(9000);
    world.reconfigure(|config| config.sign_out.at_provider = true);
    world.provider.refreshes = true;
    world.sign_in("/");
    assert!(is_in(&mut world));
    let cut: Vec<_> = world.events.iter().filter(|event| matches!(event, Event::LeftOut(_))).collect();
    assert_eq!(cut.len(), 1, "{cut:?}");
    world.advance(480);
    let held = world.visit("/");
    assert!(matches!(held, Outcome::Held(_)), "it can still be renewed: {held:?}");
}

#[test]
fn a_request_reseals_the_session_with_a_new_key() {
    let key = |name: &str| {
        use base64::{Engine, engine::general_purpose::STANDARD};
        json!(STANDARD.encode(Sha256::digest(name)))
    };
    let with_keys = |keys: Value| {
        let mut document = document();
        document["session"]["keys"] = keys;
        let mut world = World::with(&document);
        world.settle();
        world
    };
    let mut before = World::ready();
    before.sign_in("/");
    let old = document()["session"]["keys"][0].clone();

    let mut both = with_keys(json!([key("new"), old.clone()]));
    both.jar = before.jar.clone();
    assert_eq!(cookies(&both.visit("/")), 1, "it is sealed anew at once");
    assert_eq!(cookies(&both.visit("/")), 0);

    let mut after = with_keys(json!([key("new")]));
    after.jar = both.jar.clone();
    assert!(is_in(&mut after));
    after.jar = before.jar;
    assert!(!is_in(&mut after));
}

/// The cookie of a session that began at [`START`], in the format before sessions recorded their earlier ends.
const EARLIER: &str = "AeT0pGukvYnQw-FuwDxUNtC5uOsak0vurICER0XhRhD261pX-oOeiw_qIuihWH_x1O7JpzaxlUCog2Y1JC4bVi6GgLpNEYDpTwnEdt5JGLlPPsxggsiQMJG7iAkTl4NJE7mbm5ZD-PwWzzCF9xyL0nfEAa45YN3ASSezG-ZzSciC3nR64FXK2joipYamD9S00wJKbUDZAjqODNC7nrlBAlVda8uOUb_YfO0QDF3GyjamijyWFYE-8ElwnLiw-_toCTExQKKELRjZuezeawyivwPXO893fdSCdaK327-TK0ulzLDAv_-HfLHknEJAb_TJX8sX_QEE2cnsN9i5EE8S89Qgh-ZMvtQ8huYWcrqMcg8Ig8amXFSigWMIugRCLwYqPs8ChATb92JX7MRsTo_OU0YPkoDfSpDty-3sFMfBvfay_37kAmiPY8hIiAnOaZWhoQaMQUUcA_1iGTsTKFzNdJy057d_vqsF-LNxzvb7EQNxKu0GAqf901Xh8FdfFJsyc3qMTd-uyexwOfnnI0OZ8czMefLkCdFvXJNmaiQyOtuzM16Q4zizPcqyt3icmTTcmLuFkZLY1XYbcC53ua-AOxjZCokS7twLFR6CGLPTgNMKjhMLSmq0LE_zoIKMxGSSk13lfkGx7ys7A1mspEvCvrdtq66PvVvQfzZEM91XZyZS9n7I-clLAKuU9W5z5fR7Lv6uW0Auo-Nih46T1rlDkFA_KA8so5oo8KL6eXh3T-KQtdglujJrSbMGoeFAUHa-ldIptUutk9Y1fJmQCdC2z-klb4EcvH1fwmisvBQqlK_o_MFTIrXJSPlweZdvMlKLI1j5WioCQWlY5Mgz63pcZMX_LP6ZgAiHgpA9Qk9AqlW9U_WO-k8Z7LXAoMG9rziCPJl_6V8rBlI1gD3D8MXDGIJVkaWlc2ZjzoQnTrorROlvVdE";

#[test]
fn a_session_of_an_earlier_version_opens_and_can_be_ended() {
    let mut world = World::ready_with(&[
        ("allow_on_headers_stop_iteration", json!(true)),
        ("sign_out", json!({ "back_channel": true })),
    ]);
    world.jar.insert("__Host-vestibule".to_owned(), EARLIER.to_owned());
    assert!(is_in(&mut world));
    let token = world.provider.logout_token(world.now, |_, _| ());
    world.body = Ok(format!("logout_token={token}").into_bytes());
    let post = [
        (":method", "POST"),
        (":path", "/oauth2/backchannel_logout"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(world.send_more(&post).code(), (200, "logged_out"));
    assert!(!is_in(&mut world));
    world.sign_in("/");
    assert!(is_in(&mut world));
}
