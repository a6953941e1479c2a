//! The environment variables of secrets: those that reach the filter, and stand-ins where a check has to do without them.

use std::cell::RefCell;

use serde_json::Value;

use crate::plugin::Environment;

/// Private keys of the filter's tests, which sign nothing else: RSA, P-256, P-384, P-521, Ed25519.
const PRIVATE_KEYS: &str = include_str!("../../../src/jose/testdata/private_keys.json");

/// Looks up the variables of one configuration.
pub(crate) struct Variables<'a> {
    /// Those of this process, or of a file.
    given: &'a dyn Fn(&str) -> Option<String>,
    /// Those that the file passes on; `None` where it does not say.
    passed: Option<&'a Environment>,
    /// A value for each variable that is not there, where secrets are not at hand.
    stand_ins: Vec<(String, String)>,
    stood_in_for: RefCell<Vec<String>>,
}

/// Why a variable has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// The file does not pass it on.
    NotPassed,
    /// It is not set where the check runs.
    NotSet,
}

impl<'a> Variables<'a> {
    pub(crate) fn new(given: &'a dyn Fn(&str) -> Option<String>, passed: Option<&'a Environment>) -> Self {
        Self { given, passed, stand_ins: Vec::new(), stood_in_for: RefCell::default() }
    }

    /// The same with stand-ins for the variables of this document.
    pub(crate) fn with_stand_ins(self, document: &Value) -> Self {
        let mut stand_ins = Vec::new();
        stand_in(document, "", None, &mut stand_ins);
        Self { stand_ins, ..self }
    }

    /// The value that the filter would get.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        if let Some(environment) = self.passed {
            if let Some((_, value)) = environment.values.iter().find(|(known, _)| known == name) {
                return Some(value.clone());
            }
            if !environment.passed.iter().any(|known| known == name) {
                return None;
            }
        }
        (self.given)(name).or_else(|| {
            let (_, value) = self.stand_ins.iter().find(|(known, _)| known == name)?;
            let mut names = self.stood_in_for.borrow_mut();
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
            Some(value.clone())
        })
    }

    /// Why this variable has no value.
    pub(crate) fn absence(&self, name: &str) -> Absence {
        let is_passed = self.passed.is_none_or(|environment| environment.passed.iter().any(|known| known == name));
        if is_passed { Absence::NotSet } else { Absence::NotPassed }
    }

    /// The variables that had a stand-in, and were not checked themselves.
    pub(crate) fn stood_in_for(&self) -> Vec<String> {
        self.stood_in_for.borrow().clone()
    }
}

/// Adds a value for each variable here, of the form that its setting wants.
fn stand_in(value: &Value, setting: &str, alg: Option<&str>, found: &mut Vec<(String, String)>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| stand_in(element, setting, alg, found)),
        Value::Object(members) => {
            if let (Some(Value::String(name)), 1) = (members.get("env"), members.len()) {
                let value = match setting {
                    "authorization" => "Basic c3RhbmQ6aW4=".to_owned(),
                    "dpop_key" | "private_key" => private_key(alg),
                    // Keys of their own: equal ones are worth a warning.
                    "keys" => format!("{:064x}", found.len().saturating_add(1)),
                    _ => "a-stand-in-for-a-secret-that-the-check-does-not-know".to_owned(),
                };
                found.push((name.clone(), value));
            }
            let alg = members.get("alg").and_then(Value::as_str);
            members.iter().for_each(|(name, member)| stand_in(member, name, alg, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn private_key(alg: Option<&str>) -> String {
    let place = match alg {
        Some(alg) if alg.starts_with("RS") => 0,
        Some("ES384") => 2,
        Some("ES512") => 3,
        Some("EdDSA") => 4,
        _ => 1,
    };
    let keys: Value = serde_json::from_str(PRIVATE_KEYS).unwrap_or_default();
    keys.get(place).map(Value::to_string).unwrap_or_default()
}

/// The variables of a file with one `NAME=VALUE` a line; empty lines and those that begin with `#` count as none.
///
/// # Errors
/// The number of the first line that has another form.
pub fn variables_of_file(text: &str) -> Result<Vec<(String, String)>, usize> {
    let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let read = |(line, number): (&str, usize)| {
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(number)?;
        let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        Ok((name.trim().to_owned(), bare.unwrap_or(value).to_owned()))
    };
    lines.map(read).collect()
}
