//! Texts made of claims, for whoever is told who is there: a claim by itself, or several within a text.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Claim, ClaimPath, Claims};

/// How what is not ASCII is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// The whole text, its UTF-8 as base64url without padding (RFC 4648, 5).
    Base64Url,
    /// Each claim, and each item of a list, by itself: all but the unreserved characters (RFC 3986, 2.1).
    Percent,
    /// As it is.
    #[default]
    Utf8,
}

/// A text that is made of claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    separator: char,
    encoding: Encoding,
}

/// What stands one after the other in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Claim(ClaimPath),
    Text(String),
}

/// What stands for itself (RFC 3986, 2.3).
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Template {
    /// The claim at this path, and nothing else.
    pub fn of(path: ClaimPath) -> Self {
        Self::from(vec![Part::Claim(path)])
    }

    fn from(parts: Vec<Part>) -> Self {
        Self { parts, separator: ',', encoding: Encoding::Utf8 }
    }

    /// Reads a text with places such as `{sub}` or `{/org/id}`; `{{` is a brace. `None` where it has no place, or one that
    /// does not end or names nothing.
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

    /// The same, with lists joined and the text encoded like this.
    #[must_use]
    pub fn written(self, separator: char, encoding: Encoding) -> Self {
        Self { separator, encoding, ..self }
    }

    /// Calls `with` for the path of each of its claims.
    pub fn each_path(&self, with: &mut dyn FnMut(&ClaimPath)) {
        for part in &self.parts {
            if let Part::Claim(path) = part {
                with(path);
            }
        }
    }

    /// The text, where every claim is there and says something.
    ///
    /// A claim's text stands as it is, a list's items are joined, numbers and truth values are as JSON writes them. What
    /// could be read as something else is left out rather than changed: a text with control characters or with spaces at
    /// an end, and a list's item with the separator in it, which would pass for two.
    pub fn render(&self, claims: &dyn Claims) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Claim(path) => text.push_str(&self.value(path, claims)?),
                Part::Text(literal) => text.push_str(literal),
            }
        }
        Some(if self.encoding == Encoding::Base64Url { URL_SAFE_NO_PAD.encode(text) } else { text })
    }

    fn value(&self, path: &ClaimPath, claims: &dyn Claims) -> Option<String> {
        // An address that the provider itself does not vouch for identifies nobody.
        if path.name() == "email" && claims.claim("email_verified").is_some_and(|said| !said.is_true()) {
            return None;
        }
        let text = match path.find(claims)? {
            Claim::Text(text) => self.scalar_text(text)?,
            Claim::Json(Value::Array(items)) => {
                let items = items.iter().filter_map(|item| self.scalar(item));
                let items: Vec<_> = items.filter(|item| !item.contains(self.separator)).collect();
                items.join(self.separator.encode_utf8(&mut [0; 4]))
            }
            Claim::Json(value) => self.scalar(value)?,
        };
        (!text.is_empty()).then_some(text)
    }

    fn scalar(&self, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => self.scalar_text(text),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Number(number) => Some(number.to_string()),
            Value::Array(_) | Value::Null | Value::Object(_) => None,
        }
    }

    // Spaces at an end would be cut off on the way, and one person could pass for another.
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
        Template::parse(template).unwrap().written(separator, encoding).render(&token())
    }

    #[test]
    fn a_template_is_filled_in_or_left_out() {
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
    fn an_item_never_passes_for_two() {
        for (separator, encoding, expected) in [
            (',', Encoding::Utf8, "c d,é,3"),
            ('|', Encoding::Utf8, "a,b|c d|é|3"),
            (' ', Encoding::Utf8, "a,b é 3"),
            (',', Encoding::Percent, "a%2Cb,c%20d,%C3%A9,3"),
            // Where the separator is none that is encoded.
            ('d', Encoding::Percent, "a%2Cbd%C3%A9d3"),
        ] {
            assert_eq!(render("{groups}", separator, encoding).as_deref(), Some(expected), "{separator}");
        }
    }

    #[test]
    fn what_is_not_ascii_is_written_as_it_is_wanted() {
        assert_eq!(render("<{name}>", ',', Encoding::Percent).unwrap(), "<Bj%C3%B8rn%2C%20%C3%85%20%7Bx%7D>");
        let whole = render("<{name}>", ',', Encoding::Base64Url).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(whole).unwrap(), "<Bjørn, Å {x}>".as_bytes());
    }

    #[test]
    fn an_address_counts_only_with_what_the_provider_says_of_it() {
        for template in ["{email}", "x {/email}"] {
            let template = Template::parse(template).unwrap();
            for (said, is_there) in
                [(json!(true), true), (json!("true"), true), (json!(false), false), (json!(null), false)]
            {
                let mut token = token();
                token.0["email_verified"] = said;
                assert_eq!(template.render(&token).is_some(), is_there, "{template:?}");
            }
        }
    }
}
