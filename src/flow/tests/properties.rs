//! For any input in any order, no request passes as signed in without a session that was given out before.

use proptest::prelude::*;

use super::{
    super::event::Reason,
    world::{Outcome, World},
};
use crate::http::Request;

#[derive(Debug, Clone)]
enum Input {
    Advance(u16),
    Callback(usize, String),
    Garbage(Vec<(String, Vec<u8>)>),
    ProviderGoes(bool),
    Settle,
    StealPending,
    Visit(String),
}

fn input() -> impl Strategy<Value = Input> {
    let name = prop_oneof![
        Just(":method".to_owned()),
        Just(":path".to_owned()),
        Just("cookie".to_owned()),
        Just("accept".to_owned()),
        Just("sec-fetch-mode".to_owned()),
        Just("authorization".to_owned()),
        "[a-z-]{1,12}",
    ];
    prop_oneof![
        any::<u16>().prop_map(Input::Advance),
        (0..4usize, "(&[a-z]{1,5}=[a-z%0-9]{0,5})?").prop_map(|(index, extra)| Input::Callback(index, extra)),
        prop::collection::vec((name, prop::collection::vec(any::<u8>(), 0..64)), 0..8).prop_map(Input::Garbage),
        any::<bool>().prop_map(Input::ProviderGoes),
        Just(Input::Settle),
        Just(Input::StealPending),
        "(/[a-z.%/]{0,12}|/oauth2/[a-z_]{0,12})(\\?[a-z=&]{0,8})?".prop_map(Input::Visit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn no_request_passes_without_an_issued_session(inputs in prop::collection::vec(input(), 1..24)) {
        let mut world = World::ready();
        let mut callbacks: Vec<String> = Vec::new();
        for input in inputs {
            let had_session = world.has_session();
            let outcome = match input {
                Input::Advance(seconds) => { world.advance(seconds.into()); continue }
                Input::ProviderGoes(up) => { world.provider.up = up; continue }
                Input::Settle => { world.settle(); continue }
                Input::StealPending => {
                    // The cookie of a pending sign-in, under the name of the session cookie.
                    if let Some(value) = world.jar.values().next().cloned() && !had_session {
                        world.jar.insert("__Host-vestibule".to_owned(), value);
                        let outcome = world.visit("/stolen");
                        world.jar.remove("__Host-vestibule");
                        let passed = matches!(outcome, Outcome::Forwarded { .. });
                        prop_assert!(!passed, "a pending sign-in passed for a session");
                    }
                    continue;
                }
                Input::Callback(index, extra) => match callbacks.get(index) {
                    Some(callback) => { let callback = format!("{callback}{extra}"); world.visit(&callback) }
                    None => continue,
                },
                Input::Garbage(headers) => {
                    let request = Request::new(headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
                    let step = world.start(request.clone());
                    world.perform(step, &request)
                }
                Input::Visit(path) => world.visit(&path),
            };
            match outcome {
                Outcome::Forwarded { reason: Reason::Session, .. } => prop_assert!(had_session),
                Outcome::Forwarded { reason: Reason::Public, .. } | Outcome::Held(_) => {}
                Outcome::Forwarded { reason: Reason::Bearer | Reason::Preflight, .. } => {
                    prop_assert!(false, "neither a token nor a preflight was sent");
                }
                Outcome::Replied(reply) if reply.code == "sign_in_started" => callbacks.push(world.signs_in(&reply)),
                Outcome::Replied(_) => {}
            }
        }
    }
}
