//! A pattern for paths.

use super::{PatternError, path::Path};
use crate::claims::Expression;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;

/// A pattern for paths.
#[derive(Debug, Clone)]
pub struct PathPattern(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// All paths with this prefix, which ends with a slash.
    Below(Spellings),
    Exact(Spellings),
    Glob(Spellings),
    /// This path, which does not end with a slash, and everything below it.
    Prefix(Spellings),
    /// The whole path, and a literal prefix of all matches.
    Regex(Expression, String),
}

/// The spellings of a pattern. A reading of a path is compared with both: an escaped path never equals a decoded
/// pattern, because `%` is no plain character.
#[derive(Debug, Clone)]
struct Spellings {
    normalised: String,
    decoded: Option<String>,
}

impl PathPattern {
    /// `path`: exact without wildcards. `*` matches any characters of one segment, `**` any number of segments; at the
    /// end both match everything below, but not the path without the slash.
    ///
    /// # Errors
    /// [`PatternError`] names the expected syntax.
    pub fn glob(text: &str) -> Result<Self, PatternError> {
        let spellings = Spellings::read(text)?;
        // The syntax of other routers or of regular expressions for any segment: a protecting rule with it would match
        // nothing.
        if text.contains("/:") || text.split('/').any(|segment| segment == ".*") {
            return Err(PatternError("a path with `*` for any segment (`.*` and others are for `regex`)"));
        }
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
    /// [`PatternError`] names the expected syntax.
    pub fn prefix(text: &str) -> Result<Self, PatternError> {
        let spellings = Spellings::read(text)?;
        if text.contains('*') {
            return Err(PatternError("a prefix without wildcards (`path` takes them)"));
        }
        Ok(Self(if text.ends_with('/') { Kind::Below(spellings) } else { Kind::Prefix(spellings) }))
    }

    /// `regex`: the whole path. A path with escapes must match both as spelled and decoded.
    ///
    /// # Errors
    /// [`PatternError`] names the expected syntax.
    pub fn regex(text: &str) -> Result<Self, PatternError> {
        if text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return Err(PatternError("a regular expression that begins with a slash, as every path does"));
        }
        Expression::parse(text)
            .map(|regex| Self(Kind::Regex(regex, beginning(text))))
            .ok_or(PatternError("a regular expression for a whole path, of moderate size and without look-around"))
    }

    /// The literal prefixes of all matching paths, one per spelling: whole segments, without a slash at the end.
    pub(super) fn literal_prefixes(&self) -> impl Iterator<Item = &str> {
        let (spellings, sure) = match &self.0 {
            Kind::Below(known) | Kind::Exact(known) | Kind::Glob(known) | Kind::Prefix(known) => (Some(known), None),
            Kind::Regex(_, beginning) => (None, Some(beginning.as_str())),
        };
        let is_glob = matches!(self.0, Kind::Glob(_));
        let until_wildcard = move |text: &'_ str| {
            let end = if is_glob { text.find('*').and_then(|star| text.get(..star)?.rfind('/')) } else { None };
            end.unwrap_or(text.len())
        };
        let known = spellings.into_iter().flat_map(Spellings::each);
        known
            .map(move |text| text.get(..until_wildcard(text)).unwrap_or_default())
            .chain(sure)
            .map(|text| text.trim_end_matches('/'))
    }

    /// Whether it certainly matches every path of the other pattern.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Exact(own), Kind::Exact(other)) => own.normalised == other.normalised,
            (Kind::Prefix(base), _) => {
                other.literal_prefixes().all(|beginning| base.any(|base| is_within(beginning, base)))
            }
            (Kind::Below(own), Kind::Below(other) | Kind::Exact(other) | Kind::Prefix(other)) => {
                other.normalised.starts_with(&own.normalised)
            }
            // A slash follows these prefixes.
            (Kind::Below(own), Kind::Glob(_) | Kind::Regex(..)) => {
                other.literal_prefixes().all(|beginning| own.any(|base| format!("{beginning}/").starts_with(base)))
            }
            _ => false,
        }
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.0 {
            Kind::Below(base) => base.any(|base| path.starts_with(base)),
            Kind::Exact(known) => known.any(|known| path == known),
            Kind::Glob(glob) => glob.any(|glob| fast_glob::glob_match(glob, path)),
            Kind::Prefix(base) => base.any(|base| is_within(path, base)),
            Kind::Regex(regex, _) => regex.matches(path),
        }
    }
}

/// The literal prefix of all matches of this expression, as far as its text shows.
fn beginning(text: &str) -> String {
    // An alternative may have another prefix.
    if text.contains('|') {
        return String::new();
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '/' | '-' | '_');
    let (plain, rest) = text.split_at(text.find(|letter| !is_plain(letter)).unwrap_or(text.len()));
    // A quantifier may make the last letter optional, also after flags.
    let is_repeated = rest.starts_with(['*', '?', '{', '+']) || rest.starts_with("(?");
    let sure = if is_repeated { plain.get(..plain.len().saturating_sub(1)).unwrap_or_default() } else { plain };
    sure.rsplit_once('/').map_or("", |(whole, _)| whole).to_owned()
}

fn is_within(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Spellings {
    /// Parses a pattern, which must be an unambiguous path.
    fn read(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN {
            return Err(PatternError("a pattern of at most 1024 bytes"));
        }
        if text.contains(is_other_glob_syntax) {
            return Err(PatternError("a path in which * and ** are the only wildcards, without ? [ ] { } ! and \\"));
        }
        let path = Path::read(text.as_bytes())?;
        let (normalised, decoded) = (path.normalised(), path.decoded());
        // `%2A` decodes to a star, which would be indistinguishable from a wildcard.
        if decoded.contains(is_other_glob_syntax) || decoded.matches('*').count() != normalised.matches('*').count() {
            return Err(PatternError("a path without escaped wildcards (%2A, %5B, %7B)"));
        }
        let other = (decoded != normalised).then(|| decoded.to_owned());
        Ok(Self { normalised: normalised.to_owned(), decoded: other })
    }

    fn each(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.normalised.as_str()).chain(self.decoded.as_deref())
    }

    fn any(&self, matches: impl Fn(&str) -> bool) -> bool {
        matches(&self.normalised) || self.decoded.as_deref().is_some_and(matches)
    }
}

/// Wildcards of the glob library other than `*` and `**`.
const fn is_other_glob_syntax(letter: char) -> bool {
    matches!(letter, '?' | '[' | ']' | '{' | '}' | '!' | '\\')
}

#[cfg(test)]
mod tests;
