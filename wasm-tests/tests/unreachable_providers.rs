//! Providers whose metadata cannot be had: for each reason the log has a line of its own, which says what to change, and
//! `/oauth2/health` a word of its own. A byte order mark is no such reason, see `discovery_and_keys.rs`.

use serde_json::{Value, json};
use wasm_tests::{
    http1::{Outcome, Server},
    issuer::{Answer, Endpoint, Fault, Issuer},
    ports,
    process::until,
    provider::{Provider, Settings},
    sample::Sample,
    world::{PUBLIC, World, assert_page},
};

/// The flag of newer Envoys by which they do not say why there is no connection. Older ones always do.
const REASON_HIDDEN: &str = "envoy.reloadable_features.hide_transport_failure_reason_in_response_body";

/// A provider that cannot be used.
struct Case {
    name: &'static str,
    /// The reason in the log, with what to change.
    told: &'static str,
    /// The word of `/oauth2/health`.
    word: &'static str,
}

const CASES: [Case; 12] = [
    Case {
        name: "unknown",
        told: "Envoy has no cluster \"there-is-no-such-cluster\"; ADMIN/clusters lists them: Istio calls that of a ServiceEntry outbound|443||HOST, Envoy \
               Gateway that of an HTTPRoute httproute/NAMESPACE/NAME/rule/NUMBER",
        word: "unknown_cluster",
    },
    Case { name: "nameless", told: "the host name of its cluster does not resolve", word: "no_address" },
    Case {
        name: "empty",
        told: "Envoy did not start the request: the host name of its cluster does not resolve, no endpoint is healthy, or",
        word: "no_address",
    },
    Case {
        name: "refusing",
        told: "Envoy could not connect to the provider: nothing listens at the address of its cluster; no user",
        word: "refused",
    },
    Case {
        name: "closing",
        told: "the provider closed the connection without an answer; does its cluster use TLS exactly where the server does?",
        word: "connection_closed",
    },
    Case {
        name: "plain",
        told: "there is no TLS handshake with the provider: the address of its cluster does not speak TLS; compare the port, and \
               transport_socket",
        word: "no_tls",
    },
    Case {
        name: "untrusted",
        told: "there is no TLS handshake with the provider: its cluster does not trust the certificate; compare trusted_ca, sni and the \
               names in the certificate",
        word: "no_tls",
    },
    Case { name: "silent", told: "the provider did not answer in time", word: "no_answer_in_time" },
    Case { name: "page", told: "it is not JSON", word: "not_json" },
    Case {
        name: "renamed",
        told: "/\"; write exactly that as issuer, if it is the one you mean",
        word: "other_issuer",
    },
    Case {
        name: "absent",
        told: "the provider answered 404: no document is at \"http://127.0.0.1:",
        word: "not_found",
    },
    Case { name: "down", told: "the provider answered 500", word: "other_status" },
];

/// A cluster that speaks TLS with this port, and expects this name in the certificate.
fn tls_cluster(name: &str, port: u16, expected: &str) -> Value {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    json!({
        "name": name,
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {"validation_context": {
                "trusted_ca": {"filename": Sample::certificate()},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": expected}}],
            }},
        }},
    })
}

/// What `/oauth2/health` says of this provider.
fn trouble(world: &World, name: &str) -> Option<Value> {
    let health: Value = serde_json::from_slice(&world.browser().get(&world.url("/oauth2/health")).body).ok()?;
    let found = health["providers"].as_array()?.iter().find(|provider| provider["name"] == name)?;
    assert_eq!(found["state"], "waiting", "{health}");
    Some(found["trouble"].clone())
}

#[test]
fn the_log_and_the_health_page_say_why_a_provider_cannot_be_used() {
    let hangs_up = Server::start(0, |_, _| Outcome::Close);
    let [nothing, plain, tls] = [(); 3].map(|()| ports::free());
    let _both = Provider::with(&Settings { port: plain, tls: Some(tls), ..Settings::default() });
    let answering = [
        ("silent", Answer::Hang),
        ("page", Answer::status(200)),
        (
            "renamed",
            Answer::Edited(|body| body["issuer"] = json!(format!("{}/", body["issuer"].as_str().unwrap_or_default()))),
        ),
        ("absent", Answer::status(404)),
        ("down", Answer::status(500)),
    ]
    .map(|(name, answer)| {
        let issuer = Issuer::start();
        issuer.misbehave(Fault::Answer(Endpoint::Discovery, answer));
        (name, issuer)
    });
    let issuer_of = |name: &str| match answering.iter().find(|(known, _)| *known == name) {
        Some((_, issuer)) => issuer.url(),
        None if name == "nameless" => "https://nameless.invalid".to_owned(),
        None => format!("http://{name}.localhost:{nothing}"),
    };
    let world = World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        setup.runtime = json!({REASON_HIDDEN: false});
        setup
            .clusters
            .extend([("nothing-listens".to_owned(), nothing), ("hangs-up".to_owned(), hangs_up.address().port())]);
        setup.whole_clusters.extend([
            json!({"name": "no-endpoints", "load_assignment": {"cluster_name": "no-endpoints"}}),
            tls_cluster("tls-to-plain", plain, "localhost"),
            tls_cluster("another-name", tls, "login.example.com"),
        ]);
        let provider = |case: &Case| {
            json!({
                "name": case.name, "title": case.name, "issuer": issuer_of(case.name), "client_id": "a", "client_secret": "b",
                "timeout_ms": if case.name == "silent" { 500 } else { 10_000 },
            })
        };
        let providers = setup.configuration["providers"].as_array_mut().expect("a list");
        providers.extend(CASES.iter().map(provider));
        setup.configuration["clusters"] = json!({
            format!("unknown.localhost:{nothing}"): "there-is-no-such-cluster",
            format!("empty.localhost:{nothing}"): "no-endpoints",
            format!("refusing.localhost:{nothing}"): "nothing-listens",
            format!("closing.localhost:{nothing}"): "hangs-up",
            format!("plain.localhost:{nothing}"): "tls-to-plain",
            format!("untrusted.localhost:{nothing}"): "another-name",
        });
    });
    for Case { name, told, word } in &CASES {
        let line = format!("cannot use the metadata of {} (cluster ", issuer_of(name));
        let said = until("the line of the log", || {
            let log = world.log();
            log.lines().find(|found| found.contains(&line)).map(str::to_owned)
        });
        assert!(said.contains(told), "{name}: {said}");
        until(word, || (trouble(&world, name)? == *word).then_some(()));
    }
    world.upstream.assert_saw_nothing();
    // The others are not disturbed.
    let page = world.browser().get(&world.url("/page"));
    assert_page(&page, &[401], "the page of choice");
    assert_eq!(world.browser().get(&world.url(PUBLIC)).status, 200);
}

#[test]
fn a_hidden_connection_failure_is_logged_with_its_envoy_counter() {
    let [nothing, plain, tls] = [(); 3].map(|()| ports::free());
    let _both = Provider::with(&Settings { port: plain, tls: Some(tls), ..Settings::default() });
    let world = World::around(Issuer::start(), |setup| {
        setup.workers = 1;
        setup.whole_clusters.extend([
            tls_cluster("nothing-listens", nothing, "localhost"),
            tls_cluster("tls-to-plain", plain, "localhost"),
            tls_cluster("another-name", tls, "login.example.com"),
        ]);
        let provider = |name: &str| json!({"name": name, "issuer": format!("http://{name}.localhost:{nothing}"), "client_id": "a", "client_secret": "b"});
        let providers = setup.configuration["providers"].as_array_mut().expect("a list");
        providers.extend(["refusing", "plain", "untrusted"].map(provider));
        setup.configuration["clusters"] = json!({
            format!("refusing.localhost:{nothing}"): "nothing-listens",
            format!("plain.localhost:{nothing}"): "tls-to-plain",
            format!("untrusted.localhost:{nothing}"): "another-name",
        });
    });
    for name in ["refusing", "plain", "untrusted"] {
        let line = format!("cannot use the metadata of http://{name}.localhost:{nothing} (cluster ");
        let said = until("the line of the log", || {
            let log = world.log();
            log.lines().find(|found| found.contains(&line)).map(str::to_owned)
        });
        let told = "nothing listens at the address of its cluster, or the TLS handshake failed; ADMIN/stats?filter=ssl counts why";
        assert!(said.contains(told), "{name}: {said}");
        until("the word", || (trouble(&world, name)? == "no_connection").then_some(()));
    }
    let counted = |name: &str| world.envoy.stats(&format!("cluster.{name}")) > 0;
    assert!(counted("another-name.ssl.fail_verify_san") && counted("tls-to-plain.ssl.connection_error"));
    assert!(!counted("nothing-listens.ssl.connection_error"));
    world.upstream.assert_saw_nothing();
    assert_eq!(world.browser().get(&world.url(PUBLIC)).status, 200);
}
