//! Checks a configuration of the filter without Envoy: `vestibule check`. It reads the file that Envoy, Istio or Envoy Gateway
//! will read, hands the filter's part to the filter's own core, and reports what that finds, with lines and columns of the file.
//!
//! `yaml` and `json` read a file into a `tree`, whose values know their places; `plugin` finds the filter's configurations in
//! it; the core finds the faults, which `faults` locates; `advice` names the usual causes of faults, `doubts` the values that are
//! probably mistakes; `surroundings`, `resources` and `clusters` look at the rest of the file, with `kubernetes` and `scope` for
//! resources and what they apply to; `settings` and `explain` show what takes effect. All of it is a function of texts: `main`
//! reads files and variables.
//!
//! `convert` is another command: it turns a configuration of oauth2-proxy into one of the filter.

mod advice;
mod arguments;
mod clusters;
mod convert;
mod doubts;
mod environment;
mod explain;
mod faults;
mod finding;
mod json;
mod kubernetes;
mod plugin;
mod resources;
mod scope;
mod settings;
mod spelling;
mod surroundings;
#[cfg(test)]
mod tests;
mod tree;
mod yaml;

use serde_json::Value;
use vestibule::config::{Config, ConfigErrors, with_presets};

pub use arguments::{Arguments, Command, Conversions, USAGE, UsageError};
pub use convert::{Conversion, ConversionError, ConvertOptions, convert};
pub use environment::variables_of_file;
pub use explain::Question;

use clusters::Need;
use environment::Variables;
use finding::Finding;
use plugin::Plugin;
use settings::Schema;
use tree::{Node, Position, SyntaxError};
use yaml::Dialect;

/// The largest file that is read.
const MAX_FILE: usize = 16 * 1024 * 1024;

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The lines to print.
    pub text: String,
    /// Whether the filter would start with it.
    pub is_valid: bool,
    pub(crate) findings: Vec<Finding>,
}

/// What is checked beside the file.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether variables that are not set have a stand-in.
    pub without_secrets: bool,
    /// The requests whose rules are asked for.
    pub questions: Vec<Question>,
}

/// Checks the text of this file. `variables` looks up environment variables.
pub fn check(file: &str, text: &str, variables: &dyn Fn(&str) -> Option<String>, options: &Options) -> Report {
    let mut report = Lines { file, text: String::new(), is_valid: true, findings: Vec::new() };
    match documents(file, text) {
        Err(SyntaxError { at, reason }) => report.find(&[Finding::fault(at, "", reason)]),
        Ok(documents) => {
            let plugins = plugin::find(&documents);
            if plugins.is_empty() {
                let missing = "no configuration of the filter is in this file: neither a Wasm filter of Envoy, a WasmPlugin or an \
                               EnvoyExtensionPolicy, nor a document with external_url";
                report.find(&[Finding::fault(Position::START, "", missing)]);
            }
            for (place, plugin) in plugins.iter().enumerate() {
                if place > 0 {
                    report.add("");
                }
                check_plugin(plugin, &documents, variables, options, &mut report);
            }
        }
    }
    Report { text: report.text, is_valid: report.is_valid, findings: report.findings }
}

/// The documents of a file, with the types that the program behind it gives to plain scalars.
fn documents(file: &str, text: &str) -> Result<Vec<Node>, SyntaxError> {
    let refused = |reason: &str| SyntaxError { at: Position::START, reason: reason.to_owned() };
    if text.len() > MAX_FILE {
        return Err(refused("larger than 16 MiB"));
    }
    if text.trim().is_empty() {
        return Err(refused("empty"));
    }
    let as_json = json::read(text);
    if as_json.is_ok() || file.ends_with(".json") {
        return as_json.map(|root| items(vec![root]));
    }
    let mut documents = yaml::read(text)?;
    for document in &mut documents {
        // Of a document alone it is not known how it comes to the filter; JSON has all numbers.
        let is_envoy = document.get("apiVersion").is_none() && document.get("external_url").is_none();
        yaml::resolve(document, if is_envoy { Dialect::Envoy } else { Dialect::Kubernetes });
    }
    Ok(items(documents))
}

/// The documents, with each list of Kubernetes as its items.
fn items(documents: Vec<Node>) -> Vec<Node> {
    let of_one = |document: Node| match document.get("kind").and_then(Node::text) {
        Some("List") => document.get("items").map_or(&[][..], Node::elements).to_vec(),
        _ => vec![document],
    };
    documents.into_iter().flat_map(of_one).collect()
}

/// Checks one configuration of the filter.
fn check_plugin(
    plugin: &Plugin,
    documents: &[Node],
    given: &dyn Fn(&str) -> Option<String>,
    options: &Options,
    report: &mut Lines<'_>,
) {
    let settings = match &plugin.settings {
        Ok(settings) => settings,
        Err(fault) => return report.find(std::slice::from_ref(fault)),
    };
    let completed = with_presets(&settings.bytes).unwrap_or_default();
    let parse = |variables: &Variables<'_>| Config::parse(&settings.bytes, &|name| variables.get(name));
    let strict = Variables::new(given, plugin.environment.as_ref());
    let lenient = Variables::new(given, plugin.environment.as_ref()).with_stand_ins(&completed);
    let read = parse(if options.without_secrets { &lenient } else { &strict });
    let mut findings = Vec::new();
    if let Err(errors) = &read {
        findings.extend(faults::locate(errors, plugin, settings, &strict));
    }
    // Where only the values of secrets are missing, the report also has what takes effect.
    let config = read.as_ref().ok().cloned().or_else(|| parse(&lenient).ok());
    let faulty: Vec<_> = findings.iter().map(|finding| finding.at).collect();
    let doubts = doubts::review(&settings.root).into_iter();
    findings.extend(doubts.filter(|doubt| !faulty.contains(&doubt.at)));
    findings.extend(config.iter().flat_map(|config| faults::warnings(config, &settings.root)));
    findings.extend(surroundings::review(plugin, settings, config.as_ref(), documents));
    findings.extend(config.iter().flat_map(|config| resources::review(plugin, config, documents)));
    let needs = config.as_ref().map(clusters::needs).unwrap_or_default();
    findings.extend(clusters::review(&needs, &settings.root, plugin, documents));
    report.find(&findings);
    let has_more = read.as_ref().is_err_and(ConfigErrors::has_more);
    let only_lacks_variables = read.is_err() && config.is_some();
    match findings.iter().filter(|finding| finding.is_fault()).count() {
        0 => report.add(&format!("{}: {} is valid", report.file, plugin.title)),
        count => report.conclude(count, has_more, only_lacks_variables),
    }
    let (Some(config), Some(schema)) = (&config, Schema::read()) else { return };
    let checked =
        Checked { file: report.file, config, needs, settings: &settings.root, completed: &completed, schema: &schema };
    report.describe(&checked);
    for question in &options.questions {
        report.section(explain::explain(question, &checked));
    }
    let unknown = lenient.stood_in_for();
    if options.without_secrets && !unknown.is_empty() {
        report.section(vec![format!("Not checked, because not set here: {}", unknown.join(", "))]);
    }
}

/// A configuration with which the filter would start.
struct Checked<'a> {
    file: &'a str,
    config: &'a Config,
    needs: Vec<Need>,
    settings: &'a Node,
    /// The settings with those of presets.
    completed: &'a Value,
    schema: &'a Schema,
}

/// The report as it grows.
struct Lines<'a> {
    file: &'a str,
    text: String,
    is_valid: bool,
    findings: Vec<Finding>,
}

impl Lines<'_> {
    fn add(&mut self, line: &str) {
        // One line, and no sequence that a terminal obeys, whatever the file says.
        self.text.extend(line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
        self.text.push('\n');
    }

    /// A heading, and lines below it.
    fn section(&mut self, lines: Vec<String>) {
        self.text.push('\n');
        lines.iter().for_each(|line| self.add(line));
    }

    /// Faults and warnings, in the order of the file.
    fn find(&mut self, findings: &[Finding]) {
        let mut findings: Vec<_> = findings.iter().collect();
        findings.sort_by_key(|finding| (!finding.is_fault(), finding.at));
        for finding in findings {
            // Several configurations of a file may have the same surroundings.
            if !finding.is_fault() && self.findings.contains(finding) {
                continue;
            }
            self.is_valid &= !finding.is_fault();
            self.add(&format!("{}:{finding}", self.file));
            self.findings.push(finding.clone());
        }
    }

    /// The last line on a configuration with faults.
    fn conclude(&mut self, count: usize, has_more: bool, only_lacks_variables: bool) {
        let noun = if count == 1 { "fault" } else { "faults" };
        let more = if has_more { " and more" } else { "" };
        let hint = if only_lacks_variables {
            "; --env-file FILE reads variables from a file, --without-secrets checks the rest"
        } else {
            ""
        };
        self.add(&format!("{}: {count} {noun}{more}{hint}", self.file));
    }

    /// What takes effect.
    fn describe(&mut self, checked: &Checked<'_>) {
        let Checked { config, settings, completed, schema, .. } = checked;
        let indented = |lines: Vec<String>| lines.into_iter().map(|line| format!("  {line}"));
        let given = settings.get("providers").map_or(&[][..], Node::elements);
        for (place, provider) in config.providers.iter().enumerate() {
            let completed = completed.get("providers").and_then(|providers| providers.get(place));
            let mut lines = vec![format!("providers[{place}], {}", provider.name)];
            lines.extend(indented(schema.of_provider(provider, given.get(place), completed)));
            self.section(lines);
        }
        for name in ["session", "sign_out"] {
            let mut lines = vec![name.to_owned()];
            lines.extend(indented(schema.of_object(name, settings, completed)));
            self.section(lines);
        }
        for provider in &config.providers {
            let mut lines = vec![format!("Register at {}", provider.title)];
            lines.extend(indented(settings::registrations(config, provider)));
            self.section(lines);
        }
        let mut lines = vec!["Clusters that have to exist".to_owned()];
        lines.extend(checked.needs.iter().map(|need| format!("  {}: {}", need.cluster, need.purpose())));
        self.section(lines);
    }
}
