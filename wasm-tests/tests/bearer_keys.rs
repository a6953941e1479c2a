//! Keys for the bearer tokens of API clients: they change under load, they cannot be fetched while their issuer is down,
//! and a flood of made-up tokens asks for them. Other requests do not wait for them.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::json;
use wasm_tests::{
    api_client::{
        API, OLD_STATIC_TOKEN, STATIC_TOKEN, accept_tokens, assert_invalid_token, assert_invalid_token_at_once,
        assert_passes, with_token, world,
    },
    issuer::{Answer, Endpoint, Fault, Gate, Issuer},
    process::{until, until_everywhere},
    token_issuer::{self, KeySource, assert_invalid, fetches},
    upstream::MARK,
    world::{World, assert_sign_in, assert_signed_in, assert_unauthenticated},
};

#[test]
fn keys_change_under_load_and_no_valid_token_is_refused() {
    let world = world();
    let many = |count: usize| -> Vec<String> { (0..count).map(|_| world.issuer.access_token(API, |_| {})).collect() };
    let (done, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let old = many(60);
    world.issuer.misbehave(Fault::Answer(Endpoint::Jwks, Answer::Late(Duration::from_millis(300))));
    // Keys of the very second in which they were fetched could still be those from before.
    world.advance(2);
    // A request is held for five seconds at most, and then refused.
    let pass = |token: &String, what: &str| {
        let response = world.send(&with_token("/api/write", token)).expect("an answer");
        assert!(response.status == 200, "{what}: {response:?}");
        sent.fetch_add(1, Ordering::Relaxed);
    };
    // At least one request for each of the 60 old tokens.
    let load = || {
        let before = sent.load(Ordering::Relaxed);
        until("so many requests", || (sent.load(Ordering::Relaxed) >= before + 60).then_some(()));
    };
    thread::scope(|scope| {
        let clients: Vec<_> = old
            .chunks(15)
            .map(|tokens| {
                let (done, pass) = (&done, &pass);
                scope.spawn(move || {
                    for token in tokens.iter().cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
                        pass(token, "an old token");
                    }
                })
            })
            .collect();
        load();
        world.issuer.next_p256(true);
        let new = many(40);
        thread::scope(|inner| {
            for tokens in new.chunks(10) {
                let pass = &pass;
                inner.spawn(move || tokens.iter().for_each(|token| pass(token, "a new token")));
            }
        });
        load();
        done.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("a client"));
    });
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), 2, "one at the start, and one for the new key");

    // Now the old keys are withdrawn: their tokens are valid until the next keys are taken over.
    world.advance(61);
    let withdrawn = many(1).remove(0);
    assert_passes(&world, &with_token("/api/x", &withdrawn), "robot");
    world.issuer.next_p256(false);
    assert_passes(&world, &with_token("/api/x", &withdrawn), "robot");
    assert_passes(&world, &with_token("/api/x", &many(1)[0]), "robot");
    // The other worker looks at what this one has once a second.
    until_everywhere("the end of the old keys", || {
        world.send(&with_token("/api/x", &withdrawn)).is_some_and(|answer| answer.status == 401)
    });
    for token in [&withdrawn, &old[0]] {
        assert_invalid_token(&world, token);
    }
    for token in many(6) {
        assert_passes(&world, &with_token("/api/x", &token), "robot");
    }
}

#[test]
fn while_the_provider_is_down_access_tokens_wait_and_static_ones_pass_at_once() {
    let mut issuer = Issuer::start();
    issuer.down();
    let mut world = World::around(issuer, |setup| accept_tokens(&mut setup.configuration));
    let access = world.issuer.access_token(API, |_| {});
    // A request that waits does so by the clock.
    world.stop_clock();
    thread::scope(|scope| {
        for _ in 0..6 {
            let (world, access) = (&world, &access);
            scope.spawn(move || {
                let response = world.send(&with_token("/api/x", access)).expect("an answer");
                let answer = (response.status, response.code(), response.headers.text("retry-after"));
                assert_eq!(answer, (503, Some("provider_not_ready".to_owned()), Some("5".to_owned())), "{response:?}");
            });
        }
        world.until_held(6);
        for _ in 0..10 {
            assert_passes(&world, &with_token("/api/write", STATIC_TOKEN), "ci");
        }
        assert_invalid_token_at_once(&world, OLD_STATIC_TOKEN);
        // A client that leaves before the answer.
        drop(world.begun(&with_token("/api/x", &access)));
        world.until_held(6);
        world.advance(4);
        for _ in 0..10 {
            assert_passes(&world, &with_token("/api/write", STATIC_TOKEN), "ci");
        }
        world.until_held(6);
        world.advance(1);
    });
    world.let_clock_go_on();
    assert!(world.upstream.seen().iter().all(|request| request.path() == "/api/write"));
    world.issuer.up();
    until("an access token that passes", || {
        world.send(&with_token("/api/x", &access)).is_some_and(|response| response.status == 200).then_some(())
    });
    assert_passes(&world, &with_token("/api/write", &access), "robot");
    // The decision is cached, and the keys are kept, while the provider is down again.
    world.issuer.down();
    assert_passes(&world, &with_token("/api/write", &access), "robot");
    assert_passes(&world, &with_token("/api/write", &world.issuer.access_token(API, |_| {})), "robot");
}

#[test]
fn a_token_that_waits_passes_when_the_provider_comes_back() {
    let issuer = Issuer::start();
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks] {
        issuer.misbehave(Fault::Answer(endpoint, Answer::Late(Duration::from_millis(600))));
    }
    let world = World::around(issuer, |setup| accept_tokens(&mut setup.configuration));
    world.stop_clock();
    let access = world.issuer.access_token(API, |_| {});
    let requests: Vec<_> = (0..12).map(|_| (world.url("/api/x"), with_token("/api/x", &access))).collect();
    for response in world.browser().at_once(&requests) {
        assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}");
    }
    assert_eq!(world.issuer.requests(Endpoint::Jwks).len(), 1);
}

#[test]
fn three_hundred_forged_tokens_delay_no_sign_in() {
    let world = world();
    let gate = Gate::default();
    world.issuer.misbehave(Fault::Answer(Endpoint::Jwks, Answer::Behind(gate.clone())));
    let made_up = |number: usize| {
        let kid = json!(format!("made-up-{number}"));
        world.issuer.access_token(API, move |token| {
            token.header.insert("kid".to_owned(), kid);
            token.set("sub", "mallory");
        })
    };
    let tokens: Vec<_> = (0..300).map(made_up).collect();
    let at_the_provider: Vec<_> = (0..4)
        .map(|_| {
            let browser = world.browser();
            let callback = world.callback_url(&browser, "/page");
            (browser, callback)
        })
        .collect();
    let (known, before) = (world.issuer.access_token(API, |_| {}), world.issuer.requests(Endpoint::Jwks).len());
    // A request that waits does so by the clock.
    world.stop_clock();
    thread::scope(|scope| {
        let flood: Vec<_> = tokens
            .iter()
            .map(|token| {
                scope.spawn(|| world.send(&with_token("/api/x", token)).map(|answer| (answer.status, answer.code())))
            })
            .collect();
        // Each waits for keys that do not come yet, or is above the limit.
        let decided = || world.held() + world.metric("refused_busy");
        until("the last made-up token", || (decided() >= tokens.len() as u64).then_some(()));
        for (browser, callback) in &at_the_provider {
            assert_signed_in(&browser.get(callback), &world.url("/page"));
        }
        assert_sign_in(&world.browser().get(&world.url("/page")), &world);
        assert_passes(&world, &with_token("/api/x", STATIC_TOKEN), "ci");
        assert_passes(&world, &with_token("/api/x", &known), "robot");
        gate.open();
        world.let_clock_go_on();
        for one in flood {
            let answer = one.join().expect("a client").expect("an answer");
            let (invalid, busy) = ((401, Some("invalid_token".to_owned())), (503, Some("busy".to_owned())));
            assert!(answer == invalid || answer == busy, "{answer:?}");
        }
    });
    let fetches = world.issuer.requests(Endpoint::Jwks).len() - before;
    assert!((1..=2).contains(&fetches), "{fetches} fetches");
    assert!(
        !world
            .upstream
            .seen()
            .iter()
            .any(|request| request.headers.text("x-forwarded-user").as_deref() == Some("mallory"))
    );
    // Keys that changed meanwhile are still fetched for a sign-in.
    world.issuer.behave();
    world.issuer.rotate();
    world.signed_in();
}

#[test]
fn token_issuer_keys_rotate_under_load_with_one_fetch_and_no_refusal() {
    for keys in [KeySource::Discovered, KeySource::AtJwksUri] {
        let world = token_issuer::world(keys, |_| {});
        let many =
            |count: usize| -> Vec<String> { (0..count).map(|_| world.partners.access_token(API, |_| {})).collect() };
        // All at once; the keys come when so many requests are held or refused.
        let burst = |tokens: &[String], waiting: usize| {
            let gate = Gate::default();
            world.partners.misbehave(Fault::Answer(Endpoint::Jwks, Answer::Behind(gate.clone())));
            let requests: Vec<_> =
                tokens.iter().map(|token| (world.url("/write/x"), with_token("/write/x", token))).collect();
            let (busy, seen) = (world.metric("refused_busy"), world.upstream.count() + tokens.len() - waiting);
            thread::scope(|scope| {
                let answers = scope.spawn(|| world.browser().at_once(&requests));
                let decided = || world.held() + world.metric("refused_busy") - busy;
                let all_came = || world.upstream.count() == seen && decided() == waiting as u64;
                until("the last of them", || all_came().then_some(()));
                gate.open();
                world.partners.behave();
                answers.join().expect("answers")
            })
        };
        let old = many(30);
        // Keys of the very second in which they were fetched could still be those from before.
        world.advance(2);
        world.partners.next_p256(true);
        // As many of the new key as one worker holds, so that all may come to the same worker.
        for answer in burst(&[old, many(16)].concat(), 16) {
            assert_eq!((answer.status, answer.headers.has(MARK)), (200, true), "{answer:?}");
        }
        assert_eq!(fetches(&world.partners), [keys.fetches()[0], 2], "one at the start, and one for the new key");

        // Requests above the limit of both workers are refused as busy, and pass later.
        world.advance(61);
        world.partners.next_p256(true);
        let new = many(60);
        let answers = burst(&new, new.len());
        let passed = answers.iter().filter(|answer| answer.status == 200).count();
        let busy = answers.iter().filter(|answer| answer.code().as_deref() == Some("busy")).count();
        assert!(passed + busy == new.len() && passed >= 16, "{answers:#?}");
        assert_eq!(fetches(&world.partners), [keys.fetches()[0], 3], "one more for the newer key");
        let answers = world.in_a_row(&new.iter().map(|token| with_token("/write/x", token)).collect::<Vec<_>>());
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:#?}");
    }
    // Configured keys do not change with those of the issuer.
    for keys in [KeySource::Inline, KeySource::Pem] {
        let world = token_issuer::world(keys, |_| {});
        let good = world.partners.access_token(API, |_| {});
        world.partners.next_p256(false);
        assert_invalid(&world, &world.partners.access_token(API, |_| {}), "a key that is not configured");
        token_issuer::assert_passes(&world, "/api/x", &good, "robot");
        assert_eq!(fetches(&world.partners), [0, 0]);
    }
}

#[test]
fn a_token_issuer_that_is_down_delays_no_other_request_and_comes_back() {
    for keys in [KeySource::Discovered, KeySource::AtJwksUri] {
        let mut partners = Issuer::another();
        partners.down();
        let mut world = token_issuer::world_with_issuer(partners, keys, |document| {
            document["providers"][0]["access_token_audiences"] = json!([API])
        });
        let token = world.partners.access_token(API, |_| {});
        until_everywhere("the provider", || world.browser().get(&world.url("/page")).location().is_some());
        // A request that waits does so by the clock.
        world.stop_clock();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| token_issuer::send(&world, "/api/x", &token));
            world.until_held(1);
            // Users sign in, and tokens of the other issuer pass, without delay.
            world.signed_in();
            assert_eq!(token_issuer::send(&world, "/api/x", &world.issuer.access_token(API, |_| {})).status, 200);
            assert_unauthenticated(&world.browser().fetch(&world.url("/page")), "no session");
            world.until_held(1);
            world.advance(5);
            let refused = waiting.join().expect("an answer");
            assert_eq!((refused.status, refused.code().as_deref()), (503, Some("provider_not_ready")), "{refused:?}");
            assert!(refused.headers.has("retry-after"), "{refused:?}");
        });
        world.let_clock_go_on();
        let others =
            world.upstream.seen().iter().all(|seen| seen.headers.text("x-issuer") != Some(world.partners.url()));
        assert!(others, "{:#?}", world.upstream.seen());
        world.partners.up();
        until_everywhere("a token that passes", || token_issuer::send(&world, "/api/x", &token).status == 200);
        token_issuer::assert_passes(&world, "/api/x", &token, "robot");
        // Its keys are kept while it is down again.
        world.partners.down();
        token_issuer::assert_passes(&world, "/api/x", &world.partners.access_token(API, |_| {}), "robot");
    }
    // Configured keys need no fetch.
    for keys in [KeySource::Inline, KeySource::Pem] {
        let partners = Issuer::another();
        let entry = keys.entry(&partners);
        let mut world = World::among(Issuer::start(), partners, |setup| {
            setup.configuration["token_issuers"] = json!([entry]);
            setup.configuration["identity_headers"] = json!({"x-forwarded-user": "sub", "x-issuer": "iss"});
        });
        world.partners.down();
        world.issuer.down();
        world.restart(|_| {});
        token_issuer::assert_passes(&world, "/page", &world.partners.access_token(API, |_| {}), "robot");
    }
}
