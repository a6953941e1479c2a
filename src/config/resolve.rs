//! Validates raw settings: every field becomes a type of its room, or a fault.
//!
//! Functions that are called once are `inline(never)`. Envoy's compiler takes more than twice the time for a function of twice
//! the size: inlined into one, these took more than half of its time.

mod allow;
mod bearer;
mod bounds;
mod choice;
mod claim_text;
mod client;
mod clusters;
mod filter_state;
mod github;
mod identity_headers;
mod ineffective_settings;
mod issuer;
mod kept_claims;
pub(super) mod limits;
mod oauth2;
mod object_keys;
mod openid;
mod origins;
mod pages;
mod policies;
mod protocol_settings;
mod provider;
mod provisioning;
mod return_targets;
mod rules;
mod security_events;
mod session;
mod sign_in;
mod sign_out;
mod text;
mod token_issuer;
mod upstream_token;

use std::rc::Rc;

use super::{
    AuditLog, Config, SessionSettings,
    fault::{At, Faults, Faulty},
    raw,
};
use crate::{
    digest::half_digest, origin::Origin, rules::Authorization, session::app_tokens::ForwardedTokens, time::Leeway,
};
use bounds::bounded;
use ineffective_settings::{forwards, warn_of_ineffective_settings};
use text::Environment;
pub(super) use text::is_domain;

/// The settings of this document. Every field is validated before the first fault returns.
#[inline(never)]
pub(super) fn config(mut document: raw::Document, env: Environment<'_>, faults: &mut Faults) -> Result<Config, Faulty> {
    let root = At::Root;
    let at_session = root.key("session");
    let cookie_domain = document.session.as_mut().and_then(|session| session.cookie_domain.take());
    let cookie_domain = session::cookie_domain(cookie_domain, &at_session.key("cookie_domain"), faults);
    let central = document.sign_in.as_mut().and_then(|sign_in| sign_in.external_url.take());
    let domain_found = cookie_domain.as_ref().map(Option::as_deref).map_err(|faulty| *faulty);
    let origins = origins::origins(document.external_url, central, domain_found, faults);
    let clusters = clusters::clusters(document.cluster, document.clusters, faults);
    let mut warnings = Vec::new();
    let plain_http = clusters::plain_http(document.danger.unwrap_or_default(), &mut warnings);
    let at_providers = root.key("providers");
    let bodies = sign_in::Bodies(document.allow_on_headers_stop_iteration.unwrap_or(false));
    let clusters_found = clusters.as_ref().map_err(|faulty| *faulty);
    let at_provisioning = root.key("provisioning");
    let provisioning = document
        .provisioning
        .map(|provisioning| provisioning::provisioning(provisioning, clusters_found, &at_provisioning, env, faults));
    let provisioning = provisioning.transpose();
    let provisioning_found = provisioning.as_ref().map(Option::as_ref).map_err(|faulty| *faulty);
    let context =
        issuer::IssuerContext { clusters: clusters_found, plain_http, env, bodies, provisioning: provisioning_found };
    let providers = provider::providers(document.providers, &at_providers, context, faults);
    let refreshes = document.session.as_ref().is_none_or(|session| session.refresh != Some(false));
    let session = faults
        .required(&at_session, document.session, "an object with keys")
        .and_then(|session| session::Session::resolve(session, &at_session, env, &mut warnings, faults));
    let raw_rules = document.rules.unwrap_or_default();
    let at_issuers = root.key("token_issuers");
    let of_providers = providers.as_ref().ok();
    let others = token_issuer::token_issuers(document.token_issuers, of_providers, &at_issuers, context, faults);
    let named = providers.as_ref().map(|resolved| resolved.providers.as_slice()).map_err(|faulty| *faulty);
    let authorization = document.authorization.map(policies::authorization).unwrap_or_default();
    let leeway = leeway(document.clock_leeway_seconds, &root.key("clock_leeway_seconds"), faults);
    let has_default_headers = document.identity_headers.is_none();
    let identity_headers =
        identity_headers::identity_headers(document.identity_headers, &root.key("identity_headers"), faults);
    let policy_context = policies::PolicyContext {
        providers: named,
        authorization,
        leeway,
        identity_headers: identity_headers.as_deref().map_err(|faulty| *faulty),
    };
    let policies = document.policies.unwrap_or_default();
    let policies = policies::Policies::resolve(
        policies,
        document.route_metadata,
        &raw_rules,
        policy_context,
        &mut warnings,
        faults,
    );
    let rules = rules::rules(raw_rules, policies, &root.key("rules"), faults);
    let static_tokens = bearer::static_tokens(document.static_tokens, &root.key("static_tokens"), faults);
    let removed_headers = identity_headers.as_deref().map_err(|faulty| *faulty).and_then(|identity| {
        identity_headers::removed(document.strip_request_headers, identity, &root.key("strip_request_headers"), faults)
    });
    let filter_state =
        filter_state::filter_state(document.filter_state.unwrap_or_default(), &root.key("filter_state"), faults);
    let userinfo_claims =
        kept_claims::userinfo_claims(document.userinfo_claims, &identity_headers, &root.key("userinfo_claims"), faults);
    let raw_sign_in = document.sign_in.unwrap_or_default();
    let sign_in = sign_in::sign_in(raw_sign_in, &root.key("sign_in"), bodies, origins.as_ref().ok(), faults);
    let (raw_sign_out, at_sign_out) = (document.sign_out.unwrap_or_default(), root.key("sign_out"));
    let sign_out = sign_out::sign_out(raw_sign_out, &at_sign_out, bodies, named.unwrap_or_default(), refreshes, faults);
    let prefix = prefix(document.prefix, &root.key("prefix"), faults);
    let look = pages::look(document.pages.unwrap_or_default(), &root.key("pages"), faults);

    // Each setting is read. Those that stand beside others are looked at once nothing is wrong with these.
    let provisioning = provisioning?;
    let (resolved, origins, mut identity_headers) = (providers?, origins?, identity_headers?);
    let provider::ResolvedIssuers { mut providers, mut token_issuers } = resolved;
    token_issuers.extend(others?);
    let (userinfo_claims, rules, prefix) = (userinfo_claims?, rules?.with_own_port(origins.port()), prefix?);
    let (static_tokens, mut filter_state) = (static_tokens?, filter_state?);
    if document.verified_email_only == Some(true)
        && !claim_text::verified_emails_only(identity_headers.iter_mut().chain(&mut filter_state.claims))
    {
        warnings.push("verified_email_only: no header and no filter state carries an email".to_owned());
    }
    object_keys::refuse_hidden(&providers, &rules, &[&identity_headers, &filter_state.claims], &at_providers, faults);
    warnings.extend(rules.warnings(&prefix));
    warnings.extend(origins::hosts_elsewhere(&rules, &origins));
    warnings.extend(kept_claims::missing_issuer_header(&providers, &identity_headers));
    warnings.extend(choice::warn_of_no_choice(&providers));
    warnings.extend(client::short_keys(&providers, &token_issuers));
    warnings.extend(token_issuer::left_out_keys(&token_issuers));
    let outputs = [identity_headers.as_slice(), &filter_state.claims];
    let kept_claims = kept_claims::kept_claims(outputs, &userinfo_claims, &rules, &providers, provisioning.as_ref());
    if provisioning.is_some_and(|provisioning| provisioning.endpoint.secret.is_none()) {
        warnings.push("provisioning: without `secret`, the app cannot tell who asks".to_owned());
    }
    for provider in &mut providers {
        provider.ask_for(&kept_claims.names);
    }
    let cookie_domain = cookie_domain?;
    warnings.extend(cookie_domain.as_deref().map(session::warn_of_domain));
    let home = origins.home().origin();
    let session = session?.with_sealer(home, cookie_domain, &at_session, faults)?;
    let fingerprint = fingerprint(home, &session);
    let at_cookie = root.key("token_cookie");
    let token_cookie = bearer::token_cookie(document.token_cookie, &session, &at_cookie, faults)?;
    let (mut stripped_headers, mut removed_headers) = (identity_headers::stripped(&identity_headers), removed_headers?);
    upstream_token::reserve_headers(&rules, &mut stripped_headers, &mut removed_headers);
    let mut config = Config {
        rules,
        static_tokens,
        token_cookie,
        origins: Rc::new(origins),
        prefix,
        session,
        fingerprint,
        stripped_headers,
        removed_headers,
        kept_claims: kept_claims.names,
        expected_claims: Vec::new(),
        keeps_attributes: kept_claims.attributes,
        userinfo_claims,
        identity_headers,
        filter_state,
        audit_log: audit_log(document.audit_log),
        authorization,
        forwarded_tokens: ForwardedTokens::default(),
        sign_in: sign_in?,
        sign_out: sign_out?,
        look: Rc::new(look?),
        leeway: leeway?,
        bodies_while_held: bodies.0,
        internal_redirects: document.internal_redirects == Some(true),
        warnings,
        providers,
        token_issuers,
    };
    config.forwarded_tokens = ForwardedTokens {
        access_token: forwards(&config, Authorization::AccessToken) || config.rules.upstream_tokens().next().is_some(),
        id_token: forwards(&config, Authorization::IdToken),
    };
    warn_of_ineffective_settings(&mut config);
    config.expected_claims = kept_claims::expected_claims(&config, has_default_headers);
    if document.verified_email_only.is_none() {
        config.warnings.extend(claim_text::unverified_email(&config));
    }
    config.warnings.extend(bearer::common_audiences(&config.token_issuers));
    Ok(config)
}

const fn audit_log(raw: Option<raw::AuditLog>) -> AuditLog {
    match raw {
        Some(raw::AuditLog::WithSubject) => AuditLog::WithSubject,
        Some(raw::AuditLog::WithoutSubject) => AuditLog::WithoutSubject,
        Some(raw::AuditLog::None) | None => AuditLog::None,
    }
}

/// Names the data that workers share for this app.
fn fingerprint(origin: &Origin, session: &SessionSettings) -> String {
    let digest = half_digest("app", &[origin.as_str().as_bytes(), session.cookies.name().as_bytes()]);
    base16ct::lower::encode_string(&digest)
}

/// The prefix of the reserved paths. Only unreserved characters: they have one spelling in every normalisation, so no
/// other path can normalise to a reserved one.
#[inline(never)]
fn prefix(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let value = value.unwrap_or_else(|| limits::PREFIX.to_owned());
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let segment = |text: &str| !matches!(text, "" | "." | "..") && text.bytes().all(unreserved);
    let clean = value.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
    if clean && value.len() <= limits::MAX_PREFIX {
        return Ok(value);
    }
    let expected = format!(
        "a path of at most {} characters, such as {}: letters, digits, `-`, `.`, `_` and `~` between slashes, no slash \
         at the end",
        limits::MAX_PREFIX,
        limits::PREFIX
    );
    Err(faults.wrong_value(at, expected, &value))
}

fn leeway(value: Option<u64>, at: &At<'_>, faults: &mut Faults) -> Result<Leeway, Faulty> {
    let seconds = bounded(value, limits::CLOCK_LEEWAY_SECONDS, "seconds", at, faults)?;
    Leeway::from_secs(seconds).ok_or_else(|| faults.wrong(at, "fewer seconds"))
}
