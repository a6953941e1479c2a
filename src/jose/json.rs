//! JSON from outside. Duplicate member names are refused at any depth, since two readers may pick different ones (RFC 8725,
//! 2.4; RFC 8259, 4).

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use crate::quoted::Quoted;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a document was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A member name stands twice in one object.
    #[error("ambiguous, because an object in it has the member {0} twice")]
    DuplicateMember(Quoted),
    /// Not JSON in UTF-8, nested too deeply, or followed by more.
    #[error("not JSON")]
    Malformed,
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// JSON, but not an array.
    #[error("not a JSON array")]
    NotAnArray,
    /// Longer than the caller's limit.
    #[error("larger than allowed")]
    TooLarge,
}

/// Reads one JSON object of at most `limit` bytes, strictly by RFC 8259: for signed and sealed documents. serde_json bounds
/// the depth (128).
///
/// # Errors
/// [`JsonError`]
pub fn parse_object(bytes: &[u8], limit: usize) -> Result<Map<String, Value>, JsonError> {
    if let Value::Object(members) = parse(bytes, limit)? { Ok(members) } else { Err(JsonError::NotAnObject) }
}

/// Reads the JSON object in a provider's response, after a byte order mark if there is one (RFC 8259, 8.1).
///
/// # Errors
/// [`JsonError`]
pub fn response_object(body: &[u8], limit: usize) -> Result<Map<String, Value>, JsonError> {
    parse_object(without_byte_order_mark(body), limit)
}

/// Reads the JSON array in a provider's response, after a byte order mark if there is one.
///
/// # Errors
/// [`JsonError`]
pub fn response_array(body: &[u8], limit: usize) -> Result<Vec<Value>, JsonError> {
    if let Value::Array(items) = parse(without_byte_order_mark(body), limit)? {
        Ok(items)
    } else {
        Err(JsonError::NotAnArray)
    }
}

fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

fn parse(bytes: &[u8], limit: usize) -> Result<Value, JsonError> {
    if bytes.len() > limit {
        return Err(JsonError::TooLarge);
    }
    let duplicate = Cell::new(None);
    // Once for the whole document: serde_json would look at each string by itself.
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Malformed)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { duplicate: &duplicate }.deserialize(&mut deserializer);
    match value.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(_) => Err(duplicate.take().map_or(JsonError::Malformed, JsonError::DuplicateMember)),
    }
}

/// Reads one JSON number.
pub fn parse_number(text: &str) -> Option<Number> {
    match parse(text.as_bytes(), text.len()) {
        Ok(Value::Number(number)) => Some(number),
        _ => None,
    }
}

/// Reads a value, and keeps the first duplicate member name.
#[derive(Clone, Copy)]
struct Strict<'a> {
    duplicate: &'a Cell<Option<Quoted>>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate member names")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            // Names are compared after unescaping: "s\u0075b" is "sub".
            if members.contains_key(&name) {
                self.duplicate.set(Some(Quoted::new(&name)));
                return Err(A::Error::custom("duplicate member name"));
            }
            members.insert(name, access.next_value_seed(self)?);
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_json_as_serde_json_does() {
        let text = r#"{"a":[1,-1,1.5,1e300,true,null,"\u00e9",{}],"b":{"a":1,"b":{"a":2}},"":"\u0000"}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(parse_object(text.as_bytes(), text.len()).map(Value::Object), Ok(expected));
    }

    #[test]
    fn refuses_documents_that_two_readers_may_read_differently() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        let bottomless = format!("{{\"a\":{}", "[".repeat(900));
        let twice = |name| JsonError::DuplicateMember(Quoted::new(name));
        let cases: &[(&str, &[u8], JsonError)] = &[
            ("duplicate", br#"{"sub":"a","sub":"b"}"#, twice("sub")),
            ("duplicate of the same value", br#"{"a":1,"a":1}"#, twice("a")),
            ("duplicate, one escaped", br#"{"sub":"a","s\u0075b":"b"}"#, twice("sub")),
            ("duplicate further down", br#"{"a":[{"b":{"c":1,"c":2}}]}"#, twice("c")),
            ("duplicate of two", br#"{"a":{"b":1,"b":2},"a":1}"#, twice("b")),
            ("no name but a duplicate", br#"{"":1,"":1}"#, twice("")),
            ("cut off after a duplicate", br#"{"a":1,"a""#, twice("a")),
            ("array", b"[]", JsonError::NotAnObject),
            ("null", b"null", JsonError::NotAnObject),
            ("string", br#""x""#, JsonError::NotAnObject),
            ("number", b"1", JsonError::NotAnObject),
            ("nothing", b"", JsonError::Malformed),
            ("cut off", br#"{"a":1"#, JsonError::Malformed),
            ("byte order mark", b"\xef\xbb\xbf{}", JsonError::Malformed),
            ("trailing data", b"{} {}", JsonError::Malformed),
            ("trailing NUL", b"{}\0", JsonError::Malformed),
            ("not UTF-8", b"{\"a\":\"\xff\"}", JsonError::Malformed),
            ("overlong UTF-8", b"{\"a\":\"\xc0\x80\"}", JsonError::Malformed),
            ("lone surrogate", br#"{"a":"\ud800"}"#, JsonError::Malformed),
            ("raw control character", b"{\"a\":\"\n\"}", JsonError::Malformed),
            ("NaN", br#"{"a":NaN}"#, JsonError::Malformed),
            ("infinite number", br#"{"a":1e999}"#, JsonError::Malformed),
            ("comment", b"{}//", JsonError::Malformed),
            ("trailing comma", br#"{"a":1,}"#, JsonError::Malformed),
            ("deep", deep.as_bytes(), JsonError::Malformed),
            ("bottomless", bottomless.as_bytes(), JsonError::Malformed),
            ("large", &[b' '; 1001], JsonError::TooLarge),
        ];
        for (name, bytes, error) in cases {
            assert_eq!(parse_object(bytes, 1000), Err(error.clone()), "{name}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_accepted_only_in_responses() {
        let marked = b"\xef\xbb\xbf{\"a\":1}";
        assert_eq!(response_object(marked, 100), parse_object(br#"{"a":1}"#, 100));
        assert_eq!(response_array(b"\xef\xbb\xbf[1]", 100), Ok(vec![1.into()]));
        assert_eq!(parse_object(marked, 100), Err(JsonError::Malformed));
        for twice_or_elsewhere in
            [&b"\xef\xbb\xbf\xef\xbb\xbf{}"[..], b" \xef\xbb\xbf{}", b"{}\xef\xbb\xbf", b"\xff\xfe{}"]
        {
            assert_eq!(response_object(twice_or_elsewhere, 100), Err(JsonError::Malformed));
        }
    }

    proptest! {
        #[test]
        fn parsed_json_equals_that_of_serde_json(text in r#"\{("[ab]":[0-9\[\]{},"ab:]{0,8},?){0,3}\}"#) {
            if let Ok(members) = parse_object(text.as_bytes(), 100) {
                prop_assert_eq!(Value::Object(members), serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
