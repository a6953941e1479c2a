//! The resources of Istio and Envoy Gateway beside the filter's own, where they contradict its settings: names that were changed
//! in one place of two, policies for other workloads, or by tokens that the filter does not hand on.

mod belonging;
mod gateway;
mod references;
mod tokens;

use vestibule::config::Config;

use crate::{
    finding::Finding,
    kubernetes::{list, of_kind},
    plugin::{Form, Mesh, Plugin},
    scope::Scope,
    tree::Node,
};

/// The warnings on the resources beside this configuration.
pub(crate) fn review(plugin: &Plugin, config: &Config, documents: &[Node]) -> Vec<Finding> {
    let Some(own) = plugin.document(documents) else { return Vec::new() };
    let mut found = match plugin.mesh {
        Mesh::Envoy | Mesh::Unknown => return Vec::new(),
        Mesh::EnvoyGateway => of_gateway(plugin, own, config, documents),
        Mesh::Istio => of_istio(plugin, own, config, documents),
    };
    found.extend(references::review(own, documents));
    // A name that leads nowhere is no other one.
    let known: Vec<_> = found.iter().map(|finding| finding.at).collect();
    let belonging = belonging::review(own, config, documents).into_iter();
    found.extend(belonging.filter(|finding| !known.contains(&finding.at)));
    found
}

fn of_gateway(plugin: &Plugin, own: &Node, config: &Config, documents: &[Node]) -> Vec<Finding> {
    let mut found = Vec::new();
    for policy in beside(own, documents, "SecurityPolicy") {
        let verifiers = list(policy, &["spec", "jwt", "providers"]);
        found.extend(tokens::review(policy, verifiers, config));
        found.extend(tokens::hands_on(config).then(|| gateway::order(verifiers, documents)).flatten());
    }
    found.extend(gateway::routes(own, config, documents));
    found.extend(gateway::patches(plugin, documents));
    found.extend(gateway::variables(plugin, documents));
    found
}

fn of_istio(plugin: &Plugin, own: &Node, config: &Config, documents: &[Node]) -> Vec<Finding> {
    let mut found = Vec::new();
    let verifiers = beside(own, documents, "RequestAuthentication");
    for policy in &verifiers {
        found.extend(tokens::review(policy, list(policy, &["spec", "jwt_rules"]), config));
    }
    found.extend(tokens::principals(config, &beside(own, documents, "AuthorizationPolicy")));
    let phase = own.at_path(&["spec", "phase"]);
    let is_late = plugin.form == Form::WasmPlugin && phase.and_then(Node::text) != Some("AUTHN");
    if is_late && tokens::hands_on(config) && !verifiers.is_empty() {
        let message = "RequestAuthentication of this file looks for the token before the filter hands it on: it takes `phase: AUTHN`";
        found.push(Finding::warning(phase.map_or(plugin.at, |phase| phase.at), message));
    }
    found
}

/// The resources of this kind that may apply where the filter does.
fn beside<'a>(own: &Node, documents: &'a [Node], kind: &'a str) -> Vec<&'a Node> {
    let filter = Scope::of(own);
    of_kind(documents, kind).filter(|resource| Scope::of(resource).difference(&filter).is_none()).collect()
}
