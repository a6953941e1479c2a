//! The page `envoy/docs/configuration.md`, generated from the schema: each setting with its path, type, limits, default and an
//! example.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{super::resolve::limits, compare, schema};

/// The text before the settings.
const HEAD: &str = include_str!("reference.md");

/// The settings of an object type, and the places in the document where such an object stands.
pub(super) struct Section {
    /// The name of the type; empty for the document itself.
    pub(super) definition: String,
    /// The first is the one that headings show.
    pub(super) places: Vec<String>,
}

/// A step from a setting to an object in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// An element of a list.
    Item,
    /// A member under a name of the operator.
    Name,
}

impl Step {
    const fn text(self) -> &'static str {
        match self {
            Self::Item => "[]",
            Self::Name => ".NAME",
        }
    }
}

/// The JSON Schema of the document.
pub(super) struct Reference(Value);

impl Reference {
    pub(super) fn new() -> Self {
        let mut root = schema().to_value();
        // Types that are written in place, as if they had a name.
        let properties = root["properties"].as_object_mut().unwrap();
        let in_place = properties.iter_mut().filter(|(_, property)| property["properties"].is_object());
        let hoisted: Vec<_> = in_place
            .map(|(name, property)| {
                let reference = json!({"$ref": format!("#/$defs/{name}"), "description": property["description"]});
                (name.clone(), std::mem::replace(property, reference))
            })
            .collect();
        root["$defs"].as_object_mut().unwrap().extend(hoisted);
        Self(root)
    }

    fn definition(&self, name: &str) -> &Value {
        if name.is_empty() { &self.0 } else { &self.0["$defs"][name] }
    }

    pub(super) fn properties(&self, name: &str) -> &Map<String, Value> {
        self.definition(name)["properties"].as_object().unwrap()
    }

    /// The object types that a setting leads to, each with the steps to it.
    pub(super) fn objects_of<'a>(&'a self, property: &'a Value) -> Vec<(Vec<Step>, &'a str)> {
        let mut found = Vec::new();
        if let Some(name) = definition_of(property) {
            if self.definition(name)["properties"].is_object() {
                found.push((Vec::new(), name));
            }
            // A secret is written as text or by the name of its variable: no section of its own.
            for way in self.definition(name)["anyOf"].as_array().into_iter().flatten() {
                found.extend(self.objects_of(way));
            }
        }
        for (inner, step) in [("items", Step::Item), ("additionalProperties", Step::Name)] {
            if property[inner].is_object() {
                let objects = self.objects_of(&property[inner]).into_iter();
                found.extend(objects.map(|(rest, name)| ([vec![step], rest].concat(), name)));
            }
        }
        found
    }

    /// All object types, in the order of the document.
    pub(super) fn sections(&self) -> Vec<Section> {
        let mut sections = vec![Section { definition: String::new(), places: vec![String::new()] }];
        let mut next = 0;
        while let Some(Section { definition, places }) = sections.get(next) {
            let (definition, base) = (definition.clone(), places[0].clone());
            let mut end = next + 1;
            for (name, property) in self.properties(&definition) {
                for (steps, of) in self.objects_of(property) {
                    let steps: String = steps.into_iter().map(Step::text).collect();
                    let place = format!("{}{steps}", below(&base, name));
                    match sections.iter_mut().find(|section| section.definition == of) {
                        // Conditions within conditions are no further place.
                        Some(_) if of == definition => {}
                        Some(section) => section.places.push(place),
                        None => {
                            sections.insert(end, Section { definition: of.to_owned(), places: vec![place] });
                            end += 1;
                        }
                    }
                }
            }
            next += 1;
        }
        sections
    }

    /// The type of a value in words.
    fn kind(&self, property: &Value, sections: &[Section]) -> String {
        if let Some(name) = definition_of(property) {
            let section = sections.iter().find(|section| section.definition == name);
            return match (name, section) {
                ("Secret", _) => "secret".to_owned(),
                ("Scalar", _) => "text, number or boolean".to_owned(),
                ("ClaimText", _) => {
                    let formatted = sections.iter().find(|section| section.definition == "FormattedClaims").unwrap();
                    format!("the name of a claim, a JSON Pointer, or {}", linked(&formatted.places[0]))
                }
                (_, Some(section)) => linked(&section.places[0]),
                (_, None) => "one of the words below".to_owned(),
            };
        }
        if property["anyOf"][0]["properties"]["env"].is_object() {
            return "secret".to_owned();
        }
        if let Some(ways) = property["anyOf"].as_array() {
            let ways: Vec<_> = ways.iter().map(|way| self.kind(way, sections)).collect();
            return ways.join(", or ");
        }
        match property["type"].as_str().unwrap_or_default() {
            "array" => format!("list of {}", plural(&self.kind(&property["items"], sections))),
            "object" => format!("map of names to {}", plural(&self.kind(&property["additionalProperties"], sections))),
            "string" if property["enum"].is_array() => "one of the words below".to_owned(),
            "string" => "text".to_owned(),
            "boolean" => "boolean".to_owned(),
            "integer" | "number" => "whole number".to_owned(),
            other => panic!("no words for the type {other:?}: {property}"),
        }
    }

    /// The words that a setting takes, each with its meaning.
    fn words(&self, property: &Value) -> Vec<(String, String)> {
        let property = if property["items"].is_object() { &property["items"] } else { property };
        let named = definition_of(property).map_or(property, |name| self.definition(name));
        let without = |values: &Value| -> Vec<_> {
            values.as_array().into_iter().flatten().map(|word| (in_yaml(word), String::new())).collect()
        };
        let with: Vec<_> = named["oneOf"].as_array().into_iter().flatten().collect();
        if with.is_empty() {
            return without(&named["enum"]);
        }
        let word = |way: &Value| way.get("const").unwrap_or(&way["enum"][0]).clone();
        with.into_iter()
            .map(|way| (in_yaml(&word(way)), way["description"].as_str().unwrap_or_default().to_owned()))
            .collect()
    }

    /// A value to copy: the one that the type gives, or another than the default.
    pub(super) fn example(&self, property: &Value) -> Option<Value> {
        if let Some(example) = property["examples"].get(0) {
            return Some(example.clone());
        }
        if property["type"] == "boolean" {
            return Some(json!(property["default"] != json!(true)));
        }
        let words = definition_of(property).map_or(property, |name| self.definition(name));
        let words = words["oneOf"].as_array()?.iter().filter_map(|way| way.get("const"));
        words.clone().find(|word| **word != property["default"]).cloned()
    }

    fn entry(&self, section: &Section, name: &str, sections: &[Section]) -> String {
        let property = &self.properties(&section.definition)[name];
        let mut text = format!("### `{}`\n\n", below(&section.places[0], name));
        if section.definition == "Danger" {
            text.push_str("**Weakens the sign-in.** ");
        }
        if property["deprecated"] == json!(true) {
            text.push_str("**Deprecated.** ");
        }
        writeln!(text, "{}\n", property["description"].as_str().unwrap_or_else(|| panic!("{name} has no description")))
            .unwrap();
        let required =
            self.definition(&section.definition)["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
        let mut kind = vec![self.kind(property, sections)];
        kind.extend(bounds(property));
        let kind = kind.join(", ");
        writeln!(text, "- Type: {kind}{}", if required { ". **Required**" } else { "" }).unwrap();
        let words = self.words(property);
        if words.iter().all(|(_, meaning)| meaning.is_empty()) && !words.is_empty() {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            writeln!(text, "- Words: {}", words.join(", ")).unwrap();
        } else {
            words.iter().for_each(|(word, meaning)| writeln!(text, "  - `{word}`: {meaning}").unwrap());
        }
        if let Some(default) = property.get("default") {
            writeln!(text, "- Default: `{}`", in_yaml(default)).unwrap();
        }
        if let Some(example) = self.example(property) {
            writeln!(text, "- Example: `{name}: {}`", in_yaml(&example)).unwrap();
        }
        if let Some(since) = property["x-since"].as_str() {
            writeln!(text, "- Since: {since}").unwrap();
        }
        text.push('\n');
        text
    }

    fn page(&self) -> String {
        let sections = self.sections();
        let mut page = HEAD
            .replace("{MAX_TEXT}", &limits::MAX_TEXT.to_string())
            .replace("{MAX_ENTRIES}", &limits::MAX_ENTRIES.to_string());
        page.push_str("Sections: ");
        let links: Vec<_> = sections.iter().map(|section| linked(&section.places[0])).collect();
        writeln!(page, "{}.\n", links.join(", ")).unwrap();
        for section in &sections {
            writeln!(page, "## {}\n", title(&section.places[0])).unwrap();
            writeln!(page, "{}", self.definition(&section.definition)["description"].as_str().unwrap()).unwrap();
            if let [_, others @ ..] = &section.places[..]
                && !others.is_empty()
            {
                let others: Vec<_> = others.iter().map(|place| format!("`{place}`")).collect();
                writeln!(page, "\nThe same settings are in {}.", others.join(", ")).unwrap();
            }
            page.push('\n');
            for name in self.properties(&section.definition).keys() {
                page.push_str(&self.entry(section, name, &sections));
            }
        }
        page.truncate(page.trim_end().len());
        page.push('\n');
        page
    }
}

pub(super) fn definition_of(property: &Value) -> Option<&str> {
    property["$ref"].as_str()?.rsplit('/').next()
}

pub(super) fn below(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn title(place: &str) -> String {
    if place.is_empty() { "The document".to_owned() } else { format!("In `{place}`") }
}

/// A link to the section of this place.
fn linked(place: &str) -> String {
    let anchor: String = title(place).to_lowercase().replace(' ', "-");
    let anchor: String = anchor.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect();
    let text = title(place);
    format!("[{}](#{anchor})", text.strip_prefix("In ").unwrap_or(&text))
}

fn plural(kind: &str) -> String {
    match kind {
        "text" => "texts".to_owned(),
        "text, number or boolean" => "texts, numbers and booleans".to_owned(),
        "secret" => "secrets".to_owned(),
        "one of the words below" => "the words below".to_owned(),
        other => other.strip_prefix("list of ").map_or_else(|| other.to_owned(), |items| format!("lists of {items}")),
    }
}

/// The limits of a value in words.
fn bounds(property: &Value) -> Vec<String> {
    let number = |name: &str| property[name].as_u64().filter(|number| *number > 0);
    let range = |low: Option<u64>, high: Option<u64>| match (low, high) {
        (Some(low), Some(high)) => Some(format!("{low} to {high}")),
        (None, Some(high)) => Some(format!("at most {high}")),
        (Some(low), None) => Some(format!("at least {low}")),
        (None, None) => None,
    };
    let entries = range(number("minItems"), number("maxItems").or_else(|| number("maxProperties")));
    // That a text is not empty goes without saying.
    let bytes = range(number("minLength").filter(|low| *low > 1), number("maxLength"));
    let with = |unit: &'static str| move |range: String| format!("{range} {unit}");
    [
        range(number("minimum"), number("maximum")),
        bytes.map(|range| if range == "at most 1" { "one character".to_owned() } else { format!("{range} bytes") }),
        entries
            .map(with("entries"))
            .map(|text| if text == "at least 1 entries" { "at least 1 entry".to_owned() } else { text }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A value as it is written in a line of YAML.
fn in_yaml(value: &Value) -> String {
    const WORDS: [&str; 9] = ["false", "n", "no", "null", "off", "on", "true", "y", "yes"];
    match value {
        Value::String(text) => {
            let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./:@+~".contains(letter));
            let starts_plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
            let is_address = text.contains("::") || text.ends_with(':');
            // Readers of YAML take these for booleans and for nothing.
            let is_word = WORDS.contains(&text.to_ascii_lowercase().as_str());
            if is_plain && starts_plain && !is_address && !is_word { text.clone() } else { value.to_string() }
        }
        Value::Array(items) => format!("[{}]", items.iter().map(in_yaml).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{}: {}", in_yaml(&json!(name)), in_yaml(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[test]
fn the_page_on_the_configuration_matches_the_code() {
    compare("envoy/docs/configuration.md", &Reference::new().page());
}
