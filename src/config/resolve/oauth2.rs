//! Settings of `type: oauth2`.

use serde_json::Value;

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    allow,
    bounds::{limit_entries, resolve_each},
    issuer::{endpoint, issuer},
    limits,
    protocol_settings::{ProtocolSettings, refuse},
    text,
};
use crate::{
    claims::ClaimPath,
    oidc::{Endpoint, Issuer, PlainHttp, provider_metadata::ProviderMetadata, userinfo::OF_THE_TOKEN},
    provider::{
        Protocol,
        oauth2::{OAuth2, Question, Questions, TokenPlace},
    },
};

/// Resolves the settings of `type: oauth2`; reports those of other types as faults.
#[inline(never)]
pub(super) fn resolve(
    raw: &mut raw::Provider,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<ProtocolSettings, Faulty> {
    refuse_other_settings(raw, at, faults);
    let scopes = scopes(raw.scopes.take(), &at.key("scopes"), faults);
    let questions = questions(raw, at, plain_http, faults);
    let mut endpoint = |url, field| endpoint(url, &at.key(field), plain_http, faults);
    let end_session = endpoint(raw.end_session_endpoint.take(), "end_session_endpoint");
    let revocation = endpoint(raw.revocation_endpoint.take(), "revocation_endpoint");
    let pushed_request =
        endpoint(raw.pushed_authorization_request_endpoint.clone(), "pushed_authorization_request_endpoint");
    if raw.pushed_authorization_requests == Some(true) && raw.pushed_authorization_request_endpoint.is_none() {
        let expected = "a URL, because pushed_authorization_requests is true";
        let _: Result<(), _> = faults.required(&at.key("pushed_authorization_request_endpoint"), None, expected);
    }
    let authorization = required(raw.authorization_endpoint.take(), "authorization_endpoint", at, plain_http, faults);
    let token = required(raw.token_endpoint.take(), "token_endpoint", at, plain_http, faults);
    let authorization = authorization?;
    let issuer = issuer_or(raw.issuer.take(), &authorization, at, plain_http, faults)?;
    let (scopes, questions) = (scopes?, questions?);
    let metadata = ProviderMetadata {
        end_session_endpoint: end_session?,
        revocation_endpoint: revocation?,
        pushed_request_endpoint: pushed_request?,
        ..ProviderMetadata::of(authorization, token?)
    };
    Ok(ProtocolSettings {
        issuer,
        scopes,
        access_tokens: None,
        protocol: Protocol::OAuth2(OAuth2::new(metadata, questions)),
    })
}

fn refuse_other_settings(raw: &raw::Provider, at: &At<'_>, faults: &mut Faults) {
    let settings = [
        (raw.github_url.is_some(), "github_url"),
        (raw.github_api_url.is_some(), "github_api_url"),
        (raw.metadata_url.is_some(), "metadata_url"),
        (raw.discovery.is_some(), "discovery"),
        (raw.jwks_uri.is_some(), "jwks_uri"),
        (raw.userinfo.is_some(), "userinfo"),
        (raw.id_token_signing_algs.is_some(), "id_token_signing_algs"),
        (raw.trusted_audiences.is_some(), "trusted_audiences"),
        (raw.access_token_audiences.is_some(), "access_token_audiences"),
    ];
    refuse(&settings, "oauth2", at, faults);
}

/// The configured issuer, or the URL of the authorization endpoint in its place.
fn issuer_or(
    value: Option<String>,
    authorization: &Endpoint,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Issuer, Faulty> {
    if value.is_some() {
        return issuer(value, &at.key("issuer"), plain_http, faults);
    }
    let mut url = authorization.url().clone();
    url.set_query(None);
    issuer(Some(url.into()), &at.key("authorization_endpoint"), plain_http, faults)
}

fn required(
    value: Option<String>,
    field: &str,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Endpoint, Faulty> {
    let at = at.key(field);
    let value = faults.required(&at, value, "a URL; with `type: oauth2` nothing is discovered")?;
    endpoint(Some(value), &at, plain_http, faults)?.ok_or_else(|| faults.wrong(&at, "a URL"))
}

fn scopes(value: Option<Vec<String>>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    let scopes = value.unwrap_or_default();
    limit_entries(scopes.len(), at, faults)?;
    resolve_each(scopes, at, faults, text::scope)
}

/// How the server is asked about the user.
fn questions(
    raw: &mut raw::Provider,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Questions, Faulty> {
    let endpoint = required(raw.userinfo_endpoint.take(), "userinfo_endpoint", at, plain_http, faults);
    let claims = claims(raw.claims.take().unwrap_or_default(), &at.key("claims"), faults);
    let at_further = at.key("further_userinfo");
    let further = raw.further_userinfo.take().unwrap_or_default();
    if further.len() > limits::MAX_FURTHER_USERINFO {
        let expected = format!("at most {} endpoints, got {}", limits::MAX_FURTHER_USERINFO, further.len());
        return Err(faults.wrong(&at_further, expected));
    }
    let further = resolve_each(further, &at_further, faults, |raw, at, faults| question(raw, at, plain_http, faults));
    if raw.dpop_key.is_some() && matches!(raw.userinfo_token, Some(raw::TokenPlace::Query)) {
        // RFC 9449, 7.1
        faults.wrong(&at.key("userinfo_token"), "header, because a token that is bound to dpop_key goes nowhere else");
    }
    let token_place = match raw.userinfo_token {
        Some(raw::TokenPlace::Query) => TokenPlace::Query,
        Some(raw::TokenPlace::Header) | None => TokenPlace::Header,
    };
    Ok(Questions {
        userinfo: Question { endpoint: endpoint?, select: Vec::new(), claims: claims? },
        further: further?,
        token_place,
        email_is_verified: raw.email_is_verified == Some(true),
    })
}

/// A further question. It cannot name another subject.
fn question(
    raw: raw::FurtherUserinfo,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Question, Faulty> {
    let endpoint = required(raw.endpoint, "endpoint", at, plain_http, faults);
    let at_claims = at.key("claims");
    let claims = faults
        .required(&at_claims, raw.claims, "the claims to read")
        .and_then(|entries| self::claims(entries, &at_claims, faults));
    if claims.as_ref().is_ok_and(|claims| claims.iter().any(|(name, _)| name == "sub")) {
        faults.wrong(&at_claims.key("sub"), "nothing; the answer of userinfo_endpoint names the subject");
    }
    if claims.as_ref().is_ok_and(Vec::is_empty) {
        faults.wrong(&at_claims, "at least one claim to read");
    }
    let select = select(raw.select.unwrap_or_default(), &at.key("select"), faults);
    Ok(Question { endpoint: endpoint?, select: select?, claims: claims? })
}

fn claims(entries: raw::Entries, at: &At<'_>, faults: &mut Faults) -> Result<Vec<(String, ClaimPath)>, Faulty> {
    limit_entries(entries.0.len(), at, faults)?;
    resolve_each(entries.0, at, faults, |(name, path), _, faults| {
        let at = at.key(&name);
        text::claim(&name, &at, faults)?;
        if name != "sub" && OF_THE_TOKEN.contains(&name.as_str()) {
            return Err(faults.wrong(&at, "another claim: only a signed token can make this one"));
        }
        let path = ClaimPath::parse(&path).filter(|_| path.trim() == path).ok_or_else(|| {
            faults.wrong_value(&at, "the name of a member, or a JSON Pointer such as /picture/data/url", &path)
        })?;
        Ok((name, path))
    })
}

fn select(
    entries: raw::Entries<raw::Scalar>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Vec<(String, Value)>, Faulty> {
    limit_entries(entries.0.len(), at, faults)?;
    resolve_each(entries.0, at, faults, |(name, value), _, faults| {
        let value = allow::scalar(value, &at.key(&name), faults)?;
        Ok((name, value))
    })
}
