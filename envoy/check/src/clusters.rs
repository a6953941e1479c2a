//! The clusters that a configuration needs, and those that the file defines.

use vestibule::{
    config::Config,
    oidc::{
        Clusters, Endpoint,
        token_issuer::{IntrospectionEndpoint, Validation},
    },
    provider::Protocol,
};

use crate::{
    finding::Finding,
    plugin::{self, Mesh},
    tree::{Node, Position},
};

/// A cluster that has to exist.
pub(crate) struct Need {
    pub(crate) cluster: String,
    /// The authorities that are reached through it.
    pub(crate) hosts: Vec<String>,
    /// Whether calls through it go to `https` URLs.
    pub(crate) is_https: bool,
    /// Whether calls of a provider through it go to `http` URLs.
    pub(crate) is_http: bool,
    /// Whether it also reaches the hosts that metadata name.
    pub(crate) is_for_discovered_hosts: bool,
}

/// The clusters that this configuration needs, in the order of first use.
pub(crate) fn needs(config: &Config) -> Vec<Need> {
    let mut needs = Needs(Vec::new());
    for provider in &config.providers {
        let clusters = &provider.relying_party.clusters;
        let mut reach = |endpoint: &Endpoint| needs.reach(clusters, endpoint);
        provider.discovery().into_iter().for_each(&mut reach);
        if let Some(known) = provider.configured_metadata() {
            reach(&known.token_endpoint);
            let others = [&known.jwks_uri, &known.revocation_endpoint, &known.userinfo_endpoint];
            others.into_iter().chain([&known.pushed_request_endpoint]).flatten().for_each(&mut reach);
        }
        match &provider.protocol {
            Protocol::GitHub(github) => reach(&github.api),
            Protocol::OAuth2(server) => server.questions.further.iter().for_each(|question| reach(&question.endpoint)),
            Protocol::Oidc(settings) => {
                let known = &settings.endpoints;
                let called = [&known.token, &known.jwks, &known.revocation, &known.userinfo, &known.pushed_request];
                called.into_iter().flatten().for_each(&mut reach);
            }
        }
        if provider.discovery().is_some() {
            needs.add(clusters.default_cluster().as_str()).is_for_discovered_hosts = true;
        }
        if let Some(provisioning) = &provider.provisioning {
            let endpoint = &provisioning.endpoint;
            needs.reach_host(endpoint.cluster.as_str(), &endpoint.url.authority());
            needs.add(endpoint.cluster.as_str()).is_https |= endpoint.url.url().scheme() == "https";
        }
        clusters.by_authority().iter().for_each(|(host, cluster)| needs.reach_host(cluster.as_str(), host));
    }
    for issuer in &config.token_issuers {
        let clusters = &issuer.clusters;
        match &issuer.validation {
            Validation::Discovered(issuer) => {
                needs.reach(clusters, issuer.discovery());
                needs.add(clusters.default_cluster().as_str()).is_for_discovered_hosts = true;
            }
            Validation::JwksUri(endpoint) => needs.reach(clusters, endpoint),
            Validation::Introspection(asked) => match &asked.endpoint {
                IntrospectionEndpoint::Configured(endpoint) => needs.reach(clusters, endpoint),
                IntrospectionEndpoint::Discovered(issuer) => {
                    needs.reach(clusters, issuer.discovery());
                    needs.add(clusters.default_cluster().as_str()).is_for_discovered_hosts = true;
                }
            },
            Validation::Fixed(_) | Validation::Provider => {}
        }
    }
    if let Some(store) = &config.session.store {
        needs.reach_host(store.cluster.as_str(), &store.authority);
    }
    needs.0
}

struct Needs(Vec<Need>);

impl Needs {
    fn add(&mut self, cluster: &str) -> &mut Need {
        let place = self.0.iter().position(|need| need.cluster == cluster).unwrap_or(self.0.len());
        if place == self.0.len() {
            let cluster = cluster.to_owned();
            self.0.push(Need {
                cluster,
                hosts: Vec::new(),
                is_https: false,
                is_http: false,
                is_for_discovered_hosts: false,
            });
        }
        #[allow(clippy::indexing_slicing, reason = "found, or just added")]
        &mut self.0[place]
    }

    fn reach(&mut self, clusters: &Clusters, endpoint: &Endpoint) {
        let cluster = clusters.reaching(endpoint).as_str();
        self.reach_host(cluster, &endpoint.authority());
        let is_https = endpoint.url().scheme() == "https";
        let need = self.add(cluster);
        need.is_https |= is_https;
        need.is_http |= !is_https;
    }

    fn reach_host(&mut self, cluster: &str, host: &str) {
        let need = self.add(cluster);
        if !need.hosts.iter().any(|known| known == host) {
            need.hosts.push(host.to_owned());
        }
    }
}

impl Need {
    /// What is reached through it, for the report.
    pub(crate) fn purpose(&self) -> String {
        let mut hosts = self.hosts.clone();
        if self.is_for_discovered_hosts {
            hosts.push("and the hosts that the metadata there name".to_owned());
        }
        hosts.join(", ")
    }
}

/// The clusters that the file does not define, and those that do not reach or verify the provider. A missing one is a fault
/// where the file has all clusters.
pub(crate) fn review(needs: &[Need], settings: &Node, mesh: Mesh, documents: &[Node]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for need in needs {
        let at = place_of(&need.cluster, settings);
        let warnings = match mesh {
            Mesh::Envoy => match of_envoy(need, documents) {
                Ok(warnings) => warnings,
                Err(missing) => {
                    findings.push(Finding::fault(at, "", missing));
                    Vec::new()
                }
            },
            Mesh::EnvoyGateway => of_gateway(need, documents),
            Mesh::Istio => of_istio(need, documents),
            Mesh::Unknown => Vec::new(),
        };
        findings.extend(warnings.into_iter().map(|message| Finding::warning(at, message)));
    }
    findings
}

/// Where the settings name this cluster.
fn place_of(cluster: &str, settings: &Node) -> Position {
    let names_it = |node: &&Node| node.text() == Some(cluster);
    let by_host = settings.get("clusters").map_or(&[][..], Node::members).iter().map(|member| &member.node);
    let places: [&[&str]; 2] = [&["session", "store", "cluster"], &["provisioning", "cluster"]];
    let others = places.into_iter().filter_map(|place| settings.at_path(place));
    let named = settings.get("cluster").into_iter().chain(by_host).chain(others).find(names_it);
    named.map_or(settings.at, |node| node.at)
}

/// Warnings, or that there is no such cluster.
fn of_envoy(need: &Need, documents: &[Node]) -> Result<Vec<String>, String> {
    let with_clusters = |document| Some((document, Node::field(document, "static_resources")?));
    let Some((bootstrap, resources)) = documents.iter().find_map(with_clusters) else { return Ok(Vec::new()) };
    let clusters = resources.field("clusters").map_or(&[][..], Node::elements);
    let name = |cluster: &Node| cluster.field("name").and_then(Node::text).map(str::to_owned);
    match clusters.iter().find(|cluster| name(cluster).as_ref() == Some(&need.cluster)) {
        Some(cluster) if need.is_https => Ok(weaknesses(cluster, &need.cluster)),
        Some(cluster) if need.is_http && speaks_tls(cluster) => Ok(vec![format!(
            "the cluster `{}` speaks TLS, and the URLs of {} are http: leave its transport_socket out, or write https",
            need.cluster,
            need.hosts.join(", ")
        )]),
        Some(_) => Ok(Vec::new()),
        None if bootstrap.at_path(&["dynamic_resources", "cds_config"]).is_some() => Ok(Vec::new()),
        None => {
            let known: Vec<_> = clusters.iter().filter_map(name).collect();
            Err(missing(&need.cluster, "static_resources.clusters has", &known))
        }
    }
}

fn missing(cluster: &str, where_from: &str, known: &[String]) -> String {
    let hint = nearest(cluster, known).map_or_else(
        || if known.is_empty() { String::new() } else { format!("; it has {}", known.join(", ")) },
        |near| format!("; did you mean `{near}`?"),
    );
    format!("{where_from} no cluster `{cluster}`{hint}")
}

/// The name that was meant.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a String> {
    let distances = known.iter().map(|known| (strsim::osa_distance(name, known), known));
    distances.filter(|(distance, known)| distance.saturating_mul(3) <= known.len().max(3)).min().map(|(_, known)| known)
}

fn speaks_tls(cluster: &Node) -> bool {
    cluster.field("transport_socket").is_some_and(|socket| socket.has_text("UpstreamTlsContext"))
}

/// What keeps Envoy from making sure that it talks to the provider.
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

/// The port and the host of `outbound|443||idp.example.com`.
fn istio_name(cluster: &str) -> Option<(&str, &str)> {
    let mut parts = cluster.split('|');
    let (direction, port, _, host) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (direction == "outbound" && parts.next().is_none()).then_some((port, host))
}

fn host_of(authority: &str) -> &str {
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

pub(crate) fn of_kind<'a>(documents: &'a [Node], kind: &'a str) -> impl Iterator<Item = &'a Node> {
    documents.iter().filter(move |document| document.get("kind").and_then(Node::text) == Some(kind))
}

fn of_istio(need: &Need, documents: &[Node]) -> Vec<String> {
    let cluster = &need.cluster;
    let Some((port, host)) = istio_name(cluster) else {
        let is_patched = of_kind(documents, "EnvoyFilter").any(|filter| filter.defines(cluster));
        let wanted = need.hosts.first().map_or("HOST", |host| host_of(host));
        let hint = format!(
            "`{cluster}` is no cluster of Istio; that of a ServiceEntry for {wanted} is outbound|443||{wanted}"
        );
        return if is_patched { Vec::new() } else { vec![hint] };
    };
    let mut found = Vec::new();
    let others: Vec<_> = need.hosts.iter().map(|name| host_of(name)).filter(|name| *name != host).collect();
    if !others.is_empty() {
        found.push(format!(
            "`{cluster}` reaches {host} alone, not {}: name a cluster for each host under `clusters`",
            others.join(", ")
        ));
    }
    let entries: Vec<_> = of_kind(documents, "ServiceEntry").collect();
    let ports = |entry: &Node| {
        let ports = entry.at_path(&["spec", "ports"]).map_or(&[][..], Node::elements).iter();
        ports.filter_map(|port| port.field("number")).map(Node::json).collect::<Vec<_>>()
    };
    let hosts = |entry: &Node| {
        let hosts = entry.at_path(&["spec", "hosts"]).map_or(&[][..], Node::elements).iter();
        hosts.filter_map(Node::text).map(str::to_owned).collect::<Vec<_>>()
    };
    let known: Vec<_> = entries
        .iter()
        .flat_map(|entry| {
            hosts(entry).into_iter().flat_map(|host| ports(entry).into_iter().map(move |port| (host.clone(), port)))
        })
        .map(|(host, port)| format!("outbound|{port}||{host}"))
        .collect();
    // Where the file has none, they are elsewhere.
    if !known.is_empty() && !known.contains(&format!("outbound|{port}||{host}")) {
        found.push(missing(cluster, "the ServiceEntries of this file make", &known));
    }
    let has_tls = |rule: &Node| {
        let is_off = rule.at_path(&["spec", "traffic_policy", "tls", "mode"]).and_then(Node::text) == Some("DISABLE");
        rule.at_path(&["spec", "host"]).and_then(Node::text) == Some(host) && rule.mentions("tls") && !is_off
    };
    if need.is_https && known.contains(cluster) && !of_kind(documents, "DestinationRule").any(has_tls) {
        found.push(format!(
            "`{cluster}` speaks plain HTTP unless a DestinationRule for {host} sets tls, and this file has none"
        ));
    }
    found
}

fn of_gateway(need: &Need, documents: &[Node]) -> Vec<String> {
    let routes = of_kind(documents, "HTTPRoute").flat_map(|route| {
        let rules = route.at_path(&["spec", "rules"]).map_or(0, |rules| rules.elements().len());
        let namespace = if route.at_path(&["metadata", "namespace"]).is_none() { "default/" } else { "" };
        (0..rules).map(move |rule| format!("httproute/{namespace}{}/rule/{rule}", plugin::name(route)))
    });
    let known: Vec<_> = routes.collect();
    let mut patches = of_kind(documents, "EnvoyPatchPolicy").chain(of_kind(documents, "EnvoyProxy"));
    let is_patched = patches.any(|document| document.has_text(&need.cluster));
    if is_patched {
        return Vec::new();
    }
    if known.contains(&need.cluster) {
        return plain_backend(need, documents).into_iter().collect();
    }
    if !need.cluster.starts_with("httproute/") {
        return vec![format!(
            "`{}` is no cluster of Envoy Gateway, which makes them for routes: give the provider an HTTPRoute and name \
             httproute/NAMESPACE/NAME/rule/0",
            need.cluster
        )];
    }
    // Where the file has none, they are elsewhere.
    if known.is_empty() { Vec::new() } else { vec![missing(&need.cluster, "the HTTPRoutes of this file make", &known)] }
}

/// Warns where the route of this cluster leads to a Backend without TLS, and the provider's URLs are https.
fn plain_backend(need: &Need, documents: &[Node]) -> Option<String> {
    let mut parts = need.cluster.split('/').skip(1);
    let (namespace, name) = (parts.next()?, parts.next()?);
    let text = |node: &Node, path: &[&str]| node.at_path(path).and_then(Node::text).map(str::to_owned);
    let is_it = |resource: &&Node, name: &str| {
        let of_it = text(resource, &["metadata", "namespace"]).unwrap_or_else(|| "default".to_owned());
        of_it == namespace && text(resource, &["metadata", "name"]).as_deref() == Some(name)
    };
    let route = of_kind(documents, "HTTPRoute").find(|route| is_it(route, name))?;
    let rules = route.at_path(&["spec", "rules"]).map_or(&[][..], Node::elements).iter();
    let mut names = rules
        .flat_map(|rule| rule.field("backend_refs").map_or(&[][..], Node::elements))
        .filter(|reference| text(reference, &["kind"]).as_deref() == Some("Backend"))
        .filter_map(|reference| text(reference, &["name"]));
    let plain = |name: &String| {
        let backend = of_kind(documents, "Backend").find(|backend| is_it(backend, name));
        backend.is_some_and(|backend| backend.at_path(&["spec", "tls"]).is_none())
    };
    let name = names.find(plain).filter(|_| need.is_https)?;
    Some(format!(
        "`{}` speaks plain HTTP: the Backend {name} has no tls, and the provider's URLs are https",
        need.cluster
    ))
}
