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
mod tests {
    use serde_json::json;

    use super::{super::tests::Token, *};

    fn token() -> Token {
        Token(json!({
            "sub": "alice",
            "name": "Bjørn, Å {x}",
            "n": 7,
            "yes": true,
            "groups": ["a,b", "c d", "é", " x", "a\nb", 3, ["z"], "tab\t"],
            "empty": [],
            "nothing": "",
            "end": "x ",
            "org": { "id": "acme", "roles": ["r1", "r2"] },
            "email": "alice@example.com",
        }))
    }

    #[track_caller]
    fn render(template: &str, separator: char, encoding: Encoding) -> Option<String> {
        let template = Template::parse(template).unwrap().with_format(separator, encoding);
        template.render(&token(), 1000, &mut |_, _| ()).unwrap()
    }

    #[test]
    fn a_template_with_a_missing_claim_is_left_out() {
        let cases = [
            ("{sub}", Some("alice")),
            ("{sub}@{/org/id}", Some("alice@acme")),
            ("{{{sub}}", Some("{alice}")),
            ("{{sub}} {n}", Some("{sub}} 7")),
            ("{n}/{yes}", Some("7/true")),
            ("r={/org/roles};", Some("r=r1,r2;")),
            ("{/org/roles/1}", Some("r2")),
            ("{groups}", Some("c d,é,3")),
            ("{name}", Some("Bjørn, Å {x}")),
            ("{sub} {missing}", None),
            ("{sub} {empty}", None),
            ("{sub} {nothing}", None),
            ("{end}", None),
            ("{org}", None),
        ];
        for (template, expected) in cases {
            assert_eq!(render(template, ',', Encoding::Utf8).as_deref(), expected, "{template}");
        }
        for broken in ["", "sub", "{", "{}", "{sub", "a{ sub}", "{sub }", "{/}", "{/a~2}", "{{sub}}", "{sub}{"] {
            assert_eq!(Template::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn an_item_with_the_separator_is_left_out() {
        for (separator, encoding, expected) in [
            (',', Encoding::Utf8, "c d,é,3"),
            ('|', Encoding::Utf8, "a,b|c d|é|3"),
            (' ', Encoding::Utf8, "a,b é 3"),
            (',', Encoding::Percent, "a%2Cb,c%20d,%C3%A9,3"),
            // A separator that needs no escape.
            ('d', Encoding::Percent, "a%2Cbd%C3%A9d3"),
        ] {
            assert_eq!(render("{groups}", separator, encoding).as_deref(), Some(expected), "{separator}");
        }
    }

    #[test]
    fn non_ascii_text_has_the_configured_encoding() {
        assert_eq!(render("<{name}>", ',', Encoding::Percent).unwrap(), "<Bj%C3%B8rn%2C%20%C3%85%20%7Bx%7D>");
        let whole = render("<{name}>", ',', Encoding::Base64Url).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(whole).unwrap(), "<Bjørn, Å {x}>".as_bytes());
    }

    /// The text that the template makes of this claim `c`, and the reports.
    fn rendered(template: &Template, claim: Value, longest: usize) -> (Result<Option<String>, Unfit>, Vec<Unfit>) {
        let mut found = Vec::new();
        let text = template.render(&Token(json!({ "c": claim })), longest, &mut |_, unfit| found.push(unfit));
        (text, found)
    }

    #[test]
    fn malformed_values_are_left_out_and_reported() {
        use Unfit::{ItemsSeparator, ItemsShape, ItemsUnclean, Shape as Odd, Unclean};
        let cases: [(Value, Option<&str>, &[Unfit]); 20] = [
            (json!("[admins, staff]"), None, &[Odd(Shape::SerializedText)]),
            (json!("[\"admins\",\"staff\"]"), None, &[Odd(Shape::SerializedText)]),
            (json!("['admins']"), None, &[Odd(Shape::SerializedText)]),
            (json!("{admins,staff}"), None, &[Odd(Shape::SerializedText)]),
            (json!("[]"), None, &[Odd(Shape::SerializedText)]),
            (json!({ "admins": {} }), None, &[Odd(Shape::Object)]),
            (json!({}), None, &[Odd(Shape::Object)]),
            (json!([["admins"], ["staff"]]), None, &[ItemsShape, ItemsShape]),
            (json!([{ "name": "admins" }, "staff"]), Some("staff"), &[ItemsShape]),
            (json!([null, "staff", "", 3]), Some("staff,3"), &[ItemsShape]),
            (json!(["a,b", "staff"]), Some("staff"), &[ItemsSeparator]),
            (json!(["a\r\nx-user: b", " c", "staff"]), Some("staff"), &[ItemsUnclean, ItemsUnclean]),
            (json!("a\nb"), None, &[Unclean]),
            (json!("a "), None, &[Unclean]),
            (json!(7), Some("7"), &[]),
            (json!("[Team] admins"), Some("[Team] admins"), &[]),
            (json!(["[Team]"]), Some("[Team]"), &[]),
            (json!(null), None, &[]),
            (json!(""), None, &[]),
            (json!([]), None, &[]),
        ];
        let claim = Template::of(ClaimPath::parse("c").unwrap());
        for (value, text, reported) in cases {
            let expected = (Ok(text.map(str::to_owned)), reported.to_vec());
            assert_eq!(rendered(&claim, value.clone(), 100), expected, "{value}");
        }
        // Percent-encoded it is one value.
        let percent = claim.with_format(',', Encoding::Percent);
        assert_eq!(rendered(&percent, json!("[a, b]"), 100), (Ok(Some("%5Ba%2C%20b%5D".to_owned())), vec![]));
    }

    #[test]
    fn a_long_text_is_left_out_or_cut_between_items_or_refused() {
        let claim = |too_long| Template::of(ClaimPath::parse("c").unwrap()).with_too_long(too_long);
        let groups = || json!(["one", "two", "three", "x"]);
        let long = |length| Unfit::TooLong { length, longest: 8 };
        let cut = |length, longest| vec![Unfit::Cut { length, longest }];
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(rendered(&claim(TooLong::LeaveOut), groups(), 8), (Ok(None), vec![long(15)]));
        assert_eq!(rendered(&claim(TooLong::Refuse), groups(), 8), (Err(long(15)), vec![long(15)]));
        // No item after the cut is included, even if it would fit.
        assert_eq!(rendered(&claim(TooLong::Cut), groups(), 8), (some("one,two"), cut(15, 8)));
        assert_eq!(rendered(&claim(TooLong::Cut), groups(), 7), (some("one,two"), cut(15, 7)));
        assert_eq!(rendered(&claim(TooLong::Cut), groups(), 6), (some("one"), cut(15, 6)));
        assert_eq!(rendered(&claim(TooLong::Cut), groups(), 2), (Ok(None), cut(15, 2)));
        assert_eq!(rendered(&claim(TooLong::Cut), groups(), 15), (some("one,two,three,x"), vec![]));
        // A text has no place to be cut at.
        assert_eq!(rendered(&claim(TooLong::Cut), json!("123456789"), 8), (Ok(None), vec![long(9)]));
        // The limit applies to the encoded text.
        let encoded = claim(TooLong::Cut).with_format(',', Encoding::Base64Url);
        assert_eq!(rendered(&encoded, groups(), 8), (some("b25l"), cut(15, 6)));
        let encoded = claim(TooLong::Cut).with_format(',', Encoding::Percent);
        assert_eq!(rendered(&encoded, json!(["é", "é"]), 8), (some("%C3%A9"), cut(13, 8)));
    }

    #[test]
    fn verified_only_requires_the_claim_email_verified() {
        let template = Template::parse("{email}").unwrap();
        for (said, is_told, is_told_verified) in [
            (None, true, false),
            (Some(json!(true)), true, true),
            (Some(json!("true")), true, true),
            (Some(json!(false)), false, false),
        ] {
            let mut claims = json!({ "email": "alice@example.com" });
            claims.as_object_mut().unwrap().extend(said.map(|said| ("email_verified".to_owned(), said)));
            let told =
                |template: &Template| template.render(&Token(claims.clone()), 100, &mut |_, _| ()).unwrap().is_some();
            assert_eq!(
                (told(&template), told(&template.clone().verified_only())),
                (is_told, is_told_verified),
                "{claims}"
            );
        }
    }

    #[test]
    fn an_address_is_rendered_unless_email_verified_is_not_true() {
        for template in ["{email}", "x {/email}"] {
            let template = Template::parse(template).unwrap();
            for (said, is_there) in
                [(json!(true), true), (json!("true"), true), (json!(false), false), (json!(null), false)]
            {
                let mut token = token();
                token.0["email_verified"] = said;
                assert_eq!(template.render(&token, 1000, &mut |_, _| ()).unwrap().is_some(), is_there, "{template:?}");
            }
        }
    }
}
