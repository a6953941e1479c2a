//! Writes the document: YAML of maps, lists and scalars.

use crate::tree::quoted;

/// The address that stands where none is known.
pub(super) const PLACEHOLDER: &str = "https://app.example.com";

/// A value of the document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Yaml {
    /// On one line, in braces or brackets.
    Flow(Box<Self>),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    /// A number or a boolean, as it is.
    Plain(String),
    Text(String),
}

pub(super) fn text(value: impl Into<String>) -> Yaml {
    Yaml::Text(value.into())
}

/// A list on one line.
pub(super) fn flow_list(items: impl IntoIterator<Item = Yaml>) -> Yaml {
    Yaml::Flow(Box::new(Yaml::List(items.into_iter().collect())))
}

pub(super) fn texts<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Yaml {
    flow_list(values.into_iter().map(text))
}

pub(super) fn plain(value: impl ToString) -> Yaml {
    Yaml::Plain(value.to_string())
}

pub(super) fn map<N: Into<String>>(members: impl IntoIterator<Item = (N, Yaml)>) -> Yaml {
    Yaml::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// A map on one line.
pub(super) fn flow<N: Into<String>>(members: impl IntoIterator<Item = (N, Yaml)>) -> Yaml {
    Yaml::Flow(Box::new(map(members)))
}

/// The value of this environment variable.
pub(super) fn secret(variable: &str) -> Yaml {
    flow([("env", text(variable))])
}

/// The whole document.
pub(super) fn write(is_closed: bool, members: Vec<(&str, Yaml)>) -> String {
    let mut written = String::new();
    if is_closed {
        written.push_str(
            "# NOT COMPLETE: a restriction of oauth2-proxy has no counterpart (see the notes of `vestibule convert`). The last rule closes\n\
             # the app until you have put another restriction in its place.\n",
        );
    }
    for (name, value) in members {
        member(name, &value, "", &mut written);
    }
    written
}

fn member(name: &str, value: &Yaml, indent: &str, written: &mut String) {
    let name = scalar(name);
    match value {
        Yaml::Map(members) if !members.is_empty() => {
            written.push_str(&format!("{indent}{name}:\n"));
            let indent = format!("{indent}  ");
            members.iter().for_each(|(name, value)| member(name, value, &indent, written));
        }
        Yaml::List(items) if !items.is_empty() => {
            written.push_str(&format!("{indent}{name}:\n"));
            for one in items {
                item(one, indent, written);
            }
        }
        value => written.push_str(&format!("{indent}{name}: {}\n", line(value))),
    }
}

fn item(value: &Yaml, indent: &str, written: &mut String) {
    let Yaml::Map(members) = value else {
        written.push_str(&format!("{indent}- {}\n", line(value)));
        return;
    };
    let inner = format!("{indent}  ");
    let mut block = String::new();
    members.iter().for_each(|(name, value)| member(name, value, &inner, &mut block));
    // The dash takes the place of the first member's indentation.
    written.push_str(&format!("{indent}- {}", block.strip_prefix(&inner).unwrap_or(&block)));
}

fn line(value: &Yaml) -> String {
    match value {
        Yaml::Flow(inner) => line(inner),
        Yaml::List(items) => format!("[{}]", items.iter().map(line).collect::<Vec<_>>().join(", ")),
        Yaml::Map(members) => {
            let members = members.iter().map(|(name, value)| format!("{}: {}", scalar(name), line(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Yaml::Plain(value) => value.clone(),
        Yaml::Text(value) => scalar(value),
    }
}

/// A text, in quotes where a reader of YAML could take it for something else.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["false", "n", "no", "null", "off", "on", "true", "y", "yes"];
    let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./:@+~".contains(letter));
    let begins_plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    let is_word = WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain && begins_plain && !is_word && !text.ends_with(':') { text.to_owned() } else { quoted(text) }
}

/// The claim as a name, or as a JSON Pointer where oauth2-proxy reads a path with dots.
pub(super) fn pointer(claim: &str) -> String {
    if claim.contains("://") || !claim.contains('.') {
        return claim.to_owned();
    }
    claim.split('.').map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}
