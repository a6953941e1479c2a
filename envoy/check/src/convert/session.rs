//! Sessions, and the ways back from sign-in and sign-out.

use super::{
    document::{Yaml, flow, flow_list, plain, secret, text, texts},
    notes::{Place, Weight},
    settings::Settings,
};

/// The default of `cookie_expire`, in seconds.
const COOKIE_EXPIRE: u64 = 168 * 3600;
/// Bounds of the settings, in seconds.
const LIFETIME: (u64, u64) = (60, 400 * 24 * 3600);
const SIGN_IN: (u64, u64) = (60, 24 * 3600);
/// The longest `session.cookie_name`.
const MAX_COOKIE_NAME: usize = 40;

pub(super) fn convert(settings: &mut Settings) -> Vec<(String, Yaml)> {
    let mut members = vec![("keys".to_owned(), flow_list([secret("VESTIBULE_KEY")]))];
    let place = settings.place("cookie_secret");
    for name in ["cookie_secret", "cookie_secret_file"] {
        drop(settings.take(name));
    }
    let said = "cookie_secret: put a new key into the environment variable VESTIBULE_KEY of Envoy (openssl rand -base64 32); users sign in once more";
    settings.note(&place, Weight::Decide, said);
    let lifetime = if settings.peek("cookie_expire").is_some() {
        duration("cookie_expire", LIFETIME, settings)
    } else {
        let said = "session.lifetime_seconds is oauth2-proxy's default of seven days; without it, sessions last for eight hours here";
        settings.note(&Place::result(), Weight::Told, said);
        Some(COOKIE_EXPIRE)
    };
    members.extend(lifetime.map(|seconds| ("lifetime_seconds".to_owned(), plain(seconds))));
    if let Some(given) = settings.take("cookie_refresh").filter(|given| !matches!(given.text(), "0" | "0s" | "")) {
        let said = "cookie_refresh: a session is renewed before its access token ends, where the provider gives a refresh token (scope offline_access)";
        settings.note(&given.place, Weight::Told, said);
    }
    if let Some(seconds) = duration("cookie_csrf_expire", SIGN_IN, settings) {
        members.push(("sign_in_timeout_seconds".to_owned(), plain(seconds)));
    }
    cookie(&mut members, settings);
    if let Some(kind) = settings.take("session_store_type").filter(|given| given.text() == "redis") {
        let said = "session_store_type: the filter reaches Redis through Webdis, by an Envoy cluster of this name; or leave the store out: sessions are then in cookies";
        settings.note(&kind.place, Weight::Decide, said);
        members.push(("store".to_owned(), flow([("cluster", text("webdis"))])));
    }
    members
}

fn cookie(members: &mut Vec<(String, Yaml)>, settings: &mut Settings) {
    let place = settings.place("cookie_name");
    if let Some(given) = settings.text("cookie_name") {
        let name =
            given.trim_start_matches("__Host-").trim_start_matches("__Secure-").trim_start_matches('_').to_owned();
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if is_name && !name.is_empty() && name.len() <= MAX_COOKIE_NAME {
            settings.note(&place, Weight::Told, format!("cookie_name: it is __Host-{name} here"));
            members.push(("cookie_name".to_owned(), text(name)));
        } else {
            settings.note(&place, Weight::Told, "cookie_name: it is __Host-vestibule here");
        }
    }
    if let Some(given) = settings.take("cookie_domains") {
        let said = "cookie_domains: a session is for the host of external_url alone (`__Host-`); to share it, list the hosts in external_url and set session.cookie_domain";
        settings.note(&given.place, Weight::Decide, said);
    }
    let Some(given) = settings.take("cookie_samesite") else { return };
    match given.text().to_ascii_lowercase().as_str() {
        "" | "lax" => {}
        "none" => {
            let said = "cookie_samesite: with `none` the app must say which sites may frame it (Content-Security-Policy: frame-ancestors)";
            settings.note(&given.place, Weight::Decide, said);
            members.push(("same_site".to_owned(), text("none")));
        }
        other => {
            let said = format!("cookie_samesite: {other:?} has no counterpart; the session's cookie is Lax");
            settings.note(&given.place, Weight::Missing, said);
        }
    }
}

/// The option in seconds, within these bounds.
fn duration(name: &str, (low, high): (u64, u64), settings: &mut Settings) -> Option<u64> {
    let given = settings.take(name).filter(|given| !given.text().is_empty())?;
    let Some(seconds) = seconds(given.text()) else {
        settings.note(
            &given.place,
            Weight::Missing,
            format!("{name}: expected a duration such as 12h30m, got {:?}", given.text()),
        );
        return None;
    };
    let within = seconds.clamp(low, high);
    if seconds == 0 {
        let said = format!("{name}: a session does not end with the browser here");
        settings.note(&given.place, Weight::Decide, said);
        return None;
    }
    if within != seconds {
        settings.note(&given.place, Weight::Decide, format!("{name}: {within} seconds in place of {seconds}"));
    }
    Some(within)
}

/// A duration as Go writes it: `168h0m0s`.
fn seconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len().saturating_sub(rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len());
        let (value, after) = rest.split_at_checked(digits)?;
        let unit = ["h", "ms", "m", "s"].into_iter().find(|unit| after.starts_with(unit))?;
        let value: u64 = value.parse().ok()?;
        let one = match unit {
            "h" => value.checked_mul(3600)?,
            "m" => value.checked_mul(60)?,
            "s" => value,
            _ => value.checked_div(1000)?,
        };
        total = total.checked_add(one)?;
        rest = after.strip_prefix(unit)?;
    }
    Some(total)
}

/// `sign_in` and `sign_out`.
pub(super) fn sign_in(settings: &mut Settings) -> Vec<(&'static str, Yaml)> {
    let mut targets: Vec<String> = Vec::new();
    if let Some(given) = settings.take("whitelist_domains") {
        for domain in &given.values {
            if domain.starts_with(['.', '*']) || domain.ends_with(":*") {
                let said = format!(
                    "whitelist_domains: {domain:?} has no counterpart; list the hosts in sign_in.return_to, or `rd` leads to /"
                );
                settings.note(&given.place, Weight::Decide, said);
            } else {
                targets.push(format!("https://{domain}/"));
            }
        }
    }
    let mut sign_in = Vec::new();
    let passed = std::mem::take(&mut settings.passed);
    if !passed.is_empty() {
        sign_in.push(("pass_parameters", texts(passed)));
    }
    let mut sign_out = Vec::new();
    if !targets.is_empty() {
        sign_in.push(("return_to", texts(targets.clone())));
        sign_out.push(("return_to", texts(targets)));
    }
    let members =
        [("sign_in", sign_in), ("sign_out", sign_out)].into_iter().filter(|(_, settings)| !settings.is_empty());
    let members = members.map(|(name, settings)| (name, super::document::map(settings))).collect();
    // The provider's sign-out is new to users of oauth2-proxy.
    let said = "signing out signs out at the provider too, where it can: register the post-logout redirect URI, or set sign_out.at_provider: false";
    settings.note(&Place::result(), Weight::Told, said);
    members
}
