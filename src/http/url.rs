//! URLs, and the parameters of queries and forms.

use url::Url;

/// Parses an absolute URL with an ASCII host. International names are written in punycode: their appearance is then
/// unambiguous, and Unicode tables are not needed.
pub fn parse_url(text: &str) -> Option<Url> {
    let authority = text.split_once("://")?.1.split(['/', '?', '#', '\\']).next()?;
    (text.is_ascii() && !authority.contains('%')).then(|| Url::parse(text).ok()).flatten()
}

/// The value of a parameter that a query or form contains exactly once. Duplicates count as absent: two parsers would
/// read different ones.
pub fn parameter(pairs: &[u8], name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(pairs).filter(|(found, _)| found == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.into_owned()),
        _ => None,
    }
}
