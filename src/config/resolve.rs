//! From names and JSON types to settings: every field becomes the type that its room defines, or a fault.

mod allow;
mod bearer;
mod github;
mod headers;
pub(super) mod limits;
mod people;
mod policies;
mod provider;
mod rules;
mod session;
mod text;
mod token_issuer;
mod told;

use url::{Host, Url};

use super::{
    Config, SessionSettings,
    fault::{At, Faults, Faulty},
    raw,
};
use crate::{
    claims::LEFT_OUT,
    digest::half_digest,
    http::{Cluster, Origin, parse_url},
    oidc::{Clusters, PlainHttp, is_loopback},
    provider::{Protocol, Provider},
    rules::Authorization,
    session::handed::HandedOn,
    time::Leeway,
};
use limits::Bounds;

/// Looks up an environment variable.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The settings of this document. Every field is looked at before the first fault counts.
pub(super) fn config(document: raw::Document, env: Environment<'_>, faults: &mut Faults) -> Result<Config, Faulty> {
    let root = At::Root;
    let origin = origin(document.external_url, &root.key("external_url"), faults);
    let clusters = clusters(document.cluster, document.clusters, faults);
    let mut warnings = Vec::new();
    let plain_http = plain_http(document.danger.unwrap_or_default(), &mut warnings);
    let at_providers = root.key("providers");
    let around = provider::Around { clusters: clusters.as_ref().map_err(|faulty| *faulty), plain_http, env };
    let providers = provider::providers(document.providers, &at_providers, around, faults);
    let refreshes = document.session.as_ref().is_none_or(|session| session.refresh != Some(false));
    let at_session = root.key("session");
    let session = faults
        .required(&at_session, document.session, "an object with keys")
        .and_then(|session| session::Session::resolve(session, &at_session, env, &mut warnings, faults));
    let raw_rules = document.rules.unwrap_or_default();
    let at_issuers = root.key("token_issuers");
    let of_providers = providers.as_ref().ok();
    let others = token_issuer::token_issuers(document.token_issuers, of_providers, &at_issuers, around, faults);
    let named = providers.as_ref().map(|known| known.providers.as_slice()).map_err(|faulty| *faulty);
    let authorization = document.authorization.map(policies::authorization).unwrap_or_default();
    let around_rules = policies::Around { providers: named, authorization };
    let policies = document.policies.unwrap_or_default();
    let policies =
        policies::Policies::resolve(policies, document.route_metadata, &raw_rules, around_rules, &mut warnings, faults);
    let rules = rules::rules(raw_rules, policies, &root.key("rules"), faults);
    let static_tokens = bearer::static_tokens(document.static_tokens, &root.key("static_tokens"), faults);
    let identity_headers = headers::identity_headers(document.identity_headers, &root.key("identity_headers"), faults);
    let filter_state = told::filter_state(document.filter_state.unwrap_or_default(), &root.key("filter_state"), faults);
    let userinfo_claims =
        people::userinfo_claims(document.userinfo_claims, &identity_headers, &root.key("userinfo_claims"), faults);
    let bodies = people::Bodies(document.allow_on_headers_stop_iteration.unwrap_or(false));
    let sign_in = people::sign_in(document.sign_in.unwrap_or_default(), &root.key("sign_in"), bodies, faults);
    let sign_out = people::sign_out(document.sign_out.unwrap_or_default(), &root.key("sign_out"), bodies, faults);
    let is_misread = faults.any_within(&root.key("sign_out")) || faults.any_within(&at_session.key("refresh"));
    if let Ok(sign_out) = &sign_out
        && !is_misread
    {
        people::in_vain(sign_out, named.unwrap_or_default(), refreshes, faults);
    }
    let prefix = prefix(document.prefix, &root.key("prefix"), faults);
    let leeway = leeway(document.clock_leeway_seconds, &root.key("clock_leeway_seconds"), faults);

    let (known, origin, mut identity_headers) = (providers?, origin?, identity_headers?);
    let provider::Known { mut providers, mut token_issuers } = known;
    token_issuers.extend(others?);
    let (userinfo_claims, rules, prefix) = (userinfo_claims?, rules?.at_port(origin.port()), prefix?);
    let (static_tokens, mut filter_state) = (static_tokens?, filter_state?);
    if document.verified_email_only == Some(true)
        && !told::verified_emails_only(identity_headers.iter_mut().chain(&mut filter_state.claims))
    {
        warnings.push("verified_email_only: no header and no filter state carries an email".to_owned());
    }
    let wants = |token| authorization == token || rules.hand_on(token);
    let handed_on =
        HandedOn { access_token: wants(Authorization::AccessToken), id_token: wants(Authorization::IdToken) };
    warnings.extend(rules.warnings(&prefix));
    warnings.extend(people::mistakable(&providers, &identity_headers));
    warnings.extend(token_issuer::left_out_keys(&token_issuers));
    let mut kept_claims = people::kept_claims(&identity_headers, &filter_state.claims, &userinfo_claims);
    let mut keep = |name: &str| people::keep(name, &mut kept_claims);
    rules.each_claim(&mut keep);
    let allowed = providers.iter().filter_map(|provider| provider.allow.as_ref());
    allowed.for_each(|conditions| conditions.each_claim(&mut keep));
    if providers.iter().any(Provider::asks_userinfo) {
        // A renewal without an ID token must know what the first one has left out.
        LEFT_OUT.iter().for_each(|name| keep(name));
    }
    for provider in &mut providers {
        provider.ask_for(&kept_claims);
    }
    let session = session?.sealing_for(&origin, &at_session, faults)?;
    let fingerprint = fingerprint(&origin, &session);
    let at_cookie = root.key("token_cookie");
    let token_cookie = bearer::token_cookie(document.token_cookie, session.cookies.name(), &at_cookie, faults)?;
    let mut config = Config {
        rules,
        static_tokens,
        token_cookie,
        origin,
        prefix,
        session,
        fingerprint,
        stripped_headers: headers::stripped(&identity_headers),
        kept_claims,
        userinfo_claims,
        identity_headers,
        filter_state,
        authorization,
        handed_on,
        sign_in: sign_in?,
        sign_out: sign_out?,
        leeway: leeway?,
        bodies_while_held: bodies.0,
        internal_redirects: document.internal_redirects == Some(true),
        warnings,
        providers,
        token_issuers,
    };
    in_vain(&mut config);
    if document.verified_email_only.is_none() {
        config.warnings.extend(told::unverified_email(&config));
    }
    config.warnings.extend(bearer::common_audiences(&config.token_issuers));
    Ok(config)
}

/// Calls `with` for each claim that a condition of a rule or provider names.
fn each_condition_claim(config: &Config, with: &mut dyn FnMut(&str)) {
    config.rules.each_claim(with);
    config.providers.iter().filter_map(|provider| provider.allow.as_ref()).for_each(|allow| allow.each_claim(with));
}

/// Warns of what is said and has no effect.
fn in_vain(config: &mut Config) {
    let takes_none = config.static_tokens.is_empty() && config.token_issuers.is_empty();
    let is_github = config.providers.iter().all(|provider| matches!(provider.protocol, Protocol::GitHub(_)));
    let mut asks_groups = false;
    each_condition_claim(config, &mut |name| asks_groups |= name == "groups");
    let said = [
        (
            takes_none && config.rules.want_tokens(),
            "rules: `access: bearer` lets nobody pass: none of static_tokens, token_issuers and access_token_audiences says \
             which tokens are taken",
        ),
        (
            takes_none && config.rules.want_scopes(),
            "rules: `scopes` keep nobody out: they are for tokens, and none are taken",
        ),
        (
            !takes_none
                && config.token_cookie.is_none()
                && config.rules.leave_authorization_to_app(config.authorization),
            "authorization: with `app` in every rule no token is looked at, so that `static_tokens` and `token_issuers` let nobody pass",
        ),
        (takes_none && config.token_cookie.is_some(), "token_cookie: is not looked at, because no tokens are taken"),
        (
            is_github && config.handed_on.id_token,
            "authorization: GitHub has no ID tokens, so `id_token` hands nothing on",
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

/// Our own origin. A path would be a promise that we cannot keep: cookies and return URLs are those of the origin.
fn origin(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<Origin, Faulty> {
    const EXPECTED: &str = "an https origin, such as https://app.example.com";
    let value = faults.required(at, value, EXPECTED)?;
    let url = text::url_text(&value, at, faults)
        .and_then(|()| parse_url(&value).ok_or_else(|| text::wrong_url(&value, EXPECTED, at, faults)))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(text::wrong_url(&value, EXPECTED, at, faults));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        let expected = "an https origin (http only for localhost, *.localhost and loopback addresses)";
        return Err(text::wrong_url(&value, expected, at, faults));
    }
    if url.host_str().is_some_and(|host| host.contains('*')) {
        return Err(text::wrong_url(&value, "an origin with one host, no wildcard", at, faults));
    }
    if url.path() != "/" {
        let expected = format!("an origin without a path: {}", url.origin().ascii_serialization());
        return Err(text::wrong_url(&value, expected, at, faults));
    }
    Origin::parse(&value).ok_or_else(|| {
        let expected = "an origin only: scheme, host and port, no user name, query or fragment";
        text::wrong_url(&value, expected, at, faults)
    })
}

fn clusters(default: Option<String>, by_host: Option<raw::Entries>, faults: &mut Faults) -> Result<Clusters, Faulty> {
    let at = At::Root.key("cluster");
    let default = faults
        .required(&at, default, "the name of the Envoy cluster that reaches the provider")
        .and_then(|name| cluster(name, &at, faults));
    let at = At::Root.key("clusters");
    let mut by_authority: Vec<(String, Cluster)> = Vec::new();
    let by_host = by_host.unwrap_or_default().0;
    few(by_host.len(), &at, faults)?;
    for (host, name) in by_host {
        let at = at.key(&host);
        let authority = authority(&host, &at, "a host, or host:port, as the name of this field", faults);
        let cluster = cluster(name, &at, faults);
        let (Ok(authority), Ok(cluster)) = (authority, cluster) else { continue };
        if by_authority.iter().any(|(known, _)| *known == authority) {
            faults.wrong(&at, "each host once, whatever its spelling");
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

/// A host as [`crate::oidc::Endpoint::authority`] spells it.
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
        "danger.plain_http_providers: whoever is between Envoy and the provider can read secrets and sign in as anybody"
            .to_owned(),
    );
    PlainHttp::Allowed
}

/// Names what this app shares between workers.
fn fingerprint(origin: &Origin, session: &SessionSettings) -> String {
    let digest = half_digest("app", &[origin.as_str().as_bytes(), session.cookies.name().as_bytes()]);
    base16ct::lower::encode_string(&digest)
}

/// What the reserved paths begin with. Only unreserved characters: these spell themselves the same way in every
/// normalisation, so that nothing but the reserved paths can come out as one.
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

/// Refuses a list or map that is too long to be searched from its start.
fn few(entries: usize, at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
    if entries <= limits::MAX_ENTRIES {
        return Ok(());
    }
    Err(faults.wrong(at, format!("at most {} entries, got {entries}", limits::MAX_ENTRIES)))
}

/// Every element of a list, read. All of them are looked at before the first fault counts.
fn each<R, T>(
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

/// A number within its bounds.
fn bounded(value: Option<u64>, bounds: Bounds, unit: &str, at: &At<'_>, faults: &mut Faults) -> Result<u64, Faulty> {
    let value = value.unwrap_or(bounds.default);
    if (bounds.min..=bounds.max).contains(&value) {
        return Ok(value);
    }
    Err(faults.wrong(at, format!("{} to {} {unit}, got {value}", bounds.min, bounds.max)))
}
