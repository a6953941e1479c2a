//! Provisioning: the endpoint of the app, and which users it is asked about.

use std::{rc::Rc, time::Duration};

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    bounds::bounded,
    clusters, issuer, kept_claims, limits,
    text::{self, Environment},
};
use crate::{
    oidc::{Clusters, PlainHttp},
    provisioning::{ATTRIBUTES, Provisioning, ProvisioningEndpoint, Registration},
    secret::ProvisioningSecret,
};

/// The settings for providers without their own.
#[inline(never)]
pub(super) fn provisioning(
    raw: raw::Provisioning,
    clusters: Result<&Clusters, Faulty>,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<Provisioning, Faulty> {
    // The answers of the app are as safe in transit as the requests to the app.
    let url = faults
        .required(&at.key("endpoint"), raw.endpoint, "the URL of an endpoint of the app")
        .and_then(|url| issuer::endpoint_url(&url, &at.key("endpoint"), PlainHttp::Allowed, faults));
    let cluster = raw.cluster.map(|name| clusters::cluster(name, &at.key("cluster"), faults)).transpose();
    let secret = raw.secret.map(|raw| secret(raw, &at.key("secret"), env, faults)).transpose();
    let timeout = bounded(raw.timeout_ms, limits::TIMEOUT_MS, "milliseconds", &at.key("timeout_ms"), faults);
    let claims = claims(raw.claims, &at.key("claims"), faults);
    let (url, cluster) = (url?, cluster?);
    let cluster = match cluster {
        Some(cluster) => cluster,
        None => clusters?.reaching(&url).clone(),
    };
    let endpoint = Rc::new(ProvisioningEndpoint {
        url,
        cluster,
        secret: secret?,
        timeout: Duration::from_millis(timeout?),
        at_renewal: raw.at_renewal.unwrap_or(true),
        claims: claims?,
    });
    Ok(Provisioning { endpoint, is_asked: true, registration: registration(raw.registration) })
}

/// The settings for a provider.
pub(super) fn of_provider(
    raw: &raw::Provider,
    general: Result<Option<&Provisioning>, Faulty>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Option<Provisioning>, Faulty> {
    let Some(general) = general? else {
        for (field, is_there) in
            [("provisioning", raw.provisioning.is_some()), ("registration", raw.registration.is_some())]
        {
            if is_there {
                faults.wrong(&at.key(field), "nothing, because there is no `provisioning` at the top");
            }
        }
        return Ok(None);
    };
    let registration = raw.registration.map_or(general.registration, |raw| registration(Some(raw)));
    let endpoint = Rc::clone(&general.endpoint);
    Ok(Some(Provisioning { endpoint, is_asked: raw.provisioning.unwrap_or(true), registration }))
}

fn registration(raw: Option<raw::Registration>) -> Registration {
    match raw {
        Some(raw::Registration::Refused) => Registration::Refused,
        Some(raw::Registration::Allowed) | None => Registration::Allowed,
    }
}

fn secret(
    raw: raw::Secret,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<ProvisioningSecret, Faulty> {
    let text = text::secret(raw, at, env, faults)?;
    if text::is_nqchar(&text) {
        return Ok(ProvisioningSecret::new(text.as_str()));
    }
    Err(faults.wrong(at, "printable ASCII without spaces, quotes and backslashes, and no line break at the end"))
}

fn claims(raw: Option<Vec<String>>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    let Some(claims) = raw else { return Ok(limits::PROVISIONING_CLAIMS.map(str::to_owned).to_vec()) };
    if claims.iter().any(|claim| claim == ATTRIBUTES) {
        return Err(faults.wrong(at, "claims of the provider; `attributes` are those of the app"));
    }
    kept_claims::names(claims, at, faults)
}
