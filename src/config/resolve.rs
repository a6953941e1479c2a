//! Validates raw settings: every field becomes a type of its room, or a fault.
//!
//! Functions that are called once are `inline(never)`. Envoy's compiler takes more than twice the time for a function of twice
//! the size: inlined into one, these took more than half of its time.

mod allow;
mod bearer;
mod choice;
mod claim_text;
mod client;
mod filter_state;
mod github;
mod identity_headers;
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

use url::{Host, Url};

use super::{
    AuditLog, Config, SessionSettings,
    fault::{At, Faults, Faulty},
    raw,
};
use crate::{
    claims::LEFT_OUT,
    digest::half_digest,
    http::{Cluster, parse_url},
    oidc::{Clusters, PlainHttp, client::ClientAuthentication},
    origin::Origin,
    provider::Provider,
    provisioning::ATTRIBUTES,
    rules::Authorization,
    session::app_tokens::ForwardedTokens,
    time::Leeway,
};
use limits::Bounds;
pub(super) use text::is_domain;

/// Looks up an environment variable.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

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
    let clusters = clusters(document.cluster, document.clusters, faults);
    let mut warnings = Vec::new();
    let plain_http = plain_http(document.danger.unwrap_or_default(), &mut warnings);
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
    let sign_out = sign_out::sign_out(raw_sign_out, &at_sign_out, bodies, named.unwrap_or_default(), faults);
    let is_misread = faults.any_within(&at_sign_out) || faults.any_within(&at_session.key("refresh"));
    if let Ok(sign_out) = &sign_out
        && !is_misread
    {
        sign_out::refuse_ineffective_settings(sign_out, named.unwrap_or_default(), refreshes, faults);
    }
    let prefix = prefix(document.prefix, &root.key("prefix"), faults);
    let look = pages::look(document.pages.unwrap_or_default(), &root.key("pages"), faults);

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
    let wants = |token| authorization == token || rules.have_authorization(token);
    let mut forwarded_tokens =
        ForwardedTokens { access_token: wants(Authorization::AccessToken), id_token: wants(Authorization::IdToken) };
    object_keys::refuse_hidden(&providers, &rules, &[&identity_headers, &filter_state.claims], &at_providers, faults);
    warnings.extend(rules.warnings(&prefix));
    warnings.extend(origins::hosts_elsewhere(&rules, &origins));
    warnings.extend(kept_claims::missing_issuer_header(&providers, &identity_headers));
    warnings.extend(choice::warn_of_no_choice(&providers));
    warnings.extend(client::short_keys(&providers, &token_issuers));
    warnings.extend(token_issuer::left_out_keys(&token_issuers));
    let mut kept_claims = kept_claims::kept_claims(&identity_headers, &filter_state.claims, &userinfo_claims);
    let mut keep = |name: &str| kept_claims::keep(name, &mut kept_claims);
    rules.each_claim(&mut keep);
    let allowed = providers.iter().filter_map(|provider| provider.allow.as_ref());
    allowed.for_each(|conditions| conditions.each_claim(&mut keep));
    if providers.iter().any(Provider::asks_userinfo) {
        // A renewal without an ID token needs the distributed claims of the first one.
        LEFT_OUT.iter().for_each(|name| keep(name));
    }
    if providers.iter().any(Provider::has_many_tenants) {
        // A renewal must be of the same tenant.
        kept_claims::keep("iss", &mut kept_claims);
    }
    let mut keeps_attributes = false;
    if let Some(provisioning) = &provisioning {
        // What the provider has under this name is not what the app says.
        let used = kept_claims.len();
        kept_claims.retain(|name| name != ATTRIBUTES);
        keeps_attributes = kept_claims.len() < used;
        provisioning.endpoint.claims.iter().for_each(|name| kept_claims::keep(name, &mut kept_claims));
        if provisioning.endpoint.secret.is_none() {
            warnings.push("provisioning: without `secret`, the app cannot tell who asks".to_owned());
        }
    }
    for provider in &mut providers {
        provider.ask_for(&kept_claims);
    }
    let cookie_domain = cookie_domain?;
    warnings.extend(cookie_domain.as_deref().map(session::warn_of_domain));
    let home = origins.home().origin();
    let session = session?.with_sealer(home, cookie_domain, &at_session, faults)?;
    let fingerprint = fingerprint(home, &session);
    let at_cookie = root.key("token_cookie");
    let token_cookie = bearer::token_cookie(document.token_cookie, &session, &at_cookie, faults)?;
    let (mut stripped_headers, mut removed_headers) = (identity_headers::stripped(&identity_headers), removed_headers?);
    let (mut goes_to_app, mut is_exchanged) = (forwarded_tokens.access_token, false);
    for token in rules.upstream_tokens() {
        forwarded_tokens.access_token = true;
        goes_to_app |= token.exchange.is_none();
        is_exchanged |= token.exchange.is_some();
        // Elsewhere clients may send `Authorization`, and `authorization` says what becomes of it.
        if !token.is_authorization() {
            stripped_headers.add(token.header.clone());
            removed_headers.add(token.header.clone());
        }
    }
    let audit_log = match document.audit_log {
        Some(raw::AuditLog::WithSubject) => AuditLog::WithSubject,
        Some(raw::AuditLog::WithoutSubject) => AuditLog::WithoutSubject,
        Some(raw::AuditLog::None) | None => AuditLog::None,
    };
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
        kept_claims,
        expected_claims: Vec::new(),
        keeps_attributes,
        userinfo_claims,
        identity_headers,
        filter_state,
        audit_log,
        authorization,
        forwarded_tokens,
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
    warn_of_ineffective_settings(&mut config, goes_to_app, is_exchanged);
    config.expected_claims = kept_claims::expected_claims(&config, has_default_headers);
    if document.verified_email_only.is_none() {
        config.warnings.extend(claim_text::unverified_email(&config));
    }
    config.warnings.extend(bearer::common_audiences(&config.token_issuers));
    Ok(config)
}

/// Calls `with` for the name of each claim in conditions of rules and providers.
fn each_condition_claim(config: &Config, with: &mut dyn FnMut(&str)) {
    config.rules.each_claim(with);
    config.providers.iter().filter_map(|provider| provider.allow.as_ref()).for_each(|allow| allow.each_claim(with));
}

#[inline(never)]
fn warn_of_ineffective_settings(config: &mut Config, goes_to_app: bool, is_exchanged: bool) {
    let takes_none = config.static_tokens.is_empty() && config.token_issuers.is_empty();
    let has_no_id_tokens = config.providers.iter().all(|provider| provider.openid().is_none());
    let is_github = config.providers.iter().all(Provider::is_github);
    let (mut asks_groups, mut asks_email) = (false, false);
    each_condition_claim(config, &mut |name| {
        asks_groups |= name == "groups";
        asks_email |= name == "email";
    });
    for provider in config.providers.iter().filter(|provider| asks_email && !provider.may_verify_email()) {
        config.warnings.push(format!(
            "allow: {:?} never says `email_verified`, so a condition on an address (`emails`, `allowed_domains`, `email_matches`) \
             lets none of its users pass; use groups, roles or other claims",
            provider.title
        ));
    }
    for provider in config.providers.iter().filter(|provider| provider.allow.is_none()) {
        let has_hd = provider.relying_party.authorization_params.iter().any(|(name, _)| name == "hd");
        if provider.has_many_tenants() {
            config.warnings.push(format!(
                "{:?} signs in users of every tenant: unless each rule has conditions, set `allow` there, such as claims: {{tid: [...]}}",
                provider.title
            ));
        } else if has_hd {
            config.warnings.push(format!(
                "{:?}: the parameter `hd` is a hint that the browser can take out; set `allow: {{claims: {{hd: [...]}}}}`, as `with: {{hd: ...}}` \
                 of the preset does",
                provider.title
            ));
        }
    }
    warn_of_shared_injection(config);
    for provider in config.providers.iter().filter(|provider| goes_to_app && provider.relying_party.proof_key.is_some())
    {
        config.warnings.push(format!(
            "authorization: the access tokens of {:?} are bound to dpop_key, so the app cannot use them",
            provider.title
        ));
    }
    for provider in config.providers.iter().filter(|provider| provider.openid().is_none()) {
        if config.rules.step_ups().next().is_some() {
            config.warnings.push(format!(
                "step_up: {:?} has no ID tokens, which would say how its users authenticated, so a rule with step_up lets none of \
                 them pass",
                provider.title
            ));
        }
    }
    let is_public = |provider: &Provider| matches!(provider.relying_party.authentication, ClientAuthentication::None);
    let said = [
        (
            takes_none && config.rules.have_bearer_rules(),
            "rules: `access: bearer` refuses every request: without static_tokens, token_issuers or access_token_audiences no tokens are accepted",
        ),
        (
            takes_none && config.rules.have_scopes(),
            "rules: `scopes` have no effect: they apply to tokens, and no tokens are accepted",
        ),
        (
            !takes_none
                && config.token_cookie.is_none()
                && config.rules.leave_authorization_to_app(config.authorization),
            "authorization: with `app` in every rule no token is read, so `static_tokens` and `token_issuers` have no effect",
        ),
        (takes_none && config.token_cookie.is_some(), "token_cookie: has no effect, because no tokens are accepted"),
        (
            has_no_id_tokens && config.forwarded_tokens.id_token,
            "authorization: no provider has ID tokens, so `id_token` forwards nothing",
        ),
        (
            is_exchanged && config.providers.iter().any(is_public),
            "upstream_token: a provider at which this client does not authenticate exchanges no tokens, so `exchange` lets none of its users pass",
        ),
        (is_github && asks_groups, "allow: GitHub has no `groups`; its claims are `orgs` and `teams`"),
        (config.filter_state.rule && !config.rules.have_names(), "filter_state.rule: no rule has a name"),
    ];
    for (is_so, what) in said {
        if is_so {
            config.warnings.push(what.to_owned());
        }
    }
}

/// Envoy adds the secret to each call by the cluster, also to those that go to another provider.
fn warn_of_shared_injection(config: &mut Config) {
    let clusters = |provider: &Provider| provider.relying_party.clusters.clone();
    let is_injected =
        |provider: &Provider| matches!(provider.relying_party.authentication, ClientAuthentication::Injected);
    let shares = |provider: &&Provider| {
        let of = clusters(provider);
        let others = config.providers.iter().filter(|other| other.id != provider.id);
        let cluster = of.reaching(provider.issuer().discovery());
        is_injected(provider) && others.into_iter().any(|other| of.reaching(other.issuer().discovery()) == cluster)
    };
    let warnings = config.providers.iter().filter(shares).map(|provider| {
        format!(
            "token_endpoint_auth_method: the cluster of {:?} injects its secret, and other providers are called by the same cluster: give it \
             one of its own in `clusters`",
            provider.title
        )
    });
    let warnings: Vec<_> = warnings.collect();
    config.warnings.extend(warnings);
}

#[inline(never)]
fn clusters(default: Option<String>, by_host: Option<raw::Entries>, faults: &mut Faults) -> Result<Clusters, Faulty> {
    let at = At::Root.key("cluster");
    let default = faults
        .required(&at, default, "the name of the Envoy cluster that reaches the provider")
        .and_then(|name| cluster(name, &at, faults));
    let at = At::Root.key("clusters");
    let mut by_authority: Vec<(String, Cluster)> = Vec::new();
    let by_host = by_host.unwrap_or_default().0;
    limit_entries(by_host.len(), &at, faults)?;
    for (host, name) in by_host {
        let at = at.key(&host);
        let authority = authority(&host, &at, "a host, or host:port, as the name of this field", faults);
        let cluster = cluster(name, &at, faults);
        let (Ok(authority), Ok(cluster)) = (authority, cluster) else { continue };
        if by_authority.iter().any(|(known, _)| *known == authority) {
            faults.wrong(&at, "each host once, in any spelling");
        }
        by_authority.push((authority, cluster));
    }
    Ok(Clusters::new(default?, by_authority))
}

fn cluster(name: String, at: &At<'_>, faults: &mut Faults) -> Result<Cluster, Faulty> {
    const EXPECTED: &str = "the name of an Envoy cluster";
    let clean = name.len() <= limits::MAX_TEXT && !name.chars().any(|char| char.is_control() || char.is_whitespace());
    let cluster = if clean { Cluster::new(name.as_str()) } else { None };
    cluster.ok_or_else(|| faults.wrong_value(at, EXPECTED, &name))
}

/// A host in the spelling of [`crate::oidc::Endpoint::authority`].
fn authority(host: &str, at: &At<'_>, expected: &'static str, faults: &mut Faults) -> Result<String, Faulty> {
    let url = parse_url(&format!("https://{host}")).filter(|url| {
        let bare = format!("https://{}/", url_authority(url));
        text::is_clean_url(host) && url.as_str() == bare && !host.ends_with('/')
    });
    url.map(|url| url_authority(&url)).ok_or_else(|| faults.wrong(at, expected))
}

fn url_authority(url: &Url) -> String {
    let host = url.host().as_ref().map(Host::to_string).unwrap_or_default();
    url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

fn plain_http(danger: raw::Danger, warnings: &mut Vec<String>) -> PlainHttp {
    if danger.plain_http_providers != Some(true) {
        return PlainHttp::LoopbackOnly;
    }
    warnings.push(
        "danger.plain_http_providers: an attacker between Envoy and the provider can read secrets and sign in as any user"
            .to_owned(),
    );
    PlainHttp::Allowed
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

/// Refuses lists and maps with more than [`limits::MAX_ENTRIES`] entries, because they are searched linearly.
fn limit_entries(entries: usize, at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
    if entries <= limits::MAX_ENTRIES {
        return Ok(());
    }
    Err(faults.wrong(at, format!("at most {} entries, got {entries}", limits::MAX_ENTRIES)))
}

/// Every element of a list of conditions. An empty list is refused: it reads like "none", but would match all.
fn condition_list<T>(
    list: Option<Vec<String>>,
    at: &At<'_>,
    noun: &str,
    faults: &mut Faults,
    read: impl Fn(String, &At<'_>, &mut Faults) -> Result<T, Faulty>,
) -> Result<Vec<T>, Faulty> {
    let Some(list) = list else { return Ok(Vec::new()) };
    if list.is_empty() {
        return Err(faults.wrong(at, format!("at least one {noun}; leave this field out to accept any")));
    }
    limit_entries(list.len(), at, faults)?;
    resolve_each(list, at, faults, read)
}

/// Reads every element of a list before the first fault returns.
fn resolve_each<R, T>(
    list: Vec<R>,
    at: &At<'_>,
    faults: &mut Faults,
    mut read: impl FnMut(R, &At<'_>, &mut Faults) -> Result<T, Faulty>,
) -> Result<Vec<T>, Faulty> {
    let (mut known, mut fault) = (Vec::new(), None);
    for (place, element) in list.into_iter().enumerate() {
        match read(element, &at.index(place), faults) {
            Ok(element) => known.push(element),
            Err(faulty) => fault = Some(faulty),
        }
    }
    fault.map_or(Ok(known), Err)
}

/// The number, or its default, if within bounds.
fn bounded(value: Option<u64>, bounds: Bounds, unit: &str, at: &At<'_>, faults: &mut Faults) -> Result<u64, Faulty> {
    let value = value.unwrap_or(bounds.default);
    if (bounds.min..=bounds.max).contains(&value) {
        return Ok(value);
    }
    Err(faults.wrong(at, format!("{} to {} {unit}, got {value}", bounds.min, bounds.max)))
}
