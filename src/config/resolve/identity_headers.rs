//! Identity headers.

use super::{
    super::{
        NamedValue,
        fault::{At, Faults, Faulty},
        raw,
    },
    claim_text, limit_entries, limits, text,
};
use crate::http::{HeaderNames, folded};

/// Headers of message framing, credentials or Envoy's routing. Removing and setting them, as identity headers are,
/// would break requests or open attacks.
const TAKEN: [&str; 24] = [
    "accept-encoding",
    "authorization",
    "connection",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];
/// Prefixes of such headers.
const TAKEN_PREFIXES: [&str; 4] = ["content-", "sec-", "x-envoy-", "x-forwarded-client-cert"];

/// The identity headers, by default [`limits::IDENTITY_HEADERS`].
#[inline(never)]
pub(super) fn identity_headers(
    entries: Option<raw::Entries<raw::ClaimText>>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<Vec<NamedValue>, Faulty> {
    let entries = entries.map_or_else(defaults, |entries| entries.0);
    let mut found: Vec<NamedValue> = Vec::new();
    let mut fault = None;
    limit_entries(entries.len(), at, faults)?;
    for (name, raw) in entries {
        let at = at.key(&name);
        match identity_header(&name, raw, &found, &at, faults) {
            Ok(header) => found.push(header),
            Err(faulty) => fault = Some(faulty),
        }
    }
    fault.map_or(Ok(found), Err)
}

fn defaults() -> Vec<(String, raw::ClaimText)> {
    let entry = |(name, claim): &(&str, &str)| ((*name).to_owned(), raw::ClaimText::Claim((*claim).to_owned()));
    limits::IDENTITY_HEADERS.iter().map(entry).collect()
}

/// Headers to remove from client requests: these and the default ones.
pub(super) fn stripped(headers: &[NamedValue]) -> HeaderNames {
    let is_default = |name: &&str| limits::IDENTITY_HEADERS.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let ours = headers.iter().map(|header| header.name.as_str()).filter(|name| !is_default(name));
    limits::IDENTITY_HEADERS.iter().map(|(name, _)| *name).chain(ours).map(str::to_ascii_lowercase).collect()
}

fn identity_header(
    name: &str,
    raw: raw::ClaimText,
    known: &[NamedValue],
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<NamedValue, Faulty> {
    if !text::is_token(name) || name.len() > limits::MAX_TEXT {
        return Err(faults.wrong(at, "the name of a header as the name of this field"));
    }
    let folded = folded(name);
    if TAKEN.contains(&folded.as_str()) || TAKEN_PREFIXES.iter().any(|prefix| folded.starts_with(prefix)) {
        return Err(faults.wrong(at, "a header that has no other use"));
    }
    if known.iter().any(|other| self::folded(&other.name) == folded) {
        return Err(faults.wrong(at, "each header once; apps ignore case, and read `_` and `-` alike"));
    }
    Ok(NamedValue { name: name.to_ascii_lowercase(), value: claim_text::value(raw, at, faults)? })
}
