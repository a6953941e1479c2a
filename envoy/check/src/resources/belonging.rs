//! Resources that belong to the filter and apply to other workloads, routes or namespaces than it: labels or names that were
//! changed in one place of two. A file may have independent workloads beside the filter's, so a resource belongs to the filter
//! only by more than its place in the file.

use vestibule::config::Config;

use super::{gateway, tokens};
use crate::{
    finding::Finding,
    kubernetes::{kind, list, name, text},
    scope::{Difference, Scope},
    tree::Node,
};

/// The kinds that apply where the filter does, and what follows where they do not.
const KINDS: [(&str, &str); 8] = [
    ("AuthorizationPolicy", "it decides no request that passes the filter"),
    ("DaemonSet", WITHOUT_SIGN_IN),
    ("Deployment", WITHOUT_SIGN_IN),
    ("EnvoyFilter", "it changes another Envoy than the filter's"),
    ("Gateway", WITHOUT_SIGN_IN),
    ("RequestAuthentication", "it verifies no token that the filter hands on"),
    ("SecurityPolicy", "it decides no request that passes the filter"),
    ("StatefulSet", WITHOUT_SIGN_IN),
];
const WITHOUT_SIGN_IN: &str = "everybody passes there without sign-in";

/// Warnings on the resources that belong to the filter of this document.
pub(super) fn review(own: &Node, config: &Config, documents: &[Node]) -> Vec<Finding> {
    let filter = Scope::of(own);
    let others: Vec<_> = documents.iter().filter(|document| document.at != own.at).collect();
    let mut found = Vec::new();
    for (kind, consequence) in KINDS {
        // A gateway in front of the app's own sidecar has no filter.
        if kind == "Gateway" && !filter.is_of_gateways() {
            continue;
        }
        let resources = others.iter().filter(|other| self::kind(other) == kind && !is_filter(other));
        let (elsewhere, beside): (Vec<_>, Vec<_>) = resources
            .map(|resource| (*resource, difference(resource, &filter)))
            .partition(|(_, other)| other.is_some());
        let has_one = beside.iter().any(|(resource, _)| belongs(resource, own, config));
        for (resource, difference) in elsewhere {
            let Some(difference) = difference else { continue };
            let scope = Scope::of(resource);
            let same = || others.iter().filter(|other| other.at != resource.at && Scope::of(other).is_same(&scope));
            let is_misspelt = || scope.is_near(&filter) && same().next().is_none();
            let is_forgotten = || {
                let is_of_another = || same().any(|other| is_filter(other) || is_workload(other));
                !has_one && belongs(resource, own, config) && !is_of_another()
            };
            if is_misspelt() || is_forgotten() {
                let verb = if is_workload(resource) { "makes" } else { "is for" };
                let message = format!("this {kind} {verb} {difference}: {consequence}; write the same in both");
                found.push(Finding::warning(difference.at, message));
            }
        }
    }
    found
}

fn difference(resource: &Node, filter: &Scope<'_>) -> Option<Difference> {
    let scope = Scope::of(resource);
    // A Gateway of Istio selects pods of all namespaces.
    if kind(resource) == "Gateway" { scope.other_label(filter) } else { scope.difference(filter) }
}

/// Whether a resource is a Wasm filter's own.
fn is_filter(document: &Node) -> bool {
    matches!(kind(document), "WasmPlugin" | "EnvoyExtensionPolicy") || document.mentions("external_url")
}

fn is_workload(document: &Node) -> bool {
    matches!(kind(document), "DaemonSet" | "Deployment" | "StatefulSet")
}

/// Whether something of a resource says that it belongs to this filter: its name, the issuer of the filter's users, the app's
/// host, or the filter's variables.
fn belongs(resource: &Node, own: &Node, config: &Config) -> bool {
    let has_issuer = || config.providers.iter().any(|provider| resource.has_text(provider.issuer().as_str()));
    let by_content = match kind(resource) {
        "AuthorizationPolicy" | "RequestAuthentication" | "SecurityPolicy" => tokens::hands_on(config) && has_issuer(),
        "EnvoyFilter" => resource.has_text("vestibule"),
        "Gateway" => list(resource, &["spec", "servers"])
            .iter()
            .flat_map(|server| list(server, &["hosts"]))
            .filter_map(Node::text)
            .any(|host| gateway::is_ours(host, config)),
        _ => has_variables(resource, own),
    };
    by_content || name(resource).is_some_and(|name| Some(name) == self::name(own))
}

/// Whether the pods of a workload have a variable that the filter takes from Envoy's environment.
fn has_variables(workload: &Node, own: &Node) -> bool {
    let taken = list(own, &["spec", "vm_config", "env"]).iter().filter_map(|variable| text(variable, &["name"]));
    let taken: Vec<_> = taken.collect();
    let containers = list(workload, &["spec", "template", "spec", "containers"]);
    let proxies = containers.iter().filter(|container| text(container, &["name"]) == Some("istio-proxy"));
    let mut given = proxies.flat_map(|proxy| list(proxy, &["env"])).filter_map(|variable| text(variable, &["name"]));
    given.any(|name| taken.contains(&name))
}
