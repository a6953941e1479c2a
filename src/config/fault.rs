//! Faults: where in the document, and what was expected there. Values are quoted only where they cannot be secret;
//! everywhere else a fault knows no more of a value than its JSON type.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// The most faults that one run reports; beyond them only that there are more.
const MAX_FAULTS: usize = 200;
/// How much of a key or value is quoted.
const MAX_QUOTED_CHARS: usize = 80;

/// A place in the document, such as `providers[0].issuer`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Index(usize),
    Key(String),
}

impl Path {
    /// The document, and each place on the way here, and this place.
    fn trail(&self) -> impl Iterator<Item = &[Segment]> {
        (0..=self.0.len()).filter_map(|length| self.0.get(..length))
    }
}

/// A place in the document while it is read: what it is called in the place around it.
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
    // Not inlined: each is called a hundred times, and a call is shorter.

    /// A member of the object at this place.
    #[inline(never)]
    pub(super) const fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    /// An element of the list at this place.
    #[inline(never)]
    pub(super) const fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }

    /// The place, to be kept.
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

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A required field is not there.
    #[error("missing; expected {expected}")]
    Missing {
        /// What belongs there.
        expected: Cow<'static, str>,
    },
    /// An object names a member twice.
    #[error("is there twice; expected one")]
    Twice,
    /// A value of another JSON type.
    #[error("expected {expected}, got {got}")]
    Type {
        /// What belongs there.
        expected: Cow<'static, str>,
        /// The type of what is there.
        got: &'static str,
    },
    /// A field that does not exist.
    #[error("unknown field; {hint}")]
    UnknownField {
        /// The field that was probably meant, or all that exist.
        hint: String,
    },
    /// The document is neither JSON nor a `Struct`.
    #[error("expected a JSON object or a google.protobuf.Struct; as JSON: {reason}")]
    Unreadable {
        /// What the JSON reader says, with line and column.
        reason: String,
    },
    /// A value of the right type that does not do.
    #[error("expected {expected}{}", .got.as_ref().map(|got| format!(", got {got}")).unwrap_or_default())]
    Value {
        /// What belongs there.
        expected: Cow<'static, str>,
        /// The value, quoted and cut, where it cannot be secret.
        got: Option<String>,
    },
    /// An environment variable that a secret names is not there, or empty.
    #[error(
        "the environment variable {} is {state}; Envoy passes on only those under vm_config.environment_variables",
        .name.as_deref().unwrap_or("of this name")
    )]
    Variable {
        /// The variable, where it is written as they usually are.
        name: Option<String>,
        /// `not set` or `empty`.
        state: &'static str,
    },
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Fault {
    /// Where.
    pub path: Path,
    /// What.
    pub problem: Problem,
}

/// Every fault of a configuration, in the order of their paths. Prints one line for each.
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

/// Proof that a fault was reported. Only [`Faults`] hands it out, so an `Err` of it is never silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faulty(());

/// Collects faults, one for each place.
#[derive(Default)]
pub(super) struct Faults {
    /// In the order of their paths.
    found: Vec<Fault>,
    more: bool,
}

impl Faults {
    /// Reports a problem. What follows from one reported at this place, or around it, is not reported again.
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

    /// Where the fault of this place is, or would be.
    fn find(&self, place: &[Segment]) -> Result<usize, usize> {
        self.found.binary_search_by(|fault| fault.path.0.as_slice().cmp(place))
    }

    /// Reports a value that does not do, without showing it.
    pub(super) fn wrong(&mut self, at: &At<'_>, expected: impl Into<Cow<'static, str>>) -> Faulty {
        self.add(at, Problem::Value { expected: expected.into(), got: None })
    }

    /// Reports a value that does not do, and shows it: only for what cannot be a secret.
    pub(super) fn wrong_value(&mut self, at: &At<'_>, expected: impl Into<Cow<'static, str>>, got: &str) -> Faulty {
        self.add(at, Problem::Value { expected: expected.into(), got: Some(quoted(got)) })
    }

    /// The value, or a fault that says what is missing.
    pub(super) fn required<T>(
        &mut self,
        at: &At<'_>,
        value: Option<T>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Result<T, Faulty> {
        value.ok_or_else(|| self.add(at, Problem::Missing { expected: expected.into() }))
    }

    /// Whether something is reported at or below this place.
    pub(super) fn any_within(&self, at: &At<'_>) -> bool {
        let place = at.path();
        self.found.iter().any(|fault| fault.path.0.starts_with(&place.0))
    }

    /// What was built, unless there are faults.
    pub(super) fn unless_any<T>(self, built: Result<T, Faulty>) -> Result<T, ConfigErrors> {
        match built {
            Ok(built) if self.found.is_empty() => Ok(built),
            _ => Err(ConfigErrors { faults: self.found, more: self.more }),
        }
    }
}

/// A text in quotes, cut, with everything escaped that could end the line or hide in it.
pub(super) fn quoted(text: &str) -> String {
    let mut rest = text.chars();
    let start: String = rest.by_ref().take(MAX_QUOTED_CHARS).collect();
    let ellipsis = if rest.next().is_some() { "..." } else { "" };
    format!("{start:?}{ellipsis}")
}
