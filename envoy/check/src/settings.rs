//! The effective settings: those given, those of the preset, and the defaults of the JSON Schema. Secrets are left out by
//! their type in the schema.

use serde_json::Value;
use vestibule::{
    config::Config,
    oidc::client::ClientAuthentication,
    origin::Origin,
    provider::{Protocol, Provider},
};

use crate::{json, tree::Node};

const SCHEMA: &str = include_str!("../../config.schema.json");
/// Characters of a value that are shown.
const MAX_SHOWN: usize = 200;
/// Defaults that hold for one protocol alone.
const OF_GITHUB: [&str; 2] = ["github_url", "github_api_url"];
const OF_OAUTH2: [&str; 2] = ["userinfo_token", "email_is_verified"];
const OF_OIDC: [&str; 3] = ["discovery", "userinfo", "id_token_signing_algs"];

/// The reference of all settings.
pub(crate) struct Schema(Node);

/// One setting as it takes effect.
struct Effective {
    name: String,
    value: String,
    source: &'static str,
}

impl Schema {
    /// `None` if the schema of this repository is no JSON.
    pub(crate) fn read() -> Option<Self> {
        json::read(SCHEMA).ok().map(Self)
    }

    fn resolved<'a>(&'a self, schema: &'a Node) -> &'a Node {
        let name = schema.get("$ref").and_then(Node::text).and_then(|name| name.rsplit('/').next());
        name.and_then(|name| self.0.get("$defs")?.get(name)).unwrap_or(schema)
    }

    fn of_member<'a>(&'a self, schema: &'a Node, name: &str) -> Option<&'a Node> {
        let schema = self.resolved(schema);
        schema.get("properties").and_then(|known| known.get(name)).or_else(|| schema.get("additionalProperties"))
    }

    /// Whether a value of this schema is a secret, or the name of its variable.
    fn is_secret(&self, schema: &Node) -> bool {
        let ways = self.resolved(schema).get("anyOf").map_or(&[][..], Node::elements);
        ways.iter().any(|way| way.at_path(&["properties", "env"]).is_some())
    }

    /// A value in one line, without secrets.
    fn show(&self, value: &Value, schema: Option<&Node>) -> String {
        if schema.is_some_and(|schema| self.is_secret(schema)) {
            let variable = value.get("env").and_then(Value::as_str);
            return variable.map_or_else(|| "[not shown]".to_owned(), |name| format!("{{env: {}}}", word(name)));
        }
        match value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
            Value::String(text) => word(text),
            Value::Array(elements) => {
                let schema = schema.and_then(|schema| self.resolved(schema).get("items"));
                let shown: Vec<_> = elements.iter().map(|element| self.show(element, schema)).collect();
                format!("[{}]", shown.join(", "))
            }
            Value::Object(members) => {
                let member = |(name, member): (&String, &Value)| {
                    let schema = schema.and_then(|schema| self.of_member(schema, name));
                    format!("{}: {}", word(name), self.show(member, schema))
                };
                let mut shown: Vec<_> = members.iter().map(member).collect();
                // serde_json may or may not keep the order of the document.
                shown.sort();
                format!("{{{}}}", shown.join(", "))
            }
        }
    }

    /// The settings of an object, in the order of the schema: those that are given, filled in, or have a default.
    fn effective(&self, schema: &Node, given: Option<&Node>, completed: Option<&Value>) -> Vec<Effective> {
        let properties = self.resolved(schema).get("properties").map_or(&[][..], Node::members);
        let one = |name: &str, property: &Node| {
            let is_given = given.is_some_and(|given| given.get(name).is_some());
            let (value, source) = match completed.and_then(|completed| completed.get(name)) {
                Some(value) if is_given => (self.show(value, Some(property)), ""),
                Some(value) => (self.show(value, Some(property)), "preset"),
                None => {
                    let default = serde_json::from_str(&property.get("default")?.json()).unwrap_or_default();
                    (self.show(&default, None), "default")
                }
            };
            Some(Effective { name: name.to_owned(), value, source })
        };
        properties.iter().filter_map(|property| one(&property.key, &property.node)).collect()
    }

    /// The lines on a provider.
    pub(crate) fn of_provider(
        &self,
        provider: &Provider,
        given: Option<&Node>,
        completed: Option<&Value>,
    ) -> Vec<String> {
        let Some(schema) = self.0.at_path(&["$defs", "Provider"]) else { return Vec::new() };
        let mut settings = self.effective(schema, given, completed);
        let foreign: &[&[&str]] = match provider.protocol {
            Protocol::GitHub(_) => &[&OF_OAUTH2, &OF_OIDC, &["response_mode"]],
            Protocol::OAuth2(_) => &[&OF_GITHUB, &OF_OIDC],
            Protocol::Oidc(_) => &[&OF_GITHUB, &OF_OAUTH2],
        };
        settings.retain(|setting| {
            setting.source != "default" || !foreign.iter().any(|names| names.contains(&setting.name.as_str()))
        });
        let mut put = |name: &str, value: String| {
            let default = Effective { name: name.to_owned(), value, source: "default" };
            match settings.iter_mut().find(|setting| setting.name == name) {
                Some(setting) if setting.source == "default" => *setting = default,
                Some(_) => {}
                None => settings.push(default),
            }
        };
        // Defaults that follow from other settings.
        let scopes = &provider.relying_party.scopes;
        put("scopes", if scopes.is_empty() { "none".to_owned() } else { format!("[{}]", scopes.join(", ")) });
        put("token_endpoint_auth_method", authentication(&provider.relying_party.authentication).to_owned());
        put("title", word(&provider.title));
        if let Some(metadata) = provider.discovery() {
            put("metadata_url", metadata.url().as_str().to_owned());
        }
        let order = self.resolved(schema).get("properties").map_or(&[][..], Node::members);
        settings.sort_by_key(|setting| order.iter().position(|known| known.key == setting.name));
        lines(settings)
    }

    /// The lines on another object of the document.
    pub(crate) fn of_object(&self, name: &str, given: &Node, completed: &Value) -> Vec<String> {
        let Some(schema) = self.0.get("properties").and_then(|known| known.get(name)) else { return Vec::new() };
        lines(self.effective(schema, given.get(name), completed.get(name)))
    }

    /// A value of the document in one line.
    pub(crate) fn of_policy(&self, value: &Value) -> String {
        self.show(value, self.0.at_path(&["$defs", "Allow"]))
    }
}

fn lines(settings: Vec<Effective>) -> Vec<String> {
    let line = |Effective { name, value, source }: Effective| {
        let source = if source.is_empty() { String::new() } else { format!(" ({source})") };
        format!("{name}: {}{source}", cut(&value))
    };
    settings.into_iter().map(line).collect()
}

/// How a client authenticates where no method is set.
const fn authentication(authentication: &ClientAuthentication) -> &'static str {
    match authentication {
        ClientAuthentication::Assertion(_) => "private_key_jwt",
        ClientAuthentication::Basic(_) => "client_secret_basic",
        ClientAuthentication::Injected => "injected",
        ClientAuthentication::None => "none, a public client",
        ClientAuthentication::Post(_) => "client_secret_post",
        ClientAuthentication::Tls => "tls_client_auth",
        ClientAuthentication::Unspecified(_) => {
            "client_secret_basic, or client_secret_post where its metadata offer no other"
        }
    }
}

/// A text as YAML would have it, in quotes where it needs them.
fn word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./:@*+~|=&%".contains(letter);
    let begins_plain = text.starts_with(|first: char| first.is_alphanumeric() || "/_.~".contains(first));
    if begins_plain && text.chars().all(is_plain) { text.to_owned() } else { crate::tree::quoted(text) }
}

fn cut(text: &str) -> String {
    let mut letters = text.chars();
    let mut shown: String = letters.by_ref().take(MAX_SHOWN).collect();
    if letters.next().is_some() {
        shown.push_str("...");
    }
    shown
}

/// The URLs to register at this provider.
pub(crate) fn registrations(config: &Config, provider: &Provider) -> Vec<String> {
    let mut lines = each_origin(config, "redirect URI", &|origin| config.redirect_uri(origin, provider));
    let ends_sessions =
        provider.openid().is_some() || provider.configured_sign_out().first().is_some_and(Option::is_some);
    if config.sign_out.at_provider && ends_sessions {
        lines.extend(each_origin(config, "post-logout redirect URI", &|origin| config.signed_out_uri(origin)));
    }
    // One host is enough: a logout ends sessions of all.
    let origins = &config.origins;
    let origin = origins.sign_in().unwrap_or_else(|| origins.home().origin()).as_str();
    let below = |path: &str| format!("{origin}{}/{path}", config.prefix);
    if config.sign_out.back_channel && provider.openid().is_some() {
        lines.push(format!("back-channel logout URI: {}", below("backchannel_logout")));
    }
    if config.sign_out.front_channel && provider.openid().is_some() {
        lines.push(format!("front-channel logout URI: {}", below("frontchannel_logout")));
    }
    lines
}

/// The URL at the sign-in host, or at each host.
fn each_origin(config: &Config, what: &str, url: &dyn Fn(&Origin) -> String) -> Vec<String> {
    let origins = &config.origins;
    if let Some(central) = origins.sign_in() {
        return vec![format!("{what}: {}", url(central))];
    }
    let mut lines: Vec<_> = origins.all().map(|origin| format!("{what}: {}", url(origin))).collect();
    lines.extend(origins.patterns().iter().filter_map(|pattern| {
        let example = Origin::parse(&pattern.with_label("label"))?;
        let url = url(&example).replacen("://label.", "://*.", 1);
        Some(format!("{what}: {url}, if the provider takes wildcards; sign_in.external_url needs none"))
    }));
    lines
}
