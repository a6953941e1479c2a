//! What the resources of Istio and Envoy Gateway beside the filter's own say otherwise than its settings: names that were
//! changed in one place of two, policies by tokens that the filter does not hand on.

use vestibule::{config::Config, rules::Authorization};

use crate::{
    clusters::of_kind,
    finding::Finding,
    plugin::{self, Form, Plugin},
    tree::{Node, Position},
};

/// Warnings.
pub(crate) fn review(plugin: &Plugin, config: &Config, documents: &[Node]) -> Vec<Finding> {
    let mut found = Vec::new();
    match plugin.form {
        Form::Bare | Form::Filter => {}
        Form::ExtensionPolicy => {
            for policy in of_kind(documents, "SecurityPolicy") {
                let verifiers = list(policy, &["spec", "jwt", "providers"]);
                found.extend(tokens(policy, verifiers, config));
                found.extend(order(verifiers, config, documents));
            }
            found.extend(routes(plugin, config, documents));
            found.extend(patches(plugin, documents));
            found.extend(variables(plugin, documents));
        }
        Form::WasmPlugin => {
            let policies: Vec<_> = of_kind(documents, "RequestAuthentication").collect();
            for policy in &policies {
                found.extend(tokens(policy, list(policy, &["spec", "jwt_rules"]), config));
            }
            found.extend(principals(config, documents));
            let own = documents.iter().find(|document| document.contains(plugin.at));
            let phase = own.and_then(|own| own.at_path(&["spec", "phase"]));
            if hands_on(config) && !policies.is_empty() && phase.and_then(Node::text) != Some("AUTHN") {
                let message = "RequestAuthentication of this file looks for the token before the filter hands it on: it takes `phase: AUTHN`";
                found.push(Finding::warning(phase.map_or(plugin.at, |phase| phase.at), message));
            }
        }
    }
    found
}

fn hands_on(config: &Config) -> bool {
    matches!(config.authorization, Authorization::IdToken | Authorization::AccessToken)
}

/// A policy by tokens whose issuer or audience is another than the filter's, or to which the filter hands no token on.
fn tokens(policy: &Node, verifiers: &[Node], config: &Config) -> Option<Finding> {
    let first = verifiers.first()?;
    let kind = policy.get("kind").and_then(Node::text).unwrap_or_default();
    if !hands_on(config) {
        // Clients may bring tokens of their own.
        let brings = config.authorization == Authorization::Keep && !config.token_issuers.is_empty();
        let message =
            format!("no token of a user comes to this {kind}: the filter hands one on with `authorization: id_token`");
        return (!brings).then(|| Finding::warning(first.at, message));
    }
    let issuers = || config.providers.iter().map(|provider| provider.issuer().as_str());
    let issuer = |verifier: &Node| verifier.field("issuer").and_then(Node::text).map(str::to_owned);
    let of_ours = |verifier: &&Node| issuer(verifier).is_none_or(|issuer| issuers().any(|ours| ours == issuer));
    let Some(ours) = verifiers.iter().find(of_ours) else {
        let at = first.field("issuer").map_or(first.at, |node| node.at);
        let wanted = issuers().next().unwrap_or_default();
        let message = format!(
            "the filter's users come from {wanted}, which is no issuer of this {kind}: it answers them 401 \"Jwt issuer is not configured\""
        );
        return Some(Finding::warning(at, message));
    };
    // Who an access token is for is the provider's to say.
    if config.authorization != Authorization::IdToken {
        return None;
    }
    let audiences = list(ours, &["audiences"]);
    let is_client = |audience: &Node| {
        config.providers.iter().any(|provider| audience.text() == Some(provider.relying_party.client_id.as_str()))
    };
    let other = audiences.first().filter(|_| !audiences.iter().any(is_client))?;
    let client = config.providers.first().map_or("", |provider| provider.relying_party.client_id.as_str());
    let message = format!(
        "the ID tokens that the filter hands on are for `{client}`, its client_id, and this {kind} takes none for that: 401 \"Audiences in Jwt are not \
         allowed\""
    );
    Some(Finding::warning(other.at, message))
}

/// A policy that lets users of other issuers pass alone.
fn principals(config: &Config, documents: &[Node]) -> Option<Finding> {
    let policies =
        of_kind(documents, "AuthorizationPolicy").filter(|policy| text(policy, &["spec", "action"]) != Some("DENY"));
    let sources = policies.flat_map(|policy| list(policy, &["spec", "rules"])).flat_map(|rule| list(rule, &["from"]));
    let principals: Vec<_> = sources.flat_map(|source| list(source, &["source", "request_principals"])).collect();
    let is_ours = |principal: &&Node| {
        let of = |issuer: &str| {
            principal.text().and_then(|text| text.strip_prefix(issuer)).is_some_and(|rest| rest.starts_with('/'))
        };
        let begins = principal.text().is_some_and(|text| text.starts_with('*'));
        begins || config.providers.iter().any(|provider| of(provider.issuer().as_str()))
    };
    let first = principals.first().filter(|_| hands_on(config) && !principals.iter().any(is_ours))?;
    let issuer = config.providers.first().map_or("", |provider| provider.issuer().as_str());
    let message = format!(
        "the principals of the filter's users are {issuer}/SUBJECT, and this AuthorizationPolicy lets none of them pass: 403"
    );
    Some(Finding::warning(first.at, message))
}

/// A policy by tokens that Envoy Gateway puts before the filter.
fn order(verifiers: &[Node], config: &Config, documents: &[Node]) -> Option<Finding> {
    let first = verifiers.first().filter(|_| hands_on(config))?;
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

/// An HTTPRoute of the app that the policy does not name, or that has other hosts than the filter.
fn routes(plugin: &Plugin, config: &Config, documents: &[Node]) -> Option<Finding> {
    let policy = documents.iter().find(|document| document.contains(plugin.at))?;
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
            plugin::name(route)
        );
        return Some(Finding::warning(target.at, message));
    };
    let hosts = list(named, &["spec", "hostnames"]);
    let first = hosts.first().filter(|_| !routes.iter().filter(is_named).any(|route| serves(route)))?;
    let message = format!("no host of external_url is among the hosts of this HTTPRoute, so {home} answers 404");
    Some(Finding::warning(first.at, message))
}

/// Whether a host name of a route, which may begin with `*.`, is one of the app's.
fn is_ours(name: &str, config: &Config) -> bool {
    let is_it = |host: &str| match name.strip_prefix('*') {
        Some(domain) => host.len() > domain.len() && host.ends_with(domain),
        None => host.eq_ignore_ascii_case(name),
    };
    !config.origins.patterns().is_empty() || config.origins.all().any(|origin| is_it(origin.host()))
}

/// Patches of a listener or a filter that is not there: Envoy Gateway leaves them out.
fn patches(plugin: &Plugin, documents: &[Node]) -> Vec<Finding> {
    let gateways: Vec<_> = of_kind(documents, "Gateway").collect();
    let listeners: Vec<_> = gateways
        .iter()
        .flat_map(|gateway| {
            let names = list(gateway, &["spec", "listeners"]).iter().filter_map(|one| text(one, &["name"]));
            names.map(|name| format!("{}/{name}", plugin::name(gateway)))
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
fn variables(plugin: &Plugin, documents: &[Node]) -> Vec<Finding> {
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

fn list<'a>(node: &'a Node, path: &[&str]) -> &'a [Node] {
    node.at_path(path).map_or(&[][..], Node::elements)
}

fn text<'a>(node: &'a Node, path: &[&str]) -> Option<&'a str> {
    node.at_path(path).and_then(Node::text)
}
