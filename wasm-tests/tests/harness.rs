//! The harness itself: Envoy, the provider and the store do what a scenario tells them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::{Value, json};
use wasm_tests::browser::screenshots;
use wasm_tests::clock::Clock;
use wasm_tests::envoy::{Envoy, Setup, get};
use wasm_tests::process::{Scratch, until};
use wasm_tests::provider::{Provider, client};
use wasm_tests::store::Store;
use wasm_tests::world::{World, assert_page, assert_signed_in};

/// An app that answers every request with one word.
fn app() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        }
    });
    port
}

#[test]
fn envoy_starts_serves_counts_logs_and_stops() {
    let envoy = Envoy::start(Setup::new(app()));
    let url = format!("http://127.0.0.1:{}/page?q", envoy.port());
    let answer = minreq::get(&url).send().expect("an answer");
    assert_eq!((answer.status_code, answer.as_str().expect("text")), (200, "hello"));
    assert_eq!(envoy.stats("http.front.downstream_rq_completed"), 1);
    assert_eq!(envoy.stats("no.such.counter"), 0);
    let line = until("access log", || envoy.access_log().lines().next().map(str::to_owned));
    assert_eq!(line, "GET /page 200 via_upstream -");
    assert!(envoy.log().contains("starting main dispatch loop"), "{}", envoy.log());

    let port = envoy.port();
    envoy.stop();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the listener outlived Envoy");
}

/// Envoy's time, by the seconds that it says it runs for: it takes them from its wall clock.
fn uptime(envoy: &Envoy) -> i64 {
    let info: Value = serde_json::from_str(&envoy.admin("/server_info")).expect("JSON");
    let uptime = info["uptime_current_epoch"].as_str().expect("a time").trim_end_matches('s');
    uptime.parse().expect("seconds")
}

#[test]
fn envoys_clock_moves_while_it_runs() {
    let clock = Clock::new();
    let setup = Setup::new(app()).clock(&clock);
    let envoy = Envoy::start(setup.clone());
    assert!((0..60).contains(&uptime(&envoy)));
    for (seconds, expected) in [(7200, 7200..7260), (-86_400, -86_400..-86_340), (0, 0..60), (90, 90..150)] {
        clock.set(seconds);
        assert_eq!(clock.seconds(), seconds);
        assert!(expected.contains(&uptime(&envoy)), "{seconds}: {}", uptime(&envoy));
    }
    // The date in answers follows, as soon as Envoy looks at its clock again.
    let now = UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs().cast_signed();
    clock.set(2_000_000_000 - now);
    let url = format!("http://127.0.0.1:{}/", envoy.port());
    let date = || minreq::get(&url).send().expect("an answer").headers.get("date").cloned();
    until("date to come", || date()?.starts_with("Wed, 18 May 2033 03:3").then_some(()));
    // A stopped clock can still be set.
    clock.set(0);
    clock.stop();
    let (stands_at, since) = (uptime(&envoy), Instant::now());
    until("two seconds", || (since.elapsed() > Duration::from_secs(2)).then_some(()));
    assert_eq!(uptime(&envoy), stands_at);
    clock.set(100);
    assert_eq!(uptime(&envoy), stands_at + 100);
    clock.go_on();
    assert!(uptime(&envoy) > stands_at + 100);
    // One that is started later goes by the same clock.
    clock.set(365 * 86_400);
    let other = Envoy::start(Setup { port: wasm_tests::ports::free(), ..setup });
    clock.set(366 * 86_400);
    assert!((86_400..86_460).contains(&uptime(&other)));
}

#[test]
fn the_filter_and_the_test_issuer_share_one_clock() {
    let world = World::start();
    for seconds in [30 * 86_400, -86_400, 0] {
        world.set_clock(seconds);
        world.signed_in();
    }
    world.advance(3600);
    world.signed_in();
    // Only the issuer's own is another: its tokens are of yesterday.
    world.issuer.set_clock(-86_400);
    let browser = world.browser();
    assert_page(&browser.get(&world.callback_url(&browser, "/")), &[400, 502], "a token that has expired");
}

#[test]
fn a_session_is_valid_at_both_of_two_envoys() {
    let mut world = World::fleet(2);
    let browser = world.browser();
    let second = world.through(&browser, 1);
    // Begun at one, finished at the other, used at both.
    let callback = world.callback_url(&browser, "/page");
    assert_signed_in(&second.get(&callback), &world.url("/page"));
    let before = world.envoy_at(1).stats("http.front.downstream_rq_completed");
    for url in [world.url("/page"), world.url_at(1, "/page")] {
        assert_eq!(browser.get(&url).status, 200);
        assert_eq!(second.get(&url).status, 200);
    }
    assert_eq!(world.envoy_at(1).stats("http.front.downstream_rq_completed"), before + 3);
    // The host is that of the address bar, whichever Envoy it is.
    let host = world.upstream.seen().iter().filter_map(|request| request.headers.text("host")).collect::<Vec<_>>();
    let (first, other) =
        (format!("127.0.0.1:{}", world.envoy.port()), format!("127.0.0.1:{}", world.envoy_at(1).port()));
    assert_eq!(host, [&*first, &*first, &*other, &*other]);

    world.restart_one(1, |document| document["providers"][0]["timeout_ms"] = json!(2000));
    world.restart(|_| {});
    assert_eq!(second.get(&world.url("/page")).status, 200);
    let third = world.add_envoy();
    assert_eq!(world.through(&browser, third).get(&world.url("/page")).status, 200);
    world.remove_envoy(1);
    assert_eq!(world.envoys().count(), 2);
}

#[test]
fn envoy_validates_a_setup_without_starting_it() {
    let (accepted, said) = Envoy::validate(&Setup::new(1));
    assert!(accepted, "{said}");

    let refused = Setup::new(1).connection_manager("no_such_field", json!(true));
    let (accepted, said) = Envoy::validate(&refused);
    assert!(!accepted && said.contains("no_such_field"), "{said}");
}

#[test]
fn the_provider_serves_its_metadata_and_rotates_its_keys() {
    let provider = Provider::start(&[client("app", "secret", "http://app.localhost:1")]);
    let fetch = |url: &str| -> Value {
        let answer = minreq::get(url).send().expect("an answer");
        serde_json::from_slice(answer.as_bytes()).expect("JSON")
    };
    let metadata = fetch(&format!("{}/.well-known/openid-configuration", provider.issuer()));
    assert_eq!(metadata["issuer"], provider.issuer());
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(provider.seen("/.well-known/openid-configuration"), 1);

    let jwks_uri = metadata["jwks_uri"].as_str().expect("a URL");
    let kids = || -> Vec<String> {
        let keys = fetch(jwks_uri)["keys"].as_array().expect("keys").clone();
        keys.iter().filter_map(|key| key["kid"].as_str().map(str::to_owned)).collect()
    };
    let first = kids();
    assert_eq!(first.len(), 5);
    provider.add_keys();
    assert_eq!(kids().len(), 10);
    assert!(kids().ends_with(&first));
    provider.retire_keys();
    assert_eq!(kids().len(), 5);
    let second = kids();
    assert!(first.iter().all(|kid| !second.contains(kid)));
    provider.rotate_keys();
    assert!(second.iter().all(|kid| !kids().contains(kid)));
}

#[test]
fn the_providers_form_renders_on_every_screen() {
    let provider = Provider::start(&[client("app", "secret", "http://app.localhost:1")]);
    let url = format!(
        "{}/auth?client_id=app&response_type=code&scope=openid&redirect_uri=http%3A%2F%2Fapp.localhost%3A1%2Foauth2%2Fcallback\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
        provider.issuer()
    );
    let pictures = Scratch::new("pictures");
    let seen = screenshots(&url, None, &pictures.file("form"));
    for look in ["light", "dark", "phone"] {
        assert_eq!(seen[look]["title"], "Sign in", "{seen}");
        assert_eq!(seen[look]["scrolls_sideways"], false, "{seen}");
        assert_eq!(seen[look]["complaints"], json!([]), "{seen}");
        assert!(pictures.file("form").join(format!("{look}.png")).is_file());
    }
    assert_ne!(seen["light"]["color"], seen["dark"]["color"]);
}

#[test]
fn redis_responds_over_http_and_can_be_stopped_and_started() {
    let mut store = Store::start();
    let ask = |store: &Store, path: &str| get(store.port(), path).expect("an answer");
    assert_eq!(ask(&store, "/SET/one/1/EX/60"), (200, r#"{"SET":[true,"OK"]}"#.to_owned()));
    assert_eq!(ask(&store, "/GET/one"), (200, r#"{"GET":"1"}"#.to_owned()));
    assert_eq!(ask(&store, "/GET/other"), (200, r#"{"GET":null}"#.to_owned()));
    store.put("two", "a.b/c \r\n\u{fc}");
    assert_eq!((store.keys(), store.count()), (vec!["one".to_owned(), "two".to_owned()], 2));
    assert_eq!((store.value("two").as_deref(), store.value("other")), (Some("a.b/c \r\n\u{fc}"), None));
    assert!(store.seconds_left("one").is_some_and(|seconds| (1..=60).contains(&seconds)));
    assert_eq!(store.seconds_left("two"), None);

    // Without Redis there is an answer all the same; without Webdis there is none.
    store.save();
    store.stop_redis();
    assert_eq!(ask(&store, "/GET/one").0, 503);
    store.start_redis();
    until("Webdis that has found Redis", || (ask(&store, "/GET/one").0 == 200).then_some(()));
    assert_eq!(store.count(), 2);
    store.stop_webdis();
    assert_eq!(get(store.port(), "/GET/one"), None);
    store.start_webdis();
    assert_eq!(ask(&store, "/GET/one").0, 200);

    store.flush();
    assert_eq!(store.count(), 0);
}
