//! probe
use serde_json::json;
use wasm_tests::{envoy::*, issuer::*, world::*, user_agent::*};

#[test]
fn probe() {
    let world = World::around(Issuer::start(), |setup| {
        setup.connection_manager.insert("tracing".to_owned(), json!({
            "random_sampling": {"value": 100.0},
            "provider": {"name": "envoy.tracers.zipkin", "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig",
                "collector_cluster": "zipkin", "collector_endpoint": "/api/v2/spans", "collector_endpoint_version": "HTTP_JSON",
            }},
        }));
        setup.connection_manager.insert("http_filters_probe".to_owned(), json!(null));
        setup.connection_manager.remove("http_filters_probe");
        setup.clusters.push(("zipkin".to_owned(), 9));
    });
    let (browser, _) = world.signed_in();
    let _ = browser.visit(&world.url("/page"), Outgoing::navigation("/page").header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    println!("UPSTREAM {:#?}", world.upstream.last());
    println!("TOKEN {:#?}", world.issuer.requests(Endpoint::Token).last());
    let _ = world.metric("signed_in");
    println!("STATS {}", world.envoy.admin("/stats/prometheus"));
    println!("{}", world.envoy.access_log());
}
