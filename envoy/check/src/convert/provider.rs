//! The provider, and the client there.

use super::{
    document::{Yaml, flow, map, plain, secret, text, texts},
    error::ConversionError,
    kind::Kind,
    notes::{Place, Weight},
    settings::Settings,
};

/// The provider of the document, without the users who may pass.
pub(super) struct Provider {
    pub(super) kind: Kind,
    /// Its issuer, where it is known and has access tokens that are JWTs.
    pub(super) issuer: Option<String>,
    pub(super) members: Vec<(String, Yaml)>,
}

const GITLAB: &str = "https://gitlab.com";
const GOOGLE: &str = "https://accounts.google.com";
/// Before and after the tenant in an issuer of Entra ID.
const ENTRA: (&str, &str) = ("https://login.microsoftonline.com/", "/v2.0");
/// Tenants of Entra ID that are none.
const EVERY_TENANT: [&str; 3] = ["common", "consumers", "organizations"];

pub(super) fn convert(settings: &mut Settings) -> Result<Provider, ConversionError> {
    let place = settings.place("provider");
    let named = settings.text("provider").unwrap_or_else(|| "google".to_owned());
    let issuer = settings.text("oidc_issuer_url");
    let mut members: Vec<(String, Yaml)> = Vec::new();
    let kind = match (named.as_str(), &issuer) {
        ("azure" | "entra-id", _) => {
            entra(issuer.as_deref(), settings, &mut members);
            Kind::Entra
        }
        ("facebook", _) => {
            members.push(("preset".to_owned(), text("facebook")));
            Kind::OAuth2
        }
        ("github", _) => {
            members.push(("preset".to_owned(), text("github")));
            Kind::GitHub
        }
        ("gitlab", _) => {
            members.push(("preset".to_owned(), text("gitlab")));
            if let Some(url) = issuer.as_ref().filter(|url| url.trim_end_matches('/') != GITLAB) {
                members.push(("with".to_owned(), flow([("url", text(url.trim_end_matches('/')))])));
            }
            Kind::GitLab
        }
        ("google", _) => {
            members.push(("preset".to_owned(), text("google")));
            Kind::Google
        }
        (_, Some(issuer)) => {
            members.push(("issuer".to_owned(), text(issuer)));
            match named.as_str() {
                "keycloak-oidc" => Kind::Keycloak,
                "adfs" | "oidc" => Kind::Oidc,
                _ => Kind::OtherOidc,
            }
        }
        ("adfs" | "cidaas" | "keycloak-oidc" | "login.gov" | "oidc", None) => {
            return Err(ConversionError(format!("{place}: the provider {named:?} needs oidc_issuer_url")));
        }
        (_, None) => {
            if settings.peek("login_url").is_none()
                || settings.peek("redeem_url").is_none()
                || settings.peek("profile_url").is_none()
            {
                let said = "has no counterpart without oidc_issuer_url, or login_url, redeem_url and profile_url";
                return Err(ConversionError(format!("{place}: the provider {named:?} {said}")));
            }
            members.push(("type".to_owned(), text("oauth2")));
            let said =
                "say under `claims` of the provider where `sub` and `email` are in the answer of its profile URL";
            settings.note(&place, Weight::Decide, said);
            Kind::OAuth2
        }
    };
    client(settings, &mut members)?;
    endpoints(kind, settings, &mut members);
    request(kind, settings, &mut members);
    if let Some(title) = settings.text("provider_display_name") {
        members.push(("title".to_owned(), text(title)));
    }
    let issuer = match kind {
        Kind::GitHub | Kind::OAuth2 => None,
        Kind::GitLab => Some(issuer.unwrap_or_else(|| GITLAB.to_owned())),
        Kind::Google => Some(GOOGLE.to_owned()),
        Kind::Entra | Kind::Keycloak | Kind::Oidc | Kind::OtherOidc => issuer,
    };
    Ok(Provider { kind, issuer, members })
}

fn entra(issuer: Option<&str>, settings: &mut Settings, members: &mut Vec<(String, Yaml)>) {
    let place = settings.place("azure_tenant");
    let given = settings.text("azure_tenant");
    let in_issuer = issuer.and_then(|issuer| issuer.strip_prefix(ENTRA.0)?.strip_suffix(ENTRA.1)).map(str::to_owned);
    let tenant = match (issuer, in_issuer) {
        (Some(issuer), None) => {
            members.push(("issuer".to_owned(), text(issuer)));
            return;
        }
        (_, Some(tenant)) if EVERY_TENANT.contains(&tenant.as_str()) => given.unwrap_or(tenant),
        (_, Some(tenant)) => tenant,
        (None, None) => given.unwrap_or_else(|| "common".to_owned()),
    };
    if EVERY_TENANT.contains(&tenant.as_str()) && settings.peek("entra_id_allowed_tenants").is_none() {
        let said = "accounts of every tenant can sign in: say under `allow` of the provider which may pass (`claims: {tid: [...]}`)";
        settings.note(&place, Weight::Decide, said);
    }
    members.push(("preset".to_owned(), text("microsoft")));
    members.push(("with".to_owned(), flow([("tenant", text(tenant))])));
}

fn client(settings: &mut Settings, members: &mut Vec<(String, Yaml)>) -> Result<(), ConversionError> {
    let id = settings.text("client_id").ok_or_else(|| ConversionError("there is no client_id".to_owned()))?;
    members.push(("client_id".to_owned(), text(id)));
    for (option, variable, field) in [
        ("client_secret", "OIDC_CLIENT_SECRET", "client_secret"),
        ("client_secret_file", "OIDC_CLIENT_SECRET", "client_secret"),
        ("jwt_key", "OIDC_CLIENT_KEY", "client_key"),
        ("jwt_key_file", "OIDC_CLIENT_KEY", "client_key"),
    ] {
        let Some(given) = settings.take(option).filter(|given| !given.text().is_empty()) else { continue };
        if members.iter().any(|(known, _)| known == field) {
            continue;
        }
        let value = secret(variable);
        let value = if field == "client_key" { map([("private_key", value)]) } else { value };
        members.push((field.to_owned(), value));
        let said = format!("{option}: put the secret into the environment variable {variable} of Envoy");
        settings.note(&given.place, Weight::Decide, said);
    }
    Ok(())
}

fn endpoints(kind: Kind, settings: &mut Settings, members: &mut Vec<(String, Yaml)>) {
    if kind == Kind::GitHub {
        let login = settings.take("login_url");
        if let Some(url) = login.as_ref().and_then(|given| origin(given.text())) {
            members.push(("github_url".to_owned(), text(url)));
        }
        for name in ["redeem_url", "profile_url"] {
            drop(settings.take(name));
        }
        return;
    }
    for (option, field) in
        [("login_url", "authorization_endpoint"), ("redeem_url", "token_endpoint"), ("oidc_jwks_url", "jwks_uri")]
    {
        members.extend(settings.text(option).map(|url| (field.to_owned(), text(url))));
    }
    if settings.is_on("skip_oidc_discovery") {
        members.push(("discovery".to_owned(), plain(false)));
    }
    let skips = settings.is_on("skip_claims_from_profile_url");
    let profile = settings.text("profile_url");
    let restricts = ["allowed_groups", "keycloak_groups"].iter().any(|name| settings.peek(name).is_some());
    let asks = match kind {
        Kind::GitLab | Kind::Google | Kind::OAuth2 | Kind::GitHub => false,
        Kind::Entra => profile.is_some(),
        Kind::Keycloak | Kind::Oidc | Kind::OtherOidc => profile.is_some() || restricts,
    };
    if asks && !skips {
        members.push(("userinfo".to_owned(), plain(true)));
        let said = "userinfo: true asks the provider for claims that the ID token lacks, at each sign-in; leave it out where the ID token has the groups";
        settings.note(&Place::result(), Weight::Told, said);
    }
    if let Some(profile) = profile.filter(|_| asks && !skips || kind == Kind::OAuth2) {
        members.push(("userinfo_endpoint".to_owned(), text(profile)));
    }
}

/// The authorization request.
fn request(kind: Kind, settings: &mut Settings, members: &mut Vec<(String, Yaml)>) {
    let restricts = settings.peek("allowed_groups").is_some() || settings.peek("keycloak_groups").is_some();
    let scope = settings.text("scope");
    let scope = match (kind, scope) {
        (Kind::GitHub, _) => None,
        (_, Some(scope)) => Some(scope),
        // As oauth2-proxy asks, where groups decide.
        (Kind::Keycloak | Kind::Oidc | Kind::OtherOidc, None) if restricts => {
            Some("openid email profile groups".to_owned())
        }
        (_, None) => None,
    };
    if let Some(scope) = scope {
        members.push(("scopes".to_owned(), texts(scope.split_whitespace())));
    }
    let mut parameters = std::mem::take(&mut settings.parameters);
    for name in ["prompt", "acr_values", "resource"] {
        let place = settings.place(name);
        let Some(value) = settings.text(name) else { continue };
        if name == "acr_values" {
            let said = "acr_values: they are asked for; `step_up` of a rule also checks that the sign-in had them";
            settings.note(&place, Weight::Decide, said);
        }
        parameters.push((name.to_owned(), value));
    }
    if !parameters.is_empty() {
        let parameters = parameters.into_iter().map(|(name, value)| (name, text(value)));
        members.push(("authorization_params".to_owned(), flow(parameters)));
    }
    let audiences = settings.take("oidc_extra_audiences");
    if let Some(audiences) = audiences {
        let said =
            "oidc_extra_audiences: an ID token must be for the client ID too; these audiences may stand beside it";
        settings.note(&audiences.place, Weight::Decide, said);
        members.push(("trusted_audiences".to_owned(), texts(audiences.values)));
    }
    if let Some(claims) = settings.take("oidc_audience_claims").filter(|claims| claims.values != ["aud"]) {
        settings.close(&claims.place, "oidc_audience_claims: the audience of a token is its `aud`");
    }
}

/// Scheme and authority of a URL.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    Some(format!("{scheme}://{authority}"))
}
