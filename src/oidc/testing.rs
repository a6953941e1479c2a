//! A provider to test with.

use std::time::Duration;

use super::*;
pub(crate) use crate::flow::tests::world::TestPlatform;
use crate::secret::ClientSecret;

pub(crate) const ISSUER: &str = "https://idp.example.com";

pub(crate) fn relying_party() -> RelyingParty {
    RelyingParty {
        issuer: Issuer::parse(ISSUER, PlainHttp::LoopbackOnly).unwrap(),
        client_id: "client".to_owned(),
        authentication: ClientAuthentication::Unspecified(ClientSecret::new("secret")),
        proof_key: None,
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        authorization_params: Vec::new(),
        request_form: RequestForm::default(),
        claims_request: OnceCell::new(),
        clusters: Clusters::new(Cluster::new("idp").unwrap(), Vec::new()),
        timeout: Duration::from_secs(5),
        plain_http: PlainHttp::LoopbackOnly,
    }
}

pub(crate) fn openid_provider() -> OpenIdProvider {
    OpenIdProvider {
        endpoints: ConfiguredEndpoints::default(),
        algorithms: Algorithm::ALL.to_vec(),
        trusted_audiences: Vec::new(),
        userinfo: false,
        discovers: true,
        configured: None,
    }
}

pub(crate) fn metadata() -> ProviderMetadata {
    let endpoint = |path: &str| Endpoint::parse(&format!("{ISSUER}/{path}"), PlainHttp::LoopbackOnly).unwrap();
    ProviderMetadata {
        authorization_endpoint: endpoint("authorize"),
        token_endpoint: endpoint("token"),
        jwks_uri: Some(endpoint("jwks")),
        end_session_endpoint: Some(endpoint("end")),
        revocation_endpoint: Some(endpoint("revoke")),
        userinfo_endpoint: None,
        pushed_request_endpoint: None,
        requires_signed_request: false,
        iss_parameter: true,
        account_prompt: "select_account",
        acr_values: None,
        post_only: false,
        left_out: Vec::new(),
    }
}

#[test]
fn a_host_is_called_through_its_own_cluster_or_the_default_one() {
    let cluster = |name: &str| Cluster::new(name).unwrap();
    let clusters = Clusters::new(cluster("idp"), vec![("keys.example.com:8443".to_owned(), cluster("keys"))]);
    for (url, expected) in [
        ("https://keys.example.com:8443/a", "keys"),
        ("https://keys.example.com/a", "idp"),
        ("https://idp.example.com/a", "idp"),
    ] {
        let endpoint = Endpoint::parse(url, PlainHttp::LoopbackOnly).unwrap();
        assert_eq!(clusters.reaching(&endpoint).as_str(), expected, "{url}");
    }
}

#[test]
fn plain_http_is_accepted_only_for_loopback_by_default() {
    for (url, ok) in [
        ("http://localhost:8080/a", true),
        ("http://idp.localhost/a", true),
        ("http://127.0.0.1/a", true),
        ("http://[::1]:9000/a", true),
        ("http://localhost.example.com/a", false),
        ("http://127.0.0.1.example.com/a", false),
        ("http://10.0.0.1/a", false),
        ("ftp://localhost/a", false),
    ] {
        assert_eq!(Endpoint::parse(url, PlainHttp::LoopbackOnly).is_ok(), ok, "{url}");
    }
    assert!(Endpoint::parse("http://10.0.0.1/a", PlainHttp::Allowed).is_ok());
    assert!(Endpoint::parse("ftp://10.0.0.1/a", PlainHttp::Allowed).is_err());
}
