//! Reads a document into structs, as those of [`raw`](super::raw), and reports every place that does not fit.
//!
//! After a misfit it continues with an empty value, which is never used because a configuration with faults is never
//! built. Its messages show an expectation and a JSON type, never a value.

use std::borrow::Cow;

use super::{
    document::Node,
    fault::{At, Faults, Problem, nearest, one_of},
};

/// The largest whole number that a double represents exactly with all before it: 2^53.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

pub(super) fn read<T: Shape>(root: &Node, faults: &mut Faults) -> T {
    T::read(Place { node: root, at: At::Root, faults })
}

/// A type that can be read from a place of the document.
pub(super) trait Shape {
    /// The value; on a misfit an empty value, and a fault.
    fn read(place: Place<'_>) -> Self;
}

/// Implements `Shape` for a struct of `Option` fields; an absent field is `None`. `Part { … } as field in Whole { … }`
/// also reads a struct that is flattened into another one. For `inline(never)`, see [`resolve`](super::resolve).
macro_rules! fields {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl Shape for $name {
            #[inline(never)]
            fn read(place: Place<'_>) -> Self {
                use $crate::config::shape::plain;
                let mut members = place.members(Some(&[$(const { plain(stringify!($field)) }),+]));
                Self { $($field: members.field(const { plain(stringify!($field)) })),+ }
            }
        }
    };
    ($part:ident { $($inner:ident),+ $(,)? } as $flattened:ident in $name:ident { $($field:ident),+ $(,)? }) => {
        impl $part {
            const FIELDS: &[&str] = &[$(stringify!($inner)),+];

            #[inline(never)]
            fn take(members: &mut Members<'_>) -> Self {
                Self { $($inner: members.field(stringify!($inner))),+ }
            }
        }

        impl Shape for $part {
            fn read(place: Place<'_>) -> Self {
                Self::take(&mut place.members(Some(Self::FIELDS)))
            }
        }

        impl Shape for $name {
            #[inline(never)]
            fn read(place: Place<'_>) -> Self {
                let mut members = place.members(Some(&[$(stringify!($field)),+, $(stringify!($inner)),+]));
                let $flattened = members.have_any($part::FIELDS).then(|| $part::take(&mut members));
                Self { $($field: members.field(stringify!($field))),+, $flattened }
            }
        }
    };
}
pub(super) use fields;

/// The field's name without the `r#` of raw identifiers.
pub(super) const fn plain(name: &str) -> &str {
    match name.as_bytes() {
        [b'r', b'#', plain @ ..] => match std::str::from_utf8(plain) {
            Ok(plain) => plain,
            Err(_) => name,
        },
        _ => name,
    }
}

/// A node, its place, and the collector of faults.
pub(super) struct Place<'a> {
    node: &'a Node,
    at: At<'a>,
    faults: &'a mut Faults,
}

impl<'a> Place<'a> {
    /// The node of this place.
    pub(super) const fn node(&self) -> &'a Node {
        self.node
    }

    /// Reports that the type here is not the expected one.
    pub(super) fn misfit(&mut self, expected: impl Into<Cow<'static, str>>) {
        self.misfit_of(expected, self.node.kind());
    }

    /// Reports that something is expected, and not `got`.
    pub(super) fn misfit_of(&mut self, expected: impl Into<Cow<'static, str>>, got: &'static str) {
        self.faults.add(&self.at, Problem::Type { expected: expected.into(), got });
    }

    /// The members of the object here. Reports unknown fields (`fields: None` allows any) and duplicates, of which two
    /// parsers may read different ones.
    pub(super) fn members(mut self, fields: Option<&[&str]>) -> Members<'a> {
        let mut known: Vec<(&str, &Node)> = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        if let Node::Object(members) = self.node {
            for (key, node) in members {
                let key = key.as_str();
                match (fields, seen.binary_search(&key)) {
                    (Some(fields), _) if !fields.contains(&key) => {
                        self.faults.add(&self.at.key(key), Problem::UnknownField { hint: hint(key, fields) });
                    }
                    (_, Ok(_)) => drop(self.faults.add(&self.at.key(key), Problem::Twice)),
                    (_, Err(place)) => {
                        seen.insert(place, key);
                        known.push((key, node));
                    }
                }
            }
        } else {
            self.misfit("an object");
        }
        Members { known, at: self.at, faults: self.faults }
    }

    /// The matching word; the first one after a misfit.
    pub(super) fn word(mut self, words: &[&'static str]) -> &'static str {
        // YAML reads a word of digits as a number. The word is parsed rather than the number formatted: formatting of
        // floats takes 24 KB.
        let is_number = |word: &str| matches!(self.node, Node::Number(number) if word.parse::<u16>().is_ok_and(|word| f64::from(word) == *number));
        if let Some(word) = words.iter().find(|word| is_number(word)) {
            return word;
        }
        if let Node::Text(text) = self.node {
            if let Some(word) = words.iter().find(|word| **word == text.as_str()) {
                return word;
            }
            self.faults.wrong_word(&self.at, words, text);
        } else {
            self.misfit(one_of(words));
        }
        words.first().unwrap_or(&"")
    }
}

/// The known members of an object, each once.
pub(super) struct Members<'a> {
    known: Vec<(&'a str, &'a Node)>,
    at: At<'a>,
    faults: &'a mut Faults,
}

impl Members<'_> {
    /// The value of this field, if present. null is not absent: `client_secret:` with its `env:` on the wrong level
    /// would then become a public client.
    pub(super) fn field<T: Shape>(&mut self, name: &str) -> Option<T> {
        self.place(name).map(T::read)
    }

    /// The value of every member, with its name.
    pub(super) fn entries<T: Shape>(self) -> Vec<(String, T)> {
        let Self { known, at, faults } = self;
        let entry = |(key, node): (&str, _)| (key.to_owned(), T::read(Place { node, at: at.key(key), faults }));
        known.into_iter().map(entry).collect()
    }

    pub(super) fn have_any(&self, names: &[&str]) -> bool {
        self.known.iter().any(|(key, _)| names.contains(key))
    }

    fn place(&mut self, name: &str) -> Option<Place<'_>> {
        // The document's copy of the name lives as long as the place.
        let (key, node) = self.known.iter().find(|(key, _)| *key == name)?;
        Some(Place { node, at: self.at.key(key), faults: self.faults })
    }
}

impl Shape for bool {
    fn read(mut place: Place<'_>) -> Self {
        let Node::Bool(value) = place.node else {
            place.misfit("true or false");
            return false;
        };
        *value
    }
}

impl Shape for u64 {
    fn read(mut place: Place<'_>) -> Self {
        const EXPECTED: &str = "a whole number";
        match place.node {
            Node::Number(number) if number.fract() == 0.0 && (0.0..=MAX_WHOLE).contains(number) => {
                return *number as Self;
            }
            Node::Number(number) if *number < 0.0 => place.misfit_of(EXPECTED, "a negative number"),
            Node::Number(number) if *number > MAX_WHOLE => place.misfit_of(EXPECTED, "a number that is too large"),
            Node::Number(_) => place.misfit_of(EXPECTED, "a fraction"),
            _ => place.misfit(EXPECTED),
        }
        0
    }
}

impl Shape for String {
    fn read(mut place: Place<'_>) -> Self {
        let Node::Text(text) = place.node else {
            // In YAML, a colour without quotes is a comment.
            let is_null = matches!(place.node, Node::Null);
            place.misfit(if is_null { "a string (in quotes if it begins with #)" } else { "a string" });
            return Self::new();
        };
        text.to_string()
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn read(mut place: Place<'_>) -> Self {
        let Node::List(elements) = place.node else {
            place.misfit("a list");
            return Self::new();
        };
        let element = |(index, node)| T::read(Place { node, at: place.at.index(index), faults: place.faults });
        elements.iter().enumerate().map(element).collect()
    }
}

impl<T: Shape> Shape for Box<T> {
    fn read(place: Place<'_>) -> Self {
        Self::new(T::read(place))
    }
}

/// The hint for an unknown field: the nearest field, or all fields.
pub(super) fn hint(key: &str, fields: &[&str]) -> String {
    if fields.contains(&"allow") && matches!(key, "allowed_domains" | "claims" | "emails" | "groups" | "roles") {
        return format!("did you mean `allow: {{{key}: ...}}`?");
    }
    if fields.contains(&"token_issuers") {
        match key {
            "cookie_domain" | "cookie_name" | "idle_timeout_seconds" | "keys" | "lifetime_seconds" | "store" => {
                return format!("did you mean `session: {{{key}: ...}}`?");
            }
            "client_id" | "client_secret" | "issuer" | "preset" | "scopes" => {
                return format!("did you mean `providers: [{{{key}: ...}}]`?");
            }
            "back_channel" | "front_channel" | "return_to" | "revoke" => {
                return format!("did you mean `sign_out: {{{key}: ...}}`?");
            }
            _ => {}
        }
    }
    if fields.contains(&"title") && key == "label" {
        return "did you mean `title`?".to_owned();
    }
    nearest(key, fields, 3)
        .map_or_else(|| format!("expected {}", one_of(fields)), |field| format!("did you mean `{field}`?"))
}
