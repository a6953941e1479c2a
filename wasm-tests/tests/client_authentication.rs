//! How the filter authenticates at the real provider, beside a client secret in a header or a form.

use serde_json::{Value, json};
use wasm_tests::{
    keys::of_clients as keys,
    ports,
    sample::{Sample, tls_key},
    site::{CLIENT_SECRET, Plan, Site},
    upstream::MARK,
    user_agent::UserAgent,
};

fn rsa_in_pem() -> &'static str {
    include_str!("../../src/jose/testdata/private_keys.pem").split("-----BEGIN PUBLIC").next().expect("a key")
}

/// The public half of a key, as the provider has it.
fn public(key: &Value) -> Value {
    let mut key = key.clone();
    let members = key.as_object_mut().expect("an object");
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        members.remove(name);
    }
    key
}

/// A site whose client has these metadata at the provider, and these settings in the filter in place of its secret.
fn site(at_provider: &Value, settings: &Value) -> Site {
    site_with(at_provider, settings, |_| {})
}

fn site_with(at_provider: &Value, settings: &Value, change: impl FnOnce(&mut Plan)) -> Site {
    Site::with(|plan| {
        change(plan);
        plan.setup.workers = 1;
        plan.setup = plan.setup.clone().variable("CLIENT_KEY", &rsa_in_pem().trim().replace('\n', "\\n"));
        plan.setup.configuration["sign_out"] = json!({"revoke": true});
        plan.provider.always_refresh_tokens = true;
        plan.provider.ttl = json!({"AccessToken": 6});
        let provider = &mut plan.setup.configuration["providers"][0];
        let client = &mut plan.provider.clients[0];
        for (target, changes) in [(client, at_provider), (provider, settings)] {
            let target = target.as_object_mut().expect("an object");
            for (name, value) in changes.as_object().expect("an object") {
                if value.is_null() {
                    target.remove(name);
                } else {
                    target.insert(name.clone(), value.clone());
                }
            }
        }
    })
}

/// Signs in, which redeems a code.
#[track_caller]
fn signs_in(site: &Site, what: &str) -> UserAgent {
    let browser = site.signs_in(what);
    assert_eq!(
        site.app.last().headers.text("x-forwarded-user").as_deref(),
        Some("alice"),
        "{what}\n{}",
        site.envoy.log()
    );
    browser
}

/// Signs in, renews the session and revokes it at sign-out: a call to each endpoint that asks for authentication.
#[track_caller]
fn works(site: &Site, what: &str) {
    let browser = signs_in(site, what);
    let log = || format!("{what}\n{}\n{}", site.envoy.log(), site.provider.log());
    // The access token lives for six seconds.
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert_eq!(browser.get(&site.url("/page")).status, 200, "{}", log());
    assert!(site.provider.seen("refresh_token.saved") >= 2, "{}", log());
    let _ = site.sign_out(&browser, &site.url("/oauth2/sign_out"));
    assert_eq!(site.provider.seen("/token/revocation"), 1, "{}", log());
    assert!(!site.provider.log().contains("grant.error"), "{}", log());
}

fn jwt_client(key: &Value) -> Value {
    json!({"token_endpoint_auth_method": "private_key_jwt", "client_secret": null, "jwks": {"keys": [public(key)]}})
}

#[test]
fn a_private_key_of_each_kind_signs_assertions() {
    for (key, alg) in keys().iter().zip(["RS256", "ES256", "ES384", "ES512", "EdDSA"]) {
        let settings = json!({"client_secret": null, "client_key": {"private_key": key.to_string()}});
        let _ = signs_in(&site(&jwt_client(key), &settings), alg);
    }
    let settings = json!({
        "client_secret": null,
        "token_endpoint_auth_method": "private_key_jwt",
        "client_key": {"private_key": {"env": "CLIENT_KEY"}, "kid": "of-the-client", "alg": "RS512"},
        "client_assertion": {"audience": "token_endpoint"},
    });
    let mut client = jwt_client(&keys()[0]);
    client["jwks"]["keys"][0]["kid"] = json!("of-the-client");
    let site = site(&client, &settings);
    works(&site, "PEM from the environment");
    assert!(!site.envoy.log().contains("PRIVATE KEY"), "{}", site.envoy.log());
}

#[test]
fn a_client_secret_signs_assertions() {
    let client = json!({"token_endpoint_auth_method": "client_secret_jwt"});
    works(&site(&client, &json!({"token_endpoint_auth_method": "client_secret_jwt"})), "HS256");
}

/// A site whose provider has a token endpoint by TLS, to which the cluster shows its certificate or none.
fn site_with_certificate(at_provider: &Value, method: &str, shows: bool) -> Site {
    let settings = json!({"client_secret": null, "token_endpoint_auth_method": method});
    site_with(at_provider, &settings, |plan| {
        let port = ports::free();
        plan.provider.tls = Some(port);
        let mut tls = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {"validation_context": {
                "trusted_ca": {"filename": Sample::certificate()},
                "match_typed_subject_alt_names": [{"san_type": "IP_ADDRESS", "matcher": {"exact": "127.0.0.1"}}],
            }},
        });
        if shows {
            tls["common_tls_context"]["tls_certificates"] = json!([{
                "certificate_chain": {"filename": Sample::certificate()}, "private_key": {"filename": tls_key()},
            }]);
        }
        let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        plan.setup.whole_clusters.push(json!({
            "name": "by-certificate",
            "connect_timeout": "2s",
            "load_assignment": {
                "cluster_name": "by-certificate",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
        }));
        plan.setup.configuration["clusters"] = json!({format!("127.0.0.1:{port}"): "by-certificate"});
    })
}

#[test]
fn the_cluster_certificate_authenticates_the_client() {
    let by_subject = json!({
        "token_endpoint_auth_method": "tls_client_auth", "client_secret": null,
        "tls_client_auth_subject_dn": "CN=provider of the tests",
    });
    let site = site_with_certificate(&by_subject, "tls_client_auth", true);
    works(&site, "tls_client_auth");

    let site = site_with_certificate(&by_subject, "tls_client_auth", false);
    let (_, page) = site.sign_in(&UserAgent::default(), "/page");
    assert_eq!((page.status, page.code().as_deref()), (502, Some("token_endpoint_refused")), "{page:?}");
    site.app.assert_saw_nothing();
    assert_eq!(UserAgent::default().get(&site.url("/public/x")).status, 200);
}

#[test]
fn a_client_key_unknown_to_the_provider_creates_no_session() {
    let [rsa, ec, ..] = &keys()[..] else { panic!("keys") };
    let settings = json!({"client_secret": null, "client_key": {"private_key": rsa.to_string()}});
    let site = site(&jwt_client(ec), &settings);
    let (_, page) = site.sign_in(&UserAgent::default(), "/page");
    assert_eq!((page.status, page.headers.has(MARK)), (502, false), "{page:?}");
    site.app.assert_saw_nothing();
    let told = "the provider refused: invalid_client";
    assert!(site.envoy.log().contains(told), "{}", site.envoy.log());
    assert_eq!(UserAgent::default().get(&site.url("/public/x")).status, 200);
    assert!(!site.envoy.log().contains(CLIENT_SECRET));
}
