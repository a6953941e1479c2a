//! The notes on a conversion, each with the place of the option that it is about.

use std::fmt;

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

/// How much a note matters.
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

/// The notes of a conversion.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    pub(super) fn add(&mut self, place: &Place, weight: Weight, said: String) {
        self.0.push(Note { place: place.clone(), weight, said });
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing that protects the app was left out.
    pub(super) fn is_complete(&self) -> bool {
        self.0.iter().all(|note| note.weight != Weight::Missing)
    }

    /// The notes as lines, in the order of the files; last, how many there are where something was not converted.
    pub(super) fn lines(mut self) -> String {
        // Those on the result come last.
        self.0.sort_by(|one, other| (one.place.line == 0, &one.place).cmp(&(other.place.line == 0, &other.place)));
        let line = |Note { place, weight, said }: &Note| {
            let word = match weight {
                Weight::Told => "note",
                Weight::Decide => "decide",
                Weight::Missing => "NOT CONVERTED",
            };
            format!("{place}: {word}: {said}\n")
        };
        let count = |weight| self.0.iter().filter(|note| note.weight == weight).count();
        let last = match count(Weight::Missing) {
            0 => String::new(),
            missing => format!("{missing} NOT CONVERTED, {} to decide: see above\n", count(Weight::Decide)),
        };
        self.0.iter().map(line).chain([last]).collect()
    }
}
