//! The Envoy clusters that reach the providers.

use url::{Host, Url};

use super::{
    super::{
        fault::{At, Faults, Faulty},
        raw,
    },
    bounds::limit_entries,
    limits, text,
};
use crate::{
    http::{Cluster, parse_url},
    oidc::{Clusters, PlainHttp},
};

#[inline(never)]
pub(super) fn clusters(
    default: Option<String>,
    by_host: Option<raw::Entries>,
    faults: &mut Faults,
) -> Result<Clusters, Faulty> {
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

pub(super) fn cluster(name: String, at: &At<'_>, faults: &mut Faults) -> Result<Cluster, Faulty> {
    const EXPECTED: &str = "the name of an Envoy cluster";
    let clean = name.len() <= limits::MAX_TEXT && !name.chars().any(|char| char.is_control() || char.is_whitespace());
    let cluster = if clean { Cluster::new(name.as_str()) } else { None };
    cluster.ok_or_else(|| faults.wrong_value(at, EXPECTED, &name))
}

/// A host in the spelling of [`crate::oidc::Endpoint::authority`].
pub(super) fn authority(
    host: &str,
    at: &At<'_>,
    expected: &'static str,
    faults: &mut Faults,
) -> Result<String, Faulty> {
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

pub(super) fn plain_http(danger: raw::Danger, warnings: &mut Vec<String>) -> PlainHttp {
    if danger.plain_http_providers != Some(true) {
        return PlainHttp::LoopbackOnly;
    }
    warnings.push(
        "danger.plain_http_providers: an attacker between Envoy and the provider can read secrets and sign in as any user"
            .to_owned(),
    );
    PlainHttp::Allowed
}
