//! Finds the filter's configurations in a file: in Envoy's own configuration, in resources of Istio and Envoy Gateway, or
//! the document alone.

use crate::{
    finding::Finding,
    json, kubernetes,
    tree::{Node, Position, Value},
    yaml,
};

/// The type of Envoy's Wasm filter.
const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";

/// One configuration of the filter, and what the file says around it.
pub(crate) struct Plugin {
    /// Its name in headings.
    pub(crate) title: String,
    /// Where it begins.
    pub(crate) at: Position,
    /// The form of the configuration around the filter's own.
    pub(crate) form: Form,
    /// The program that names Envoy's clusters.
    pub(crate) mesh: Mesh,
    /// The filter's own configuration; without one that can be read, why not.
    pub(crate) settings: Result<Settings, Finding>,
    /// The environment variables that reach the filter; `None` where the file does not say.
    pub(crate) environment: Option<Environment>,
    /// Where a failing filter is told to let all requests pass.
    pub(crate) fail_open: Option<Position>,
    /// The finding on a failure policy that does not exist.
    pub(crate) unknown_policy: Option<Finding>,
    /// Where Envoy is told to pass bodies on while requests are held.
    pub(crate) bodies_while_held: Option<Position>,
}

/// The form of the configuration around the filter's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The filter's configuration alone.
    Bare,
    /// Envoy Gateway's EnvoyExtensionPolicy.
    ExtensionPolicy,
    /// Envoy's PluginConfig.
    Filter,
    /// Istio's WasmPlugin.
    WasmPlugin,
}

/// The program that names Envoy's clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mesh {
    Envoy,
    EnvoyGateway,
    Istio,
    Unknown,
}

/// The filter's own configuration.
pub(crate) struct Settings {
    /// As the filter gets it.
    pub(crate) bytes: Vec<u8>,
    /// The same as a tree; an empty one where nothing is configured.
    pub(crate) root: Node,
}

/// The environment variables that reach the filter.
#[derive(Default)]
pub(crate) struct Environment {
    /// Those that Envoy passes on from its own environment.
    pub(crate) passed: Vec<String>,
    /// Those that stand in the file.
    pub(crate) values: Vec<(String, String)>,
}

/// Every configuration of the filter in these documents.
pub(crate) fn find(documents: &[Node]) -> Vec<Plugin> {
    let mut found: Vec<(bool, Plugin)> = Vec::new();
    for document in documents {
        let kind = document.get("kind").and_then(Node::text).unwrap_or_default();
        match kind {
            "WasmPlugin" => found.push(wasm_plugin(document)),
            "EnvoyExtensionPolicy" => found.extend(extension_policies(document)),
            _ => document.visit(&mut |node| found.extend(filter(node, mesh(document)))),
        }
    }
    // Other Wasm filters may stand beside it.
    let only_ours = found.iter().any(|(is_ours, _)| *is_ours);
    found.retain(|(is_ours, _)| *is_ours || !only_ours);
    if found.is_empty() {
        let bare = documents.iter().filter(|document| is_settings(document) && mesh(document) == Mesh::Envoy);
        found.extend(bare.map(|document| (true, bare_document(document))));
    }
    found.into_iter().map(|(_, plugin)| plugin).collect()
}

/// Whether an object has the first settings that each configuration has.
fn is_settings(node: &Node) -> bool {
    ["external_url", "providers", "session"].iter().any(|name| node.get(name).is_some())
}

fn mesh(document: &Node) -> Mesh {
    match document.get("apiVersion").and_then(Node::text) {
        Some(group) if group.contains("istio.io/") => Mesh::Istio,
        Some(group) if group.contains("gateway.envoyproxy.io/") => Mesh::EnvoyGateway,
        Some(_) => Mesh::Unknown,
        None => Mesh::Envoy,
    }
}

/// Whether a text in these nodes names the filter.
fn is_named<'a>(nodes: impl IntoIterator<Item = Option<&'a Node>>) -> bool {
    nodes.into_iter().flatten().any(|node| node.has_text("vestibule"))
}

fn bare_document(document: &Node) -> Plugin {
    Plugin {
        title: "the configuration".to_owned(),
        at: document.at,
        form: Form::Bare,
        mesh: Mesh::Unknown,
        settings: Ok(Settings::of_tree(document)),
        environment: None,
        fail_open: None,
        unknown_policy: None,
        bodies_while_held: None,
    }
}

/// A Wasm filter of Envoy, and whether it is this one.
fn filter(node: &Node, mesh: Mesh) -> Option<(bool, Plugin)> {
    let is_wasm = |node: &Node, name: &str| {
        let url = node.field(name).and_then(Node::text);
        url.is_some_and(|url| url.rsplit('/').next() == Some(WASM))
    };
    let config = if is_wasm(node, "@type") {
        node.field("config")?
    } else if is_wasm(node, "type_url") {
        node.at_path(&["value", "config"])?
    } else {
        return None;
    };
    let name = config.field("name").and_then(Node::text).unwrap_or("without a name");
    let code = config.at_path(&["vm_config", "code"]);
    let settings = config.field("configuration");
    let is_ours = is_named([config.field("name"), config.field("root_id"), code])
        || settings.is_some_and(|settings| settings.mentions("external_url"));
    let failure_policy = config.field("failure_policy").filter(|policy| policy.text() == Some("FAIL_OPEN"));
    let fail_open = config.field("fail_open").filter(|open| open.truth() == Some(true));
    let bodies = config.field("allow_on_headers_stop_iteration").filter(|bodies| bodies.truth() == Some(true));
    let plugin = Plugin {
        title: format!("the filter {name}"),
        at: node.at,
        form: Form::Filter,
        mesh,
        settings: settings.map_or_else(|| Ok(Settings::nothing(config.at)), any),
        environment: Some(environment_variables(config.at_path(&["vm_config", "environment_variables"]))),
        fail_open: failure_policy.or(fail_open).map(|node| node.at),
        unknown_policy: unknown_policy(config.field("failure_policy"), "FAIL_CLOSED"),
        bodies_while_held: bodies.map(|node| node.at),
    };
    Some((is_ours, plugin))
}

/// The finding on a failure policy that does not exist; `closed` is the word of Envoy or of Istio for refusing requests.
fn unknown_policy(policy: Option<&Node>, closed: &str) -> Option<Finding> {
    let (node, word) = policy.and_then(|node| Some((node, node.text()?)))?;
    let is_known = ["FAIL_OPEN", "FAIL_RELOAD", "UNSPECIFIED", closed].contains(&word);
    (!is_known).then(|| Finding::fault(node.at, "", format!("expected FAIL_RELOAD, or {closed}, got {word:?}")))
}

fn environment_variables(node: Option<&Node>) -> Environment {
    let passed = texts(node.and_then(|node| node.field("host_env_keys")));
    let values = node.and_then(|node| node.field("key_values")).map_or(&[][..], Node::members);
    let value = |node: &Node| node.text().unwrap_or_default().to_owned();
    Environment { passed, values: values.iter().map(|member| (member.key.clone(), value(&member.node))).collect() }
}

fn texts(list: Option<&Node>) -> Vec<String> {
    list.map_or(&[][..], Node::elements).iter().filter_map(Node::text).map(str::to_owned).collect()
}

/// The content of a `google.protobuf.Any`, as Envoy reads it.
fn any(node: &Node) -> Result<Settings, Finding> {
    let fault = |at, message: &str| Err(Finding::fault(at, "configuration", message));
    let Some(url) = node.field("@type") else {
        return fault(
            node.at,
            "expected \"@type\": type.googleapis.com/google.protobuf.Struct, and the settings under `value`",
        );
    };
    let Some(value) = node.field("value") else {
        return fault(node.at, "missing; expected the settings under `value`");
    };
    match url.text().and_then(|url| url.rsplit('/').next()) {
        Some("google.protobuf.Struct") if matches!(value.value, Value::Object(_)) => Ok(Settings::of_tree(value)),
        Some("google.protobuf.Struct") => fault(value.at, "expected an object, because its type is Struct"),
        Some("google.protobuf.StringValue") => Settings::of_text(value),
        _ => fault(
            url.at,
            "expected type.googleapis.com/google.protobuf.Struct, or google.protobuf.StringValue for JSON as text",
        ),
    }
}

fn wasm_plugin(document: &Node) -> (bool, Plugin) {
    let spec = document.get("spec");
    let field = |name: &str| spec.and_then(|spec| spec.field(name));
    let settings = field("plugin_config");
    let is_ours = is_named([document.at_path(&["metadata", "name"]), field("plugin_name"), field("url")])
        || settings.is_some_and(is_settings);
    let mut environment = Environment::default();
    let variables = spec.and_then(|spec| spec.at_path(&["vm_config", "env"])).map_or(&[][..], Node::elements);
    for variable in variables {
        let text = |name: &str| variable.field(name).and_then(Node::text).unwrap_or_default().to_owned();
        match text("value_from").as_str() {
            "HOST" => environment.passed.push(text("name")),
            _ => environment.values.push((text("name"), text("value"))),
        }
    }
    let plugin = Plugin {
        title: format!("the WasmPlugin {}", kubernetes::title(document)),
        at: document.at,
        form: Form::WasmPlugin,
        mesh: Mesh::Istio,
        settings: Ok(settings.map_or_else(|| Settings::nothing(document.at), Settings::of_tree)),
        environment: Some(environment),
        fail_open: field("fail_strategy").filter(|fail| fail.text() == Some("FAIL_OPEN")).map(|node| node.at),
        unknown_policy: unknown_policy(field("fail_strategy"), "FAIL_CLOSE"),
        bodies_while_held: None,
    };
    (is_ours, plugin)
}

fn extension_policies(document: &Node) -> Vec<(bool, Plugin)> {
    let filters = document.at_path(&["spec", "wasm"]).map_or(&[][..], Node::elements);
    let one = |filter: &Node| {
        let settings = filter.field("config");
        let is_ours = is_named([filter.field("name"), filter.get("rootID"), filter.field("code")])
            || settings.is_some_and(is_settings);
        let plugin = Plugin {
            title: format!("the EnvoyExtensionPolicy {}", kubernetes::title(document)),
            at: filter.at,
            form: Form::ExtensionPolicy,
            mesh: Mesh::EnvoyGateway,
            settings: Ok(settings.map_or_else(|| Settings::nothing(filter.at), Settings::of_tree)),
            environment: Some(Environment { passed: texts(filter.at_path(&["env", "host_keys"])), values: Vec::new() }),
            fail_open: filter.field("fail_open").filter(|open| open.truth() == Some(true)).map(|node| node.at),
            unknown_policy: None,
            bodies_while_held: None,
        };
        (is_ours, plugin)
    };
    filters.iter().map(one).collect()
}

impl Plugin {
    /// The document around it.
    pub(crate) fn document<'a>(&self, documents: &'a [Node]) -> Option<&'a Node> {
        documents.iter().find(|document| document.contains(self.at))
    }
}

impl Settings {
    fn nothing(at: Position) -> Self {
        Self { bytes: Vec::new(), root: Node { at, value: Value::Object(Vec::new()) } }
    }

    fn of_tree(root: &Node) -> Self {
        Self { bytes: root.json().into_bytes(), root: root.clone() }
    }

    /// JSON as text.
    fn of_text(node: &Node) -> Result<Self, Finding> {
        let Some(text) = node.text() else {
            return Err(Finding::fault(
                node.at,
                "configuration",
                "expected JSON as text, because its type is StringValue",
            ));
        };
        match json::read(text) {
            Ok(mut root) => {
                root.moved(&|inner| node.place_within(inner));
                Ok(Self { bytes: text.as_bytes().to_vec(), root })
            }
            Err(error) => {
                let is_yaml =
                    yaml::read(text).is_ok_and(|read| read.iter().any(|document| !document.members().is_empty()));
                let hint = if is_yaml { "; for YAML take the type google.protobuf.Struct, with no `|`" } else { "" };
                let message = format!("expected JSON, because its type is StringValue: {}{hint}", error.reason);
                Err(Finding::fault(node.place_within(error.at), "configuration", message))
            }
        }
    }
}
