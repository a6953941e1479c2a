//! Providers and the client registrations there.

use std::{cell::OnceCell, time::Duration};

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    allow, bounded, choice,
    client::{authentication, authorization_params, client_id},
    github,
    issuer::IssuerContext,
    limits, oauth2, openid,
    protocol_settings::{AccessTokens, ProtocolSettings},
    resolve_each, text,
};
use crate::{
    claims::IssuerId,
    oidc::{
        Issuer, RelyingParty,
        token_issuer::{TokenIssuer, TokenKind, Validation},
    },
    provider::{DEFAULT_PROVIDER, Provider},
};

/// The configured providers and token issuers.
pub(super) struct ResolvedIssuers {
    pub(super) providers: Vec<Provider>,
    pub(super) token_issuers: Vec<TokenIssuer>,
}

#[inline(never)]
pub(super) fn providers(
    raw: Option<Vec<raw::Provider>>,
    at: &At<'_>,
    context: IssuerContext<'_>,
    faults: &mut Faults,
) -> Result<ResolvedIssuers, Faulty> {
    let raw = faults.required(at, raw, "a list with at least one provider")?;
    if !(1..=limits::MAX_PROVIDERS).contains(&raw.len()) {
        return Err(faults.wrong(at, format!("1 to {} providers, got {}", limits::MAX_PROVIDERS, raw.len())));
    }
    let read = resolve_each(raw, at, faults, |raw, at, faults| provider(raw, at, context, faults))?;
    let mut resolved = ResolvedIssuers { providers: Vec::new(), token_issuers: Vec::new() };
    let mut fault = None;
    for (place, (provider, tokens)) in read.into_iter().enumerate() {
        let at = at.index(place);
        if resolved.providers.iter().any(|other| other.name == provider.name) {
            let expected = "a name that no other provider has; one of them may be without";
            fault = Some(faults.wrong(&at.key("name"), expected));
        }
        if resolved.providers.iter().any(|other| other.issuer().as_str() == provider.issuer().as_str()) {
            fault = Some(faults.wrong(&at.key("issuer"), "each issuer once"));
        }
        if resolved.providers.iter().any(|other| other.title == provider.title) {
            fault = Some(faults.wrong(&at.key("title"), "a title that no other provider has: users choose by it"));
        }
        let at_domains = at.key("email_domains");
        if let Err(faulty) = choice::refuse_domain_twice(&provider, &resolved.providers, &at_domains, faults) {
            fault = Some(faulty);
        }
        resolved.providers.push(provider);
        resolved.token_issuers.extend(tokens);
    }
    fault.map_or(Ok(resolved), Err)
}

/// A provider, and its token issuer if it has `access_token_audiences`.
#[inline(never)]
fn provider(
    mut raw: raw::Provider,
    at: &At<'_>,
    context: IssuerContext<'_>,
    faults: &mut Faults,
) -> Result<(Provider, Option<TokenIssuer>), Faulty> {
    let IssuerContext { clusters, plain_http, env } = context;
    let name = name(raw.name.take(), &at.key("name"), faults);
    let title = raw.title.take().map(|title| text::line(title, &at.key("title"), faults)).transpose();
    let logo = raw.logo.take().map(|logo| choice::logo(&logo, &at.key("logo"), faults)).transpose();
    let css_class = raw.css_class.take().map(|name| choice::css_class(name, &at.key("css_class"), faults)).transpose();
    let domains = raw.email_domains.take();
    let email_domains =
        domains.map(|domains| choice::email_domains(domains, &at.key("email_domains"), faults)).transpose();
    let client_id = client_id(raw.client_id.take(), &at.key("client_id"), faults);
    if raw.with.is_some() && raw.preset.is_none() {
        faults.wrong(&at.key("with"), "nothing; it is for a preset");
    }
    let settings = match raw.r#type {
        Some(raw::ProviderType::Github) => github::resolve(&mut raw, at, plain_http, faults),
        Some(raw::ProviderType::Oauth2) => oauth2::resolve(&mut raw, at, plain_http, faults),
        None | Some(raw::ProviderType::Oidc) => {
            openid::resolve(&mut raw, client_id.as_deref().ok(), at, plain_http, faults)
        }
    };
    let authentication = authentication(raw.token_endpoint_auth_method, raw.client_secret, at, env, faults);
    let authorization_params =
        authorization_params(raw.authorization_params.unwrap_or_default(), &at.key("authorization_params"), faults);
    let timeout = bounded(raw.timeout_ms, limits::TIMEOUT_MS, "milliseconds", &at.key("timeout_ms"), faults);
    let allow = allow::conditions(raw.allow, &at.key("allow"), faults);
    let (ProtocolSettings { issuer, scopes, access_tokens, protocol }, client_id) = (settings?, client_id?);
    let (name, allow, clusters, timeout) = (name?, allow?, clusters?.clone(), Duration::from_millis(timeout?));
    let id = IssuerId::of_provider(issuer.as_str(), &client_id);
    let token_issuer = access_tokens.map(|AccessTokens { audiences, algorithms }| TokenIssuer {
        id,
        speaks_as: id,
        issuer: issuer.as_str().to_owned(),
        validation: Validation::Provider,
        kind: TokenKind::AccessToken,
        audiences,
        client_id: Some(client_id.clone()),
        algorithms,
        allow: allow.clone(),
        clusters: clusters.clone(),
        timeout,
        plain_http,
    });
    let provider = Provider {
        id,
        title: title?.unwrap_or_else(|| title_of(&name, &issuer)),
        name,
        logo: logo?,
        css_class: css_class?,
        email_domains: email_domains?.unwrap_or_default(),
        relying_party: RelyingParty {
            issuer,
            client_id,
            authentication: authentication?,
            scopes,
            authorization_params: authorization_params?,
            claims_request: OnceCell::new(),
            clusters,
            timeout,
            plain_http,
        },
        protocol,
        allow,
        says_email_verified: raw.says_email_verified.unwrap_or(true),
    };
    Ok((provider, token_issuer))
}

/// The title of a provider without one: its name, or its host.
fn title_of(name: &str, issuer: &Issuer) -> String {
    let host = || issuer.authority().to_owned();
    if name == DEFAULT_PROVIDER { host() } else { name.to_owned() }
}

/// The name is a part of URLs, so it must have one spelling only.
fn name(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let Some(name) = value else { return Ok(DEFAULT_PROVIDER.to_owned()) };
    if text::is_name(&name) && !matches!(name.as_str(), "." | "..") {
        return Ok(name);
    }
    Err(faults.wrong_value(at, format!("1 to {} letters, digits, `-`, `_` and `.`", limits::MAX_NAME), &name))
}
