//! Text from outside for the log: bounded, quoted, control characters escaped.

use std::fmt;

/// The most characters shown.
const MAX_CHARS: usize = 200;
/// The shortest word, in bytes, that may be a secret.
const MIN_SECRET: usize = 16;

/// Untrusted text. It can neither break nor flood a line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    text: String,
    is_cut: bool,
}

impl Quoted {
    /// The beginning of the text.
    pub fn new(text: &str) -> Self {
        let mut chars = text.chars();
        let text = chars.by_ref().take(MAX_CHARS).collect();
        Self { text, is_cut: chars.next().is_some() }
    }

    /// The beginning of a text that may repeat parts of our request, without words that look like a token, code or
    /// secret.
    pub fn without_secrets(text: &str) -> Self {
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || "-._~+=%/".contains(c);
        let mut shown = String::new();
        for part in text.split_inclusive(|c| !is_of_word(c)) {
            let word = part.trim_end_matches(|c| !is_of_word(c));
            let rest = part.get(word.len()..).unwrap_or_default();
            // After the scheme a URL begins with two slashes; elsewhere a slash is a character of base64.
            let pieces = if word.starts_with("//") { word.split('/').collect() } else { vec![word] };
            let pieces = pieces.into_iter().map(|piece| if looks_random(piece) { "[...]" } else { piece });
            shown.push_str(&pieces.collect::<Vec<_>>().join("/"));
            shown.push_str(rest);
        }
        Self::new(&shown)
    }
}

/// Whether a word is long and has a digit, or a capital after a small letter, unlike words of a language.
fn looks_random(word: &str) -> bool {
    let bytes = word.as_bytes();
    let changes = bytes.windows(2).any(|pair| matches!(pair, [b'a'..=b'z', b'A'..=b'Z']));
    bytes.len() >= MIN_SECRET && (changes || bytes.iter().any(u8::is_ascii_digit))
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.text, if self.is_cut { "..." } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_escaped_and_bounded() {
        let shown = |text: &str| Quoted::new(text).to_string();
        assert_eq!(shown("plain é"), "\"plain é\"");
        assert_eq!(shown("a\r\n[critical] b\0\x1b[31m\"\\"), r#""a\r\n[critical] b\0\u{1b}[31m\"\\""#);
        assert_eq!(shown("\u{202e}\u{2028}\u{85}"), r#""\u{202e}\u{2028}\u{85}""#);
        assert_eq!(shown(""), r#""""#);
        assert_eq!(shown(&"é".repeat(MAX_CHARS)), format!("{:?}", "é".repeat(MAX_CHARS)));
        assert_eq!(shown(&"é".repeat(MAX_CHARS + 1)), format!("{:?}...", "é".repeat(MAX_CHARS)));
    }

    #[test]
    fn possible_secrets_are_not_shown() {
        let shown = |text: &str| Quoted::without_secrets(text).to_string();
        for (text, expected) in [
            ("Code not valid", "Code not valid"),
            ("unsupported_response_type: client_secret_basic", "unsupported_response_type: client_secret_basic"),
            (
                "AADSTS70008: expired (see https://login.example/errors)",
                "AADSTS70008: expired (see https://login.example/errors)",
            ),
            ("no code 'SplxlOBeZQQYbYS6WxSbIA', sorry", "no code '[...]', sorry"),
            ("eyJhbGciOiJub25lIn0.e30. is over", "[...] is over"),
            ("token=8xLOxBtZp8iJfVuQsSnTqPzA", "[...]"),
            ("4/0AdQt8qh-rMd0pYcYkq_AAAA", "[...]"),
            // Base64 contains slashes; a URL is shown except for segments that look random.
            ("secret kP3/xT9qLm2Rz/8vB1nWc4D/jh7= is wrong", "secret [...] is wrong"),
            (
                "see https://login.example/v2/Errors and /oauth2/cb",
                "see https://login.example/v2/Errors and /oauth2/cb",
            ),
            ("at https://login.example/SplxlOBeZQQYbYS6WxSbIA/x", "at https://login.example/[...]/x"),
            ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
        ] {
            assert_eq!(shown(text), format!("{expected:?}"), "{text}");
        }
    }
}
