//! Regular expressions of the configuration, always anchored to the whole text.

use regex_lite::{Regex, RegexBuilder};

/// The longest expression, in bytes.
const MAX_TEXT: usize = 1024;
/// The size limit of a compiled expression, in bytes. Matching takes time linear in size and text.
const MAX_SIZE: usize = 32 * 1024;

/// A regular expression for a whole text.
#[derive(Debug, Clone)]
pub struct Expression(Regex);

impl Expression {
    /// Compiles an expression; `None` if it is invalid, too large, or uses look-around.
    pub fn parse(text: &str) -> Option<Self> {
        Self::compile(text, false)
    }

    /// Compiles an expression that ignores the case of ASCII letters.
    pub fn ignoring_case(text: &str) -> Option<Self> {
        Self::compile(text, true)
    }

    fn compile(text: &str, ignores_case: bool) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return None;
        }
        // Both cases of a letter take more space.
        let limit = if ignores_case { 4 * MAX_SIZE } else { MAX_SIZE };
        let compile =
            |text: &str| RegexBuilder::new(text).case_insensitive(ignores_case).size_limit(limit).build().ok();
        // Compiled without the anchors first: `a)|(?:b` would leave the anchored group.
        compile(text).and_then(|_| compile(&format!("^(?:{text})$"))).map(Self)
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Expression;

    #[test]
    fn an_expression_matches_whole_texts() {
        let matches = |expression: &str, text: &str| Expression::parse(expression).map(|known| known.matches(text));
        assert_eq!(matches("a|b", "a"), Some(true));
        assert_eq!(matches("a|b", "ax"), Some(false));
        assert_eq!(matches("a|b", "xb"), Some(false));
        assert_eq!(matches("a", "a\n"), Some(false));
        for broken in ["", "(", "a)|(?:b", "(?=a)", "a{1000}{1000}", &"a".repeat(1025)] {
            assert_eq!(matches(broken, "a"), None, "{broken}");
        }
    }

    #[test]
    fn an_expression_compares_case_exactly_or_ignores_ascii_case() {
        let [exact, any] =
            [Expression::parse, Expression::ignoring_case].map(|parse| parse(r"[a-e]lice\.B@Example\.com").unwrap());
        for text in ["alice.b@example.com", "Alice.B@EXAMPLE.com", "ALICE.B@Example.COM"] {
            assert!(any.matches(text) && !exact.matches(text), "{text}");
        }
        // Letters beyond ASCII are compared as they are, as in the other conditions on addresses.
        assert!(!Expression::ignoring_case("É@example.com").unwrap().matches("é@example.com"));
        // Ignoring the case does not make an expression too large.
        for length in [100, 500, 900, 1024] {
            let long = "a".repeat(length);
            assert!(Expression::parse(&long).is_none() || Expression::ignoring_case(&long).is_some(), "{length}");
        }
    }
}
