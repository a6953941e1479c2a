//! Settings of `type: github`.

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    issuer::issuer,
    limits,
    protocol_settings::{ProtocolSettings, refuse},
};
use crate::{
    oidc::{Endpoint, Issuer, PlainHttp},
    provider::{Protocol, github::GitHub},
};

/// Resolves the settings of `type: github`; reports those of other types as faults.
#[inline(never)]
pub(super) fn resolve(
    raw: &mut raw::Provider,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<ProtocolSettings, Faulty> {
    refuse_other_settings(raw, at, faults);
    if raw.client_secret.is_none() {
        let _: Result<(), _> =
            faults.required(&at.key("client_secret"), None, "the client secret that GitHub gave you");
    }
    let api = api_url(raw, at, faults);
    let issuer = web_url(raw, at, plain_http, faults)?;
    let github = github(&issuer, api, &at.key("github_api_url"), plain_http, faults)?;
    // The rules decide the scopes.
    Ok(ProtocolSettings {
        issuer,
        scopes: Vec::new(),
        access_tokens: None,
        protocol: Protocol::GitHub(Box::new(github)),
    })
}

fn refuse_other_settings(raw: &raw::Provider, at: &At<'_>, faults: &mut Faults) {
    let settings = [
        (raw.issuer.is_some(), "issuer"),
        (raw.token_endpoint_auth_method.is_some(), "token_endpoint_auth_method"),
        (raw.client_key.is_some(), "client_key"),
        (raw.client_assertion.is_some(), "client_assertion"),
        (raw.dpop_key.is_some(), "dpop_key"),
        (raw.scopes.is_some(), "scopes"),
        (raw.authorization_endpoint.is_some(), "authorization_endpoint"),
        (raw.token_endpoint.is_some(), "token_endpoint"),
        (raw.response_mode.is_some(), "response_mode"),
        (raw.pushed_authorization_requests.is_some(), "pushed_authorization_requests"),
        (raw.pushed_authorization_request_endpoint.is_some(), "pushed_authorization_request_endpoint"),
        (raw.signed_authorization_requests.is_some(), "signed_authorization_requests"),
        (raw.metadata_url.is_some(), "metadata_url"),
        (raw.discovery.is_some(), "discovery"),
        (raw.jwks_uri.is_some(), "jwks_uri"),
        (raw.end_session_endpoint.is_some(), "end_session_endpoint"),
        (raw.revocation_endpoint.is_some(), "revocation_endpoint"),
        (raw.userinfo.is_some(), "userinfo"),
        (raw.userinfo_endpoint.is_some(), "userinfo_endpoint"),
        (raw.claims.is_some(), "claims"),
        (raw.further_userinfo.is_some(), "further_userinfo"),
        (raw.userinfo_token.is_some(), "userinfo_token"),
        (raw.email_is_verified.is_some(), "email_is_verified"),
        (raw.object_keys.is_some(), "object_keys"),
        (raw.id_token_signing_algs.is_some(), "id_token_signing_algs"),
        (raw.trusted_audiences.is_some(), "trusted_audiences"),
        (raw.access_token_audiences.is_some(), "access_token_audiences"),
    ];
    refuse(&settings, "github", at, faults);
}

/// API URL of the GitHub instance. The API of an Enterprise Server is below its web URL.
fn api_url(raw: &mut raw::Provider, at: &At<'_>, faults: &mut Faults) -> String {
    match (&raw.github_url, raw.github_api_url.take()) {
        (None, None) => limits::GITHUB_API_URL.to_owned(),
        (None, Some(api)) => {
            faults.wrong(&at.key("github_api_url"), "nothing, or the URL of its pages as github_url beside it");
            api
        }
        (Some(web), None) => format!("{}/api/v3", web.trim_end_matches('/')),
        (Some(_), Some(api)) => api,
    }
}

/// Web URL of the GitHub instance; it serves as the issuer.
fn web_url(raw: &mut raw::Provider, at: &At<'_>, plain_http: PlainHttp, faults: &mut Faults) -> Result<Issuer, Faulty> {
    let web = raw.github_url.take().unwrap_or_else(|| limits::GITHUB_URL.to_owned());
    issuer(Some(web), &at.key("github_url"), plain_http, faults)
}

/// The GitHub instance with this web URL and API URL.
fn github(
    web: &Issuer,
    api: String,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<GitHub, Faulty> {
    let api = issuer(Some(api), at, plain_http, faults)?;
    Endpoint::parse(api.as_str(), plain_http)
        .and_then(|api| GitHub::new(web.as_str(), api, plain_http))
        .map_err(|error| faults.wrong(at, error.to_string()))
}
