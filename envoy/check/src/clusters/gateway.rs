//! Whether the HTTPRoutes, Backends and BackendTLSPolicies of a file make the clusters that the filter names, with TLS to
//! the provider's host.

use super::{Need, host_of, missing};
use crate::{
    finding::Finding,
    kubernetes::{is_same_namespace, list, namespace, of_kind, text, title},
    tree::{Node, Position},
};

/// The warnings on this cluster, which the settings name at this place.
pub(super) fn review(need: &Need, at: Position, documents: &[Node]) -> Vec<Finding> {
    let routes = of_kind(documents, "HTTPRoute").flat_map(|route| {
        let default = if namespace(route).is_none() { "default/" } else { "" };
        let rules = list(route, &["spec", "rules"]).iter().enumerate();
        rules.map(move |(place, rule)| (format!("httproute/{default}{}/rule/{place}", title(route)), route, rule))
    });
    let routes: Vec<_> = routes.collect();
    let mut patches = of_kind(documents, "EnvoyPatchPolicy").chain(of_kind(documents, "EnvoyProxy"));
    if patches.any(|document| document.has_text(&need.cluster)) {
        return Vec::new();
    }
    if let Some((_, route, rule)) = routes.iter().find(|(cluster, ..)| *cluster == need.cluster) {
        let references = list(rule, &["backend_refs"]).iter();
        let backends = references.filter_map(|reference| backend(reference, route, documents));
        return backends.flat_map(|backend| of_backend(need, at, backend, documents)).collect();
    }
    if !need.cluster.starts_with("httproute/") {
        let message = format!(
            "`{}` is no cluster of Envoy Gateway, which makes them for routes: give the provider an HTTPRoute and name \
             httproute/NAMESPACE/NAME/rule/0",
            need.cluster
        );
        return vec![Finding::warning(at, message)];
    }
    // Where the file has none, they are elsewhere.
    if routes.is_empty() {
        return Vec::new();
    }
    let known: Vec<_> = routes.into_iter().map(|(cluster, ..)| cluster).collect();
    vec![Finding::warning(at, missing(&need.cluster, "the HTTPRoutes of this file make", &known))]
}

/// The Backend to which a route refers, where it is in the file.
fn backend<'a>(reference: &Node, route: &Node, documents: &'a [Node]) -> Option<&'a Node> {
    text(reference, &["kind"]).filter(|kind| *kind == "Backend")?;
    let around = text(reference, &["namespace"]).or_else(|| namespace(route));
    let name = text(reference, &["name"])?;
    of_kind(documents, "Backend").find(|backend| is_named(backend, name, around))
}

fn is_named(resource: &Node, name: &str, around: Option<&str>) -> bool {
    text(resource, &["metadata", "name"]) == Some(name) && is_same_namespace(namespace(resource), around)
}

/// Warnings on a Backend that does not reach or verify the provider.
fn of_backend(need: &Need, at: Position, backend: &Node, documents: &[Node]) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = title(backend);
    let wanted: Vec<_> = need.hosts.iter().map(|host| host_of(host)).collect();
    let endpoints = list(backend, &["spec", "endpoints"]).iter();
    let reached: Vec<_> = endpoints.filter_map(|endpoint| text(endpoint, &["fqdn", "hostname"])).collect();
    found.extend(other_host(need, at, backend, &wanted, &reached));
    if !need.is_https {
        return found;
    }
    let policy = of_kind(documents, "BackendTLSPolicy").find(|policy| {
        list(policy, &["spec", "target_refs"]).iter().any(|target| {
            let name = text(target, &["name"]).unwrap_or_default();
            text(target, &["kind"]) == Some("Backend") && is_named(backend, name, namespace(policy))
        })
    });
    let tls = backend.at_path(&["spec", "tls"]);
    if tls.is_none() && policy.is_none() {
        let message = format!(
            "`{}` speaks plain HTTP: the Backend {name} has no tls, and the provider's URLs are https",
            need.cluster
        );
        found.push(Finding::warning(at, message));
    }
    let unverified = tls.and_then(|tls| tls.field("insecure_skip_verify")).filter(|skip| skip.truth() == Some(true));
    if let Some(unverified) = unverified {
        let message = format!(
            "the Backend {name}, by which the filter reaches {}, takes any certificate for the provider's: leave insecureSkipVerify out",
            wanted.join(", ")
        );
        found.push(Finding::warning(unverified.at, message));
    }
    // The policy's host name takes the place of the Backend's `sni`.
    let (setting, asked) = match policy {
        Some(policy) => ("validation.hostname", policy.at_path(&["spec", "validation", "hostname"])),
        None => ("sni", tls.and_then(|tls| tls.field("sni"))),
    };
    if let Some(asked) = asked
        && let Some(host) = asked.text()
        && !wanted.iter().chain(&reached).any(|known| known.eq_ignore_ascii_case(host))
    {
        let message = format!(
            "{setting} has the Backend {name} ask for {host} and take the certificate of that host alone, and the filter's URLs, by `{}` (line {}), \
             are of {}: write that host",
            need.cluster,
            at.line,
            wanted.join(", ")
        );
        found.push(Finding::warning(asked.at, message));
    }
    found
}

/// Warns where a Backend leads to another host than those that are wanted. A name of the cluster's own network may be the
/// provider's address there.
fn other_host(need: &Need, at: Position, backend: &Node, wanted: &[&str], reached: &[&str]) -> Option<Finding> {
    let endpoints = list(backend, &["spec", "endpoints"]);
    let is_internal = |host: &&str| {
        let end = host.rsplit('.').next().unwrap_or_default();
        end == *host || ["cluster", "internal", "local", "svc"].contains(&end)
    };
    if reached.len() < endpoints.len() || reached.iter().any(is_internal) {
        return None;
    }
    let others: Vec<_> = wanted.iter().filter(|host| !reached.contains(host)).copied().collect();
    let (cluster, name) = (&need.cluster, title(backend));
    if others.is_empty() {
        None
    } else if others.len() < wanted.len() {
        let message = format!(
            "`{cluster}` reaches {} alone, by the Backend {name}, not {}: name a cluster for each host under `clusters`",
            reached.join(", "),
            others.join(", ")
        );
        Some(Finding::warning(at, message))
    } else {
        let first = endpoints.first()?.at_path(&["fqdn", "hostname"])?;
        let message = format!(
            "the Backend {name} leads to {}, and the filter's URLs, by `{cluster}` (line {}), are of {}: write that host",
            reached.join(", "),
            at.line,
            wanted.join(", ")
        );
        Some(Finding::warning(first.at, message))
    }
}
