//! Members of a provider's JSON object, read leniently. The claims that decide whether a token is valid are read strictly in
//! [`super::claims`].

use std::borrow::Cow;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use super::json;

/// base64url as RFC 7515, 2 has it, with the padding that some providers add.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The members of one object. `null` and the empty string count as absent: some providers send every member they know.
#[derive(Clone, Copy)]
pub struct Members<'a>(&'a Map<String, Value>);

/// The name of a member that is missing or has the wrong type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadMember(pub &'static str);

impl<'a> Members<'a> {
    /// The members of this object.
    pub const fn of(object: &'a Map<String, Value>) -> Self {
        Self(object)
    }

    /// A member of any type.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null() && *value != "")
    }

    /// An optional string.
    ///
    /// # Errors
    /// [`BadMember`] for another type.
    pub fn optional(self, name: &'static str) -> Result<Option<&'a str>, BadMember> {
        self.get(name).map(|value| value.as_str().ok_or(BadMember(name))).transpose()
    }

    /// A string.
    ///
    /// # Errors
    /// [`BadMember`]
    pub fn required(self, name: &'static str) -> Result<&'a str, BadMember> {
        self.optional(name)?.ok_or(BadMember(name))
    }

    /// An optional identifier, as a string or a whole number.
    ///
    /// # Errors
    /// [`BadMember`] for another type.
    pub fn label(self, name: &'static str) -> Result<Option<Cow<'a, str>>, BadMember> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text))),
            Some(Value::Number(number)) if !number.is_f64() => Ok(Some(Cow::Owned(number.to_string()))),
            Some(_) => Err(BadMember(name)),
        }
    }

    /// An array, or a string in place of an array of one.
    pub fn list(self, name: &str) -> Option<&'a [Value]> {
        match self.get(name)? {
            Value::Array(items) => Some(items),
            text @ Value::String(_) => Some(std::slice::from_ref(text)),
            _ => None,
        }
    }

    /// Seconds, as a number or a string. A fraction is cut off, a negative number is 0, a larger number than fits saturates.
    /// `None` for anything else.
    pub fn seconds(self, name: &str) -> Option<u64> {
        let number = match self.get(name)? {
            Value::Number(number) => number.clone(),
            Value::String(text) => json::parse_number(text.trim())?,
            _ => return None,
        };
        number.as_u64().or_else(|| number.as_f64().map(|seconds| seconds as u64))
    }

    /// Bytes in base64url, or in the standard alphabet, with or without padding.
    ///
    /// # Errors
    /// [`BadMember`]
    pub fn bytes(self, name: &'static str) -> Result<Vec<u8>, BadMember> {
        let text = self.required(name)?.replace('+', "-").replace('/', "_");
        URL_SAFE.decode(text).map_err(|_| BadMember(name))
    }
}
