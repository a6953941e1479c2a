//! What the app sees of a permitted request: the identity headers we set, none that a client made up, and no cookie
//! of ours.

use serde_json::Value;

use crate::{
    claims::{Claim, Claims},
    config::{Config, IdentityHeader, SessionSettings},
    http::{HeaderEdit, HeaderEdits, Request, is_alike},
    session::cookie::{self, Stripped},
};

use super::permit::Permit;

/// The longest identity header we set; most apps refuse headers above 8 KiB.
const MAX_HEADER: usize = 7 * 1024;

/// The changes that turn this request into one the app may see.
pub(super) fn edits(request: &Request, permit: &Permit, config: &Config) -> HeaderEdits {
    let mut strip = Vec::new();
    strip_identity(request, &config.stripped_headers, &mut strip);
    strip_cookies(request, &config.session, &mut strip);
    let of_session = permit
        .session_brought()
        .map(|fresh| fresh.identity(|session| identity_edits(session, &config.identity_headers)));
    let identity =
        of_session.or_else(|| Some(identity_edits(permit.bearer_brought()?, &config.identity_headers).into()));
    HeaderEdits { strip, identity }
}

fn identity_edits(claims: &dyn Claims, headers: &[IdentityHeader]) -> Vec<HeaderEdit> {
    let edit = |header: &IdentityHeader| {
        Some(HeaderEdit::Set(header.name.clone(), value(claims, &header.claim)?.into_bytes()))
    };
    headers.iter().filter_map(edit).collect()
}

/// The changes to a permitted request's trailers: some apps read them like headers.
pub fn trailer_edits(trailers: &Request, config: &Config) -> Vec<HeaderEdit> {
    let mut edits = Vec::new();
    strip_identity(trailers, &config.stripped_headers, &mut edits);
    edits
}

// Whatever an app could read as one of our headers goes, under the name it came with.
fn strip_identity(request: &Request, ours: &[String], edits: &mut Vec<HeaderEdit>) {
    edits.extend(claimed(request, ours).map(|name| HeaderEdit::Remove(name.to_owned())));
}

/// The headers that say who sends this, which only we may say.
pub(super) fn claimed<'a>(request: &'a Request, ours: &'a [String]) -> impl Iterator<Item = &'a str> {
    request.headers().map(|(name, _)| name).filter(|name| ours.iter().any(|header| is_alike(header, name)))
}

fn strip_cookies(request: &Request, settings: &SessionSettings, edits: &mut Vec<HeaderEdit>) {
    let (common, pending, trail) = (&settings.cookies.name(), &settings.pending_prefix, &settings.trail_cookie);
    // All our names begin like the first: others are told by that alone.
    let is_ours = |name: &[u8]| {
        name.starts_with(common.as_bytes())
            && (settings.cookies.has(name) || name.starts_with(pending.as_bytes()) || name == trail.as_bytes())
    };
    let mut lines = Vec::new();
    lines.extend(request.lines("cookie").map(|line| (line, cookie::strip(line, is_ours))));
    if lines.iter().all(|(_, stripped)| *stripped == Stripped::Unchanged) {
        return;
    }
    // One name, several lines: they are taken out together and put back one by one, so that the others stay as they are.
    edits.push(HeaderEdit::Remove("cookie".to_owned()));
    for (line, stripped) in lines {
        match stripped {
            Stripped::Unchanged => edits.push(HeaderEdit::Add("cookie".to_owned(), line.to_owned())),
            Stripped::Rest(rest) => edits.push(HeaderEdit::Add("cookie".to_owned(), rest)),
            Stripped::Emptied => {}
        }
    }
}

/// What a header says of a claim; `None` leaves the header out. Text as it is, lists joined by commas, numbers and
/// truth values as JSON writes them. What could be read as something else is left out rather than changed: a text
/// with control characters or with spaces at an end, and a list's item with a comma in it, which would pass for two.
fn value(claims: &dyn Claims, claim: &str) -> Option<String> {
    // An address that the provider itself does not vouch for identifies nobody.
    if claim == "email" && claims.claim("email_verified").is_some_and(|said| !said.is_true()) {
        return None;
    }
    let text = match claims.claim(claim)? {
        Claim::Text(text) => scalar_text(text)?,
        Claim::Json(Value::Array(items)) => {
            items.iter().filter_map(scalar).filter(|item| !item.contains(',')).collect::<Vec<_>>().join(",")
        }
        Claim::Json(value) => scalar(value)?,
    };
    (!text.is_empty() && text.len() <= MAX_HEADER).then_some(text)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => scalar_text(text),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

// Spaces at an end would be cut off on the way, and one person could pass for another.
fn scalar_text(text: &str) -> Option<String> {
    (!text.contains(char::is_control) && text.trim() == text).then(|| text.to_owned())
}
