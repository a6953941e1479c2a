//! Texts made of claims, for headers and filter state.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    Claim, ClaimPath, Claims, Shape,
    shape::{is_scalar, is_serialized},
};

/// The encoding of non-ASCII text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// The whole text, its UTF-8 as base64url without padding (RFC 4648, 5).
    Base64Url,
    /// Each claim, and each item of a list, percent-encoded except unreserved characters (RFC 3986, 2.1).
    Percent,
    /// Unchanged UTF-8.
    #[default]
    Utf8,
}

/// The handling of a text that is longer than its limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TooLong {
    /// Leave out items at the end of the list.
    Cut,
    /// Leave out the whole text.
    #[default]
    LeaveOut,
    /// Refuse the request.
    Refuse,
}

/// Why a claim, or an item of its list, is left out of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Longer than the limit, and cut.
    #[error("takes {length} bytes, and {longest} may go out; have the provider send fewer values")]
    Cut {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        longest: usize,
    },
    /// Items that contain the separator, which an app would read as two.
    #[error("has items with the separator in them; another `separator`, or `encoding: percent`, tells them apart")]
    ItemsSeparator,
    /// Items that are lists, objects or null.
    #[error("has items that are not strings, numbers or booleans")]
    ItemsShape,
    /// Items with control characters, or with spaces at an end.
    #[error("has items with control characters or with spaces at an end")]
    ItemsUnclean,
    /// Not a string, number, boolean or list of these, or a serialized list.
    #[error("is {0}, and must be a string, a number, a boolean or a list of these")]
    Shape(Shape),
    /// Longer than the limit.
    #[error("takes {length} bytes, and {longest} may go out; have the provider send fewer values, or see `too_long`")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        longest: usize,
    },
    /// A text with control characters, or with spaces at an end.
    #[error("has control characters or spaces at an end")]
    Unclean,
    /// An email address that the provider does not call verified.
    #[error("is not verified according to the claim \"email_verified\"")]
    Unverified,
}

/// Called with the path of a claim that is left out or cut, and the reason.
pub type Report<'a> = dyn FnMut(&ClaimPath, Unfit) + 'a;

/// A text with claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    separator: char,
    encoding: Encoding,
    too_long: TooLong,
    wants_verified: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Claim(ClaimPath),
    Text(String),
}

/// All characters except the unreserved ones (RFC 3986, 2.3).
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Template {
    /// A template of one claim.
    pub fn of(path: ClaimPath) -> Self {
        Self::from(vec![Part::Claim(path)])
    }

    fn from(parts: Vec<Part>) -> Self {
        let too_long = TooLong::LeaveOut;
        Self { parts, separator: ',', encoding: Encoding::Utf8, too_long, wants_verified: false }
    }

    /// Parses a text with placeholders such as `{sub}` or `{/org/id}`; `{{` is a brace. `None` without a placeholder,
    /// or with an invalid one.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        let mut has_place = false;
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('{') {
                literal.push('{');
                rest = after;
                continue;
            }
            let (name, after) = after.split_once('}')?;
            parts.push(Part::Text(std::mem::take(&mut literal)));
            parts.push(Part::Claim(ClaimPath::parse(name).filter(|_| name.trim() == name)?));
            (rest, has_place) = (after, true);
        }
        parts.push(Part::Text(literal + rest));
        has_place.then(|| Self::from(parts))
    }

    /// The same template with this separator of list items and this encoding.
    #[must_use]
    pub fn with_format(self, separator: char, encoding: Encoding) -> Self {
        Self { separator, encoding, ..self }
    }

    /// The same template with this handling of texts that are too long.
    #[must_use]
    pub fn with_too_long(self, too_long: TooLong) -> Self {
        Self { too_long, ..self }
    }

    /// The same template, restricted to verified email addresses.
    #[must_use]
    pub fn verified_only(self) -> Self {
        Self { wants_verified: true, ..self }
    }

    /// Whether it consists of one claim.
    pub fn is_claim(&self) -> bool {
        matches!(self.parts[..], [Part::Claim(_)])
    }

    /// Calls `with` for the path of each of its claims.
    pub fn each_path(&self, with: &mut dyn FnMut(&ClaimPath)) {
        for part in &self.parts {
            if let Part::Claim(path) = part {
                with(path);
            }
        }
    }

    /// The text, if every claim is present and not empty.
    ///
    /// Strings are unchanged, list items are joined, numbers and booleans are in JSON notation. Ambiguous values are
    /// left out and reported, not changed: strings with control characters or surrounding spaces; list items with the
    /// separator, which would read as two; and lists serialized into one string, with brackets that would become parts
    /// of items.
    ///
    /// # Errors
    /// [`Unfit::TooLong`] with [`TooLong::Refuse`].
    pub fn render(
        &self,
        claims: &dyn Claims,
        longest: usize,
        report: &mut Report<'_>,
    ) -> Result<Option<String>, Unfit> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Claim(path) => match self.value(path, claims, longest, report) {
                    Some(value) if text.is_empty() => text = value,
                    Some(value) => text.push_str(&value),
                    None => return Ok(None),
                },
                Part::Text(literal) => text.push_str(literal),
            }
        }
        let text = if self.encoding == Encoding::Base64Url { URL_SAFE_NO_PAD.encode(text) } else { text };
        if text.len() <= longest {
            return Ok(Some(text));
        }
        let unfit = Unfit::TooLong { length: text.len(), longest };
        self.each_path(&mut |path| report(path, unfit));
        if self.too_long == TooLong::Refuse { Err(unfit) } else { Ok(None) }
    }

    fn value(&self, path: &ClaimPath, claims: &dyn Claims, longest: usize, report: &mut Report<'_>) -> Option<String> {
        // Many providers send null or an empty string for an absent value.
        let claim = path.find(claims).filter(|claim| !matches!(claim, Claim::Json(Value::Null)))?;
        // An unverified address does not identify a user.
        let is_verified = || match claims.claim("email_verified") {
            Some(said) => said.is_true(),
            None => !self.wants_verified,
        };
        if path.name() == "email" && !is_verified() {
            report(path, Unfit::Unverified);
            return None;
        }
        let text = match claim {
            Claim::Text(text) => self.scalar_text(text).ok_or(Unfit::Unclean),
            Claim::Json(Value::Array(items)) => Ok(self.joined(items, longest, &mut |unfit| report(path, unfit))),
            Claim::Json(value) => self.scalar(value),
        };
        text.map_err(|unfit| report(path, unfit)).ok().filter(|text| !text.is_empty())
    }

    fn joined(&self, items: &[Value], longest: usize, report: &mut dyn FnMut(Unfit)) -> String {
        // Base64 encodes three bytes as four characters.
        let longest = if self.encoding == Encoding::Base64Url { longest / 4 * 3 } else { longest };
        let (mut joined, mut length, mut letter) = (String::new(), 0_usize, [0; 4]);
        let separator = &*self.separator.encode_utf8(&mut letter);
        for item in items {
            let text = match item {
                Value::String(text) => self.scalar_text(text).ok_or(Unfit::ItemsUnclean),
                item if is_scalar(item) => self.scalar(item),
                _ => Err(Unfit::ItemsShape),
            };
            let is_apart = |text: &String| !text.contains(self.separator);
            let text = match text.and_then(|text| Some(text).filter(is_apart).ok_or(Unfit::ItemsSeparator)) {
                Ok(text) if text.is_empty() => continue,
                Ok(text) => text,
                Err(unfit) => {
                    report(unfit);
                    continue;
                }
            };
            let separator = if length == 0 { "" } else { separator };
            length = length.saturating_add(separator.len()).saturating_add(text.len());
            if self.too_long != TooLong::Cut || length <= longest {
                joined.push_str(separator);
                joined.push_str(&text);
            }
        }
        if length > joined.len() {
            report(Unfit::Cut { length, longest });
        }
        joined
    }

    fn scalar(&self, value: &Value) -> Result<String, Unfit> {
        match value {
            // Percent-encoded brackets and commas are unambiguous.
            Value::String(text) if self.encoding != Encoding::Percent && is_serialized(text) => {
                Err(Unfit::Shape(Shape::of(value)))
            }
            Value::String(text) => self.scalar_text(text).ok_or(Unfit::Unclean),
            Value::Bool(truth) => Ok(truth.to_string()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Array(_) | Value::Null | Value::Object(_) => Err(Unfit::Shape(Shape::of(value))),
        }
    }

    // Surrounding spaces would be trimmed on the way, and one user could pass for another.
    fn scalar_text(&self, text: &str) -> Option<String> {
        let is_clean = !text.contains(char::is_control) && text.trim() == text;
        is_clean.then(|| match self.encoding {
            Encoding::Percent => utf8_percent_encode(text, &ENCODED).to_string(),
            Encoding::Base64Url | Encoding::Utf8 => text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
