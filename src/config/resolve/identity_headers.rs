//! Identity headers.

use super::{
    super::{
        NamedValue,
        fault::{At, Faults, Faulty},
        raw,
    },
    bounds::limit_entries,
    claim_text, limits, text,
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

/// Headers that only the filter may set: these and the default ones.
pub(super) fn stripped(headers: &[NamedValue]) -> HeaderNames {
    own_names(headers).collect()
}

fn own_names(headers: &[NamedValue]) -> impl Iterator<Item = String> {
    let ours = headers.iter().map(|header| header.name.as_str());
    limits::IDENTITY_HEADERS.iter().map(|(name, _)| *name).chain(ours).map(str::to_ascii_lowercase)
}

/// The word in `strip_request_headers` that stands for [`limits::STRIPPED_HEADERS`].
const DEFAULT: &str = "default";

/// Headers to remove from client requests: those that only the filter may set, and these names, by default
/// [`limits::STRIPPED_HEADERS`].
#[inline(never)]
pub(super) fn removed(
    names: Option<Vec<String>>,
    identity: &[NamedValue],
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<HeaderNames, Faulty> {
    let names = names.unwrap_or_else(|| vec![DEFAULT.to_owned()]);
    limit_entries(names.len(), at, faults)?;
    let mut all: Vec<String> = own_names(identity).collect();
    let mut fault = None;
    for (place, name) in names.into_iter().enumerate() {
        if name == DEFAULT {
            all.extend(limits::STRIPPED_HEADERS.iter().map(|name| (*name).to_owned()));
        } else if let Err(faulty) = refuse_other_use(&name, &at.index(place), faults) {
            fault = Some(faulty);
        } else {
            all.push(name.to_ascii_lowercase());
        }
    }
    fault.map_or_else(|| Ok(all.into_iter().collect()), Err)
}

fn refuse_other_use(name: &str, at: &At<'_>, faults: &mut Faults) -> Result<(), Faulty> {
    let (begin, is_beginning) = name.strip_suffix('*').map_or((name, false), |begin| (begin, true));
    // `*` may stand in a name (RFC 9110, 5.6.2), where no header has it.
    if !text::is_token(begin) || begin.contains('*') || name.len() > limits::MAX_TEXT {
        return Err(faults.wrong_value(
            at,
            "the name of a header, the beginning of names with `*` behind it, or default",
            name,
        ));
    }
    if is_beginning && begin.len() < HeaderNames::MIN_BEGINNING {
        return Err(faults.wrong_value(
            at,
            format!("{} characters or more before the `*`", HeaderNames::MIN_BEGINNING),
            name,
        ));
    }
    let folded = folded(begin);
    let begins = |taken: &&str| is_beginning && taken.starts_with(&folded);
    if is_taken(&folded) || TAKEN.iter().chain(&TAKEN_PREFIXES).any(begins) {
        return Err(faults.wrong_value(at, "a header that has no other use", name));
    }
    Ok(())
}

fn is_taken(folded: &str) -> bool {
    TAKEN.contains(&folded) || TAKEN_PREFIXES.iter().any(|prefix| folded.starts_with(prefix))
}

/// A name for a header of our own, in lower case, beside these. `expected` is the fault where it is no name at all.
#[inline(never)]
pub(super) fn own_header(
    name: &str,
    known: &[NamedValue],
    expected: &'static str,
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<String, Faulty> {
    // `*` would stand for further headers among those that are removed.
    if !text::is_token(name) || name.contains('*') || name.len() > limits::MAX_TEXT {
        return Err(faults.wrong(at, expected));
    }
    let folded = folded(name);
    if is_taken(&folded) {
        return Err(faults.wrong(at, "a header that has no other use"));
    }
    if known.iter().any(|other| self::folded(&other.name) == folded) {
        return Err(faults.wrong(at, "each header once; apps ignore case, and read `_` and `-` alike"));
    }
    Ok(name.to_ascii_lowercase())
}

fn identity_header(
    name: &str,
    raw: raw::ClaimText,
    known: &[NamedValue],
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<NamedValue, Faulty> {
    let name = own_header(name, known, "the name of a header as the name of this field", at, faults)?;
    Ok(NamedValue { name, value: claim_text::value(raw, at, faults)? })
}
