//! Paths of requests. Proxies, frameworks and file systems differ on `//`, `..`, `;` and `%2f`. A path that two of them
//! could read differently is *ambiguous*, and no rule can make it public.

use super::PatternError;

/// The longest path that a rule can make public, in bytes.
pub const MAX_PATH: usize = 8192;

/// A path that every parser splits into the same segments.
#[derive(Debug, PartialEq, Eq)]
pub struct Path<'a> {
    text: &'a str,
    escaped: Option<Escaped>,
}

#[derive(Debug, PartialEq, Eq)]
struct Escaped {
    /// Escapes in upper case (RFC 3986, 6.2.2.1).
    normalised: String,
    /// Escapes decoded.
    decoded: String,
}

impl<'a> Path<'a> {
    /// The path of a request target, without its query.
    ///
    /// # Errors
    /// [`PatternError`] if the path is ambiguous.
    pub fn of_target(target: &'a [u8]) -> Result<Self, PatternError> {
        Self::read(target.split(|byte| *byte == b'?').next().unwrap_or_default())
    }

    /// Parses a path.
    ///
    /// # Errors
    /// [`PatternError`] if it is ambiguous, with the expected syntax.
    pub fn read(path: &'a [u8]) -> Result<Self, PatternError> {
        match std::str::from_utf8(path) {
            Ok(text) if path.len() <= MAX_PATH && is_plain(path) => Ok(Self { text, escaped: None }),
            _ => Self::check(path),
        }
    }

    fn check(path: &'a [u8]) -> Result<Self, PatternError> {
        if path.len() > MAX_PATH {
            return Err(PatternError("a path of at most 8192 bytes"));
        }
        if path.first() != Some(&b'/') {
            return Err(PatternError("a path that begins with a slash"));
        }
        if !path.iter().copied().all(is_path_char) {
            return Err(PatternError("a path of ASCII letters, digits and -._~!$&'()*+,=:@%/ only; the rest as %XX"));
        }
        if path.windows(2).any(|pair| pair == b"//") {
            return Err(PatternError("a path without empty segments (`//`)"));
        }
        if path.split(|byte| *byte == b'/').any(|name| !name.is_empty() && name.iter().all(|byte| *byte == b'.')) {
            return Err(PatternError("a path without dot segments (`.`, `..`)"));
        }
        let escaped = if path.contains(&b'%') { Some(Escaped::read(path)?) } else { None };
        let text = std::str::from_utf8(path).map_err(|_| PatternError("a path in ASCII"))?;
        let path = Self { text, escaped };
        // Windows, and software written for it, trims dots and spaces at the ends of names.
        if path.decoded().split('/').any(|name| name.ends_with(|letter: char| letter == '.' || letter.is_whitespace()))
        {
            return Err(PatternError("a path without a dot or a space at the end of a segment"));
        }
        Ok(path)
    }

    /// Every spelling of the path that a parser may use; rules must agree on all of them.
    pub fn readings(&self) -> impl Iterator<Item = &str> {
        let others = self.escaped.iter().flat_map(|escaped| [escaped.normalised.as_str(), escaped.decoded.as_str()]);
        std::iter::once(self.text).chain(others)
    }

    pub(super) fn normalised(&self) -> &str {
        self.escaped.as_ref().map_or(self.text, |escaped| &escaped.normalised)
    }

    pub(super) fn decoded(&self) -> &str {
        self.escaped.as_ref().map_or(self.text, |escaped| &escaped.decoded)
    }
}

impl Escaped {
    fn read(path: &[u8]) -> Result<Self, PatternError> {
        let mut decoded = Vec::with_capacity(path.len());
        let mut normalised = String::with_capacity(path.len());
        let mut rest = path.iter().copied();
        while let Some(byte) = rest.next() {
            normalised.push(char::from(byte));
            if byte != b'%' {
                decoded.push(byte);
                continue;
            }
            let mut value = [0];
            let digits = [rest.next().unwrap_or_default(), rest.next().unwrap_or_default()];
            if base16ct::mixed::decode(digits, &mut value).is_err() {
                return Err(PatternError("a path with two hex digits after each %"));
            }
            let [value] = value;
            if !may_be_escaped(value) {
                return Err(PatternError(
                    "a path without %XX for plain characters (%61) or separators (%2F, %2E, %3F)",
                ));
            }
            decoded.push(value);
            normalised.extend(digits.map(|digit| char::from(digit.to_ascii_uppercase())));
        }
        let decoded = String::from_utf8(decoded).map_err(|_| PatternError("a path with %XX in UTF-8"))?;
        if decoded.chars().any(reads_as_syntax) {
            return Err(PatternError(
                "a path without characters that can be read as `/`, `.` or the like, or that are invisible",
            ));
        }
        Ok(Self { normalised, decoded })
    }
}

/// Whether a path is certainly unambiguous, as most are, in one pass over its bytes.
fn is_plain(path: &[u8]) -> bool {
    let mut before = b' ';
    for byte in path.iter().copied() {
        let is_fine = match byte {
            b'/' => !matches!(before, b'/' | b'.'),
            b'%' => false,
            _ => before != b' ' && is_path_char(byte),
        };
        if !is_fine {
            return false;
        }
        before = byte;
    }
    !matches!(before, b' ' | b'.')
}

/// Whether the byte may occur in a path: RFC 3986, 3.3, except `;`: some servers cut parameters off
/// (`/public/..;/admin`), others do not.
const fn is_path_char(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b'%' | b':' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'='
        )
}

/// Whether the escape of this byte is unambiguous. Unreserved characters need no escape (RFC 3986, 2.3), so an escaped
/// one is suspicious; others would change the segments once decoded, or decode twice.
const fn may_be_escaped(byte: u8) -> bool {
    !(is_unreserved(byte) || byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b'%' | b';' | b'?' | b'#'))
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether a parser may drop the character, or turn it into one of `/ \ . ; ? # %`, by compatibility normalisation
/// (NFKC) or best-fit mapping.
fn reads_as_syntax(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{a5}' | '\u{ad}' | '\u{37e}' | '\u{200b}'..='\u{200f}' | '\u{2024}'..='\u{202e}' | '\u{2044}'
            | '\u{2047}'..='\u{2049}' | '\u{2060}'..='\u{206f}' | '\u{20a9}' | '\u{2100}'..='\u{2106}'
            | '\u{2215}' | '\u{2216}' | '\u{2488}'..='\u{249b}' | '\u{29f5}'..='\u{29f9}' | '\u{33c2}'
            | '\u{33c7}' | '\u{33d8}' | '\u{fe10}'..='\u{fe19}' | '\u{fe30}' | '\u{fe50}'..='\u{fe6f}'
            | '\u{feff}'..='\u{ffef}' | '\u{fff9}'..='\u{fffd}' | '\u{1f100}'..='\u{1f10a}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
pub(super) mod tests;
