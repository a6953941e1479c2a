//! The clusters that a configuration needs, and those that the file defines.

mod envoy;
mod gateway;
mod istio;

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
    plugin::{Mesh, Plugin},
    spelling,
    tree::{Member, Node, Position},
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
    /// Those of them that `clusters` names and no URL of the configuration has.
    uncalled: Vec<String>,
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
    for provider in &config.providers {
        for (host, cluster) in provider.relying_party.clusters.by_authority() {
            let need = needs.add(cluster.as_str());
            if !need.hosts.contains(host) {
                need.hosts.push(host.clone());
                need.uncalled.push(host.clone());
            }
        }
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
                uncalled: Vec::new(),
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
    /// The hosts that are reached through it, for the report.
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
pub(crate) fn review(needs: &[Need], settings: &Node, plugin: &Plugin, documents: &[Node]) -> Vec<Finding> {
    let of_need = |need: &Need| {
        let at = place_of(&need.cluster, settings);
        match plugin.mesh {
            Mesh::Envoy => envoy::review(need, at, documents),
            Mesh::EnvoyGateway => gateway::review(need, at, documents),
            Mesh::Istio => istio::review(need, at, plugin, documents),
            Mesh::Unknown => Vec::new(),
        }
    };
    needs.iter().flat_map(of_need).chain(uncalled(needs, settings)).collect()
}

/// Warnings on the hosts under `clusters` that are nearly those of URLs.
fn uncalled(needs: &[Need], settings: &Node) -> Vec<Finding> {
    let called: Vec<_> = needs
        .iter()
        .flat_map(|need| need.hosts.iter().filter(|host| !need.uncalled.contains(host)))
        .map(String::as_str)
        .collect();
    let members = settings.get("clusters").map_or(&[][..], Node::members).iter();
    let is_uncalled = |host: &str| needs.iter().any(|need| need.uncalled.iter().any(|uncalled| uncalled == host));
    let of_member = |member: &Member| {
        let near = spelling::nearest(&member.key, called.iter().copied()).filter(|_| is_uncalled(&member.key))?;
        let message = format!("clusters: no URL here has the host {}; did you mean `{near}`?", member.key);
        // Two hosts of one domain are near each other.
        (strsim::osa_distance(&member.key, near) < 3).then(|| Finding::warning(member.at, message))
    };
    members.filter_map(of_member).collect()
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

fn missing(cluster: &str, where_from: &str, known: &[String]) -> String {
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    format!("{where_from} no cluster `{cluster}`{}", spelling::hint(cluster, &known))
}

fn host_of(authority: &str) -> &str {
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}
