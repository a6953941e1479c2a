//! Settings of `type: oidc`.

use std::rc::Rc;

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    bounds::{limit_entries, resolve_each},
    issuer::{algorithms, audiences, endpoint, issuer},
    limits,
    protocol_settings::{AccessTokens, ProtocolSettings, refuse},
    text,
};
use crate::{
    jose::claims::{ExpectedIssuer, TENANT},
    oidc::{ConfiguredEndpoints, Endpoint, Issuer, OpenIdProvider, PlainHttp, provider_metadata::ProviderMetadata},
    provider::Protocol,
};

/// Resolves the settings of `type: oidc`; reports those of other types as faults.
#[inline(never)]
pub(super) fn resolve(
    raw: &mut raw::Provider,
    client_id: Option<&str>,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<ProtocolSettings, Faulty> {
    let settings = [
        (raw.github_url.is_some(), "github_url"),
        (raw.github_api_url.is_some(), "github_api_url"),
        (raw.claims.is_some(), "claims"),
        (raw.further_userinfo.is_some(), "further_userinfo"),
        (raw.userinfo_token.is_some(), "userinfo_token"),
        (raw.email_is_verified.is_some(), "email_is_verified"),
    ];
    refuse(&settings, "oidc", at, faults);
    if raw.metadata_url.is_some() && raw.discovery == Some(false) {
        faults.wrong(&at.key("metadata_url"), "nothing, because discovery is false");
    }
    let metadata_url = endpoint(raw.metadata_url.take(), &at.key("metadata_url"), plain_http, faults);
    let issuer = openid_issuer(raw.issuer.take(), metadata_url, &at.key("issuer"), plain_http, faults);
    let scopes = scopes(raw.scopes.take(), &at.key("scopes"), faults);
    let has_userinfo_endpoint = raw.userinfo_endpoint.is_some();
    let asks_userinfo = raw.userinfo.unwrap_or(false);
    let discovers = raw.discovery.unwrap_or(true);
    if !discovers {
        require_endpoints(raw, asks_userinfo, at, faults);
    }
    let endpoints = endpoints(raw, at, plain_http, faults);
    if has_userinfo_endpoint && !asks_userinfo && !faults.any_within(&at.key("userinfo")) {
        faults.wrong(&at.key("userinfo_endpoint"), "no URL, because it has no effect without userinfo: true");
    }
    let algorithms = algorithms(raw.id_token_signing_algs.take(), &at.key("id_token_signing_algs"), faults);
    let trusted_audiences = audiences(raw.trusted_audiences.take(), &at.key("trusted_audiences"), faults);
    let at_audiences = at.key("access_token_audiences");
    let access_token_audiences = audiences(raw.access_token_audiences.take(), &at_audiences, faults);
    if access_token_audiences.iter().flatten().any(|audience| Some(audience.as_str()) == client_id) {
        faults.wrong(&at_audiences, "other audiences than the client ID, the audience of ID tokens");
    }
    let (algorithms, audiences, endpoints) = (algorithms?, access_token_audiences?, endpoints?);
    if !audiences.is_empty()
        && issuer.as_ref().is_ok_and(|issuer| matches!(issuer.expected(), ExpectedIssuer::OfTenant(_)))
    {
        faults.wrong(
            &at_audiences,
            "nothing; access tokens are those of one tenant: list its issuer under token_issuers",
        );
    }
    Ok(ProtocolSettings {
        issuer: issuer?,
        scopes: scopes?,
        access_tokens: (!audiences.is_empty()).then(|| AccessTokens { audiences, algorithms: algorithms.clone() }),
        protocol: Protocol::Oidc(Box::new(OpenIdProvider {
            configured: ProviderMetadata::configured(&endpoints, asks_userinfo).map(Rc::new),
            endpoints,
            algorithms,
            trusted_audiences: trusted_audiences?,
            userinfo: asks_userinfo,
            discovers,
        })),
    })
}

fn openid_issuer(
    value: Option<String>,
    metadata_url: Result<Option<Endpoint>, Faulty>,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<Issuer, Faulty> {
    let metadata_url = metadata_url?;
    let issuer = match value {
        Some(text) if text.contains('{') => {
            let is_segment = text.split('/').skip(3).filter(|segment| *segment == TENANT).count() == 1;
            if metadata_url.is_none() || !is_segment || text.matches(['{', '}']).count() != 2 {
                let expected = "a URL; {tenantid} may be one whole segment of its path where metadata_url is given, for a \
                                provider with many tenants";
                return Err(faults.wrong_value(at, expected, &text));
            }
            text::url_text(&text.replace(TENANT, ""), at, faults)?;
            Issuer::parse(&text, plain_http).map_err(|error| text::wrong_url(&text, error.to_string(), at, faults))?
        }
        value => issuer(value, at, plain_http, faults)?,
    };
    let issuer = match metadata_url {
        Some(url) => issuer.with_metadata_at(url),
        None => issuer,
    };
    if issuer.authority() == "github.com" {
        faults.wrong(at, "`type: github` in place of an issuer: GitHub does not speak OpenID Connect");
    }
    Ok(issuer)
}

/// Reports the endpoints that a provider without discovery lacks.
fn require_endpoints(raw: &raw::Provider, asks_userinfo: bool, at: &At<'_>, faults: &mut Faults) {
    for (is_missing, field) in [
        (raw.authorization_endpoint.is_none(), "authorization_endpoint"),
        (raw.token_endpoint.is_none(), "token_endpoint"),
        (raw.jwks_uri.is_none(), "jwks_uri"),
        (
            raw.pushed_authorization_requests == Some(true) && raw.pushed_authorization_request_endpoint.is_none(),
            "pushed_authorization_request_endpoint",
        ),
        (asks_userinfo && raw.userinfo_endpoint.is_none(), "userinfo_endpoint"),
    ] {
        if is_missing {
            let _: Result<(), _> = faults.required(&at.key(field), None, "a URL, because discovery is false");
        }
    }
}

/// Configured endpoints, which replace discovered ones.
fn endpoints(
    raw: &mut raw::Provider,
    at: &At<'_>,
    plain_http: PlainHttp,
    faults: &mut Faults,
) -> Result<ConfiguredEndpoints, Faulty> {
    let mut endpoint = |url, field| endpoint(url, &at.key(field), plain_http, faults);
    let authorization = endpoint(raw.authorization_endpoint.take(), "authorization_endpoint");
    let token = endpoint(raw.token_endpoint.take(), "token_endpoint");
    let jwks = endpoint(raw.jwks_uri.take(), "jwks_uri");
    let end_session = endpoint(raw.end_session_endpoint.take(), "end_session_endpoint");
    let revocation = endpoint(raw.revocation_endpoint.take(), "revocation_endpoint");
    let userinfo = endpoint(raw.userinfo_endpoint.take(), "userinfo_endpoint");
    let pushed_request =
        endpoint(raw.pushed_authorization_request_endpoint.clone(), "pushed_authorization_request_endpoint");
    Ok(ConfiguredEndpoints {
        authorization: authorization?,
        token: token?,
        jwks: jwks?,
        end_session: end_session?,
        revocation: revocation?,
        userinfo: userinfo?,
        pushed_request: pushed_request?,
    })
}

fn scopes(value: Option<Vec<String>>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    let given = value.unwrap_or_else(|| limits::SCOPES.iter().map(|scope| (*scope).to_owned()).collect());
    limit_entries(given.len(), at, faults)?;
    let mut scopes = vec!["openid".to_owned()];
    for scope in resolve_each(given, at, faults, text::scope)? {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}
