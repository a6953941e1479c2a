//! Changes around the filter: the provider fails in episodes, and the configuration is replaced.

use std::{sync::PoisonError, time::Duration};

use fastrand::Rng;
use serde_json::json;
use wasm_tests::{
    envoy::{Envoy, Setup},
    issuer::{Answer, Endpoint, Fault, Signing},
};

use crate::{
    plan::{Rules, invalid_rules, rules},
    soak::Soak,
};

/// Seconds between episodes, longer than the filter may need to recover from one.
const BETWEEN_EPISODES: std::ops::Range<u64> = 30..60;
/// Seconds of an episode.
const EPISODE: std::ops::Range<u64> = 4..16;
/// Seconds between reloads.
const BETWEEN_RELOADS: std::ops::Range<u64> = 12..30;
/// The endpoints that the filter calls.
const CALLED: [Endpoint; 4] = [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Revocation, Endpoint::Token];

/// An episode: its name and its fault.
type Episode = (&'static str, fn(&Soak));

const EPISODES: [Episode; 9] = [
    ("down", |soak| soak.issuer.write().unwrap_or_else(PoisonError::into_inner).down()),
    ("status 500", |soak| answer(soak, &Answer::status(500))),
    ("status 429", |soak| answer(soak, &Answer::json(429, b"{\"error\":\"slow_down\"}"))),
    ("garbage", |soak| answer(soak, &Answer::json(200, b"{\"access_token\": [\xff"))),
    ("huge answers", |soak| answer(soak, &Answer::huge(5 << 20))),
    ("resets", |soak| answer(soak, &Answer::ResetBeforeHeaders)),
    ("slow", |soak| answer(soak, &Answer::Late(Duration::from_millis(1500)))),
    ("hangs", |soak| answer(soak, &Answer::Hang)),
    ("forged ID tokens", |soak| soak.issuer().misbehave(Fault::IdToken(|token| token.signing = Signing::Unpublished))),
];

fn answer(soak: &Soak, answer: &Answer) {
    for endpoint in CALLED {
        soak.issuer().misbehave(Fault::Answer(endpoint, answer.clone()));
    }
}

/// Lets the provider fail in episodes.
pub fn provider(soak: &Soak) {
    let mut rng = Rng::with_seed(soak.plan.seed ^ 0x70726f);
    while !soak.is_over() {
        soak.sleep(Duration::from_secs(rng.u64(BETWEEN_EPISODES)));
        if soak.is_over() {
            return;
        }
        // Every few episodes the keys change instead, which is no fault.
        if rng.u8(0..4) == 0 {
            soak.conditions.begin_trouble("new keys");
            rotate(soak);
        } else {
            let (name, begin) = EPISODES[rng.usize(0..EPISODES.len())];
            soak.conditions.begin_trouble(name);
            begin(soak);
        }
        soak.sleep(Duration::from_secs(rng.u64(EPISODE)));
        {
            let mut issuer = soak.issuer.write().unwrap_or_else(PoisonError::into_inner);
            issuer.behave();
            if soak.conditions.trouble() == Some("down") {
                issuer.up();
            }
            issuer.forget();
        }
        soak.conditions.end_trouble();
    }
}

fn rotate(soak: &Soak) {
    soak.conditions.withdraw_keys();
    soak.tokens.lock().unwrap_or_else(PoisonError::into_inner).clear();
    soak.issuer().rotate();
    soak.issuer().next_p256(false);
}

/// Replaces the configuration by the other one, and now and then by one that Envoy must refuse.
pub fn reloads(soak: &Soak, envoy: &Envoy, setup: &Setup) {
    let mut rng = Rng::with_seed(soak.plan.seed ^ 0x72656c);
    let (mut setup, mut in_force) = (setup.clone(), Rules::Closed);
    while !soak.is_over() {
        soak.sleep(Duration::from_secs(rng.u64(BETWEEN_RELOADS)));
        if soak.is_over() {
            return;
        }
        soak.conditions.begin_reload();
        let is_valid = rng.u8(0..4) > 0;
        let next = if in_force == Rules::Open { Rules::Closed } else { Rules::Open };
        setup.configuration["rules"] = if is_valid { rules(next) } else { invalid_rules() };
        // Each document is a new one to Envoy, the refused ones too.
        setup.configuration["clock_leeway_seconds"] = json!(rng.u8(30..90));
        let taken = envoy.reload(&setup);
        if taken != is_valid {
            let wrong = if taken { "taken, but is invalid" } else { "refused, but is valid" };
            soak.fail(format!("a configuration was {wrong}: {}", setup.configuration));
        }
        in_force = if taken { next } else { in_force };
        soak.conditions.end_reload(in_force, taken);
    }
}
