//! Session settings.

use std::time::Duration;

use super::{
    super::{
        SessionSettings,
        fault::{At, Faults, Faulty},
        raw,
    },
    bounds::{bounded, resolve_each},
    clusters, limits,
    text::{self, Environment},
};
use crate::{
    origin::Origin,
    secret::StoreCredentials,
    session::{
        Lifetimes,
        chunks::SessionCookies,
        cookie::SameSite,
        login_loop_guard::login_loop_cookie,
        pending::cookie_prefix,
        seal::{Sealer, SessionKey, context_of},
        store::Store,
    },
};

/// All session settings except the sealer, which also depends on the app's origin.
pub(super) struct Session {
    keys: Vec<SessionKey>,
    lifetimes: Lifetimes,
    sign_in_timeout: Duration,
    cookie_name: String,
    same_site: SameSite,
    store: Option<Store>,
}

impl Session {
    #[inline(never)]
    pub(super) fn resolve(
        raw: raw::Session,
        at: &At<'_>,
        env: Environment<'_>,
        warnings: &mut Vec<String>,
        faults: &mut Faults,
    ) -> Result<Self, Faulty> {
        let keys = keys(raw.keys, &at.key("keys"), env, faults);
        warnings.extend(duplicate_keys(keys.as_deref().unwrap_or_default(), &at.key("keys")));
        let mut seconds =
            |value, bounds, field| bounded(value, bounds, "seconds", &at.key(field), faults).map(Duration::from_secs);
        let lifetime = seconds(raw.lifetime_seconds, limits::LIFETIME_SECONDS, "lifetime_seconds");
        let idle = raw
            .idle_timeout_seconds
            .map(|value| seconds(Some(value), limits::IDLE_TIMEOUT_SECONDS, "idle_timeout_seconds"))
            .transpose();
        let sign_in_timeout =
            seconds(raw.sign_in_timeout_seconds, limits::SIGN_IN_TIMEOUT_SECONDS, "sign_in_timeout_seconds");
        if let (Ok(lifetime), Ok(Some(idle))) = (lifetime, idle)
            && idle > lifetime
        {
            let expected = format!("at most as many seconds as lifetime_seconds, {}", lifetime.as_secs());
            faults.wrong(&at.key("idle_timeout_seconds"), expected);
        }
        let store = raw.store.map(|store| self::store(store, &at.key("store"), env, faults)).transpose();
        let cookie_name = cookie_name(raw.cookie_name, &at.key("cookie_name"), faults);
        let same_site = same_site(raw.same_site, raw.partitioned, at, faults);
        if same_site.is_ok_and(|same_site| same_site != SameSite::Lax) {
            warnings.push(NOT_LAX.to_owned());
        }
        Ok(Self {
            keys: keys?,
            lifetimes: Lifetimes { absolute: lifetime?, idle: idle?, refresh: raw.refresh.unwrap_or(true) },
            sign_in_timeout: sign_in_timeout?,
            cookie_name: cookie_name?,
            same_site: same_site?,
            store: store?,
        })
    }

    /// The settings with a sealer bound to this app: values sealed for another app do not open. Sealed values name
    /// their provider, so providers can be added and removed.
    pub(super) fn with_sealer(
        self,
        home: &Origin,
        cookie_domain: Option<String>,
        at: &At<'_>,
        faults: &mut Faults,
    ) -> Result<SessionSettings, Faulty> {
        let context = context_of([home.as_str()]);
        let sealer = Sealer::new(self.keys, &context);
        Ok(SessionSettings {
            sealer: sealer.ok_or_else(|| faults.wrong(&at.key("keys"), "at least one key"))?,
            lifetimes: self.lifetimes,
            store: self.store,
            sign_in_timeout: self.sign_in_timeout,
            cookies: SessionCookies::new(&self.cookie_name, self.same_site, cookie_domain),
            pending_prefix: cookie_prefix(&self.cookie_name),
            login_loop_cookie: login_loop_cookie(&self.cookie_name),
        })
    }
}

/// The parent domain whose hosts get the session's cookies.
pub(super) fn cookie_domain(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<Option<String>, Faulty> {
    let is_name = |label: &str| !label.bytes().all(|byte| byte.is_ascii_digit());
    let is_domain = |text: &String| {
        text::is_domain(text)
            && !text.bytes().any(|byte| byte.is_ascii_uppercase())
            && text.rsplit('.').next().is_some_and(is_name)
    };
    match value {
        Some(value) if !is_domain(&value) => {
            let expected =
                "a domain of two labels or more in lower case, such as example.com: no dot at its start, no IP address";
            Err(faults.wrong_value(at, expected, &value))
        }
        value => Ok(value),
    }
}

pub(super) fn warn_of_domain(domain: &str) -> String {
    format!(
        "session.cookie_domain: every host below {domain} gets the session's cookie, can use it, and can set it: trust them all, or leave the setting out"
    )
}

/// The warning where pages of other sites may show the app in a frame.
const NOT_LAX: &str = "session.same_site: with `none`, pages of other sites can show the app with the user's session: the app must send \
                       `Content-Security-Policy: frame-ancestors` with the sites that may";

fn same_site(
    value: Option<raw::SameSite>,
    partitioned: Option<bool>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<SameSite, Faulty> {
    match (value.unwrap_or(raw::SameSite::Lax), partitioned.unwrap_or(false)) {
        (raw::SameSite::Lax, true) => Err(faults.wrong(
            &at.key("partitioned"),
            "false, or `same_site: none` beside it: only cookies for other sites have partitions",
        )),
        (raw::SameSite::Lax, false) => Ok(SameSite::Lax),
        (raw::SameSite::None, false) => Ok(SameSite::None),
        (raw::SameSite::None, true) => Ok(SameSite::Partitioned),
    }
}

fn keys(
    keys: Option<Vec<raw::Secret>>,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<Vec<SessionKey>, Faulty> {
    let keys = faults.required(at, keys, "a list of keys, such as [{env: VESTIBULE_KEY}]")?;
    if !(1..=limits::MAX_KEYS).contains(&keys.len()) {
        return Err(faults.wrong(at, format!("1 to {} keys, got {}", limits::MAX_KEYS, keys.len())));
    }
    resolve_each(keys, at, faults, |key, at, faults| {
        let text = text::secret(key, at, env, faults)?;
        SessionKey::parse(&text).map_err(|error| faults.wrong(at, error.to_string()))
    })
}

/// Warns of duplicate keys. Templates that set old and new key to one value would sign all users out at a rotation.
fn duplicate_keys(keys: &[SessionKey], at: &At<'_>) -> Vec<String> {
    let is_duplicate = |(place, key): &(usize, &SessionKey)| keys.iter().take(*place).any(|before| before.is_same(key));
    let places = keys.iter().enumerate().filter(is_duplicate);
    places.map(|(place, _)| format!("{}: repeats an earlier key and has no effect", at.index(place).path())).collect()
}

fn store(raw: raw::Store, at: &At<'_>, env: Environment<'_>, faults: &mut Faults) -> Result<Store, Faulty> {
    let cluster = faults
        .required(&at.key("cluster"), raw.cluster, "the name of the Envoy cluster that reaches Webdis")
        .and_then(|name| clusters::cluster(name, &at.key("cluster"), faults));
    let authority = raw.authority.unwrap_or_else(|| limits::STORE_AUTHORITY.to_owned());
    let authority = clusters::authority(&authority, &at.key("authority"), "a host, or host:port", faults);
    let credentials = raw.authorization.map(|secret| credentials(secret, &at.key("authorization"), env, faults));
    let prefix = key_prefix(raw.key_prefix, &at.key("key_prefix"), faults);
    let timeout = bounded(raw.timeout_ms, limits::STORE_TIMEOUT_MS, "milliseconds", &at.key("timeout_ms"), faults);
    let cache = bounded(raw.cache_seconds, limits::STORE_CACHE_SECONDS, "seconds", &at.key("cache_seconds"), faults);
    Ok(Store {
        cluster: cluster?,
        authority: authority?,
        credentials: credentials.transpose()?,
        prefix: prefix?,
        timeout: Duration::from_millis(timeout?),
        cache: Duration::from_secs(cache?),
    })
}

fn credentials(
    secret: raw::Secret,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<StoreCredentials, Faulty> {
    let text = text::secret(secret, at, env, faults)?;
    // `credentials` of RFC 9110, 11.4. Common mistakes are the bare password, or the header with its name.
    let (scheme, rest) = text.split_once(' ').unwrap_or_default();
    if text::is_token(scheme) && !rest.is_empty() && rest.trim() == rest && text::is_vschar(rest) {
        return Ok(StoreCredentials::new(text.as_str()));
    }
    let expected =
        "a scheme and its credentials, such as `Basic dXNlcjpwYXNz`: printable ASCII, and no line break at the end";
    Err(faults.wrong(at, expected))
}

// Characters that Webdis takes literally in a path; a dot would begin a format suffix.
fn key_prefix(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let value = value.unwrap_or_else(|| limits::STORE_PREFIX.to_owned());
    let is_clean = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:".contains(&byte));
    if is_clean && (1..=limits::MAX_STORE_PREFIX).contains(&value.len()) {
        return Ok(value);
    }
    let expected = format!("1 to {} letters, digits or any of -_:", limits::MAX_STORE_PREFIX);
    Err(faults.wrong_value(at, expected, &value))
}

fn cookie_name(value: Option<String>, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let value = value.unwrap_or_else(|| limits::COOKIE_NAME.to_owned());
    if value.starts_with("__") {
        return Err(faults.wrong_value(at, "a name without `__Host-`, which is always put before it", &value));
    }
    if text::is_token(&value) && value.len() <= limits::MAX_COOKIE_NAME {
        return Ok(value);
    }
    let expected = format!("1 to {} letters, digits or any of !#$%&'*+-.^_`|~", limits::MAX_COOKIE_NAME);
    Err(faults.wrong_value(at, expected, &value))
}
