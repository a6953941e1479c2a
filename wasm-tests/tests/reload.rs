//! A control plane replaces the filter's configuration at run time: requests that are held at that moment are answered by
//! the old one, and later requests by the new one.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use wasm_tests::{
    http1::{Connection, Response},
    issuer::{Answer, Endpoint, Fault, Gate, Issuer, RefreshTokens},
    process::{until, until_everywhere},
    site::Site,
    upstream::MARK,
    user_agent::{Outgoing, UserAgent},
    world::{
        SESSION_COOKIE, World, assert_page, assert_refused, assert_sign_in, assert_signed_in, assert_unauthenticated,
        logout_request, seen_as,
    },
};

/// A path that only the new configuration makes public.
const NEW: &str = "/new";
/// More seconds than any scenario goes on.
const LONG: u32 = 600;
/// Milliseconds after which Envoy gives up a call.
const TIMEOUT: i64 = 30_000;

/// A world with one worker and this drain time of a replaced configuration. The clock is stopped, so held requests do
/// not time out by themselves.
fn world(issuer: Issuer, drain_seconds: u32) -> World {
    let world = World::around(issuer, |setup| {
        setup.workers = 1;
        setup.reloads = true;
        setup.drain_seconds = drain_seconds;
        setup.bodies_while_headers_are_held = true;
        setup.configuration["allow_on_headers_stop_iteration"] = json!(true);
        setup.configuration["session"]["lifetime_seconds"] = json!(86_400);
        setup.configuration["sign_out"] = json!({"back_channel": true});
        setup.configuration["sign_in"] = json!({"keep_forms": true});
        setup.configuration["providers"][0]["timeout_ms"] = json!(TIMEOUT);
    });
    world.stop_clock();
    world
}

/// Replaces the configuration, and waits until the new one is in force.
fn reload(world: &mut World) {
    reload_with(world, &[]);
}

/// The same, with these rules at the end.
fn reload_with(world: &mut World, more: &[Value]) {
    assert!(!is_new_in_force(world));
    world.reload(|document| {
        let rules = document["rules"].as_array_mut().expect("rules");
        rules.push(json!({"prefix": NEW, "access": "public"}));
        rules.extend(more.iter().cloned());
    });
    until_everywhere("the new configuration", || is_new_in_force(world));
}

fn is_new_in_force(world: &World) -> bool {
    world.browser().fetch(&world.url(NEW)).headers.has(MARK)
}

/// Checks that nothing passed but what this very file asks for.
#[track_caller]
fn assert_nobody_passed(world: &World) {
    assert!(world.upstream.seen().iter().all(|seen| seen.target == NEW), "{:#?}", world.upstream.seen());
}

/// Checks that a new browser signs in and gets a page.
#[track_caller]
fn assert_serves(world: &World) {
    let steps = world.browser().follow(&world.url("/page"));
    let (_, page) = steps.last().expect("a page");
    assert_eq!((page.status, page.headers.has(MARK)), (200, true), "{steps:#?}");
}

#[track_caller]
fn assert_heard(response: &Response) {
    assert_eq!((response.status, response.code().as_deref()), (200, Some("logged_out")), "{response:?}");
}

/// A visit with the cookies of this browser.
fn visit(world: &World, browser: &UserAgent, url: &str) -> Connection {
    let cookies = browser.jar().header("127.0.0.1", "/").unwrap_or_default();
    let target = url.strip_prefix(&world.url("")).expect("a URL of ours");
    world.begun(&Outgoing::navigation(target).header("cookie", cookies))
}

/// Requests whose bodies are being read, of a logout token and of a form, and what is missing of those.
fn halves(world: &World, token: &str) -> [(Connection, Vec<u8>); 2] {
    [logout_request(token), Outgoing::form("/save", &[("text", "what was typed")])].map(|send| {
        let (first, rest) = send.body.split_at(10);
        let half = Outgoing { body: first.to_vec(), ..send.clone() };
        (world.begun(&half), rest.to_vec())
    })
}

/// Everything that can hold a request once the provider is known, all at once; and what holds back the provider's answers.
struct Held {
    gate: Gate,
    renewed: Connection,
    signing_in: Connection,
    logging_out: Connection,
    halves: [(Connection, Vec<u8>); 2],
}

impl Held {
    const COUNT: u64 = 5;

    fn start(world: &World) -> Self {
        world.issuer.terms(|terms| {
            terms.refresh_tokens = RefreshTokens::Always;
            (terms.expires_in, terms.refresh_expires_in) = (Some(json!(100)), Some(json!(100)));
        });
        let (due, _) = world.signed_in();
        let newcomer = world.browser();
        let callback = world.callback_url(&newcomer, "/page");
        world.advance(110);
        // Tokens from now on are signed with a key that has to be fetched.
        world.issuer.rotate();
        let gate = Gate::default();
        for endpoint in [Endpoint::Token, Endpoint::Jwks] {
            world.issuer.misbehave(Fault::Answer(endpoint, Answer::Behind(gate.clone())));
        }
        let token = || world.issuer.logout_token_for(Some("unknown"), None, |_| {});
        let held = Self {
            gate,
            renewed: visit(world, &due, &world.url("/page")),
            signing_in: visit(world, &newcomer, &callback),
            logging_out: world.begun(&logout_request(&token())),
            halves: halves(world, &token()),
        };
        world.until_held(Self::COUNT);
        held
    }

    fn connections(self) -> (Gate, Vec<Connection>) {
        let [(logout, _), (form, _)] = self.halves;
        (self.gate, vec![self.renewed, self.signing_in, self.logging_out, logout, form])
    }
}

#[test]
fn every_request_that_is_held_while_the_configuration_is_replaced_is_answered() {
    let mut world = world(Issuer::start(), LONG);
    let held = Held::start(&world);
    reload(&mut world);
    world.until_held(Held::COUNT);
    assert_nobody_passed(&world);
    held.gate.open();
    let [logout, form] = held.halves.map(|(mut connection, rest)| {
        connection.send(&rest).expect("the rest of a body");
        world.read(connection)
    });
    assert_heard(&logout);
    assert_page(&form, &[401], "a form");
    assert!(form.text().contains("what was typed"), "{form:?}");
    let renewed = world.read(held.renewed);
    assert_eq!((renewed.status, renewed.headers.has(MARK), world.metric("renewed")), (200, true, 1), "{renewed:?}");
    assert_eq!(world.upstream.last().headers.all("x-forwarded-user"), [b"alice"]);
    let before = world.upstream.count();
    assert_signed_in(&world.read(held.signing_in), &world.url("/page"));
    assert_heard(&world.read(held.logging_out));
    world.upstream.assert_saw_nothing_since(before, "a sign-in and a logout token");
    world.issuer.behave();
    assert_serves(&world);
}

#[test]
fn requests_that_wait_for_the_provider_or_for_a_body_are_answered_in_the_end() {
    for comes_back in [true, false] {
        let mut issuer = Issuer::start();
        issuer.down();
        let mut world = world(issuer, LONG);
        let visit = world.begun(&Outgoing::navigation("/page"));
        let halves = halves(&world, "x");
        world.until_held(3);
        reload(&mut world);
        world.until_held(3);
        if comes_back {
            world.issuer.up();
            // It is asked again, and no request has waited for five seconds yet.
            world.advance(4);
            assert_sign_in(&world.read(visit), &world);
            world.advance(2);
        } else {
            world.advance(6);
            assert_page(&world.read(visit), &[503], "a visit");
            world.issuer.up();
        }
        for (connection, _) in halves {
            let response = world.read(connection);
            assert_eq!((response.status, response.code().as_deref()), (503, Some("body_missing")), "{response:?}");
        }
        assert_nobody_passed(&world);
        world.let_clock_go_on();
        until_everywhere("provider that is known", || world.browser().get(&world.url("/page")).location().is_some());
        assert_serves(&world);
    }
}

#[test]
fn a_client_that_disconnects_around_a_reload_leaks_nothing() {
    for leaves_before in [true, false] {
        let mut world = world(Issuer::start(), LONG);
        let (gate, held) = Held::start(&world).connections();
        if leaves_before {
            held.into_iter().for_each(Connection::reset);
            reload(&mut world);
        } else {
            reload(&mut world);
            world.until_held(Held::COUNT);
            held.into_iter().for_each(Connection::reset);
        }
        world.until_held(0);
        assert_nobody_passed(&world);
        // The answers to its calls come all the same, and are dropped.
        gate.open();
        until("renewal", || (world.metric("renewed") == 1).then_some(()));
        world.issuer.behave();
        assert_serves(&world);
    }
}

#[test]
fn held_requests_of_a_drained_configuration_do_not_pass() {
    let mut world = world(Issuer::start(), 1);
    let (gate, held) = Held::start(&world).connections();
    reload(&mut world);
    for mut connection in held {
        connection.wait_for_close(Duration::from_secs(30));
    }
    world.until_held(0);
    assert_nobody_passed(&world);
    gate.open();
    world.issuer.behave();
    // The calls that the old one had begun are dropped, until they time out.
    world.advance(TIMEOUT / 1000 + 5);
    assert_serves(&world);
}

#[test]
fn a_reloaded_condition_on_a_missing_claim_needs_one_sign_in() {
    let mut world = world(Issuer::start(), LONG);
    let (browser, _) = world.signed_in();
    assert_eq!(seen_as(&world, &Outgoing::fetch("/page"), &browser).as_deref(), Some("alice"));
    reload_with(&mut world, &[json!({"access": "required", "allow": {"not": {"claims": {"status": ["banned"]}}}})]);
    assert_refused(&world, &Outgoing::fetch("/page"), &browser, (401, "sign_in_required"));
    let steps = browser.follow(&world.url("/page"));
    let codes: Vec<_> = steps.iter().filter_map(|(_, response)| response.code()).collect();
    assert_eq!(codes, ["sign_in_started", "signed_in"], "{steps:#?}");
    assert_eq!(seen_as(&world, &Outgoing::fetch("/page"), &browser).as_deref(), Some("alice"));
}

#[test]
fn a_copied_signed_out_session_is_refused_during_a_reload() {
    let mut world = world(Issuer::start(), 1);
    let (browser, session) = world.signed_in();
    browser.get(&world.url("/oauth2/sign_out"));
    let (copy, url) =
        (Outgoing::fetch("/page").header("cookie", format!("{SESSION_COOKIE}={session}")), world.url("/page"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // All the time, because a new worker may be behind for an instant only.
        let asking = || {
            while !is_over.load(Ordering::Relaxed) {
                if let Ok(response) = UserAgent::default().send(&url, &copy) {
                    assert_unauthenticated(&response, "a copy");
                }
            }
        };
        let asking = [(); 4].map(|()| scope.spawn(asking));
        for number in 0..5 {
            world.reload(|document| document["clock_leeway_seconds"] = json!(30 + number));
            thread::sleep(Duration::from_millis(200));
        }
        is_over.store(true, Ordering::Relaxed);
        for thread in asking {
            thread.join().expect("copies that are refused");
        }
    });
    world.upstream.assert_saw_nothing();
}

#[test]
fn a_configuration_that_is_refused_leaves_the_old_one_in_force() {
    let mut setup = None;
    let site = Site::with(|plan| {
        plan.setup.reloads = true;
        setup = Some(plan.setup.clone());
    });
    let browser = UserAgent::default();
    assert_eq!(site.sign_in(&browser, "/page").0, site.url("/page"));
    let mut refused = setup.expect("a set-up");
    refused.configuration["rules"][0]["access"] = json!("everybody");
    assert!(!site.envoy.reload(&refused));
    let said = site.envoy.log();
    assert!(said.contains("rules[0].access: expected one of public, required"), "{said}");
    let before = site.app.count();
    for _ in 0..4 {
        assert_unauthenticated(&UserAgent::default().fetch(&site.url("/page")), "without a session");
    }
    site.app.assert_saw_nothing_since(before, "without a session");
    assert_eq!(browser.get(&site.url("/page")).status, 200);
}
