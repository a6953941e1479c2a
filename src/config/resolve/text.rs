//! Texts: secrets, URLs, and the character classes of the specifications.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::{
    super::{
        fault::{At, Faults, Faulty, Problem},
        raw,
    },
    limits::{MAX_ACR_VALUE, MAX_DOMAIN, MAX_NAME, MAX_RULE_NAME, MAX_TEXT},
};
use crate::claims::ClaimPath;

/// Looks up an environment variable.
pub(in crate::config) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The longest name of an environment variable, in bytes.
const MAX_VARIABLE: usize = 128;

pub(super) fn secret(
    value: raw::Secret,
    at: &At<'_>,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Result<Zeroizing<String>, Faulty> {
    let text = match value {
        raw::Secret::Environment { env: name } => variable(&name, &at.key("env"), env, faults)?,
        // Neither Envoy nor this filter substitutes it, and as a secret it would be public.
        raw::Secret::Inline(text) if text.starts_with("${") => {
            return Err(faults.wrong(at, "{env: NAME} for an environment variable; `${NAME}` is not filled in"));
        }
        raw::Secret::Inline(text) => text,
    };
    if (1..=MAX_TEXT).contains(&text.len()) {
        return Ok(text);
    }
    Err(faults.wrong(at, format!("1 to {MAX_TEXT} characters")))
}

fn variable(name: &str, at: &At<'_>, env: Environment<'_>, faults: &mut Faults) -> Result<Zeroizing<String>, Faulty> {
    // A malformed name may be the secret, in the wrong place: it is not shown.
    let well_formed = name.len() <= MAX_VARIABLE
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !well_formed {
        return Err(faults.wrong(at, "the name of an environment variable: letters, digits and `_`"));
    }
    let value = env(name).map(Zeroizing::new);
    let state = if value.is_some() { "empty" } else { "not set" };
    // Neither are names with lower-case letters: many secrets consist of letters and digits.
    let is_usual = !name.bytes().any(|byte| byte.is_ascii_lowercase());
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| faults.add(at, Problem::Variable { name: is_usual.then(|| name.to_owned()), state }))
}

/// VSCHAR of RFC 6749, Appendix A.
pub(super) fn is_vschar(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

/// NQCHAR of RFC 6749, Appendix A: the characters of a scope-token (3.3).
pub(super) fn is_nqchar(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// `token` of RFC 9110, 5.6.2: names of headers, cookies and methods.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether it is a valid name of a provider or policy, with one spelling in every context.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_plain)
}

/// A scope-token of RFC 6749, 3.3.
pub(super) fn scope(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    if (1..=MAX_TEXT).contains(&text.len()) && is_nqchar(&text) {
        return Ok(text);
    }
    Err(faults.wrong_value(at, "one scope, without spaces, quotes or backslashes", &text))
}

/// Whether a text is a whole domain in ASCII. A name without a dot is a part of one: mail has no such domains (RFC 5321, 2.3.5;
/// RFC 7085).
pub(in crate::config) fn is_domain(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_plain);
    text.len() <= MAX_DOMAIN && text.contains('.') && text.split('.').all(is_label)
}

/// An authentication context class (OIDC Core 2). It stands in a list with spaces and in quotes.
pub(super) fn acr_value(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    if (1..=MAX_ACR_VALUE).contains(&text.len()) && is_nqchar(&text) {
        return Ok(text);
    }
    Err(faults.wrong_value(at, "one value of `acr`, without spaces, quotes or backslashes", &text))
}

/// A text that stands in a token or a parameter.
pub(super) fn parameter(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    if (1..=MAX_TEXT).contains(&text.len()) && is_vschar(&text) && text.trim() == text {
        return Ok(text);
    }
    Err(faults.wrong(at, format!("1 to {MAX_TEXT} characters of printable ASCII, without spaces around them")))
}

/// A short text for display, in one line.
pub(super) fn line(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    if (1..=MAX_RULE_NAME).contains(&text.len()) && !text.contains(char::is_control) && text.trim() == text {
        return Ok(text);
    }
    Err(faults.wrong_value(at, format!("1 to {MAX_RULE_NAME} bytes in one line, without spaces around it"), &text))
}

/// Refuses a text that is not the name of a whole claim.
pub(super) fn claim(name: &str, at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
    if (1..=MAX_TEXT).contains(&name.len()) && name.trim() == name && !name.starts_with("/") {
        return Ok(());
    }
    Err(faults.wrong(at, "the name of a whole claim, without spaces around it"))
}

/// The path of a claim for a header or filter state. Texts that could never be found are refused.
pub(super) fn claim_path(text: &str, at: &At<'_>, faults: &mut Faults) -> Result<ClaimPath, Faulty> {
    if matches!(text, "access_token" | "id_token") {
        return Err(faults.wrong(at, "a claim; `authorization` forwards tokens"));
    }
    let is_clean = text.trim() == text && !text.bytes().any(|byte| b"{}%".contains(&byte));
    ClaimPath::parse(text).filter(|_| is_clean).ok_or_else(|| {
        let expected =
            "the name of a claim, or a JSON Pointer, without spaces around it (`template` is for texts with {sub} in them)";
        faults.wrong(at, expected)
    })
}

/// URL parsers drop tabs and line breaks, trim spaces, turn `\` into `/` and encode non-ASCII. Such texts are refused,
/// because issuers are compared as written.
pub(super) fn is_clean_url(text: &str) -> bool {
    text.len() <= MAX_TEXT && text.bytes().all(|byte| byte.is_ascii_graphic() && !br"\{}".contains(&byte))
}

/// Refuses the text of a URL that parsers would change silently.
pub(super) fn url_text(text: &str, at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
    if is_clean_url(text) {
        return Ok(());
    }
    let expected = format!(
        "a URL of at most {MAX_TEXT} bytes in ASCII (host names in punycode), without spaces, control characters, \
         backslashes and braces"
    );
    Err(faults.wrong(at, expected))
}

/// Reports a URL, and shows it unless it may hold a password or a key.
pub(super) fn wrong_url(
    text: &str,
    expected: impl Into<Cow<'static, str>>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Faulty {
    if text.contains(['@', '?', '#']) { faults.wrong(at, expected) } else { faults.wrong_value(at, expected, text) }
}
