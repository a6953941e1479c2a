//! Lays a document over the structs of [`raw`](super::raw), and reports every place where it does not fit.
//!
//! A usual deserializer stops at the first misfit. This one cannot fail: it knows from the method that serde calls what
//! the struct wants there, reports a misfit itself, and goes on with an empty value, which is never used since a
//! configuration with faults is never built. Nor can its messages show a value, only what was wanted and a JSON type.

use std::{borrow::Cow, collections::BTreeSet};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::{BorrowedStrDeserializer, Error, MapDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{
    document::Node,
    fault::{Faults, Path, Problem},
    raw::Secret,
};

/// The largest whole number that a double holds without doubt: 2^53.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Reads the document into its struct.
pub(super) fn read<'de, T: Deserialize<'de> + Default>(root: &'de Node, faults: &mut Faults) -> T {
    T::deserialize(Reader { node: root, at: Path::root(), faults }).unwrap_or_else(|_| {
        faults.wrong(&Path::root(), "a document of the known fields");
        T::default()
    })
}

/// One node, where it is, and where to report.
struct Reader<'de, 'f> {
    node: &'de Node,
    at: Path,
    faults: &'f mut Faults,
}

impl Reader<'_, '_> {
    fn misfit(&mut self, expected: impl Into<Cow<'static, str>>) {
        self.misfit_of(expected, self.node.kind());
    }

    fn misfit_of(&mut self, expected: impl Into<Cow<'static, str>>, got: &'static str) {
        self.faults.add(&self.at, Problem::Type { expected: expected.into(), got });
    }
}

impl<'de> Deserializer<'de> for Reader<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("every field of the document has a type"))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // null is no way to leave a field out: `client_secret:` with its `env:` on the wrong level would then make a
        // client without a secret.
        visitor.visit_some(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let Node::Bool(value) = self.node else {
            self.misfit("true or false");
            return visitor.visit_bool(false);
        };
        visitor.visit_bool(*value)
    }

    fn deserialize_u64<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        const EXPECTED: &str = "a whole number";
        match self.node {
            Node::Number(number) if number.fract() == 0.0 && (0.0..=MAX_WHOLE).contains(number) => {
                return visitor.visit_u64(*number as u64);
            }
            Node::Number(number) if *number < 0.0 => self.misfit_of(EXPECTED, "a negative number"),
            Node::Number(number) if *number > MAX_WHOLE => self.misfit_of(EXPECTED, "a number that is too large"),
            Node::Number(_) => self.misfit_of(EXPECTED, "a fraction"),
            _ => self.misfit(EXPECTED),
        }
        visitor.visit_u64(0)
    }

    fn deserialize_string<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let Node::Text(text) = self.node else {
            self.misfit("a string");
            return visitor.visit_borrowed_str("");
        };
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let Node::List(elements) = self.node else {
            self.misfit("a list");
            return visitor.visit_seq(Elements {
                rest: std::slice::Iter::default(),
                place: 0,
                at: self.at,
                faults: self.faults,
            });
        };
        visitor.visit_seq(Elements { rest: elements.iter(), place: 0, at: self.at, faults: self.faults })
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let Node::Object(members) = self.node else {
            self.misfit("an object");
            return visitor.visit_map(nothing());
        };
        visitor.visit_map(Members::new(members, None, self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.node {
            Node::Object(_) if name == Secret::NAME && !self.is_reference() => {
                // Not even a field's name is shown here: it may be the secret, written one level too deep.
                self.misfit_of(Secret::EXPECTED, "an object with other fields");
                visitor.visit_borrowed_str("")
            }
            Node::Object(members) => visitor.visit_map(Members::new(members, Some(fields), self)),
            Node::Text(text) if name == Secret::NAME => visitor.visit_borrowed_str(text),
            _ if name == Secret::NAME => {
                self.misfit(Secret::EXPECTED);
                visitor.visit_borrowed_str("")
            }
            _ => {
                self.misfit("an object");
                visitor.visit_map(nothing())
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let chosen = match self.node {
            Node::Text(text) => variants.iter().find(|variant| **variant == text.as_str()).ok_or(Some(text)),
            _ => Err(None),
        };
        let variant = chosen.unwrap_or_else(|text| {
            let expected = one_of(variants);
            match text {
                Some(text) => drop(self.faults.wrong_value(&self.at, expected, text)),
                None => self.misfit(expected),
            }
            variants.first().unwrap_or(&"")
        });
        visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(*variant))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct identifier
    }
}

impl Reader<'_, '_> {
    /// Whether the object is a secret's `{env: NAME}`.
    fn is_reference(&self) -> bool {
        matches!(self.node, Node::Object(members) if members.iter().all(|(key, _)| key == "env") && !members.is_empty())
    }
}

/// An object without members, in place of something else.
fn nothing<'de>() -> MapDeserializer<'de, std::iter::Empty<(&'static str, &'static str)>, Error> {
    MapDeserializer::new(std::iter::empty())
}

/// The elements of a list.
struct Elements<'de, 'f> {
    rest: std::slice::Iter<'de, Node>,
    place: usize,
    at: Path,
    faults: &'f mut Faults,
}

impl<'de> SeqAccess<'de> for Elements<'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.rest.next() else { return Ok(None) };
        let at = self.at.index(self.place);
        self.place = self.place.saturating_add(1);
        seed.deserialize(Reader { node, at, faults: self.faults }).map(Some)
    }
}

/// The members of an object that have a place in the struct, each once.
struct Members<'de, 'f> {
    rest: std::vec::IntoIter<(&'de str, &'de Node)>,
    value: Option<(&'de str, &'de Node)>,
    at: Path,
    faults: &'f mut Faults,
}

impl<'de, 'f> Members<'de, 'f> {
    /// Reports unknown fields (`fields: None` knows any) and those that stand there twice, which two readers of the
    /// same document would read differently.
    fn new(members: &'de [(String, Node)], fields: Option<&'static [&'static str]>, of: Reader<'de, 'f>) -> Self {
        let mut seen = BTreeSet::new();
        let mut known = Vec::new();
        for (key, node) in members {
            let key = key.as_str();
            match fields {
                Some(fields) if !fields.contains(&key) => {
                    of.faults.add(&of.at.key(key), Problem::UnknownField { hint: hint(key, fields) });
                }
                _ if !seen.insert(key) => drop(of.faults.add(&of.at.key(key), Problem::Twice)),
                _ => known.push((key, node)),
            }
        }
        Self { rest: known.into_iter(), value: None, at: of.at, faults: of.faults }
    }
}

impl<'de> MapAccess<'de> for Members<'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.value = self.rest.next();
        self.value.map(|(key, _)| seed.deserialize(BorrowedStrDeserializer::new(key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (key, node) = self.value.take().ok_or_else(|| Error::custom("a value comes after its key"))?;
        seed.deserialize(Reader { node, at: self.at.key(key), faults: self.faults })
    }
}

/// What to say of an unknown field: the one that is nearest, or all there are.
fn hint(key: &str, fields: &[&str]) -> String {
    const LONGEST: usize = 64;
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    let wanted = plain(key);
    fields
        .iter()
        .filter(|_| key.len() <= LONGEST)
        .map(|field| (strsim::osa_distance(&wanted, &plain(field)), field))
        .filter(|(distance, field)| distance.saturating_mul(3) <= field.len())
        .min()
        .map_or_else(|| format!("expected {}", one_of(fields)), |(_, field)| format!("did you mean `{field}`?"))
}

/// The names in a list to read.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [name] => (*name).to_owned(),
        names => format!("one of {}", names.join(", ")),
    }
}
