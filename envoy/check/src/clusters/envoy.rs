//! Whether the clusters of Envoy's own configuration reach the provider and verify it.

use super::{Need, missing};
use crate::{
    finding::Finding,
    tree::{Node, Position},
};

/// The faults and warnings on this cluster, which the settings name at this place.
pub(super) fn review(need: &Need, at: Position, documents: &[Node]) -> Vec<Finding> {
    let with_clusters = |document| Some((document, Node::field(document, "static_resources")?));
    let Some((bootstrap, resources)) = documents.iter().find_map(with_clusters) else { return Vec::new() };
    let clusters = resources.field("clusters").map_or(&[][..], Node::elements);
    let name = |cluster: &Node| cluster.field("name").and_then(Node::text).map(str::to_owned);
    let Some(cluster) = clusters.iter().find(|cluster| name(cluster).as_ref() == Some(&need.cluster)) else {
        if bootstrap.at_path(&["dynamic_resources", "cds_config"]).is_some() {
            return Vec::new();
        }
        let known: Vec<_> = clusters.iter().filter_map(name).collect();
        return vec![Finding::fault(at, "", missing(&need.cluster, "static_resources.clusters has", &known))];
    };
    let warnings = if need.is_https {
        weaknesses(cluster, &need.cluster)
    } else if need.is_http && speaks_tls(cluster) {
        vec![format!(
            "the cluster `{}` speaks TLS, and the URLs of {} are http: leave its transport_socket out, or write https",
            need.cluster,
            need.hosts.join(", ")
        )]
    } else {
        Vec::new()
    };
    warnings.into_iter().map(|message| Finding::warning(at, message)).collect()
}

fn speaks_tls(cluster: &Node) -> bool {
    cluster.field("transport_socket").is_some_and(|socket| socket.has_text("UpstreamTlsContext"))
}

/// The reasons why another server could pass for the provider.
fn weaknesses(cluster: &Node, name: &str) -> Vec<String> {
    let Some(socket) = cluster.field("transport_socket") else {
        if cluster.field("transport_socket_matches").is_some() {
            return Vec::new();
        }
        return vec![format!(
            "the cluster `{name}` has no transport_socket, so it speaks plain HTTP, and the provider's URLs are https"
        )];
    };
    let has = |node: &Node, names: &[&str]| names.iter().any(|name| node.mentions(name));
    let mut found = Vec::new();
    let trust = [
        "trusted_ca",
        "system_root_certs",
        "ca_certificate_provider_instance",
        "validation_context_sds_secret_config",
        "verify_certificate_hash",
        "verify_certificate_spki",
    ];
    if !has(socket, &trust) {
        found.push(format!(
            "the cluster `{name}` takes any certificate for the provider's: its TLS context has no trusted_ca"
        ));
    }
    let names = [
        "auto_san_validation",
        "auto_sni_san_validation",
        "match_typed_subject_alt_names",
        "match_subject_alt_names",
        "validation_context_sds_secret_config",
        "verify_certificate_hash",
        "verify_certificate_spki",
    ];
    if !has(cluster, &names) {
        found.push(format!(
            "the cluster `{name}` takes the certificate of any other host for the provider's: it has no auto_san_validation"
        ));
    }
    if !has(cluster, &["auto_sni", "sni", "auto_host_sni"]) {
        found.push(format!("the cluster `{name}` does not tell the provider which host it wants: it has no auto_sni"));
    }
    found
}
