//! From bytes to a tree: JSON text, or a serialized `google.protobuf.Struct`, which is what Envoy hands over for a
//! configuration written in place.

use std::fmt;

use prost::{Message, Oneof};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use zeroize::Zeroizing;

use super::fault::{Faults, Faulty, Path, Problem};

/// The largest document that is read: 1 MiB.
const MAX_DOCUMENT: usize = 1024 * 1024;

/// A value of the document. Objects keep their order and their duplicates.
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(f64),
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// The JSON type, as a fault names it.
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
}

/// Reads the document.
pub(super) fn read(bytes: &[u8], faults: &mut Faults) -> Result<Node, Faulty> {
    let root = Path::root();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(faults.add(&root, Problem::Missing { expected: "an object; nothing was configured".into() }));
    }
    if bytes.len() > MAX_DOCUMENT {
        return Err(faults.wrong(&root, format!("at most {MAX_DOCUMENT} bytes")));
    }
    serde_json::from_slice(bytes).or_else(|error| {
        from_struct(bytes).ok_or_else(|| faults.add(&root, Problem::Unreadable { reason: error.to_string() }))
    })
}

/// `google.protobuf.Struct`, its map as the list of entries that it is on the wire.
#[derive(Clone, PartialEq, Message)]
struct Struct {
    #[prost(message, repeated, tag = "1")]
    fields: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Message)]
struct ListValue {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Kind {
    #[prost(int32, tag = "1")]
    Null(i32),
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
    #[prost(message, tag = "5")]
    Struct(Struct),
    #[prost(message, tag = "6")]
    List(ListValue),
}

/// The tree of a serialized `Struct`. Bytes that say nothing of a `Struct` may still decode as one without fields.
fn from_struct(bytes: &[u8]) -> Option<Node> {
    let decoded = Struct::decode(bytes).ok()?;
    (!decoded.fields.is_empty()).then(|| object(decoded))
}

/// Envoy writes the members in any order; here they get the same one each time.
fn object(value: Struct) -> Node {
    let mut members: Vec<(String, Node)> = Vec::with_capacity(value.fields.len());
    for Entry { key, value } in value.fields {
        let place = members.partition_point(|(before, _)| *before <= key);
        members.insert(place, (key, value.map_or(Node::Null, node)));
    }
    Node::Object(members)
}

fn node(value: Value) -> Node {
    match value.kind {
        None | Some(Kind::Null(_)) => Node::Null,
        Some(Kind::Bool(value)) => Node::Bool(value),
        Some(Kind::List(list)) => Node::List(list.values.into_iter().map(node).collect()),
        Some(Kind::Number(number)) => Node::Number(number),
        Some(Kind::Text(text)) => Node::Text(Zeroizing::new(text)),
        Some(Kind::Struct(value)) => object(value),
    }
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

    // Every number is a double, as in a Struct: the same document means the same in both forms. No setting of ours
    // comes near the integers that a double cannot tell apart.
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
