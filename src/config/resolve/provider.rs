//! Providers and the client registrations there.

use std::{cell::OnceCell, rc::Rc, time::Duration};

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    allow,
    bounds::{bounded, resolve_each},
    choice,
    client::{Credentials, authentication, authorization_params, client_id, proof_key, signing_key},
    github,
    issuer::IssuerContext,
    limits, oauth2,
    object_keys::object_keys,
    openid,
    protocol_settings::{AccessTokens, ProtocolSettings},
    provisioning, security_events,
    sign_in::Bodies,
    text,
};
use crate::{
    claims::IssuerId,
    jose::{claims::ExpectedIssuer, sign::SigningKey},
    oidc::{
        Issuer, RelyingParty, RequestForm,
        client::{ClientAuthentication, assertion::Audience},
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
        if let Err(faulty) = security_events::refuse_issuer_twice(&provider, &resolved.providers, &at, faults) {
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
    let IssuerContext { clusters, plain_http, env, bodies, provisioning } = context;
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
    let key = raw.client_key.take().map(|key| signing_key(key, &at.key("client_key"), env, faults));
    let proof_key = raw.dpop_key.take().map(|key| proof_key(key, &at.key("dpop_key"), env, faults)).transpose();
    let provisioning = provisioning::of_provider(&raw, provisioning, at, faults);
    let request_form = request_form(&raw, key.as_ref(), at, bodies, faults);
    let credentials = Credentials {
        method: raw.token_endpoint_auth_method,
        secret: raw.client_secret,
        key,
        key_signs_requests: raw.signed_authorization_requests == Some(true),
        assertion: raw.client_assertion,
    };
    let authentication = authentication(credentials, at, env, faults);
    let authorization_params =
        authorization_params(raw.authorization_params.unwrap_or_default(), &at.key("authorization_params"), faults);
    let object_keys = object_keys(raw.object_keys, &at.key("object_keys"), faults);
    let timeout = bounded(raw.timeout_ms, limits::TIMEOUT_MS, "milliseconds", &at.key("timeout_ms"), faults);
    let allow = allow::conditions(raw.allow, &at.key("allow"), faults);
    let events = raw.security_events.take();
    let at_events = at.key("security_events");
    let events = events.map(|raw| security_events::resolve(raw, &at_events, context, faults)).transpose();
    let (ProtocolSettings { issuer, scopes, access_tokens, protocol }, client_id) = (settings?, client_id?);
    if let (Ok(ClientAuthentication::Assertion(assertion)), ExpectedIssuer::OfTenant(_)) =
        (&authentication, issuer.expected())
        && assertion.audience == Audience::Issuer
    {
        let expected = "token_endpoint or an absolute URI: the issuer stands for every tenant";
        faults.wrong(&at.key("client_assertion").key("audience"), expected);
    }
    let (name, object_keys, allow) = (name?, object_keys?, allow?);
    let (clusters, timeout) = (clusters?.clone(), Duration::from_millis(timeout?));
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
        object_keys: object_keys.clone(),
        allow: allow.clone(),
        clusters: clusters.clone(),
        timeout,
        plain_http,
    });
    let transmitter = events?.map(|events| events.transmitter(id, &client_id, &protocol, &clusters, timeout));
    let transmitter = transmitter.map(|found| found.ok_or_else(|| security_events::without_keys(&at_events, faults)));
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
            proof_key: proof_key?,
            scopes,
            authorization_params: authorization_params?,
            request_form: request_form?,
            claims_request: OnceCell::new(),
            clusters,
            timeout,
            plain_http,
        },
        protocol,
        object_keys,
        allow,
        says_email_verified: raw.says_email_verified.unwrap_or(true),
        transmitter: transmitter.transpose()?.map(Rc::new),
        provisioning: provisioning?,
    };
    Ok((provider, token_issuer))
}

/// The form of authorization requests and their responses.
fn request_form(
    raw: &raw::Provider,
    key: Option<&Result<Rc<SigningKey>, Faulty>>,
    at: &At<'_>,
    bodies: Bodies,
    faults: &mut Faults,
) -> Result<RequestForm, Faulty> {
    let is_signed = raw.signed_authorization_requests == Some(true);
    if is_signed && key.is_none() {
        let expected = "the private key, because signed_authorization_requests is true";
        let _: Result<(), _> = faults.required(&at.key("client_key"), None, expected);
    }
    if raw.pushed_authorization_requests == Some(false) && raw.pushed_authorization_request_endpoint.is_some() {
        let expected = "nothing, because pushed_authorization_requests is false";
        faults.wrong(&at.key("pushed_authorization_request_endpoint"), expected);
    }
    let is_posted_back = matches!(raw.response_mode, Some(raw::ResponseMode::FormPost));
    let is_posted_back = bodies.required_by_form_post(is_posted_back, &at.key("response_mode"), faults)?;
    let has_endpoint = raw.pushed_authorization_request_endpoint.is_some();
    Ok(RequestForm {
        is_posted_back,
        is_pushed: raw.pushed_authorization_requests.or_else(|| has_endpoint.then_some(true)),
        is_signed: raw.signed_authorization_requests,
        key: key.and_then(|key| key.as_ref().ok()).cloned(),
    })
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
