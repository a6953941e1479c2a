//! Which paths a rule matches.

use regex_lite::{Regex, RegexBuilder};

use super::{PatternError, path::Path};

/// The longest pattern.
const MAX_PATTERN: usize = 1024;

/// How large a compiled expression may be; what a path costs grows with it.
const MAX_REGEX_BYTES: usize = 32 * 1024;

/// Which paths a rule matches.
#[derive(Debug, Clone)]
pub struct PathPattern(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// Everything that begins so; the text ends with a slash.
    Below(Spellings),
    Exact(Spellings),
    Glob(Spellings),
    /// This path and everything below it; the text does not end with a slash.
    Prefix(Spellings),
    Regex(Regex),
}

/// A pattern as the readings of a path spell it. One reading is tried against both: an escaped path never equals a
/// decoded pattern by accident, since `%` is no plain character.
#[derive(Debug, Clone)]
struct Spellings {
    normalised: String,
    decoded: Option<String>,
}

impl PathPattern {
    /// `path`: exact without wildcards. `*` stands for any characters of one segment, `**` for any number of
    /// segments; at the end both stand for everything below, but not for the path without the slash.
    ///
    /// # Errors
    /// [`PatternError`] says what was expected.
    pub fn glob(text: &str) -> Result<Self, PatternError> {
        let spellings = Spellings::read(text)?;
        if text.split('/').any(|segment| segment.contains("**") && segment != "**") {
            return Err(PatternError("`**` as a whole segment, such as /a/**/b"));
        }
        if !text.contains('*') {
            return Ok(Self(Kind::Exact(spellings)));
        }
        let Some(base) = text.strip_suffix("/**").or_else(|| text.strip_suffix("/*")) else {
            return Ok(Self(Kind::Glob(spellings)));
        };
        if base.contains('*') {
            return Ok(Self(Kind::Glob(Spellings::read(&format!("{base}/**"))?)));
        }
        Ok(Self(Kind::Below(Spellings::read(&format!("{base}/"))?)))
    }

    /// `prefix`: this path and everything below it, by whole segments; with a slash at the end, only what is below.
    ///
    /// # Errors
    /// [`PatternError`] says what was expected.
    pub fn prefix(text: &str) -> Result<Self, PatternError> {
        let spellings = Spellings::read(text)?;
        if text.contains('*') {
            return Err(PatternError("a prefix without wildcards (`path` takes them)"));
        }
        Ok(Self(if text.ends_with('/') { Kind::Below(spellings) } else { Kind::Prefix(spellings) }))
    }

    /// `regex`: the whole path. A path with escapes must match both as it is spelled and decoded.
    ///
    /// # Errors
    /// [`PatternError`] says what was expected.
    pub fn regex(text: &str) -> Result<Self, PatternError> {
        let expected = PatternError("a regular expression for a whole path, of moderate size and without look-around");
        if text.is_empty() || text.len() > MAX_PATTERN {
            return Err(expected);
        }
        if text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return Err(PatternError("a regular expression that begins with a slash, as every path does"));
        }
        let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).build();
        // By itself first: `a)|(?:b` would leave the group that anchors it.
        compile(text)
            .and_then(|_| compile(&format!("^(?:{text})$")))
            .map(|regex| Self(Kind::Regex(regex)))
            .map_err(|_| expected)
    }

    /// Whether it matches this reading of a path.
    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.0 {
            Kind::Below(base) => base.any(|base| path.starts_with(base)),
            Kind::Exact(known) => known.any(|known| path == known),
            Kind::Glob(glob) => glob.any(|glob| fast_glob::glob_match(glob, path)),
            Kind::Prefix(base) => {
                base.any(|base| path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
            }
            Kind::Regex(regex) => regex.is_match(path),
        }
    }
}

impl Spellings {
    /// Reads a pattern, which must be a path that is not ambiguous.
    fn read(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN {
            return Err(PatternError("a pattern of at most 1024 bytes"));
        }
        if text.contains(is_other_glob_syntax) {
            return Err(PatternError("a path in which * and ** are the only wildcards, without ? [ ] { } ! and \\"));
        }
        let path = Path::read(text.as_bytes())?;
        let (normalised, decoded) = (path.normalised(), path.decoded());
        // `%2A` is a star in the decoded pattern, where nobody could tell it from a wildcard.
        if decoded.contains(is_other_glob_syntax) || decoded.matches('*').count() != normalised.matches('*').count() {
            return Err(PatternError("a path without escaped wildcards (%2A, %5B, %7B)"));
        }
        let other = (decoded != normalised).then(|| decoded.to_owned());
        Ok(Self { normalised: normalised.to_owned(), decoded: other })
    }

    fn any(&self, matches: impl Fn(&str) -> bool) -> bool {
        matches(&self.normalised) || self.decoded.as_deref().is_some_and(matches)
    }
}

/// What the glob library would read as more than `*` and `**`.
const fn is_other_glob_syntax(letter: char) -> bool {
    matches!(letter, '?' | '[' | ']' | '{' | '}' | '!' | '\\')
}

#[cfg(test)]
mod tests;
