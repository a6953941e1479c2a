//! The configuration of each filter that is measured.

use std::{fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use url::form_urlencoded;

use wasm_tests::{
    issuer::{CLIENT_ID, CLIENT_SECRET, Issuer},
    process::Scratch,
};

/// The audience of the access tokens.
pub const API: &str = "https://api.example.com";
/// The cluster of the issuer for Envoy's own filters.
pub const ISSUER_CLUSTER: &str = "issuer";
/// The cluster of oauth2-proxy.
pub const PEER_CLUSTER: &str = "oauth2-proxy";

/// Vestibule, as it is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vestibule {
    pub rules: usize,
    /// Whether the app is told who is signed in.
    pub tells_identity: bool,
    /// Another build than this one.
    pub build: Option<PathBuf>,
}

impl Default for Vestibule {
    fn default() -> Self {
        Self { rules: 1, tells_identity: true, build: None }
    }
}

/// The document of Vestibule; the last of its rules lets everybody see `/public/`.
pub fn vestibule(issuer: &Issuer, port: u16, vestibule: &Vestibule) -> Value {
    let area = |number| json!({"prefix": format!("/area/{number}"), "access": "public"});
    let further = (1..vestibule.rules).map(area);
    let rules: Vec<Value> = further.chain([json!({"path": "/public/*", "access": "public"})]).collect();
    let mut document = json!({
        "external_url": format!("http://127.0.0.1:{port}"),
        "cluster": "idp",
        "providers": [{
            "issuer": issuer.url(), "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "access_token_audiences": [API],
        }],
        "session": {"keys": [STANDARD.encode(b"a key to measure with, 32 bytes.")]},
        "rules": rules,
    });
    if !vestibule.tells_identity {
        document["identity_headers"] = json!({});
    }
    document
}

/// The tokens that `jwt_authn` verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// Access tokens of API clients, in the usual header.
    OfClients,
    /// ID tokens in the cookie of the `oauth2` filter.
    OfSessions,
}

/// Envoy's own `jwt_authn` filter, with its keys in the configuration; with its cache or without.
pub fn jwt_authn(issuer: &Issuer, tokens: Tokens, is_cached: bool) -> Value {
    let mut provider = json!({
        "issuer": issuer.url(),
        "local_jwks": {"inline_string": issuer.jwks().to_string()},
        "forward": true,
    });
    match tokens {
        Tokens::OfClients => provider["audiences"] = json!([API]),
        Tokens::OfSessions => {
            provider["audiences"] = json!([CLIENT_ID]);
            provider["from_cookies"] = json!(["IdToken"]);
            // Those that Vestibule sets, but for the groups: this filter takes no list.
            provider["claim_to_headers"] = json!([
                {"header_name": "x-forwarded-user", "claim_name": "sub"},
                {"header_name": "x-forwarded-email", "claim_name": "email"},
                {"header_name": "x-forwarded-preferred-username", "claim_name": "preferred_username"},
            ]);
        }
    }
    if is_cached {
        provider["jwt_cache_config"] = json!({"jwt_cache_size": 100});
    }
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"issuer": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
        },
    })
}

/// Envoy's own `oauth2` filter, with its secrets in files of this folder, which it reads at start.
pub fn oauth2(issuer: &Issuer, port: u16, folder: &Scratch) -> Value {
    let secret = |name: &str, value: &str| {
        let file = folder.file(name);
        let text = json!({"resources": [{
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": name,
            "generic_secret": {"secret": {"inline_string": value}},
        }]});
        fs::write(&file, text.to_string()).expect("the target folder can be written");
        json!({"name": name, "sds_config": {"path_config_source": {"path": file}, "resource_api_version": "V3"}})
    };
    // The filter encodes neither id nor secret by itself.
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    json!({
        "name": "envoy.filters.http.oauth2",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.oauth2.v3.OAuth2",
            "config": {
                "token_endpoint": {"cluster": ISSUER_CLUSTER, "uri": format!("{}/token", issuer.url()), "timeout": "3s"},
                "authorization_endpoint": format!("{}/authorize", issuer.url()),
                "redirect_uri": format!("http://127.0.0.1:{port}/oauth2/callback"),
                "redirect_path_matcher": {"path": {"exact": "/oauth2/callback"}},
                "signout_path": {"path": {"exact": "/oauth2/sign_out"}},
                "auth_scopes": ["openid", "email", "profile"],
                "credentials": {
                    "client_id": encoded(CLIENT_ID),
                    "token_secret": secret("token", &encoded(CLIENT_SECRET)),
                    "hmac_secret": secret("hmac", "0123456789abcdef0123456789abcdef"),
                },
                "auth_type": "BASIC_AUTH",
            },
        },
    })
}

/// Envoy's `ext_authz` filter, which asks oauth2-proxy on this port, sign-ins included.
pub fn ext_authz(peer: u16) -> Value {
    let exact =
        |names: &[&str]| json!({"patterns": names.iter().map(|name| json!({ "exact": name })).collect::<Vec<_>>()});
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "allowed_headers": exact(&["accept", "cookie"]),
            "http_service": {
                "server_uri": {"uri": format!("http://127.0.0.1:{peer}"), "cluster": PEER_CLUSTER, "timeout": "3s"},
                "authorization_request": {"headers_to_add": [{"key": "x-forwarded-proto", "value": "http"}]},
                "authorization_response": {
                    "allowed_upstream_headers": {"patterns": [{"prefix": "x-auth-request-"}]},
                    "allowed_client_headers": exact(&["location", "set-cookie"]),
                },
            },
        },
    })
}

/// The arguments of oauth2-proxy on this port, behind the Envoy on `port`.
pub fn oauth2_proxy(issuer: &Issuer, port: u16, peer: u16) -> Vec<String> {
    [
        ("http-address", format!("127.0.0.1:{peer}")),
        ("provider", "oidc".to_owned()),
        ("oidc-issuer-url", issuer.url()),
        ("client-id", CLIENT_ID.to_owned()),
        ("client-secret", CLIENT_SECRET.to_owned()),
        ("code-challenge-method", "S256".to_owned()),
        ("scope", "openid email profile".to_owned()),
        ("email-domain", "*".to_owned()),
        ("redirect-url", format!("http://127.0.0.1:{port}/oauth2/callback")),
        ("cookie-secret", "0123456789abcdef0123456789abcdef".to_owned()),
        ("cookie-secure", "false".to_owned()),
        ("reverse-proxy", "true".to_owned()),
        ("trusted-proxy-ip", "127.0.0.1".to_owned()),
        ("upstream", "static://200".to_owned()),
        ("set-xauthrequest", "true".to_owned()),
        ("skip-provider-button", "true".to_owned()),
        ("request-logging", "false".to_owned()),
        ("auth-logging", "false".to_owned()),
        ("standard-logging", "false".to_owned()),
    ]
    .map(|(name, value)| format!("--{name}={value}"))
    .to_vec()
}

/// Envoy's router, behind every filter.
pub fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    })
}
