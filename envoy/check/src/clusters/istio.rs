//! Whether the ServiceEntries and DestinationRules of a file make the clusters that the filter names, with TLS to the
//! provider's host.

use super::{Need, host_of, missing};
use crate::{
    finding::Finding,
    kubernetes::{list, of_kind, text, title},
    plugin::Plugin,
    scope::Scope,
    spelling::nearest,
    tree::{Node, Position},
};

/// The warnings on this cluster, which the settings name at this place.
pub(super) fn review(need: &Need, at: Position, plugin: &Plugin, documents: &[Node]) -> Vec<Finding> {
    let cluster = &need.cluster;
    let Some((port, host)) = port_and_host(cluster) else {
        let is_patched = of_kind(documents, "EnvoyFilter").any(|filter| filter.defines(cluster));
        let wanted = need.hosts.first().map_or("HOST", |host| host_of(host));
        let hint = format!(
            "`{cluster}` is no cluster of Istio; that of a ServiceEntry for {wanted} is outbound|443||{wanted}"
        );
        return if is_patched { Vec::new() } else { vec![Finding::warning(at, hint)] };
    };
    let mut found = Vec::new();
    let others: Vec<_> = need.hosts.iter().map(|name| host_of(name)).filter(|name| *name != host).collect();
    if !others.is_empty() {
        let message = format!(
            "`{cluster}` reaches {host} alone, not {}: name a cluster for each host under `clusters`",
            others.join(", ")
        );
        found.push(Finding::warning(at, message));
    }
    let known: Vec<_> = of_kind(documents, "ServiceEntry").flat_map(clusters_of).collect();
    // Where the file has none, they are elsewhere.
    if !known.is_empty() && !known.contains(&format!("outbound|{port}||{host}")) {
        found.push(Finding::warning(at, missing(cluster, "the ServiceEntries of this file make", &known)));
    }
    if need.is_https && known.contains(cluster) {
        found.extend(of_rules(cluster, host, at, plugin, documents));
    }
    found
}

/// The port and the host of `outbound|443||idp.example.com`.
fn port_and_host(cluster: &str) -> Option<(&str, &str)> {
    let mut parts = cluster.split('|');
    let (direction, port, _, host) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (direction == "outbound" && parts.next().is_none()).then_some((port, host))
}

/// The clusters that Istio makes for a ServiceEntry.
fn clusters_of(entry: &Node) -> Vec<String> {
    let ports = list(entry, &["spec", "ports"]).iter().filter_map(|port| port.field("number")).map(Node::json);
    let ports: Vec<_> = ports.collect();
    let hosts = list(entry, &["spec", "hosts"]).iter().filter_map(Node::text);
    hosts.flat_map(|host| ports.iter().map(move |port| format!("outbound|{port}||{host}"))).collect()
}

/// Warnings on the DestinationRules of this host: on TLS that the cluster of this filter does not speak, or not to this host.
fn of_rules(cluster: &str, host: &str, at: Position, plugin: &Plugin, documents: &[Node]) -> Vec<Finding> {
    let rules: Vec<_> = of_kind(documents, "DestinationRule").collect();
    let host_setting = |rule: &&Node| rule.at_path(&["spec", "host"]).and_then(Node::text).map(str::to_owned);
    let is_off = |rule: &Node| text(rule, &["spec", "traffic_policy", "tls", "mode"]) == Some("DISABLE");
    let own = rules.iter().filter(|rule| host_setting(rule).as_deref() == Some(host));
    let with_tls: Vec<_> = own.filter(|rule| rule.mentions("tls") && !is_off(rule)).collect();
    let plain = format!("`{cluster}` speaks plain HTTP unless a DestinationRule for {host} sets tls");
    if with_tls.is_empty() {
        let hosts: Vec<_> = rules.iter().filter_map(host_setting).filter(|other| other != host).collect();
        let meant = nearest(host, hosts.iter().map(String::as_str));
        let rule = rules.iter().find(|rule| meant.is_some() && host_setting(rule).as_deref() == meant);
        return match rule.and_then(|rule| rule.at_path(&["spec", "host"])) {
            Some(wrong) => {
                let message = format!(
                    "{plain}, and this one is for {}; did you mean `{host}`?",
                    wrong.text().unwrap_or_default()
                );
                vec![Finding::warning(wrong.at, message)]
            }
            None => vec![Finding::warning(at, format!("{plain}, and this file has none"))],
        };
    }
    let filter = plugin.document(documents).map(Scope::of);
    let elsewhere = |rule: &&&Node| Scope::of(rule).other_label(filter.as_ref()?);
    if let Some(difference) =
        with_tls.iter().map(elsewhere).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().next())
    {
        let message = format!("{plain}, and this one is for {difference}: write the same in both");
        return vec![Finding::warning(difference.at, message)];
    }
    with_tls.into_iter().filter_map(|rule| of_server_name(rule, host)).collect()
}

/// Warns where a DestinationRule asks for another host, or verifies none: Istio verifies names by `subjectAltNames`, and
/// where `sni` is set by nothing else.
fn of_server_name(rule: &Node, host: &str) -> Option<Finding> {
    let tls = rule.at_path(&["spec", "traffic_policy", "tls"])?;
    let sni = tls.field("sni");
    let names = list(tls, &["subject_alt_names"]);
    let title = title(rule);
    if let Some(other) = sni.filter(|sni| sni.text().is_some_and(|sni| !sni.eq_ignore_ascii_case(host))) {
        let message = format!(
            "sni has the DestinationRule {title} ask for {}, and its host is {host}: write that, or leave sni out",
            other.text().unwrap_or_default()
        );
        return Some(Finding::warning(other.at, message));
    }
    if let Some(sni) = sni.filter(|_| names.is_empty()) {
        let message = format!(
            "the DestinationRule {title} takes the certificate of any other host for that of {host}, because sni is set without subjectAltNames: leave \
             sni out, or add subjectAltNames: [{host}]"
        );
        return Some(Finding::warning(sni.at, message));
    }
    let is_host = |name: &Node| {
        let above = host.split_once('.').map(|(_, above)| above);
        name.text().is_some_and(|name| name.eq_ignore_ascii_case(host) || name.strip_prefix("*.") == above)
    };
    let first = names.first().filter(|_| !names.iter().any(is_host))?;
    let message = format!(
        "the DestinationRule {title} takes a certificate for {} alone, and its host is {host}: write that",
        names.iter().filter_map(Node::text).collect::<Vec<_>>().join(", ")
    );
    Some(Finding::warning(first.at, message))
}
