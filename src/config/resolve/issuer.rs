//! The settings that providers and token issuers share.

use super::{
    super::fault::{At, Faults, Faulty, one_of},
    bounds::{limit_entries, resolve_each},
    limits,
    sign_in::Bodies,
    text::{self, Environment},
};
use crate::{
    jose::Algorithm,
    oidc::{Clusters, Endpoint, Issuer, PlainHttp},
    provisioning::Provisioning,
};

/// Settings that affect every issuer.
#[derive(Clone, Copy)]
pub(super) struct IssuerContext<'a> {
    pub(super) clusters: Result<&'a Clusters, Faulty>,
    pub(super) plain_http: PlainHttp,
    pub(super) env: Environment<'a>,
    pub(super) bodies: Bodies,
    pub(super) provisioning: Result<Option<&'a Provisioning>, Faulty>,
}

pub(super) fn issuer(
    value: Option<String>,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Issuer, Faulty> {
    let value = faults.required(at, value, "the issuer's URL, such as https://accounts.google.com")?;
    text::url_text(&value, at, faults)?;
    if value.contains('?') {
        return Err(faults.wrong(at, "a URL without a query"));
    }
    Issuer::parse(&value, plain_http).map_err(|error| text::wrong_url(&value, error.to_string(), at, faults))
}

pub(super) fn endpoint(
    value: Option<String>,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Option<Endpoint>, Faulty> {
    value.map(|value| endpoint_url(&value, at, plain_http, faults)).transpose()
}

pub(super) fn endpoint_url(
    value: &str,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Endpoint, Faulty> {
    text::url_text(value, at, faults)?;
    Endpoint::parse(value, plain_http).map_err(|error| text::wrong_url(value, error.to_string(), at, faults))
}

pub(super) fn algorithms(
    value: Option<Vec<String>>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Vec<Algorithm>, Faulty> {
    let Some(names) = value else { return Ok(Algorithm::ALL.to_vec()) };
    limit_entries(names.len(), at, faults)?;
    if names.is_empty() {
        return Err(
            faults.wrong(at, "at least one algorithm; without this field every supported asymmetric one is accepted")
        );
    }
    resolve_each(names, at, faults, algorithm)
}

pub(super) fn audiences(value: Option<Vec<String>>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    let audiences = value.unwrap_or_default();
    limit_entries(audiences.len(), at, faults)?;
    resolve_each(audiences, at, faults, audience)
}

fn algorithm(name: String, at: &At<'_>, faults: &mut Faults) -> Result<Algorithm, Faulty> {
    let algorithm = Algorithm::from_name(&name);
    algorithm.ok_or_else(|| faults.wrong_value(at, one_of(&Algorithm::ALL.map(Algorithm::name)), &name))
}

pub(super) fn audience(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    if (1..=limits::MAX_TEXT).contains(&text.len()) && text != "*" {
        return Ok(text);
    }
    Err(faults.wrong(at, format!("1 to {} bytes, no wildcard", limits::MAX_TEXT)))
}

/// The `iss` of tokens, without discovery.
pub(super) fn plain_name(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let name = faults.required(at, value, "the `iss` of its tokens")?;
    if (1..=limits::MAX_TEXT).contains(&name.len()) && text::is_vschar(&name) && !name.contains("/.well-known/") {
        return Ok(name);
    }
    Err(faults.wrong(at, format!("1 to {} characters of printable ASCII, as tokens have it", limits::MAX_TEXT)))
}
