//! GitHub as a provider: what is given of it, and what is not there to be given.

use std::time::Duration;

use super::{
    super::{
        fault::{Faults, Faulty, Path},
        raw,
    },
    Environment, allow, bounded, limits,
    provider::{authorization_params, client_id, client_secret, issuer},
};
use crate::oidc::{ClientAuthentication, Clusters, ConfiguredEndpoints, Endpoint, PlainHttp, Provider, github::Github};

/// GitHub as the provider at this place of the document.
pub(super) fn provider(
    raw: raw::Provider,
    at: &Path,
    clusters: Result<Clusters, Faulty>,
    plain_http: PlainHttp,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<Provider, Faulty> {
    for (is_given, field) in [
        (raw.issuer.is_some(), "issuer"),
        (raw.token_endpoint_auth_method.is_some(), "token_endpoint_auth_method"),
        (raw.scopes.is_some(), "scopes"),
        (raw.authorization_endpoint.is_some(), "authorization_endpoint"),
        (raw.token_endpoint.is_some(), "token_endpoint"),
        (raw.jwks_uri.is_some(), "jwks_uri"),
        (raw.end_session_endpoint.is_some(), "end_session_endpoint"),
        (raw.revocation_endpoint.is_some(), "revocation_endpoint"),
        (raw.userinfo.is_some(), "userinfo"),
        (raw.userinfo_endpoint.is_some(), "userinfo_endpoint"),
        (raw.id_token_signing_algs.is_some(), "id_token_signing_algs"),
        (raw.trusted_audiences.is_some(), "trusted_audiences"),
        (raw.access_token_audiences.is_some(), "access_token_audiences"),
    ] {
        if is_given {
            faults.wrong(&at.key(field), "nothing; a provider of `type: github` has none");
        }
    }
    let client_id = client_id(raw.client_id, &at.key("client_id"), faults);
    let at_secret = at.key("client_secret");
    let secret = faults.required(&at_secret, raw.client_secret, "the client secret that GitHub gave you");
    let secret = secret.and_then(|secret| client_secret(secret, &at_secret, env, faults));
    let authorization_params =
        authorization_params(raw.authorization_params.unwrap_or_default(), &at.key("authorization_params"), faults);
    let (web, api) = urls(raw.github_url, raw.github_api_url, &at.key("github_url"), faults)?;
    let issuer = issuer(Some(web), &at.key("github_url"), plain_http, faults);
    let at_api = at.key("github_api_url");
    let api = base(api, &at_api, plain_http, faults);
    let timeout = bounded(raw.timeout_ms, limits::TIMEOUT_MS, "milliseconds", &at.key("timeout_ms"), faults);
    let allow = allow::conditions(raw.allow, &at.key("allow"), faults);
    let (issuer, api) = (issuer?, api?);
    let github =
        Github::new(issuer.as_str(), api, plain_http).map_err(|error| faults.wrong(&at_api, error.to_string()))?;
    Ok(Provider {
        issuer,
        client_id: client_id?,
        github: Some(github),
        authentication: ClientAuthentication::Post(secret?),
        scopes: Vec::new(),
        authorization_params: authorization_params?,
        endpoints: ConfiguredEndpoints::default(),
        algorithms: Vec::new(),
        trusted_audiences: Vec::new(),
        access_token_audiences: Vec::new(),
        userinfo: false,
        allow: allow?,
        clusters: clusters?,
        timeout: Duration::from_millis(timeout?),
        plain_http,
    })
}

/// Where its pages and its API are. An Enterprise Server has the API below its pages.
fn urls(web: Option<String>, api: Option<String>, at: &Path, faults: &mut Faults) -> Result<(String, String), Faulty> {
    match (web, api) {
        (None, None) => Ok((limits::GITHUB_URL.to_owned(), limits::GITHUB_API_URL.to_owned())),
        (Some(web), Some(api)) => Ok((web, api)),
        (Some(web), None) => {
            let api = format!("{}/api/v3", web.trim_end_matches('/'));
            Ok((web, api))
        }
        (None, Some(_)) => faults.required(at, None, "the URL of the pages to which github_api_url belongs"),
    }
}

/// A URL that paths are put below.
fn base(url: String, at: &Path, plain_http: PlainHttp, faults: &mut Faults) -> Result<Endpoint, Faulty> {
    let url = issuer(Some(url), at, plain_http, faults)?;
    Endpoint::parse(url.as_str(), plain_http).map_err(|error| faults.wrong(at, error.to_string()))
}
