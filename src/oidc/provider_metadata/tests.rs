use serde_json::{Value, json};

use super::{
    super::{EndpointError, PlainHttp},
    *,
};
use crate::{
    oidc::{
        discovery::UnusableEndpoint,
        testing::{ISSUER, openid_provider, relying_party},
    },
    quoted::Quoted,
};

fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://login.example.com/authorize",
        "token_endpoint": "https://login.example.com/token",
        "jwks_uri": "https://keys.example.com/jwks?v=1",
        "unknown": { "members": ["are", "ignored"] },
    })
}

fn parse(document: &Value) -> Result<ProviderMetadata, DiscoveryError> {
    ProviderMetadata::parse(&relying_party(), &openid_provider(), document.to_string().as_bytes())
}

#[test]
fn another_account_is_asked_for_with_a_prompt_that_the_provider_takes() {
    let asked = |listed: Value| {
        let mut document = document();
        document["prompt_values_supported"] = listed;
        parse(&document).unwrap().account_prompt
    };
    assert_eq!(parse(&document()).unwrap().account_prompt, "select_account");
    assert_eq!(asked(json!(["none", "login", "select_account"])), "select_account");
    assert_eq!(asked(json!(["none", "login", "consent"])), "login");
    assert_eq!(asked(json!("login")), "login");
    assert_eq!(asked(json!("")), "select_account");
    assert_eq!(asked(json!(7)), "select_account");
}

#[test]
fn endpoints_may_be_on_other_hosts() {
    let metadata = parse(&document()).unwrap();
    let jwks_uri = metadata.jwks_uri.unwrap();
    assert_eq!(jwks_uri.authority(), "keys.example.com");
    assert_eq!(jwks_uri.path_and_query(), "/jwks?v=1");
    assert!(!metadata.iss_parameter && !metadata.post_only);
}

#[test]
fn a_document_of_another_issuer_or_with_unusable_endpoints_is_refused() {
    type Change = fn(&mut Value);
    let bad = |name, url, error| DiscoveryError::BadEndpoint(UnusableEndpoint { name, url: Quoted::new(url), error });
    let cases: [(&str, Change, DiscoveryError); 13] = [
        (
            "discovery-issuer-mismatch",
            |d| d["issuer"] = json!("https://evil.example"),
            DiscoveryError::IssuerMismatch(Quoted::new("https://evil.example")),
        ),
        (
            "a slash more",
            |d| d["issuer"] = json!(format!("{ISSUER}/")),
            DiscoveryError::IssuerMismatch(Quoted::new(&format!("{ISSUER}/"))),
        ),
        ("issuer is a list", |d| d["issuer"] = json!([ISSUER]), DiscoveryError::Missing("issuer")),
        ("no keys", |d| d["jwks_uri"] = Value::Null, DiscoveryError::Missing("jwks_uri")),
        ("empty", |d| d["token_endpoint"] = json!(""), DiscoveryError::Missing("token_endpoint")),
        ("a list of one", |d| d["jwks_uri"] = json!([d["jwks_uri"]]), DiscoveryError::Missing("jwks_uri")),
        (
            "J-17 plain http",
            |d| d["jwks_uri"] = json!("http://169.254.169.254/"),
            bad("jwks_uri", "http://169.254.169.254/", EndpointError::NotHttps),
        ),
        (
            "J-17 plain http on this machine",
            |d| d["token_endpoint"] = json!("http://127.0.0.1:9901/quitquitquit"),
            bad("token_endpoint", "http://127.0.0.1:9901/quitquitquit", EndpointError::NotHttps),
        ),
        (
            "J-17 a file",
            |d| d["jwks_uri"] = json!("file:///etc/passwd"),
            bad("jwks_uri", "file:///etc/passwd", EndpointError::NotAbsolute),
        ),
        (
            "another scheme",
            |d| d["token_endpoint"] = json!("gopher://login.example.com/"),
            bad("token_endpoint", "gopher://login.example.com/", EndpointError::NotHttps),
        ),
        (
            "J-17 user information",
            |d| d["token_endpoint"] = json!("https://a:b@login.example.com/"),
            bad("token_endpoint", "https://a:b@login.example.com/", EndpointError::UserInfo),
        ),
        (
            "javascript",
            |d| d["authorization_endpoint"] = json!("javascript:alert(1)"),
            bad("authorization_endpoint", "javascript:alert(1)", EndpointError::NotAbsolute),
        ),
        (
            "fragment",
            |d| d["authorization_endpoint"] = json!("https://login.example.com/#a"),
            bad("authorization_endpoint", "https://login.example.com/#a", EndpointError::Fragment),
        ),
    ];
    for (name, change, expected) in cases {
        let mut document = document();
        change(&mut document);
        assert_eq!(parse(&document), Err(expected), "{name}");
    }
}

#[test]
fn a_plain_http_endpoint_is_named_with_its_url_and_the_remedy() {
    let mut document = document();
    document["token_endpoint"] = json!("http://idp.internal:8080/token");
    assert_eq!(
        parse(&document).unwrap_err().to_string(),
        r#"its token_endpoint "http://idp.internal:8080/token" is not an https URL (http only for localhost and loopback addresses); let the provider publish https URLs, or configure token_endpoint as https and the Envoy cluster that reaches it under clusters, or set danger.plain_http_providers"#
    );
}

#[test]
fn the_string_true_promises_iss_like_the_boolean() {
    for (said, expected) in [
        (json!(true), true),
        (json!("true"), true),
        (json!("false"), false),
        (json!(""), false),
        (json!(1), false),
        (Value::Null, false),
    ] {
        let mut document = document();
        document["authorization_response_iss_parameter_supported"] = said.clone();
        assert_eq!(parse(&document).unwrap().iss_parameter, expected, "{said}");
    }
}

#[test]
fn unusable_sign_out_endpoints_are_omitted() {
    for (said, left_out) in [
        (json!("http://login.example.com/end"), true),
        (json!("javascript:alert(1)"), true),
        (json!(""), false),
        (Value::Null, false),
    ] {
        let mut document = document();
        document["end_session_endpoint"] = said.clone();
        let metadata = parse(&document).unwrap();
        assert!(metadata.end_session_endpoint.is_none());
        assert_eq!(!metadata.left_out.is_empty(), left_out, "{said}");
    }
}

#[test]
fn configured_endpoints_override_discovered_ones() {
    let mut provider = openid_provider();
    provider.endpoints.jwks = Endpoint::parse("https://other.example/keys", PlainHttp::LoopbackOnly).ok();
    let mut document = document();
    document["jwks_uri"] = json!("http://169.254.169.254/");
    let metadata = ProviderMetadata::parse(&relying_party(), &provider, document.to_string().as_bytes()).unwrap();
    assert_eq!(metadata.jwks_uri.unwrap().authority(), "other.example");
}

#[test]
fn required_signed_requests_need_a_client_key() {
    let mut document = document();
    document["require_signed_request_object"] = json!(true);
    assert_eq!(parse(&document), Err(DiscoveryError::WantsSignedRequests));
    let mut client = relying_party();
    client.request_form.is_signed = Some(false);
    assert!(ProviderMetadata::parse(&client, &openid_provider(), document.to_string().as_bytes()).is_ok());
}

#[test]
fn mtls_aliases_apply_to_callouts_and_not_to_redirects() {
    let mut document = document();
    document["mtls_endpoint_aliases"] = json!({
        "authorization_endpoint": "https://mtls.example.com/authorize", "token_endpoint": "https://mtls.example.com/token",
        "revocation_endpoint": null,
    });
    document["revocation_endpoint"] = json!("https://login.example.com/revoke");
    let mut client = relying_party();
    client.authentication = ClientAuthentication::Tls;
    let metadata = ProviderMetadata::parse(&client, &openid_provider(), document.to_string().as_bytes()).unwrap();
    let hosts = [&metadata.authorization_endpoint, &metadata.token_endpoint].map(Endpoint::authority);
    assert_eq!(hosts, ["login.example.com", "mtls.example.com"]);
    assert_eq!(metadata.revocation_endpoint.unwrap().authority(), "login.example.com");
    assert_eq!(parse(&document).unwrap().token_endpoint.authority(), "login.example.com");
}

#[test]
fn client_secret_post_is_used_where_basic_is_not_offered() {
    for (offered, post) in [
        (json!(["client_secret_post"]), true),
        (json!(["client_secret_post", "client_secret_basic"]), false),
        (json!(["private_key_jwt"]), false),
        (json!("client_secret_post"), true),
        (json!(""), false),
        (Value::Null, false),
    ] {
        let mut document = document();
        document["token_endpoint_auth_methods_supported"] = offered.clone();
        let authentication = parse(&document).unwrap().authentication(&relying_party(), false);
        assert_eq!(matches!(authentication, ClientAuthentication::Post(_)), post, "{offered}");
    }
}
