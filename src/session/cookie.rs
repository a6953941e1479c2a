//! `Cookie` and `Set-Cookie` lines (RFC 6265bis): finds and removes our cookies by exact name, leaves other cookies
//! unchanged, and writes lines that browsers accept.

use std::time::Duration;

/// The longest `Set-Cookie` line. RFC 6265bis, 5.6 allows 4,096 bytes for name and value; older browsers count the
/// attributes too.
pub const MAX_COOKIE: usize = 4096;

/// The prefix of names that a browser takes for cookies of one host alone.
pub const HOST_PREFIX: &str = "__Host-";

/// The longest lifetime that browsers accept (RFC 6265bis, 5.5): 400 days.
const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The occurrences of a cookie in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// No cookie of this name.
    Absent,
    /// One cookie, with this value.
    One(&'a [u8]),
    /// Several cookies (cookie tossing): it is unknown which one is ours.
    Several,
}

/// Finds a cookie of exactly this name in all `Cookie` lines of a request.
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

/// Name and value of every cookie with this name prefix.
pub fn with_prefix<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    prefix: &str,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    pairs(lines).filter(move |(name, _)| name.starts_with(prefix.as_bytes()))
}

/// A `Cookie` line without our cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stripped {
    /// No cookie is left: remove the line.
    Emptied,
    /// The remaining cookies.
    Rest(Vec<u8>),
    /// The line had none of our cookies.
    Unchanged,
}

/// Removes our cookies from a `Cookie` line; all others stay byte for byte, in order.
///
/// Quotes do not group a cookie here, as in browsers: otherwise an app could read our cookie as a part of another one
/// (cookie sandwich).
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

/// The requests of other sites with which a browser sends our cookies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Page loads in the whole window. Not Strict: the callback is a cross-site navigation.
    #[default]
    Lax,
    /// All requests, also from frames on other sites.
    None,
    /// All requests, with a separate set of cookies for each site at the top of the window (CHIPS).
    Partitioned,
}

impl SameSite {
    const fn attributes(self) -> &'static str {
        match self {
            Self::Lax => "SameSite=Lax",
            Self::None => "SameSite=None",
            Self::Partitioned => "SameSite=None; Partitioned",
        }
    }

    /// The attributes of cookies that a browser keeps beside those with these: after a change of the setting it sends both.
    pub(super) const fn kept_beside(self) -> Self {
        match self {
            Self::Lax | Self::None => Self::Partitioned,
            Self::Partitioned => Self::None,
        }
    }
}

/// The `Set-Cookie` line of a cookie of one host, with a value of [`seal`](super::seal::Sealer::seal).
pub fn set_cookie(name: &str, value: &str, max_age: Duration, same_site: SameSite) -> String {
    let seconds = max_age.min(MAX_AGE).as_secs();
    let (name, value, same_site) = (octets(name), octets(value), same_site.attributes());
    format!("{name}={value}; Path=/; Secure; HttpOnly; {same_site}; Max-Age={seconds}")
}

/// The `Set-Cookie` line that deletes a cookie. Its attributes are those of [`set_cookie`]: a browser ignores a
/// deletion of a `__Host-` cookie without them (CVE-2025-55162).
pub fn delete_cookie(name: &str, same_site: SameSite) -> String {
    set_cookie(name, "", Duration::ZERO, same_site)
}

fn pairs<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    lines.flat_map(pieces).filter_map(pair)
}

/// The parts between semicolons.
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

/// Name and value; a piece without `=` is none of our cookies. White space before the name belongs to the separator.
/// White space after the name is kept: it makes another name, which any site may set.
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

/// The `cookie-octet` characters of RFC 6265, 4.1.1. Envoy writes header values unchanged, so a line break would split
/// the response.
fn octets(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii_graphic() && !matches!(letter, '"' | ',' | ';' | '\\')).collect()
}

#[cfg(test)]
mod tests;
