//! What operators see: the dashboard and the alert rules of `envoy/monitoring` in the real Prometheus, which scrapes the real
//! Envoy; the audit log and the recommended access log; and the trace of a request at the provider.
//!
//! An hour of traffic is compressed: Prometheus scrapes each second instead of four times a minute, the dashboard's ranges are
//! a minute, and each kind of traffic comes a few times. The alerts' own times are those of `alerts.test.yaml`, which promtool
//! runs on a clock of its own.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wasm_tests::{
    api_client::{API, with_token},
    http1::{Request, Response},
    issuer::{Answer, Endpoint, Fault, Issuer, RefreshTokens},
    process::{self, Scratch, until},
    prometheus::{Prometheus, promtool},
    renewal::{DUE, give_short_lived_tokens},
    store::Store,
    tools,
    user_agent::Outgoing,
    world::{PUBLIC, World, assert_signed_in},
};

/// Counters, scrapes and rules are late by a second each; histograms by five.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn folder() -> PathBuf {
    tools::root().join("envoy/monitoring")
}

/// The queries of the dashboard, with the titles of their panels.
fn queries() -> Vec<(String, String)> {
    let text = fs::read_to_string(folder().join("dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| (panel["title"].as_str(), target["expr"].as_str()))
    });
    targets.map(|(title, query)| (title.expect("a title").to_owned(), query.expect("a query").to_owned())).collect()
}

/// A query as Grafana sends it, for one minute.
fn filled_in(query: &str) -> String {
    let filled = query.replace("$job", ".*").replace("$instance", ".*").replace(":15s]", ":1s]");
    let filled = filled.replace("$__rate_interval", "60s");
    // The first group of a pattern stays.
    assert!(!filled.replace("$1", "").contains('$'), "{filled}");
    filled
}

/// One worker, so that the request after a refusal comes to the worker that refused.
fn monitored(store: &Store, access_log: &Value) -> World {
    let world = World::around(Issuer::start(), |setup| {
        *setup = setup.clone().workers(1).cluster("webdis", store.port());
        setup.bodies_while_headers_are_held = true;
        setup.reloads = true;
        setup.connection_manager.insert("access_log".to_owned(), json!([access_log]));
        let misrouted = json!({
            "match": {"prefix": "/misrouted"}, "route": {"cluster": "app"},
            "metadata": {"filter_metadata": {"vestibule": {"policy": "gone"}}},
        });
        let others = json!({"name": "everything", "match": {"prefix": "/"}, "route": {"cluster": "app"}});
        let host = json!({"name": "app", "domains": ["*"], "routes": [misrouted, others]});
        setup.connection_manager.insert("route_config".to_owned(), json!({"virtual_hosts": [host]}));
        let document = &mut setup.configuration;
        document["audit_log"] = json!("with_subject");
        document["filter_state"] = json!({"user": true, "rule": true});
        document["session"]["store"] = json!({"cluster": "webdis", "timeout_ms": 10_000});
        document["session"]["lifetime_seconds"] = json!(86_400);
        document["allow_on_headers_stop_iteration"] = json!(true);
        document["sign_out"] = json!({"back_channel": true, "revoke": true});
        document["providers"][0]["access_token_audiences"] = json!([API]);
        document["route_metadata"] = json!(true);
        document["policies"] = json!({"bosses": {"access": "required", "allow": {"groups": ["bosses"]}}});
        document["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"name": "closed", "prefix": "/closed", "access": "deny"},
            {"name": "bosses", "prefix": "/bosses", "policy": "bosses"},
            {"name": "pages", "prefix": "/page", "access": "required"},
        ]);
    });
    give_short_lived_tokens(&world);
    world
}

#[track_caller]
fn assert_code(response: &Response, expected: (u16, &str)) {
    assert_eq!((response.status, response.code().as_deref()), (expected.0, Some(expected.1)), "{response:?}");
}

/// A bit of everything: sign-ins, refusals of each main kind, renewals, sign-outs, and a provider and a store that fail.
fn traffic(world: &World, store: &mut Store) {
    let url = |path: &str| world.url(path);
    world.issuer.sign_in_as(json!({"sub": "alice", "email": "alice@example.com", "groups": ["staff"]}));
    let (browser, _) = world.signed_in();
    for _ in 0..3 {
        assert_eq!(browser.get(&url("/page")).status, 200);
        assert_eq!(browser.get(&url(PUBLIC)).status, 200);
    }
    let preflight = Outgoing::new("OPTIONS", "/page").header("origin", "https://other.example");
    let preflight = preflight.header("access-control-request-method", "GET");
    assert_eq!(world.send(&preflight).expect("an answer").status, 200);
    let token = world.issuer.access_token(API, |_| {});
    assert_eq!(world.send(&with_token("/page", &token)).expect("an answer").status, 200);

    // Refusals.
    let before = world.upstream.count();
    assert_code(&world.send(&with_token("/page", "made-up")).expect("an answer"), (401, "invalid_token"));
    assert_code(&browser.get(&url("/closed")), (403, "denied"));
    assert_code(&browser.get(&url("/bosses")), (403, "not_allowed"));
    assert_code(&browser.get(&url("/misrouted")), (500, "route_policy"));
    assert_code(&world.browser().fetch(&url("/api")), (401, "sign_in_required"));
    assert_code(&world.browser().get(&url("/oauth2/callback?code=x&state=made-up")), (400, "callback_state"));
    let callback = world.callback_url(&world.browser(), "/page");
    assert_code(&world.browser().get(&callback), (302, "sign_in_started"));
    let refused = |fault: Fault, expected: (u16, &str)| {
        world.issuer.misbehave(fault);
        let browser = world.browser();
        let callback = world.callback_url(&browser, "/page");
        assert_code(&browser.get(&callback), expected);
        world.issuer.behave();
    };
    refused(Fault::IdToken(|token| token.set("iss", "https://other.example")), (502, "id_token_refused"));
    for _ in 0..2 {
        refused(Fault::Answer(Endpoint::Token, Answer::status(500)), (503, "token_endpoint_unavailable"));
    }
    world.upstream.assert_saw_nothing_since(before, "refusals");

    // A sign-in without an email, with a key that is fetched for it.
    world.issuer.sign_in_as(json!({"sub": "carol"}));
    world.issuer.rotate();
    let (carol, _) = world.signed_in();

    // Renewals, the second of which fails.
    world.advance(DUE);
    assert_eq!(browser.get(&url("/page")).status, 200);
    world.issuer.misbehave(Fault::Refresh(Answer::status(500)));
    assert_eq!(carol.get(&url("/page")).status, 200);
    world.issuer.behave();

    // The user signs out, and the provider does not revoke the token.
    world.issuer.misbehave(Fault::Answer(Endpoint::Revocation, Answer::status(400)));
    assert_code(&carol.get(&url("/oauth2/sign_out")), (303, "signed_out"));
    // The provider signs the other one out, at first without a store.
    world.issuer.sign_in_as(json!({"sub": "bob", "email": "bob@example.com"}));
    let (bob, _) = world.signed_in();
    world.advance(1);
    store.save();
    store.stop_webdis();
    let logout = world.issuer.logout_token(|_| {});
    assert_code(&world.deliver_logout(0, &logout), (503, "store_unavailable"));
    let before = world.upstream.count();
    assert_code(&bob.get(&url("/page")), (503, "store_unavailable"));
    world.upstream.assert_saw_nothing_since(before, "without a store");
    store.start_webdis();
    let logout = world.issuer.logout_token(|_| {});
    assert_code(&world.deliver_logout(0, &logout), (200, "logged_out"));
    world.issuer.behave();
}

/// The access log that the page on operations recommends, written to this file.
fn recommended(file: &Path) -> Value {
    let page = fs::read_to_string(tools::root().join("envoy/docs/operations.md")).expect("the page on operations");
    let block = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut log: Value = block
        .map(|block| serde_json::from_str::<Value>(block).expect("JSON"))
        .find(|block| block["name"] == "envoy.access_loggers.file")
        .expect("an access log");
    log["typed_config"]["path"] = json!(file);
    log
}

/// The lines of the audit log in this text of Envoy's log.
fn audited(log: &str) -> Vec<Value> {
    let ours = log.lines().filter(|line| line.contains("wasm log vestibule "));
    let lines = ours.filter_map(|line| line.split_once("vestibule: audit "));
    lines.map(|(_, line)| serde_json::from_str(line).expect("JSON in the audit log")).collect()
}

#[test]
fn the_dashboard_and_the_alerts_show_an_hour_of_traffic() {
    let mut store = Store::start();
    let scratch = Scratch::new("monitoring");
    let access_log = scratch.file("access.json");
    let world = monitored(&store, &recommended(&access_log));
    world.until_ready();
    let prometheus = Prometheus::watching(&world.envoy, &folder().join("alerts.yaml"));

    // The queries of Envoy's own counters show zeros: nothing crashes here.
    let is_shown = |(title, query): &(String, String)| {
        let values = prometheus.query(&filled_in(query));
        let is_zero = title.starts_with("Envoy: ");
        !values.is_empty() && values.iter().any(|(_, value)| is_zero && *value >= 0.0 || *value > 0.0)
    };
    for _ in 0..2 {
        traffic(&world, &mut store);
    }
    let empty = || queries().into_iter().filter(|query| !is_shown(query)).collect::<Vec<_>>();
    let deadline = Instant::now() + SHOWN_WITHIN;
    while !empty().is_empty() {
        assert!(Instant::now() < deadline, "without data: {:#?}", empty());
        sleep(Duration::from_millis(500));
    }
    assert!(queries().len() > 15, "{:?}", queries());

    // Each series of a query has a name of its own in the legend.
    let codes = prometheus.query(&filled_in(&queries()[2].1));
    let codes: BTreeSet<_> = codes.iter().filter_map(|(labels, _)| labels["code"].as_str()).collect();
    for code in ["denied", "invalid_token", "not_allowed", "route_policy", "store_unavailable"] {
        assert!(codes.contains(code), "{code} is not among {codes:?}");
    }

    // Prometheus has the counters under the names that our files use.
    let (plain, exposed) = (world.envoy.admin("/stats"), world.envoy.admin("/stats/prometheus"));
    let counters: Vec<_> =
        plain.lines().filter_map(|line| line.strip_prefix("wasmcustom.")?.split_once(": ")).collect();
    assert!(counters.len() > 25, "{counters:?}");
    for (name, _) in counters {
        assert!(exposed.lines().any(|line| line.starts_with(name)), "{name} is not in:\n{exposed}");
    }
    for name in ["envoy_wasm_vestibule_vm_reload_success", "envoy_listener_manager_lds_update_rejected"] {
        assert!(exposed.contains(&format!("\n{name}{{")), "{name} is not in:\n{exposed}");
    }

    // No rule fails to evaluate, and exactly the alerts with a cause are firing or pending.
    let rules = prometheus.data("rules");
    let rules: Vec<_> =
        rules["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array()).collect();
    for rule in rules.iter().flat_map(|rules| rules.iter()) {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }
    let expected = ["VestibuleMisconfigured", "VestibuleProviderUnreachable", "VestibuleStoreUnavailable"];
    let alerts = || {
        let alerts = prometheus.data("alerts");
        let names =
            alerts["alerts"].as_array().into_iter().flatten().filter_map(|alert| alert["labels"]["alertname"].as_str());
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    until("alerts", || expected.iter().all(|name| alerts().contains(*name)).then_some(()));
    for name in ["VestibuleFilterFault", "VestibuleCrashed", "VestibuleConfigurationRefused", "VestibuleBusy"] {
        assert!(!alerts().contains(name), "{name}");
    }

    // Each of the events that a user or the provider caused is in the audit log.
    let lines = audited(&world.log());
    let has = |event: &str, outcome: &str, name: &str, value: &str| {
        let is_it = |line: &&Value| line["event"] == event && line["outcome"] == outcome && line[name] == value;
        let found = lines.iter().find(is_it);
        found.unwrap_or_else(|| panic!("no {event} {outcome} {name}={value} in {lines:#?}")).clone()
    };
    let signed_in = has("sign_in", "success", "subject", "alice");
    has("sign_in", "failure", "code", "id_token_refused");
    assert_eq!(has("refusal", "failure", "code", "not_allowed")["subject"], "alice");
    assert_eq!(has("refusal", "failure", "code", "denied")["rule"], "closed");
    assert!(has("refresh", "success", "subject", "alice")["request_id"].is_string());
    has("refresh", "failure", "subject", "carol");
    has("sign_out", "success", "by", "user");
    assert_eq!(has("sign_out", "success", "by", "back_channel")["subject"], "bob");
    assert!(lines.iter().all(|line| line["request_id"].is_string()), "{lines:#?}");

    // The access log has the line too, beside what Envoy knows of the request.
    let id = signed_in["request_id"].as_str().expect("an id");
    let entry = until("the sign-in in the access log", || {
        let text = process::read_text(&access_log);
        let mut entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries.find(|entry| entry["request_id"] == id)
    });
    let line = entry["audit"].as_str().and_then(|line| serde_json::from_str::<Value>(line).ok());
    assert_eq!(line.as_ref(), Some(&signed_in), "{entry:#}");
    assert_eq!(
        (&entry["code"], &entry["path"], &entry["status"]),
        (&json!("signed_in"), &json!("/oauth2/callback"), &json!(303))
    );
    let entries = process::read_text(&access_log);
    let page = entries.lines().find(|line| line.contains(r#""rule":"pages""#)).expect("a page in the access log");
    assert!(page.contains(r#""user":"alice""#) && page.contains(r#""route":"everything""#), "{page}");
    for secret in world.secrets() {
        assert!(!entries.contains(&secret), "{secret} stands in the access log");
    }
}

#[test]
fn promtool_accepts_the_alerts_and_their_tests() {
    let (accepted, said) = promtool(&["check", "rules", "alerts.yaml"], &folder());
    assert!(accepted, "{said}");
    let (passed, said) = promtool(&["test", "rules", "alerts.test.yaml"], &folder());
    assert!(passed, "{said}");
    // Each alert is seen to fire, and not to.
    let text = |name: &str| fs::read_to_string(folder().join(name)).expect("a file of the repository");
    let (rules, tests) = (text("alerts.yaml"), text("alerts.test.yaml"));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        let query = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}\n");
        let cases = tests.split(&query).skip(1);
        let cases: Vec<_> = cases.map(|case| case.lines().nth(1).is_some_and(|line| line.contains(alert))).collect();
        assert!(cases.contains(&true) && cases.contains(&false), "{alert}: {cases:?}");
    }
}

/// The headers of the token request of a sign-in whose callback has these headers.
fn token_request(world: &World, headers: &[(&str, &str)]) -> Request {
    let browser = world.browser();
    let callback = world.callback_url(&browser, "/page");
    let target = callback.strip_prefix(&world.url("")).expect("our own URL");
    let send = headers.iter().fold(Outgoing::navigation(target), |send, (name, value)| send.header(name, *value));
    assert_signed_in(&browser.visit(&callback, send), &world.url("/page"));
    world.issuer.requests(Endpoint::Token).pop().expect("a token request")
}

#[test]
fn calls_to_the_provider_are_part_of_the_trace_of_their_request() {
    let world = World::start();
    world.issuer.terms(|terms| terms.refresh_tokens = RefreshTokens::Always);
    let seen = token_request(&world, &[("traceparent", PARENT), ("tracestate", "vendor=1"), ("baggage", "user=alice")]);
    assert_eq!(
        (seen.headers.text("traceparent").as_deref(), seen.headers.text("tracestate").as_deref()),
        (Some(PARENT), Some("vendor=1"))
    );
    assert!(!seen.headers.has("baggage"), "{seen:?}");
    let b3 = [("x-b3-traceid", "0af7651916cd43dd"), ("x-b3-spanid", "b7ad6b7169203331"), ("x-b3-sampled", "1")];
    let seen = token_request(&world, &b3);
    for (name, value) in b3 {
        assert_eq!(seen.headers.text(name).as_deref(), Some(value), "{seen:?}");
    }
    // A malformed trace header of a client is not forwarded to the provider.
    let forged = format!("{}x", &PARENT[..54]);
    let seen = token_request(&world, &[("traceparent", &forged), ("tracestate", "vendor=1"), ("b3", "<script>")]);
    assert!(["traceparent", "tracestate", "b3"].iter().all(|name| !seen.headers.has(name)), "{seen:?}");
    // No request asked for metadata and keys.
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks] {
        let requests = world.issuer.requests(endpoint);
        assert!(!requests.is_empty() && requests.iter().all(|seen| !seen.headers.has("traceparent")), "{requests:?}");
    }
}

/// Envoy writes its own span into a request behind all filters: a filter before ours can show it to ours.
#[test]
fn a_trace_that_envoy_begins_reaches_the_provider_where_a_filter_writes_it_into_the_request() {
    for shows in [false, true] {
        let world = World::around(Issuer::start(), |setup| {
            let tracer = json!({
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "grpc_service": {"envoy_grpc": {"cluster_name": "collector"}, "timeout": "0.25s"},
                "service_name": "app",
            });
            let provider = json!({"name": "envoy.tracers.opentelemetry", "typed_config": tracer});
            let tracing = json!({"provider": provider, "random_sampling": {"value": 100.0}});
            setup.connection_manager.insert("tracing".to_owned(), tracing);
            // Nothing listens there.
            setup.clusters.push(("collector".to_owned(), 9));
            setup.filters_before.extend(shows.then(shown_span));
        });
        let seen = token_request(&world, &[]);
        let parent = seen.headers.text("traceparent");
        assert_eq!(parent.is_some(), shows, "{seen:?}");
        assert!(world.browser().get(&world.url(PUBLIC)).status == 200);
    }
}

/// The filter that the page on operations recommends.
fn shown_span() -> Value {
    let page = fs::read_to_string(tools::root().join("envoy/docs/operations.md")).expect("the page on operations");
    let blocks = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut filters = blocks.filter_map(|block| serde_json::from_str::<Value>(block).ok());
    filters.find(|block| block["name"] == "envoy.filters.http.header_mutation").expect("a filter that shows the span")
}
