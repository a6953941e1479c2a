//! Resources of Envoy Gateway: routes, patches, variables and the order of filters.

use vestibule::config::Config;

use crate::{
    finding::Finding,
    kubernetes::{list, of_kind, text, title},
    plugin::Plugin,
    tree::{Node, Position},
};

/// Warns where Envoy Gateway runs a policy by tokens before the filter, which would hand the token on.
pub(super) fn order(verifiers: &[Node], documents: &[Node]) -> Option<Finding> {
    let first = verifiers.first()?;
    let mut proxies = of_kind(documents, "EnvoyProxy").peekable();
    // Where the file has none, it is elsewhere.
    proxies.peek()?;
    let is_set = |proxy: &Node| {
        list(proxy, &["spec", "filter_order"])
            .iter()
            .any(|order| text(order, &["name"]) == Some("envoy.filters.http.wasm"))
    };
    let message = "this SecurityPolicy looks for the token before the filter hands it on, so everybody gets 403; in EnvoyProxy, filterOrder: [{name: \
                   envoy.filters.http.wasm, before: envoy.filters.http.jwt_authn}]";
    (!proxies.any(is_set)).then(|| Finding::warning(first.at, message))
}

/// Warns where the policy does not name the app's HTTPRoute, or the route has other hosts than the filter.
pub(super) fn routes(policy: &Node, config: &Config, documents: &[Node]) -> Option<Finding> {
    let targets = list(policy, &["spec", "target_refs"]);
    let target = targets.first()?;
    if targets.iter().any(|target| text(target, &["kind"]) != Some("HTTPRoute")) {
        return None;
    }
    let routes: Vec<_> = of_kind(documents, "HTTPRoute").collect();
    let is_named =
        |route: &&&Node| targets.iter().any(|target| text(target, &["name"]) == text(route, &["metadata", "name"]));
    let serves = |route: &Node| {
        list(route, &["spec", "hostnames"]).iter().filter_map(Node::text).any(|name| is_ours(name, config))
    };
    let home = config.origins.home().origin().host().to_owned();
    let Some(named) = routes.iter().find(is_named) else {
        let route = routes.iter().find(|route| serves(route))?;
        let message = format!(
            "no HTTPRoute of this file has this name, and {}, which serves {home}, lets everybody pass without sign-in unless a policy names it",
            title(route)
        );
        return Some(Finding::warning(target.at, message));
    };
    let hosts = list(named, &["spec", "hostnames"]);
    let first = hosts.first().filter(|_| !routes.iter().filter(is_named).any(|route| serves(route)))?;
    let message = format!("no host of external_url is among the hosts of this HTTPRoute, so {home} answers 404");
    Some(Finding::warning(first.at, message))
}

/// Whether a host name of a route, which may begin with `*.`, is one of the app's.
pub(super) fn is_ours(name: &str, config: &Config) -> bool {
    let is_it = |host: &str| match name.strip_prefix('*') {
        Some(domain) => host.len() > domain.len() && host.ends_with(domain),
        None => host.eq_ignore_ascii_case(name),
    };
    !config.origins.patterns().is_empty() || config.origins.all().any(|origin| is_it(origin.host()))
}

/// Warns on patches of a listener or filter that is not there: Envoy Gateway leaves them out.
pub(super) fn patches(plugin: &Plugin, documents: &[Node]) -> Vec<Finding> {
    let gateways: Vec<_> = of_kind(documents, "Gateway").collect();
    let listeners: Vec<_> = gateways
        .iter()
        .flat_map(|gateway| {
            let names = list(gateway, &["spec", "listeners"]).iter().filter_map(|one| text(one, &["name"]));
            names.map(|name| format!("{}/{name}", title(gateway)))
        })
        .collect();
    let filter = documents
        .iter()
        .flat_map(|document| list(document, &["spec", "wasm"]))
        .find(|filter| filter.at == plugin.at)
        .and_then(|filter| text(filter, &["name"]));
    let mut found = Vec::new();
    let policies = of_kind(documents, "EnvoyPatchPolicy");
    for patch in policies.flat_map(|policy| list(policy, &["spec", "json_patches"])) {
        let is_of_listener = text(patch, &["type"]).is_some_and(|kind| kind.ends_with(".Listener"));
        if let Some(name) = patch.field("name").filter(|_| is_of_listener && !listeners.is_empty()) {
            let is_there = name.text().is_some_and(|name| listeners.iter().any(|listener| listener == name));
            if !is_there {
                found.push(left_out(name.at, "listener", &listeners.join(", ")));
            }
        }
        let place = patch.at_path(&["operation", "json_path"]);
        let wanted =
            place.and_then(Node::text).and_then(|path| path.split_once("config.name=='")?.1.split('\'').next());
        if let (Some(place), Some(wanted), Some(filter)) = (place, wanted, filter)
            && wanted != filter
        {
            found.push(left_out(place.at, "filter", filter));
        }
    }
    found
}

fn left_out(at: Position, what: &str, known: &str) -> Finding {
    let message =
        format!("this file has no {what} of this name, so Envoy Gateway leaves the patch out; it has {known}");
    Finding::warning(at, message)
}

/// Variables that the filter gets from an Envoy that does not have them.
pub(super) fn variables(plugin: &Plugin, documents: &[Node]) -> Vec<Finding> {
    let path = ["spec", "provider", "kubernetes", "envoy_deployment", "container", "env"];
    let given: Vec<_> = of_kind(documents, "EnvoyProxy").flat_map(|proxy| list(proxy, &path)).collect();
    // Where the file sets none, they are set elsewhere.
    let Some(first) = given.first() else { return Vec::new() };
    let passed = plugin.environment.as_ref().map_or(&[][..], |environment| &environment.passed);
    let is_given = |name: &&String| given.iter().any(|variable| text(variable, &["name"]) == Some(name.as_str()));
    let missing = passed.iter().filter(|name| !is_given(name));
    let message =
        |name| format!("hostKeys names {name}, which is not in this environment of Envoy: the filter does not start");
    missing.map(|name| Finding::warning(first.at, message(name))).collect()
}
