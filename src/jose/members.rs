//! Members of a JSON object that a provider sent, read leniently in form. Claims that decide whether a token is valid, and
//! its subject, are read strictly in [`super::claims`].

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

/// The members of one object. `null` and the empty text are as good as absent: some providers write out every member
/// they know.
#[derive(Clone, Copy)]
pub struct Members<'a>(&'a Map<String, Value>);

/// A member that is missing, or of another type than it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable(pub &'static str);

impl<'a> Members<'a> {
    /// Those of this object.
    pub const fn of(object: &'a Map<String, Value>) -> Self {
        Self(object)
    }

    /// A member of any type.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null() && *value != "")
    }

    /// A text that may be absent.
    ///
    /// # Errors
    /// [`Unusable`] where it is there, and of another type.
    pub fn optional(self, name: &'static str) -> Result<Option<&'a str>, Unusable> {
        self.get(name).map(|value| value.as_str().ok_or(Unusable(name))).transpose()
    }

    /// A text.
    ///
    /// # Errors
    /// [`Unusable`]
    pub fn required(self, name: &'static str) -> Result<&'a str, Unusable> {
        self.optional(name)?.ok_or(Unusable(name))
    }

    /// An identifier that may be absent, as a text or a whole number.
    ///
    /// # Errors
    /// [`Unusable`] where it is there, and of another type.
    pub fn label(self, name: &'static str) -> Result<Option<Cow<'a, str>>, Unusable> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text))),
            Some(Value::Number(number)) if !number.is_f64() => Ok(Some(Cow::Owned(number.to_string()))),
            Some(_) => Err(Unusable(name)),
        }
    }

    /// A list, or one text in place of a list of one.
    pub fn list(self, name: &str) -> Option<&'a [Value]> {
        match self.get(name)? {
            Value::Array(items) => Some(items),
            text @ Value::String(_) => Some(std::slice::from_ref(text)),
            _ => None,
        }
    }

    /// Seconds, as a number or as text. A fraction is cut off, a negative number is 0, and a huge one is the largest. `None`
    /// where it cannot be read.
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
    /// [`Unusable`]
    pub fn bytes(self, name: &'static str) -> Result<Vec<u8>, Unusable> {
        let text = self.required(name)?.replace('+', "-").replace('/', "_");
        URL_SAFE.decode(text).map_err(|_| Unusable(name))
    }
}
