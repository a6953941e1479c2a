//! Reads options: a configuration file (TOML), command-line flags, environment variables, a manifest of Kubernetes, or the YAML
//! of `--alpha-config`.

use toml::de::{DeTable, DeValue};

use super::{
    ConversionError, alpha, names,
    settings::{Place, Rank, Settings},
};
use crate::{
    tree::{Node, Position},
    yaml,
};

/// The prefix of environment variables.
const PREFIX: &str = "OAUTH2_PROXY_";
/// The variable in the place of a secret that Kubernetes gives.
const OF_SECRET: &str = "(a secret of Kubernetes)";

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
            of_manifest(file, document, settings);
        }
        if settings.count() == before {
            return Err(at(
                file,
                1,
                "no options of oauth2-proxy: neither args nor env of a container, nor its YAML with providers",
            ));
        }
        return Ok(());
    }
    of_toml(file, text, settings)
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

/// `args`, `command` and `env` of the containers in a manifest.
fn of_manifest(file: &str, document: &Node, settings: &mut Settings) {
    document.visit(&mut |node| {
        let place = |at: Position| Place::new(file, at.line);
        for name in ["args", "command"] {
            let mut arguments = node.get(name).map_or(&[][..], Node::elements).iter().peekable();
            while let Some(argument) = arguments.next() {
                let Some(flag) = argument.text().filter(|text| text.starts_with("--")) else { continue };
                let value = arguments
                    .next_if(|next| !flag.contains('=') && next.text().is_some_and(|text| !text.starts_with("--")));
                match value.and_then(Node::text) {
                    Some(value) => add_flag(&format!("{flag}={value}"), place(argument.at), settings),
                    None => add_flag(flag, place(argument.at), settings),
                }
            }
        }
        for variable in node.get("env").map_or(&[][..], Node::elements) {
            let name = variable.get("name").and_then(Node::text).and_then(|name| name.strip_prefix(PREFIX));
            let value =
                variable.get("value").and_then(Node::text).or_else(|| variable.get("valueFrom").map(|_| OF_SECRET));
            if let (Some(name), Some(value)) = (name, value) {
                settings.add(name, values(name, value), place(variable.at), Rank::Environment);
            }
        }
    });
}

fn of_toml(file: &str, text: &str, settings: &mut Settings) -> Result<(), ConversionError> {
    let line = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count().saturating_add(1);
    let table = DeTable::parse(text)
        .map_err(|error| at(file, line(error.span().map_or(0, |span| span.start)), error.message()))?;
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
