//! Presets: the settings of well-known providers, each in a file of its own (`presets/NAME.json`). A setting that the operator does
//! not give comes from the preset; its texts name variables in braces, which the operator fills with `with`. A variant overrides
//! the preset for certain values of a variable, or for any value of an optional one. `needs_secret`: the provider accepts only
//! clients that authenticate. `without` is a text that the value of a variable must not contain, `starts_with` one that it begins with, in
//! which earlier variables are filled in: both refuse a value that is easily taken for the right one.

use zeroize::Zeroizing;

use super::{
    document::Node,
    fault::{At, Faults, Problem},
    resolve::is_domain,
    shape::hint,
};
use crate::jose::claims::is_guid;

/// The shortest value, in bytes, that may be a secret.
const MIN_SECRET: usize = 16;

macro_rules! presets {
    ($($name:literal),+ $(,)?) => {
        /// The names, and the files.
        const PRESETS: &[(&str, &str)] = &[$(($name, include_str!(concat!("presets/", $name, ".json")))),+];
        /// The names.
        pub(super) const NAMES: &[&str] = &[$($name),+];
    };
}

presets!(
    "apple",
    "auth0",
    "authentik",
    "cognito",
    "dex",
    "facebook",
    "github",
    "gitlab",
    "google",
    "keycloak",
    "microsoft",
    "okta",
    "simplelogin",
    "workos",
    "zitadel",
);

/// Completes each provider of this document that names a preset.
#[inline(never)]
pub(super) fn apply(document: &mut Node, faults: &mut Faults) {
    let at = At::Root.key("providers");
    let Some(Node::List(providers)) = document.member_mut("providers") else { return };
    for (place, provider) in providers.iter_mut().enumerate() {
        complete(provider, &at.index(place), faults);
    }
}

fn complete(provider: &mut Node, at: &At<'_>, faults: &mut Faults) {
    // Another type than text is reported where the settings are read.
    let Some(Node::Text(name)) = provider.member("preset") else { return };
    let Some((_, file)) = PRESETS.iter().find(|(known, _)| *known == name.as_str()) else {
        faults.wrong_word(&at.key("preset"), NAMES, name);
        if provider.member("issuer").is_none() && provider.member("type").is_none() {
            // So that what the preset would have brought is not reported as missing.
            let issuer = Node::Text(Zeroizing::new(Kind::Url.placeholder().to_owned()));
            if let Node::Object(given) = provider {
                given.push(("issuer".to_owned(), issuer));
            }
        }
        return;
    };
    // A test reads each file.
    let Ok(preset) = serde_json::from_str::<Node>(file) else { return };
    let values = values(&preset, provider, at, faults);
    require_secret(&preset, provider, &at.key("client_secret"), faults);
    let method = |node: &Node| node.text("token_endpoint_auth_method").map(str::to_owned);
    let has_own_method = method(provider).is_some_and(|own| preset.member("provider").and_then(method) != Some(own));
    let (Node::Object(given), Node::Object(members)) = (provider, preset) else { return };
    let mut members = members;
    if has_own_method {
        members.iter_mut().for_each(|(_, part)| drop_credentials(part));
    }
    let (variants, settings): (Vec<_>, Vec<_>) = members.into_iter().partition(|(name, _)| name == "variants");
    for (_, variants) in variants {
        let Node::List(variants) = variants else { continue };
        for variant in variants.into_iter().filter(|variant| is_for(variant, &values)) {
            add_member(variant, given, &values);
        }
    }
    add_member(Node::Object(settings), given, &values);
}

/// Takes the preset's way to authenticate out of its settings: the operator has set another one.
fn drop_credentials(settings: &mut Node) {
    if let Node::Object(settings) = settings {
        settings.retain(|(name, _)| !matches!(name.as_str(), "client_assertion" | "client_key"));
    }
}

/// Reports a missing secret, unless the operator has set another way to authenticate.
fn require_secret(preset: &Node, given: &Node, at: &At<'_>, faults: &mut Faults) {
    const WAYS: [&str; 3] = ["client_secret", "client_key", "token_endpoint_auth_method"];
    let is_needed = matches!(preset.member("needs_secret"), Some(Node::Bool(true)));
    if is_needed && WAYS.iter().all(|way| given.member(way).is_none()) {
        let title = preset.member("provider").and_then(|provider| provider.text("title")).unwrap_or_default();
        let expected = format!("the client secret that {title} gave you: it requires one");
        let _: Result<(), _> = faults.required(at, None, expected);
    }
}

/// Whether a variant is for these values: it lists one of them, or says `true` for any.
fn is_for(variant: &Node, values: &[(String, String)]) -> bool {
    values.iter().any(|(name, value)| match variant.member(name) {
        Some(Node::Bool(any)) => *any,
        Some(Node::List(of)) => of.iter().any(|of| matches!(of, Node::Text(of) if **of == **value)),
        _ => false,
    })
}

fn add_member(preset: Node, given: &mut Vec<(String, Node)>, values: &[(String, String)]) {
    if let Some(Node::Object(settings)) = preset.into_member("provider") {
        add(settings, given, values);
    }
}

/// The value of each variable of the preset of this provider: the operator's or the preset's own. An optional one may have none.
fn values(preset: &Node, provider: &Node, at: &At<'_>, faults: &mut Faults) -> Vec<(String, String)> {
    let variables = preset.member("variables").map_or(&[][..], Node::members);
    let names: Vec<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
    for (name, _) in provider.members().iter().filter(|(name, _)| names.contains(&name.as_str())) {
        let hint = format!("did you mean `with: {{{name}: ...}}`?");
        faults.add(&at.key(name), Problem::UnknownField { hint });
    }
    let at = at.key("with");
    let given = provider.member("with").map_or(&[][..], Node::members);
    for (name, _) in given.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
        let hint = if names.is_empty() { "this preset has no variables".to_owned() } else { hint(name, &names) };
        faults.add(&at.key(name), Problem::UnknownField { hint });
    }
    let mut values = Vec::new();
    for (name, variable) in variables {
        let (at, kind) = (at.key(name), Kind::of(variable));
        let what = variable.text("what").unwrap_or_default().to_owned();
        let value = match given.iter().find(|(given, _)| given == name) {
            Some((_, Node::Text(value))) => {
                let is_meant = variable.text("without").is_none_or(|part| !value.contains(part))
                    && variable.text("starts_with").is_none_or(|start| value.starts_with(&filled(start, &values)));
                kind.clean(value).filter(|_| is_meant).or_else(|| {
                    // A long one that is no URL may be a secret in the wrong field.
                    let _ = match value.len() < MIN_SECRET || value.starts_with("http") {
                        true => faults.wrong_value(&at, what, value),
                        false => faults.wrong(&at, what),
                    };
                    None
                })
            }
            // Another type than text is reported where the settings are read.
            Some(_) => None,
            None if matches!(variable.member("optional"), Some(Node::Bool(true))) => continue,
            None => faults.required(&at, variable.text("default").map(str::to_owned), what).ok(),
        };
        // Reported already: one that fits, so that no setting of the preset is reported as well.
        values.push((name.clone(), value.unwrap_or_else(|| kind.placeholder().to_owned())));
    }
    values
}

/// The value of a variable.
#[derive(Clone, Copy)]
enum Kind {
    /// A domain, which is written in lower case.
    Domain,
    /// A host, with or without a port.
    Host,
    /// A part of a path.
    Segment,
    /// A tenant of Microsoft: a GUID, which is written in lower case, or all of them.
    Tenant,
    /// A URL without query, and without a slash at the end.
    Url,
}

impl Kind {
    fn of(variable: &Node) -> Self {
        match variable.text("kind") {
            Some("domain") => Self::Domain,
            Some("host") => Self::Host,
            Some("tenant") => Self::Tenant,
            Some("url") => Self::Url,
            _ => Self::Segment,
        }
    }

    const fn placeholder(self) -> &'static str {
        match self {
            Self::Domain | Self::Host => "unknown.invalid",
            Self::Segment | Self::Tenant => "unknown",
            Self::Url => "https://unknown.invalid",
        }
    }

    /// The value as the preset has it, if it is of this kind.
    fn clean(self, value: &str) -> Option<String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_segment = |text: &str| !matches!(text, "" | "." | "..") && text.bytes().all(is_plain);
        let is_host = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && text.bytes().all(|byte| is_plain(byte) || byte == b':')
        };
        let value = if matches!(self, Self::Url) { value.strip_suffix('/').unwrap_or(value) } else { value };
        let is_clean = match self {
            Self::Domain => is_domain(value),
            Self::Host => is_host(value),
            Self::Segment => is_segment(value),
            Self::Tenant => matches!(value, "common" | "organizations") || is_guid(&value.to_ascii_lowercase()),
            Self::Url => {
                let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
                rest.is_some_and(|rest| {
                    let mut parts = rest.split('/');
                    parts.next().is_some_and(is_host) && parts.all(is_segment)
                })
            }
        };
        is_clean.then(|| {
            if matches!(self, Self::Domain | Self::Tenant) { value.to_ascii_lowercase() } else { value.to_owned() }
        })
    }
}

/// Adds these settings, where they are not given, with their variables filled in.
fn add(settings: Vec<(String, Node)>, given: &mut Vec<(String, Node)>, values: &[(String, String)]) {
    for (name, mut setting) in settings {
        fill(&mut setting, values);
        match given.iter_mut().find(|(known, _)| *known == name) {
            None => given.push((name, setting)),
            // Of maps, each entry by itself.
            Some((_, Node::Object(known))) => {
                if let Node::Object(entries) = setting {
                    add(entries, known, &[]);
                }
            }
            Some(_) => {}
        }
    }
}

fn fill(node: &mut Node, values: &[(String, String)]) {
    match node {
        Node::Text(text) => *text = Zeroizing::new(filled(text, values)),
        Node::List(elements) => elements.iter_mut().for_each(|element| fill(element, values)),
        Node::Object(members) => members.iter_mut().for_each(|(_, member)| fill(member, values)),
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
    }
}

/// The text with its variables filled in.
fn filled(text: &str, values: &[(String, String)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// The file of a preset.
#[cfg(test)]
pub(super) fn file(name: &str) -> &'static str {
    PRESETS.iter().find(|(known, _)| *known == name).unwrap().1
}
