//! Text from outside as a log line may show it: bounded, quoted, control characters escaped.

use std::fmt;

/// Characters of the text that are shown.
const MAX_CHARS: usize = 200;

/// Text that a provider, a browser or an app has written. A line of the log can be neither broken nor flooded by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    text: String,
    is_cut: bool,
}

impl Quoted {
    /// Keeps the beginning of the text.
    pub fn new(text: &str) -> Self {
        let mut chars = text.chars();
        let text = chars.by_ref().take(MAX_CHARS).collect();
        Self { text, is_cut: chars.next().is_some() }
    }
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
    fn a_line_is_neither_broken_nor_flooded() {
        let shown = |text: &str| Quoted::new(text).to_string();
        assert_eq!(shown("plain é"), "\"plain é\"");
        assert_eq!(shown("a\r\n[critical] b\0\x1b[31m\"\\"), r#""a\r\n[critical] b\0\u{1b}[31m\"\\""#);
        assert_eq!(shown("\u{202e}\u{2028}\u{85}"), r#""\u{202e}\u{2028}\u{85}""#);
        assert_eq!(shown(&"é".repeat(MAX_CHARS)), format!("{:?}", "é".repeat(MAX_CHARS)));
        assert_eq!(shown(&"é".repeat(MAX_CHARS + 1)), format!("{:?}...", "é".repeat(MAX_CHARS)));
    }
}
