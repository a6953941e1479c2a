//! The identity headers and tokens that the app gets.

use super::{
    document::{Yaml, map, pointer, text},
    kind::Kind,
    notes::Weight,
    settings::{InjectedHeader, Settings},
};

/// The identity headers that are there without a setting.
const DEFAULT: [(&str, &str); 4] = [
    ("X-Forwarded-User", "sub"),
    ("X-Forwarded-Email", "email"),
    ("X-Forwarded-Preferred-Username", "preferred_username"),
    ("X-Forwarded-Groups", "groups"),
];

/// The claims in which oauth2-proxy finds the parts of an identity.
struct Claims {
    user: String,
    email: String,
    groups: String,
}

impl Claims {
    /// The claim of a part of the session.
    fn of(&self, part: &str) -> String {
        match part {
            "user" => self.user.clone(),
            "email" => self.email.clone(),
            "groups" => self.groups.clone(),
            other => other.to_owned(),
        }
    }
}

pub(super) fn convert(settings: &mut Settings, kind: Kind) -> Vec<(&'static str, Yaml)> {
    let email = settings.text("oidc_email_claim").unwrap_or_else(|| "email".to_owned());
    let groups = settings.text("oidc_groups_claim").unwrap_or_else(|| "groups".to_owned());
    let user = match kind {
        _ if settings.is_on("prefer_email_to_user") => email.clone(),
        Kind::GitHub => "login".to_owned(),
        _ => "sub".to_owned(),
    };
    let claims = Claims { user, email: pointer(&email), groups: pointer(&groups) };
    let (headers, authorization) = match settings.injected.take() {
        Some(headers) => of_yaml(headers, &claims, settings),
        None => of_options(&claims, settings),
    };
    let mut members = Vec::new();
    let is_default = headers.len() == DEFAULT.len()
        && DEFAULT.iter().all(|(name, claim)| headers.iter().any(|(known, of)| known == name && of == claim));
    if !is_default {
        members.push(("identity_headers", map(headers.into_iter().map(|(name, claim)| (name, text(claim))))));
    }
    members.extend(authorization.map(|what| ("authorization", text(what))));
    members
}

type Headers = (Vec<(String, String)>, Option<&'static str>);

fn of_options(claims: &Claims, settings: &mut Settings) -> Headers {
    let parts = ["user", "email", "preferred_username", "groups"];
    let named = |prefix: &str| {
        let names = ["User", "Email", "Preferred-Username", "Groups"].map(|name| format!("{prefix}-{name}"));
        names.into_iter().zip(parts).map(|(name, part)| (name, claims.of(part))).collect::<Vec<_>>()
    };
    let mut headers: Vec<(String, String)> = Vec::new();
    let with_basic = !settings.is_off("pass_basic_auth");
    if !settings.is_off("pass_user_headers") || with_basic {
        headers.extend(named("X-Forwarded"));
    }
    let place = settings.place("set_xauthrequest");
    if settings.is_on("set_xauthrequest") {
        let said = "set_xauthrequest: they are headers of the request to the app here, and not of an answer";
        settings.note(&place, Weight::Told, said);
        headers.extend(named("X-Auth-Request"));
    }
    let place = settings.place("pass_access_token");
    if settings.is_on("pass_access_token") {
        let said = "pass_access_token: a rule hands it on with `upstream_token: {header: X-Forwarded-Access-Token}`";
        settings.note(&place, Weight::Decide, said);
    }
    let hands_on = settings.is_on("pass_authorization_header");
    let hands_on = settings.is_on("set_authorization_header") || hands_on;
    (headers, hands_on.then_some("id_token"))
}

fn of_yaml(injected: Vec<InjectedHeader>, claims: &Claims, settings: &mut Settings) -> Headers {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut authorization = None;
    for InjectedHeader { name, claims: parts, has_other, place } in injected {
        let is_authorization = name.eq_ignore_ascii_case("authorization");
        match &parts[..] {
            [(part, prefix)] if is_authorization && prefix.trim() == "Bearer" && !has_other => match part.as_str() {
                "access_token" => authorization = Some("access_token"),
                "id_token" => authorization = Some("id_token"),
                _ => settings.note(&place, Weight::Decide, format!("{name}: no claim goes into Authorization")),
            },
            [(part, prefix)] if !has_other && prefix.is_empty() && !part.ends_with("_token") => {
                headers.push((name, claims.of(part)));
            }
            _ => {
                let said = format!(
                    "{name}: has no counterpart; for a fixed text see request_headers_to_add of Envoy, for tokens `authorization`"
                );
                settings.note(&place, Weight::Decide, said);
            }
        }
    }
    (headers, authorization)
}
