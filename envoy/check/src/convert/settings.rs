//! The options as they were given, until the parts of the document have taken them.

use std::collections::BTreeMap;

use super::{
    names,
    notes::{Notes, Place, Weight},
};

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
    notes: Notes,
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
        self.given.len().saturating_add(self.notes.count())
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
        self.notes.add(place, weight, said.into());
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

    /// The notes, when every part of the document has taken its options.
    pub(super) fn into_notes(self) -> Notes {
        self.notes
    }
}
