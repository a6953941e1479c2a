//! Reads options: a configuration file (TOML), command-line flags, environment variables, a manifest of Kubernetes, values for the
//! Helm chart, or the YAML
//! of `--alpha-config`.

use toml::de::{DeTable, DeValue};

use super::{
    alpha,
    error::ConversionError,
    names,
    notes::{Place, Weight},
    settings::{Rank, Settings},
};
use crate::{tree::Node, yaml};

/// The prefix of environment variables.
const PREFIX: &str = "OAUTH2_PROXY_";
/// Options whose values are not shown, so that it does not matter that Kubernetes alone knows them.
const SECRETS: [&str; 7] = [
    "basic_auth_password",
    "client_secret",
    "cookie_secret",
    "jwt_key",
    "redis_connection_url",
    "redis_password",
    "redis_sentinel_password",
];
/// What stands for a client ID that Kubernetes alone knows.
const CLIENT_ID: &str = "my-client";

pub(super) fn read(file: &str, text: &str, settings: &mut Settings) -> Result<(), ConversionError> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let is_flag = |line: &str| line.trim_start_matches("- ").trim_matches(['"', '\'']).starts_with("--");
    let first = lines.next().unwrap_or_default();
    let is_variable = |line: &str| line.strip_prefix("export ").unwrap_or(line).starts_with(PREFIX);
    if is_flag(first) || first.ends_with("oauth2-proxy \\") || is_variable(first) {
        of_lines(file, text, settings);
        return Ok(());
    }
    if file.ends_with(".yaml") || file.ends_with(".yml") {
        let documents = yaml::read(text).map_err(|error| at(file, error.at.line, &error.reason))?;
        let before = settings.count();
        for document in &documents {
            alpha::read(file, document, settings);
            of_manifest(file, document, settings)?;
        }
        if settings.count() == before {
            return Err(at(
                file,
                1,
                "no options of oauth2-proxy: neither args or env of a container, nor extraArgs or a configuration file, nor its YAML with providers",
            ));
        }
        return Ok(());
    }
    of_toml(file, text, 0, settings)
}

fn at(file: &str, line: usize, reason: &str) -> ConversionError {
    ConversionError(format!("{file}:{line}: {reason}"))
}

/// The values of an option that is written as one text.
fn values(name: &str, value: &str) -> Vec<String> {
    if !names::is_list(&names::canonical(name)) {
        return vec![value.to_owned()];
    }
    let values = value.split(',').map(|value| value.trim().to_owned());
    values.filter(|value| !value.is_empty()).collect()
}

/// Adds `--name=value`, `--name value`, or `--name` for a switch.
fn add_flag(flag: &str, place: Place, settings: &mut Settings) {
    let (name, value) = flag.split_once(['=', ' ']).unwrap_or((flag, "true"));
    let value = value.trim_matches(['"', '\'']);
    settings.add(name, values(name, value), place, Rank::Flag);
}

/// A flag or a variable in each line.
fn of_lines(file: &str, text: &str, settings: &mut Settings) {
    for (number, line) in text.lines().enumerate() {
        let line = line.trim().trim_end_matches('\\').trim_end();
        let place = Place::new(file, number.saturating_add(1));
        let flag = line.strip_prefix("- ").unwrap_or(line).trim_matches(['"', '\'']);
        let variable = line.strip_prefix("export ").unwrap_or(line);
        if let Some((name, value)) = variable.strip_prefix(PREFIX).and_then(|rest| rest.split_once('=')) {
            let value = value.trim_matches(['"', '\'']);
            settings.add(name, values(name, value), place, Rank::Environment);
        } else if flag.starts_with("--") {
            add_flag(flag, place, settings);
        } else if !line.is_empty() && !line.starts_with('#') && !line.ends_with("oauth2-proxy") {
            settings.unread(&place);
        }
    }
}

/// The options in a manifest of Kubernetes, or in values for the Helm chart of oauth2-proxy: `args`, `command` and `env` of
/// containers, `extraArgs`, and the configuration file within the document.
fn of_manifest(file: &str, document: &Node, settings: &mut Settings) -> Result<(), ConversionError> {
    let mut nodes = Vec::new();
    document.visit(&mut |node| nodes.push(node));
    for node in nodes {
        let mut has_flags = None;
        for member in node.members() {
            let place = Place::new(file, member.at.line);
            let mut is_empty = true;
            member
                .node
                .visit(&mut |inner| is_empty &= matches!(inner.text(), None | Some("" | "~" | "false" | "null")));
            match member.key.as_str() {
                "args" | "command" => {
                    if of_arguments(file, &member.node, settings) {
                        has_flags = has_flags.or(Some(place));
                    }
                }
                "env" | "extraEnv" => of_environment(file, &member.node, settings),
                "extraArgs" => {
                    of_chart(file, &member.node, settings);
                    has_flags = has_flags.or(Some(place));
                }
                name @ ("alphaConfig" | "envFrom" | "existingConfig") if !is_empty => {
                    let said =
                        format!("{name}: options elsewhere; convert them together with these, and take this out");
                    settings.close(&place, said);
                }
                name if name == "configFile" || name.ends_with(".cfg") => {
                    if let Some(text) = member.node.text() {
                        of_toml(file, text, member.at.line, settings)?;
                    }
                }
                name => {
                    if let Some(name) = name.strip_prefix(PREFIX)
                        && let Some(value) = member.node.text()
                    {
                        settings.add(name, values(name, value), place, Rank::Environment);
                    }
                }
            }
        }
        if let Some(place) = has_flags {
            settings.begin_container(&place);
        }
    }
    Ok(())
}

/// Whether there is a flag.
fn of_arguments(file: &str, list: &Node, settings: &mut Settings) -> bool {
    let mut has_flags = false;
    let mut arguments = list.elements().iter().peekable();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.text().filter(|text| text.starts_with("--")) else { continue };
        has_flags = true;
        let is_value = |next: &&Node| !flag.contains('=') && next.text().is_some_and(|text| !text.starts_with("--"));
        let place = Place::new(file, argument.at.line);
        match arguments.next_if(is_value).and_then(Node::text) {
            Some(value) => add_flag(&format!("{flag}={value}"), place, settings),
            None => add_flag(flag, place, settings),
        }
    }
    has_flags
}

fn of_environment(file: &str, list: &Node, settings: &mut Settings) {
    for variable in list.elements() {
        let Some(name) = variable.get("name").and_then(Node::text).and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let place = Place::new(file, variable.at.line);
        let option = names::canonical(name);
        let value = match variable.get("value").and_then(Node::text) {
            Some(value) => value,
            None if SECRETS.contains(&option.as_str()) => "(of a Secret)",
            None if option == "client_id" => {
                let said = "client_id: put the value of the Secret in its place";
                settings.note(&place, Weight::Decide, said);
                CLIENT_ID
            }
            None => {
                let said =
                    format!("{option}: Kubernetes alone knows its value; add {PREFIX}{name}=VALUE in another file");
                settings.close(&place, said);
                continue;
            }
        };
        settings.add(name, values(name, value), place, Rank::Environment);
    }
}

/// `extraArgs` of the Helm chart: a list of flags, or a map from names to values.
fn of_chart(file: &str, arguments: &Node, settings: &mut Settings) {
    of_arguments(file, arguments, settings);
    for member in arguments.members() {
        let values = match member.node.text() {
            Some(value) => values(&member.key, value),
            None => member.node.elements().iter().filter_map(|value| value.text().map(str::to_owned)).collect(),
        };
        settings.add(&member.key, values, Place::new(file, member.at.line), Rank::Flag);
    }
}

/// Reads a configuration file, which begins after this line of the file.
fn of_toml(file: &str, text: &str, after: usize, settings: &mut Settings) -> Result<(), ConversionError> {
    let breaks = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let line = |offset: usize| breaks(offset).saturating_add(after).saturating_add(1);
    let table = DeTable::parse(text)
        .map_err(|error| at(file, line(error.span().map_or(0, |span| span.start)), error.message()))?;
    settings.has_file = true;
    for (name, value) in table.get_ref() {
        let place = Place::new(file, line(name.span().start));
        let name = name.get_ref();
        let values = match value.get_ref() {
            DeValue::Array(items) => {
                let items: Option<Vec<_>> = items.iter().map(|item| scalar(item.get_ref())).collect();
                items.ok_or_else(|| at(file, line(value.span().start), "expected a list of texts"))?
            }
            one => {
                let one = scalar(one)
                    .ok_or_else(|| at(file, line(value.span().start), "expected a text, a number or a list"))?;
                values(name, &one)
            }
        };
        settings.add(name, values, place, Rank::File);
    }
    Ok(())
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(is_true) => Some(is_true.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
