//! Parses bytes into a tree: JSON text, or a serialized `google.protobuf.Struct`, which Envoy passes for an inline
//! configuration.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use zeroize::Zeroizing;

use super::fault::{At, Faults, Faulty, Problem};
use crate::wire::{self, Field, Value};

/// The largest accepted document: 1 MiB.
const MAX_DOCUMENT: usize = 1024 * 1024;
/// The deepest accepted `Struct`. serde_json limits JSON itself.
const MAX_DEPTH: usize = 64;

/// A value of the document. Objects keep order and duplicates.
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(f64),
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// The JSON type in the wording of faults.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The members, where it is an object.
    pub(super) fn members(&self) -> &[(String, Self)] {
        if let Self::Object(members) = self { members } else { &[] }
    }

    /// The first member of this name.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        self.members().iter().find_map(|(known, member)| (known == name).then_some(member))
    }

    /// The text of the first member of this name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        if let Some(Self::Text(text)) = self.member(name) { Some(text) } else { None }
    }

    /// The first member of this name, to change it.
    pub(super) fn member_mut(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Object(members) = self else { return None };
        members.iter_mut().find_map(|(known, member)| (known == name).then_some(member))
    }

    /// The first member of this name, alone.
    pub(super) fn into_member(self, name: &str) -> Option<Self> {
        let Self::Object(members) = self else { return None };
        members.into_iter().find_map(|(known, member)| (known == name).then_some(member))
    }
}

/// The same tree for readers outside of this room; of duplicates the last.
impl From<Node> for serde_json::Value {
    fn from(node: Node) -> Self {
        match node {
            Node::Null => Self::Null,
            Node::Bool(value) => Self::Bool(value),
            Node::Number(number) => Self::from(number),
            Node::Text(text) => Self::String(text.to_string()),
            Node::List(elements) => elements.into_iter().map(Self::from).collect(),
            Node::Object(members) => members.into_iter().map(|(name, member)| (name, Self::from(member))).collect(),
        }
    }
}

#[inline(never)]
pub(super) fn read(bytes: &[u8], faults: &mut Faults) -> Result<Node, Faulty> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(faults.add(&At::Root, Problem::Missing { expected: "an object; nothing was configured".into() }));
    }
    if bytes.len() > MAX_DOCUMENT {
        return Err(faults.wrong(&At::Root, format!("at most {MAX_DOCUMENT} bytes")));
    }
    serde_json::from_slice(bytes).or_else(|error| {
        from_struct(bytes).ok_or_else(|| faults.add(&At::Root, Problem::Unreadable { reason: error.to_string() }))
    })
}

/// The tree of a serialized `google.protobuf.Struct`. Arbitrary bytes may decode as a `Struct` without fields: an empty
/// one is refused.
fn from_struct(bytes: &[u8]) -> Option<Node> {
    object(bytes, MAX_DEPTH).filter(|node| !matches!(node, Node::Object(members) if members.is_empty()))
}

/// Envoy writes the members in random order; they are sorted here.
fn object(bytes: &[u8], depth: usize) -> Option<Node> {
    let depth = depth.checked_sub(1)?;
    let mut members: Vec<(String, Node)> = Vec::new();
    for entry in wire::read_list(bytes)? {
        let [key, value] = wire::read(entry)?;
        let (key, value) = (key.text()?.to_owned(), node(value.bytes()?, depth)?);
        let place = members.partition_point(|(before, _)| *before <= key);
        members.insert(place, (key, value));
    }
    Some(Node::Object(members))
}

fn node(bytes: &[u8], depth: usize) -> Option<Node> {
    let kinds: [Field<'_>; 6] = wire::read(bytes)?;
    let mut kinds = (1..).zip(kinds).filter_map(|(kind, Field(value))| Some((kind, value?)));
    let kind = kinds.next();
    // At most one kind may be set.
    if kinds.next().is_some() {
        return None;
    }
    Some(match kind {
        None | Some((1, Value::Number(_))) => Node::Null,
        Some((2, Value::Double(number))) => Node::Number(number),
        Some((3, text)) => Node::Text(Zeroizing::new(Field(Some(text)).text()?.to_owned())),
        Some((4, Value::Number(value))) => Node::Bool(value != 0),
        Some((5, Value::Bytes(value))) => object(value, depth)?,
        Some((6, Value::Bytes(list))) => {
            let depth = depth.checked_sub(1)?;
            Node::List(wire::read_list(list)?.into_iter().map(|value| node(value, depth)).collect::<Option<_>>()?)
        }
        Some(_) => return None,
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    // Every number is a double, as in a Struct, so that a document has the same meaning in both forms. No setting needs
    // integers beyond 2^53.
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value as f64))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(Zeroizing::new(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Node::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = object.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}
