//! Cookies as they stand in headers (RFC 6265bis): ours found and taken out by exact name, everybody else's left as
//! they are, and `Set-Cookie` lines that a browser keeps.

use std::time::Duration;

/// The longest `Set-Cookie` line we write. RFC 6265bis, 5.6 lets name and value have 4,096 bytes; older browsers count
/// the attributes too.
pub const MAX_COOKIE: usize = 4096;

/// The longest lifetime a browser takes (RFC 6265bis, 5.5): 400 days.
const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// How often a cookie stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// Not at all.
    Absent,
    /// Once, with this value.
    One(&'a [u8]),
    /// More than once: somebody tossed another beside it, and nobody can tell which is which.
    Several,
}

/// Looks for a cookie of exactly this name in all `Cookie` lines of a request.
pub fn find<'a>(lines: impl Iterator<Item = &'a [u8]>, name: &str) -> Found<'a> {
    let mut found = Found::Absent;
    for line in lines {
        for piece in pieces(line) {
            let Some((_, value)) = pair(piece).filter(|(found, _)| *found == name.as_bytes()) else { continue };
            if found != Found::Absent {
                return Found::Several;
            }
            found = Found::One(value);
        }
    }
    found
}

/// Every cookie, as name and value, whose name begins with `prefix`.
pub fn with_prefix<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    prefix: &str,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    pairs(lines).filter(move |(name, _)| name.starts_with(prefix.as_bytes()))
}

/// What is left of a `Cookie` line without our cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stripped {
    /// Nothing: the line goes.
    Emptied,
    /// These bytes.
    Rest(Vec<u8>),
    /// All of it: none of ours was there.
    Unchanged,
}

/// Takes the cookies whose names are ours out of a `Cookie` line; all others stay byte for byte, in their order.
///
/// Quotes do not hold a cookie together here, as in browsers: an app that thinks otherwise could be made to read our
/// cookie as a part of another one (cookie sandwich).
pub fn strip(line: &[u8], is_ours: impl Fn(&[u8]) -> bool) -> Stripped {
    let (mut kept, mut is_changed, mut first_stays) = (Vec::new(), false, false);
    for piece in pieces(line) {
        if pair(piece).is_some_and(|(name, _)| is_ours(name)) {
            is_changed = true;
        } else {
            first_stays |= !is_changed;
            kept.push(piece);
        }
    }
    if !is_changed {
        return Stripped::Unchanged;
    }

    let rest = kept.join(&b';');
    if rest.iter().all(|byte| is_blank(*byte) || *byte == b';') {
        return Stripped::Emptied;
    }
    Stripped::Rest(if first_stays { rest } else { trim_start(&rest).to_vec() })
}

/// A `Set-Cookie` line for a `__Host-` name; the value is one that [`seal`](super::seal::Sealer::seal) made.
pub fn set_cookie(name: &str, value: &str, max_age: Duration) -> String {
    let seconds = max_age.min(MAX_AGE).as_secs();
    let (name, value) = (octets(name), octets(value));
    // Lax, not Strict: the callback is a navigation that another site started.
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}")
}

/// The `Set-Cookie` line that ends a cookie. The attributes are those of [`set_cookie`]: a browser ignores a deletion
/// of a `__Host-` cookie without them (CVE-2025-55162).
pub fn delete_cookie(name: &str) -> String {
    set_cookie(name, "", Duration::ZERO)
}

/// How long the `Set-Cookie` line for a value of `value_len` bytes is; a browser keeps it up to [`MAX_COOKIE`].
pub fn size(name: &str, value_len: usize, max_age: Duration) -> usize {
    set_cookie(name, "", max_age).len().saturating_add(value_len)
}

/// How long a value may be so that its `Set-Cookie` line stays within [`MAX_COOKIE`].
pub fn room(name: &str, max_age: Duration) -> usize {
    MAX_COOKIE.saturating_sub(size(name, 0, max_age))
}

fn pairs<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    lines.flat_map(pieces).filter_map(pair)
}

/// What stands between the semicolons.
fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let Some(end) = memchr::memchr(b';', line) else { return Some(line) };
        let (piece, after) = line.split_at_checked(end)?;
        rest = after.get(1..);
        Some(piece)
    })
}

/// Name and value; a piece without `=` is no cookie of ours. White space before the name belongs to the separator, but
/// none is cut behind it: a name with a trailing blank is another name, which anybody may set.
fn pair(piece: &[u8]) -> Option<(&[u8], &[u8])> {
    let piece = trim_start(piece);
    let (name, value) = piece.split_at_checked(memchr::memchr(b'=', piece)?)?;
    Some((name, trim_end(trim_start(value.get(1..)?))))
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let Some((&first, rest)) = bytes.split_first()
        && is_blank(first)
    {
        bytes = rest;
    }
    bytes
}

fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let Some((&last, rest)) = bytes.split_last()
        && is_blank(last)
    {
        bytes = rest;
    }
    bytes
}

/// Only what RFC 6265, 4.1.1 lets stand in a value. Envoy writes a header value to the wire as it is, so a line break
/// that got here by a fault of ours would split the response.
fn octets(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii_graphic() && !matches!(letter, '"' | ',' | ';' | '\\')).collect()
}

#[cfg(test)]
mod tests;
