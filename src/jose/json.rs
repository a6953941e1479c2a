//! JSON from strangers, read one way only: duplicate member names are refused at any depth, since two readers may
//! pick two different ones (RFC 8725, 2.4; RFC 8259, 4).

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, error::Category};

/// Why a document is no JSON object to rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A member name stands twice in one object.
    #[error("a member name stands twice in one object")]
    DuplicateMember,
    /// Not JSON in UTF-8, nested too deeply, or with something after it.
    #[error("not JSON")]
    Malformed,
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// JSON, but not an array.
    #[error("not a JSON array")]
    NotAnArray,
    /// More bytes than the caller is ready to read.
    #[error("larger than allowed")]
    TooLarge,
}

/// Reads one JSON object of at most `limit` bytes. serde_json itself bounds the depth (128).
///
/// # Errors
/// [`JsonError`]
pub fn parse_object(bytes: &[u8], limit: usize) -> Result<Map<String, Value>, JsonError> {
    if let Value::Object(members) = parse(bytes, limit)? { Ok(members) } else { Err(JsonError::NotAnObject) }
}

/// Reads one JSON array of at most `limit` bytes.
///
/// # Errors
/// [`JsonError`]
pub fn parse_array(bytes: &[u8], limit: usize) -> Result<Vec<Value>, JsonError> {
    if let Value::Array(items) = parse(bytes, limit)? { Ok(items) } else { Err(JsonError::NotAnArray) }
}

fn parse(bytes: &[u8], limit: usize) -> Result<Value, JsonError> {
    if bytes.len() > limit {
        return Err(JsonError::TooLarge);
    }
    match serde_json::from_slice(bytes) {
        Ok(Strict(value)) => Ok(value),
        // The one fault that the reader below finds in well-formed JSON.
        Err(error) if error.classify() == Category::Data => Err(JsonError::DuplicateMember),
        Err(_) => Err(JsonError::Malformed),
    }
}

/// Reads one JSON number.
pub fn parse_number(text: &str) -> Option<Number> {
    match serde_json::from_slice(text.as_bytes()) {
        Ok(Strict(Value::Number(number))) => Some(number),
        _ => None,
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
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
        while let Some((name, Strict(value))) = access.next_entry::<String, Strict>()? {
            // Names are compared after unescaping: "s\u0075b" is "sub".
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member name"));
            }
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
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
    fn reads_what_serde_json_reads() {
        let text = r#"{"a":[1,-1,1.5,1e300,true,null,"\u00e9",{}],"b":{"a":1,"b":{"a":2}},"":"\u0000"}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(parse_object(text.as_bytes(), text.len()).map(Value::Object), Ok(expected));
    }

    #[test]
    fn refuses_documents_that_two_readers_may_read_differently() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        let bottomless = format!("{{\"a\":{}", "[".repeat(900));
        let cases: &[(&str, &[u8], JsonError)] = &[
            ("duplicate", br#"{"sub":"a","sub":"b"}"#, JsonError::DuplicateMember),
            ("duplicate of the same value", br#"{"a":1,"a":1}"#, JsonError::DuplicateMember),
            ("duplicate, one escaped", br#"{"sub":"a","s\u0075b":"b"}"#, JsonError::DuplicateMember),
            ("duplicate further down", br#"{"a":[{"b":{"c":1,"c":2}}]}"#, JsonError::DuplicateMember),
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
            assert_eq!(parse_object(bytes, 1000), Err(*error), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_serde_json_reads_alike(text in r#"\{("[ab]":[0-9\[\]{},"ab:]{0,8},?){0,3}\}"#) {
            if let Ok(members) = parse_object(text.as_bytes(), 100) {
                prop_assert_eq!(Value::Object(members), serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
