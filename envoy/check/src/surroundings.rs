//! Warnings on the configuration of Envoy around the filter's own.

use vestibule::config::Config;

use crate::{
    finding::Finding,
    plugin::{Form, Plugin, Settings},
    spelling,
    tree::Node,
};

/// The setting that stands in both configurations.
const BODIES_WHILE_HELD: &str = "allow_on_headers_stop_iteration";

/// The warnings on what stands around this configuration.
pub(crate) fn review(
    plugin: &Plugin,
    settings: &Settings,
    config: Option<&Config>,
    documents: &[Node],
) -> Vec<Finding> {
    let root = &settings.root;
    let mut found = Vec::new();
    found.extend(plugin.unknown_policy.clone());
    found.extend(config.map(|_| unused_variables(plugin, root, documents)).unwrap_or_default());
    if plugin.form == Form::Filter {
        found.extend(ambiguous_paths(plugin, documents));
        found.extend(route_policies(root, documents));
    }
    if plugin.form == Form::ExtensionPolicy {
        found.extend(unrouted_callback(plugin, root, documents));
    }
    if let Some(at) = plugin.fail_open {
        let instead = match plugin.form {
            Form::ExtensionPolicy => "leave failOpen out",
            Form::Bare | Form::Filter | Form::WasmPlugin => "take FAIL_RELOAD",
        };
        let message = format!("a filter that fails lets every request pass, without sign-in: {instead}");
        found.push(Finding::warning(at, message));
    }
    let is_patched = documents.iter().any(|document| {
        document.get("kind").and_then(Node::text) == Some("EnvoyPatchPolicy") && document.has_text(BODIES_WHILE_HELD)
    });
    if !(is_patched && plugin.form == Form::ExtensionPolicy) {
        found.extend(bodies_on_one_side(plugin, root));
    }
    found
}

/// Warns where the connection manager around the filter leaves paths as clients write them.
fn ambiguous_paths(plugin: &Plugin, documents: &[Node]) -> Option<Finding> {
    let mut manager = None;
    for document in documents {
        document.visit(&mut |node| {
            let filters = node.field("http_filters").map_or(&[][..], Node::elements);
            if filters.iter().any(|filter| filter.contains(plugin.at)) {
                manager = Some(node);
            }
        });
    }
    let manager = manager?;
    let is_set = |name: &str| manager.field(name).is_some_and(|node| node.truth() != Some(false));
    let wanted = [
        ("normalize_path", "normalize_path: true"),
        ("merge_slashes", "merge_slashes: true"),
        ("path_with_escaped_slashes_action", "path_with_escaped_slashes_action: REJECT_REQUEST"),
    ];
    let missing: Vec<_> = wanted.iter().filter(|(name, _)| !is_set(name)).map(|(_, setting)| *setting).collect();
    (!missing.is_empty()).then(|| {
        let message = format!(
            "the connection manager lacks {}: Envoy, the filter and the app may read different paths",
            missing.join(", ")
        );
        Finding::warning(manager.at, message)
    })
}

/// Warns where a variable reaches the filter and no setting uses it, as where a secret was forgotten.
fn unused_variables(plugin: &Plugin, root: &Node, documents: &[Node]) -> Vec<Finding> {
    let passed = plugin.environment.as_ref().map_or(&[][..], |environment| &environment.passed);
    let own = plugin.document(documents);
    let place = |name: &str| {
        let mut place = plugin.at;
        let mut find = |node: &Node| {
            if node.text() == Some(name) {
                place = node.at;
            }
        };
        own.into_iter().for_each(|own| own.visit(&mut find));
        place
    };
    let unused = passed.iter().filter(|name| !root.has_text(name));
    let message = |name| {
        format!("the variable {name} reaches the filter, and no setting has {{env: {name}}}: is a secret missing?")
    };
    unused.map(|name| Finding::warning(place(name), message(name))).collect()
}

/// Warns where a route of Envoy names a policy that the configuration does not have, or does not look at.
fn route_policies(root: &Node, documents: &[Node]) -> Vec<Finding> {
    let is_on = root.get("route_metadata").is_some_and(|on| on.truth() == Some(true));
    let known: Vec<_> =
        root.get("policies").map_or(&[][..], Node::members).iter().map(|one| one.key.as_str()).collect();
    let mut found = Vec::new();
    for document in documents {
        document.visit(&mut |node| {
            let named = node.at_path(&["filter_metadata", "vestibule", "policy"]);
            let Some((named, policy)) = named.and_then(|named| Some((named, named.text()?))) else { return };
            if !is_on {
                let message = format!("the policy {policy:?} of this route has no effect without `route_metadata: true` in the configuration");
                found.push(Finding::warning(named.at, message));
            } else if !known.contains(&policy) {
                let hint = spelling::hint(policy, &known);
                let message = format!("`policies` has no {policy:?}, so this route answers 500 route_policy{hint}");
                found.push(Finding::warning(named.at, message));
            }
        });
    }
    found
}

/// Warns where the filter is on for HTTPRoutes of which none leads to its own paths: Envoy Gateway turns it on by route.
fn unrouted_callback(plugin: &Plugin, root: &Node, documents: &[Node]) -> Option<Finding> {
    let prefix = root.get("prefix").and_then(Node::text).unwrap_or("/oauth2");
    let policy = plugin.document(documents)?;
    let targets = policy.at_path(&["spec", "target_refs"]).map_or(&[][..], Node::elements);
    let leads_there = |target: &Node| {
        let text = |name: &str| target.field(name).and_then(Node::text);
        let is_target = |route: &&Node| {
            let has_kind = route.get("kind").and_then(Node::text) == Some("HTTPRoute");
            has_kind && route.at_path(&["metadata", "name"]).and_then(Node::text) == text("name")
        };
        // A Gateway has all its routes; another HTTPRoute is elsewhere.
        let Some(route) = documents.iter().find(is_target).filter(|_| text("kind") == Some("HTTPRoute")) else {
            return true;
        };
        let section = text("section_name");
        let mut rules = route.at_path(&["spec", "rules"]).map_or(&[][..], Node::elements).iter();
        rules.any(|rule| {
            let counts = section.is_none() || rule.field("name").and_then(Node::text) == section;
            let matches = rule.field("matches").map_or(&[][..], Node::elements);
            counts && (matches.is_empty() || matches.iter().any(|one| covers(one.field("path"), prefix)))
        })
    };
    let first = targets.first().filter(|_| !targets.iter().any(leads_there))?;
    let message = format!(
        "no HTTPRoute that this policy names matches {prefix}/callback, so a sign-in ends at 404: have one match every path, and say in `rules` what is \
         public"
    );
    Some(Finding::warning(first.at, message))
}

/// Whether the path of a match has this prefix below it. An expression counts as one that has.
fn covers(path: Option<&Node>, prefix: &str) -> bool {
    let Some(path) = path else { return true };
    let value = path.field("value").and_then(Node::text).unwrap_or("/").trim_end_matches('/');
    match path.field("type").and_then(Node::text) {
        Some("Exact") => false,
        Some("RegularExpression") => true,
        _ => prefix.strip_prefix(value).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

/// Warns where one side says that bodies are passed on while requests are held, and the other does not.
fn bodies_on_one_side(plugin: &Plugin, root: &Node) -> Option<Finding> {
    let own = root.get(BODIES_WHILE_HELD).filter(|own| own.truth() == Some(true));
    let message = match (own, plugin.bodies_while_held, plugin.form) {
        (Some(own), None, Form::Filter) => (
            own.at,
            format!(
                "{BODIES_WHILE_HELD} is true here alone: say it beside failure_policy as well, or Envoy hands no body to the filter, and back-channel \
             logout and kept forms fail"
            ),
        ),
        (Some(own), None, Form::WasmPlugin) => (
            own.at,
            format!(
                "{BODIES_WHILE_HELD}: a WasmPlugin cannot say it to Envoy, and back-channel logout and kept forms fail: write the filter as an EnvoyFilter"
            ),
        ),
        (Some(own), None, Form::ExtensionPolicy) => (
            own.at,
            format!(
                "{BODIES_WHILE_HELD}: an EnvoyExtensionPolicy cannot say it to Envoy, and back-channel logout and kept forms fail unless an EnvoyPatchPolicy \
             adds it beside failure_policy"
            ),
        ),
        (None, Some(at), _) => (
            at,
            format!(
                "{BODIES_WHILE_HELD} is true here alone: say it at the top of the filter's configuration as well, or it has no effect but Envoy's limit on \
             bodies"
            ),
        ),
        _ => return None,
    };
    Some(Finding::warning(message.0, message.1))
}
