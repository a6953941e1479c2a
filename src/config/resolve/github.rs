//! Settings of `type: github`.

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    issuer::issuer,
    limits,
    protocol_settings::ProtocolSettings,
};
use crate::{
    oidc::{Endpoint, Issuer, PlainHttp},
    provider::{Protocol, github::GitHub},
};

/// Resolves the settings of `type: github`; reports OpenID Connect settings as faults.
pub(super) fn resolve(
    raw: &mut raw::Provider,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<ProtocolSettings, Faulty> {
    // The URL of its pages stands for the issuer.
    let issuer = web(raw, at, plain_http, faults)?;
    let github = github(&issuer, raw.github_api_url.take(), &at.key("github_api_url"), plain_http, faults)?;
    // The rules decide the scopes.
    Ok(ProtocolSettings {
        issuer,
        scopes: Vec::new(),
        access_tokens: None,
        protocol: Protocol::GitHub(Box::new(github)),
    })
}

/// The URL of its pages.
fn web(raw: &mut raw::Provider, at: &At<'_>, plain_http: PlainHttp, faults: &mut Faults) -> Result<Issuer, Faulty> {
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
            faults.wrong(&at.key(field), "nothing; `type: github` has no such setting");
        }
    }
    if raw.client_secret.is_none() {
        let _: Result<(), _> =
            faults.required(&at.key("client_secret"), None, "the client secret that GitHub gave you");
    }
    // The API of an Enterprise Server is below its pages.
    match (&raw.github_url, &raw.github_api_url) {
        (Some(web), None) => raw.github_api_url = Some(format!("{}/api/v3", web.trim_end_matches('/'))),
        (None, None) => raw.github_api_url = Some(limits::GITHUB_API_URL.to_owned()),
        (None, Some(_)) => {
            faults.wrong(&at.key("github_api_url"), "nothing, or the URL of its pages as github_url beside it");
        }
        (Some(_), Some(_)) => {}
    }
    let web = raw.github_url.take().unwrap_or_else(|| limits::GITHUB_URL.to_owned());
    issuer(Some(web), &at.key("github_url"), plain_http, faults)
}

/// The instance with these URLs of its pages and its API.
fn github(
    web: &Issuer,
    api: Option<String>,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<GitHub, Faulty> {
    let api = issuer(api, at, plain_http, faults)?;
    Endpoint::parse(api.as_str(), plain_http)
        .and_then(|api| GitHub::new(web.as_str(), api, plain_http))
        .map_err(|error| faults.wrong(at, error.to_string()))
}
