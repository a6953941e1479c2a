//! The form of a claim, for log lines about unusable claims.

use std::fmt;

use serde_json::Value;

/// The form of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[]`
    EmptyList,
    /// A list with at least one string, number or boolean.
    List,
    /// A list of lists, objects or null alone.
    ListOfOthers,
    /// `null`
    Null,
    /// A number.
    Number,
    /// An object.
    Object,
    /// A string that contains a serialized list or object.
    SerializedText,
    /// Any other text.
    Text,
    /// `true` or `false`
    Truth,
}

impl Shape {
    /// The form of this value.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Array(items) if items.is_empty() => Self::EmptyList,
            Value::Array(items) if !items.iter().any(is_scalar) => Self::ListOfOthers,
            Value::Array(_) => Self::List,
            Value::Bool(_) => Self::Truth,
            Value::Null => Self::Null,
            Value::Number(_) => Self::Number,
            Value::Object(_) => Self::Object,
            Value::String(text) if is_serialized(text) => Self::SerializedText,
            Value::String(_) => Self::Text,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyList => "an empty list",
            Self::List => "a list",
            Self::ListOfOthers => "a list of lists, objects or null",
            Self::Null => "null",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::SerializedText => "a string with a serialized list or object",
            Self::Text => "a text",
            Self::Truth => "true or false",
        })
    }
}

/// Whether it is a string, number or boolean, which can be compared and written into a header.
pub(super) const fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

/// Whether a text is in brackets or braces. An app that splits it at commas would read values with brackets.
pub(super) fn is_serialized(text: &str) -> bool {
    let text = text.trim();
    [('[', ']'), ('{', '}')].iter().any(|(first, last)| text.starts_with(*first) && text.ends_with(*last))
}
