//! The options as they were given, until the parts of the document have taken them, and the notes.

use std::{collections::BTreeMap, fmt};

use super::names;

/// Where an option was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    file: String,
    line: usize,
}

impl Place {
    pub(super) fn new(file: &str, line: usize) -> Self {
        Self { file: file.to_owned(), line }
    }

    /// The document that is made.
    pub(super) fn result() -> Self {
        Self { file: "result".to_owned(), line: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => formatter.write_str(&self.file),
            line => write!(formatter, "{}:{line}", self.file),
        }
    }
}

/// The forms in which options are given; the later wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    File,
    Environment,
    Flag,
}

/// An option with its values.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) values: Vec<String>,
    pub(super) place: Place,
    rank: Rank,
}

impl Given {
    /// The value of an option that has one.
    pub(super) fn text(&self) -> &str {
        self.values.first().map_or("", |value| value.as_str())
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self.text().to_ascii_lowercase().as_str(), "1" | "t" | "true")
    }
}

/// What a note means for the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Left out, and nothing is lost.
    Told,
    /// Left out or changed: the reader has to decide.
    Decide,
    /// It protects something, and is missing.
    Missing,
}

#[derive(Debug)]
struct Note {
    place: Place,
    weight: Weight,
    said: String,
}

/// A header that oauth2-proxy's YAML adds to requests.
#[derive(Debug)]
pub(super) struct InjectedHeader {
    pub(super) name: String,
    /// The claims, with the text before each.
    pub(super) claims: Vec<(String, String)>,
    /// Whether a value is something else than a claim.
    pub(super) has_other: bool,
    pub(super) place: Place,
}

/// The options, by the name in a configuration file.
#[derive(Debug, Default)]
pub(super) struct Settings {
    given: BTreeMap<String, Given>,
    notes: Vec<Note>,
    lacks_restriction: bool,
    /// `None` where the headers are those of the options.
    pub(super) injected: Option<Vec<InjectedHeader>>,
    /// Whether a configuration file was read.
    pub(super) has_file: bool,
    has_container: bool,
    /// Parameters of the authorization request, and those that links may set.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) passed: Vec<String>,
}

impl Settings {
    /// Adds an option. Flags of one name are a list; elsewhere a program reads one value, and it is not known which.
    pub(super) fn add(&mut self, name: &str, values: Vec<String>, place: Place, rank: Rank) {
        let name = names::canonical(name);
        let given = Given { values, place, rank };
        match self.given.get_mut(&name) {
            Some(known) if known.rank == rank && rank == Rank::Flag && names::is_list(&name) => {
                known.values.extend(given.values);
            }
            Some(known) if known.rank == rank && rank != Rank::Flag && known.values != given.values => {
                let said = format!("{name}: given twice with different values; convert one proxy at a time");
                self.close(&given.place, said);
            }
            Some(known) if known.rank > rank => {}
            _ => drop(self.given.insert(name, given)),
        }
    }

    /// Forgets lists without an entry, and the names of files that were read.
    pub(super) fn in_effect(&mut self) {
        // They name files that were read.
        if self.has_file {
            self.given.remove("config");
        }
        if self.injected.is_some() {
            self.given.remove("alpha_config");
        }
        self.given.retain(|name, given| !(names::is_list(name) && given.values.is_empty()));
    }

    /// How many options and notes there are.
    pub(super) fn count(&self) -> usize {
        self.given.len().saturating_add(self.notes.len())
    }

    /// A container with flags, of which there can be one.
    pub(super) fn begin_container(&mut self, place: &Place) {
        if std::mem::replace(&mut self.has_container, true) {
            self.close(place, "a second container with flags; convert one proxy at a time");
        }
    }

    /// A line that is no option.
    pub(super) fn unread(&mut self, place: &Place) {
        self.close(place, "not a flag or variable of oauth2-proxy");
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Given> {
        self.given.remove(name)
    }

    /// The value of an option, which stays.
    pub(super) fn peek(&self, name: &str) -> Option<String> {
        self.given.get(name).map(|given| given.text().to_owned()).filter(|value| !value.is_empty())
    }

    /// Where the option is given; the result, where it is not.
    pub(super) fn place(&self, name: &str) -> Place {
        self.given.get(name).map_or_else(Place::result, |given| given.place.clone())
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name).map(|given| given.text().to_owned()).filter(|value| !value.is_empty())
    }

    /// The values of an option, which stays.
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        self.given.get(name).map(|given| given.values.clone()).unwrap_or_default()
    }

    /// Whether it is given, and on.
    pub(super) fn is_on(&mut self, name: &str) -> bool {
        self.take(name).is_some_and(|given| given.is_true())
    }

    /// Whether it is given, and off.
    pub(super) fn is_off(&mut self, name: &str) -> bool {
        self.take(name).is_some_and(|given| !given.is_true())
    }

    pub(super) fn note(&mut self, place: &Place, weight: Weight, said: impl Into<String>) {
        self.notes.push(Note { place: place.clone(), weight, said: said.into() });
    }

    /// A restriction that has no counterpart: the app is closed.
    pub(super) fn close(&mut self, place: &Place, said: impl Into<String>) {
        self.lacks_restriction = true;
        self.note(place, Weight::Missing, said);
    }

    pub(super) const fn lacks_restriction(&self) -> bool {
        self.lacks_restriction
    }

    /// Closes the app where an option is left that may restrict who passes; these are taken later.
    pub(super) fn close_unknown(&mut self, later: &[&str]) {
        let is_left = |name: &&String| !later.contains(&name.as_str()) && names::may_restrict(name);
        let left: Vec<String> = self.given.keys().filter(is_left).cloned().collect();
        for name in left {
            let reason =
                names::without_counterpart(&name).map_or("not an option that is known here", |(_, reason)| reason);
            if let Some(given) = self.take(&name) {
                self.close(&given.place, format!("{name}: {reason}"));
            }
        }
    }

    /// Options that no part of the document has taken.
    pub(super) fn tell_the_rest(&mut self) {
        for (name, given) in std::mem::take(&mut self.given) {
            // Off is what there is without the option.
            let is_off = matches!(given.text(), "" | "false") && given.values.len() <= 1;
            match names::without_counterpart(&name) {
                Some((Weight::Told, reason)) => self.note(&given.place, Weight::Told, format!("{name}: {reason}")),
                Some((weight, reason)) if !is_off => self.note(&given.place, weight, format!("{name}: {reason}")),
                Some(_) | None => {}
            }
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.notes.iter().all(|note| note.weight != Weight::Missing)
    }

    /// The notes, in the order of the files; last, how many there are where something was not converted.
    pub(super) fn notes(mut self) -> String {
        // Those on the result come last.
        self.notes.sort_by(|one, other| (one.place.line == 0, &one.place).cmp(&(other.place.line == 0, &other.place)));
        let line = |Note { place, weight, said }: &Note| {
            let word = match weight {
                Weight::Told => "note",
                Weight::Decide => "decide",
                Weight::Missing => "NOT CONVERTED",
            };
            format!("{place}: {word}: {said}\n")
        };
        let count = |weight| self.notes.iter().filter(|note| note.weight == weight).count();
        let last = match count(Weight::Missing) {
            0 => String::new(),
            missing => format!("{missing} NOT CONVERTED, {} to decide: see above\n", count(Weight::Decide)),
        };
        self.notes.iter().map(line).chain([last]).collect()
    }
}
