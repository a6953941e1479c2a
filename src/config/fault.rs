//! Faults: a place in the document, and the value expected there. Values are quoted only if they cannot be secret;
//! otherwise a fault contains only the JSON type.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// The most faults in one report; more are only counted as "and more".
const MAX_FAULTS: usize = 200;
/// Characters of a key or value that are quoted.
const MAX_QUOTED_CHARS: usize = 80;

/// A place in the document, such as `providers[0].issuer`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Segment>);

/// A step from a place to one below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// Into an element of a list.
    Index(usize),
    /// Into a member of an object.
    Key(String),
}

impl Path {
    /// The steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The root, each place on the way here, and this place.
    fn trail(&self) -> impl Iterator<Item = &[Segment]> {
        (0..=self.0.len()).filter_map(|length| self.0.get(..length))
    }
}

/// A place in the document while it is read, borrowed from the enclosing place.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// The document itself.
    Root,
    /// A member of an object.
    Key(&'a Self, &'a str),
    /// An element of a list.
    Index(&'a Self, usize),
}

impl<'a> At<'a> {
    // Not inlined: each has a hundred callers, and calls are smaller.

    #[inline(never)]
    pub(super) const fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    #[inline(never)]
    pub(super) const fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }

    pub(super) fn path(&self) -> Path {
        let (around, segment) = match self {
            Self::Root => return Path(Vec::new()),
            Self::Key(around, key) => (around, Segment::Key((*key).to_owned())),
            Self::Index(around, index) => (around, Segment::Index(*index)),
        };
        let mut path = around.path();
        path.0.push(segment);
        path
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("configuration");
        }
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_plain(key) => {
                    f.write_str(if place == 0 { "" } else { "." })?;
                    f.write_str(key)?;
                }
                Segment::Key(key) => write!(f, "[{}]", quoted(key))?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    (1..=MAX_QUOTED_CHARS).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The problem at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A required field is not there.
    #[error("missing; expected {expected}")]
    Missing {
        /// The expected value.
        expected: Cow<'static, str>,
    },
    /// An object names a member twice.
    #[error("is duplicate; expected one")]
    Twice,
    /// A value of another JSON type.
    #[error("expected {expected}, got {got}")]
    Type {
        /// The expected value.
        expected: Cow<'static, str>,
        /// The JSON type found.
        got: &'static str,
    },
    /// A field that does not exist.
    #[error("unknown field; {hint}")]
    UnknownField {
        /// The most similar field, or all fields.
        hint: String,
    },
    /// The document is neither JSON nor a `Struct`.
    #[error("expected a JSON object or a google.protobuf.Struct; as JSON: {reason}")]
    Unreadable {
        /// The JSON parser's message, with line and column.
        reason: String,
    },
    /// A value of the right type that is not accepted.
    #[error("expected {expected}{}", .got.as_ref().map(|got| format!(", got {got}")).unwrap_or_default())]
    Value {
        /// The expected value.
        expected: Cow<'static, str>,
        /// The value, quoted and cut, if it cannot be secret.
        got: Option<String>,
    },
    /// The environment variable of a secret is not set, or empty.
    #[error(
        "the environment variable {} is {state}; Envoy passes on only those under vm_config.environment_variables",
        .name.as_deref().unwrap_or("of this name")
    )]
    Variable {
        /// The variable's name, if it is in capitals.
        name: Option<String>,
        /// `not set` or `empty`.
        state: &'static str,
    },
}

/// A problem and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Fault {
    /// The place in the document.
    pub path: Path,
    /// The problem there.
    pub problem: Problem,
}

/// All faults of a configuration, ordered by path. Prints one line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    faults: Vec<Fault>,
    more: bool,
}

impl ConfigErrors {
    /// The faults; never empty.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether there are more than a report has.
    pub const fn has_more(&self) -> bool {
        self.more
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.faults.iter().enumerate() {
            if place > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{fault}")?;
        }
        if self.more {
            f.write_str("\nand more")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Proof that a fault was reported. Only [`Faults`] creates it, so its `Err` is never silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faulty(());

/// Collects faults, at most one per place.
#[derive(Default)]
pub(super) struct Faults {
    /// Sorted by path.
    found: Vec<Fault>,
    more: bool,
}

impl Faults {
    /// Reports a problem, unless one is already reported at this place or an enclosing one.
    pub(super) fn add(&mut self, at: &At<'_>, problem: Problem) -> Faulty {
        let path = at.path();
        if path.trail().any(|place| self.find(place).is_ok()) {
            return Faulty(());
        }
        match self.find(&path.0) {
            Err(place) if self.found.len() < MAX_FAULTS => self.found.insert(place, Fault { path, problem }),
            _ => self.more = true,
        }
        Faulty(())
    }

    /// The position of this place's fault in `found`, or its insertion point.
    fn find(&self, place: &[Segment]) -> Result<usize, usize> {
        self.found.binary_search_by(|fault| fault.path.0.as_slice().cmp(place))
    }

    /// Reports a value that is not accepted, without showing it.
    pub(super) fn wrong(&mut self, at: &At<'_>, expected: impl Into<Cow<'static, str>>) -> Faulty {
        self.add(at, Problem::Value { expected: expected.into(), got: None })
    }

    /// Reports a value that is not accepted, and shows it. Only for values that cannot be secret.
    pub(super) fn wrong_value(&mut self, at: &At<'_>, expected: impl Into<Cow<'static, str>>, got: &str) -> Faulty {
        self.add(at, Problem::Value { expected: expected.into(), got: Some(quoted(got)) })
    }

    /// Reports a word that is none of these, with the nearest of them. Only for words that cannot be secret.
    pub(super) fn wrong_word(&mut self, at: &At<'_>, words: &[&str], got: &str) -> Faulty {
        let mut shown = quoted(got);
        // Stricter than with fields: `gitlab` is not meant for `github`.
        if let Some(near) = nearest(got, words, 4) {
            shown.push_str("; did you mean `");
            shown.push_str(near);
            shown.push_str("`?");
        }
        self.add(at, Problem::Value { expected: one_of(words).into(), got: Some(shown) })
    }

    /// The value, or a fault that names the missing one.
    pub(super) fn required<T>(
        &mut self,
        at: &At<'_>,
        value: Option<T>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Result<T, Faulty> {
        value.ok_or_else(|| self.add(at, Problem::Missing { expected: expected.into() }))
    }

    /// Whether a fault is reported at or below this place.
    pub(super) fn any_within(&self, at: &At<'_>) -> bool {
        let place = at.path();
        self.found.iter().any(|fault| fault.path.0.starts_with(&place.0))
    }

    /// The result, unless there are faults.
    pub(super) fn unless_any<T>(self, built: Result<T, Faulty>) -> Result<T, ConfigErrors> {
        match built {
            Ok(built) if self.found.is_empty() => Ok(built),
            _ => Err(ConfigErrors { faults: self.found, more: self.more }),
        }
    }
}

/// The text quoted and cut, with control and bidirectional characters escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut rest = text.chars();
    let start: String = rest.by_ref().take(MAX_QUOTED_CHARS).collect();
    let ellipsis = if rest.next().is_some() { "..." } else { "" };
    format!("{start:?}{ellipsis}")
}

/// The known name that an unknown one was meant for: at most one letter in `share` differs.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str], share: usize) -> Option<&'a str> {
    const LONGEST: usize = 64;
    // Plural and singular count as equal.
    let plain = |name: &str| name.trim_end_matches('s').replace(['_', '-'], "").to_ascii_lowercase();
    let wanted = plain(name);
    known
        .iter()
        .filter(|_| name.len() <= LONGEST)
        .map(|known| (strsim::osa_distance(&wanted, &plain(known)), *known))
        .filter(|(distance, known)| distance.saturating_mul(share) <= known.len())
        .min()
        .map(|(_, known)| known)
}

/// The names as `one of a, b`.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [name] => (*name).to_owned(),
        names => format!("one of {}", names.join(", ")),
    }
}
