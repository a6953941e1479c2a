//! The core's faults and warnings, with their places in the file.

use vestibule::config::{Config, ConfigErrors, Fault, Problem, Segment};

use crate::{
    advice,
    environment::{Absence, Variables},
    finding::Finding,
    plugin::{Form, Plugin, Settings},
    tree::{Node, Position},
};

/// The core's faults.
pub(crate) fn locate(
    errors: &ConfigErrors,
    plugin: &Plugin,
    settings: &Settings,
    variables: &Variables<'_>,
) -> Vec<Finding> {
    errors.faults().iter().map(|fault| located(fault, plugin, settings, variables)).collect()
}

fn located(fault: &Fault, plugin: &Plugin, settings: &Settings, variables: &Variables<'_>) -> Finding {
    let root = &settings.root;
    let of_key = || root.place_of_key(&fault.path);
    let at = match &fault.problem {
        Problem::Twice | Problem::UnknownField { .. } => of_key().unwrap_or_else(|| root.place(&fault.path)),
        _ => root.place(&fault.path),
    };
    let message = advice::message(fault, root, variables);
    let (at, message) = match &fault.problem {
        Problem::Variable { name: Some(name), state: "not set" } => (at, absent(name, plugin.form, variables)),
        Problem::Variable { name: Some(name), state: "empty" } if plugin.form == Form::WasmPlugin => {
            let way = format!(
                "the environment variable {name} is empty; write {{name: {name}, valueFrom: HOST}} under env of vmConfig"
            );
            (at, way)
        }
        Problem::Missing { .. } if fault.path.segments().is_empty() => (at, format!("{message}{}", field(plugin.form))),
        Problem::Value { .. } => match broken_expression(fault, root) {
            Some((at, why)) => (at, format!("{message}: {why}")),
            None => (at, message),
        },
        _ => (at, message),
    };
    Finding::fault(at, fault.path.to_string(), message)
}

/// Where the filter's own configuration stands.
const fn field(form: Form) -> &'static str {
    match form {
        Form::Bare => "",
        Form::ExtensionPolicy => "; the settings stand under `config`",
        Form::Filter => "; the settings stand under `configuration`, in its `value`",
        Form::WasmPlugin => "; the settings stand under `pluginConfig`",
    }
}

/// Why a variable has no value, and what to do.
fn absent(name: &str, form: Form, variables: &Variables<'_>) -> String {
    let way = match (variables.absence(name), form) {
        (Absence::NotSet, _) | (_, Form::Bare) => {
            return format!("the environment variable {name} is not set here");
        }
        (Absence::NotPassed, Form::Filter) => {
            format!("environment_variables: {{host_env_keys: [{name}]}} under vm_config")
        }
        (Absence::NotPassed, Form::WasmPlugin) => format!("{{name: {name}, valueFrom: HOST}} to env under vmConfig"),
        (Absence::NotPassed, Form::ExtensionPolicy) => format!("{name} to hostKeys under env"),
    };
    format!("the environment variable {name} does not reach the filter; add {way}")
}

/// Where in the file an expression is wrong, and why, where its syntax is.
fn broken_expression(fault: &Fault, root: &Node) -> Option<(Position, String)> {
    let names = fault.path.segments().iter().rev().find_map(|segment| match segment {
        Segment::Key(name) => Some(name.as_str()),
        Segment::Index(_) => None,
    });
    if !matches!(names, Some("regex" | "email_matches")) {
        return None;
    }
    let node = root.value_at(&fault.path)?;
    let error = regex_syntax::ast::parse::Parser::new().parse(node.text()?).err()?;
    let start = error.span().start;
    let at = node.place_within(Position { line: start.line, column: start.column });
    Some((at, format!("{}, at character {}", error.kind(), start.column)))
}

/// The core's warnings.
pub(crate) fn warnings(config: &Config, root: &Node) -> Vec<Finding> {
    let place = |warning: &str| root.named_place(warning).unwrap_or(root.at);
    config.warnings.iter().map(|warning| Finding::warning(place(warning), warning.as_str())).collect()
}
