//! What the app sees of a permitted request: the identity headers we set, none that a client made up, and no cookie
//! of ours.

use serde_json::Value;

use crate::{
    config::{Config, IdentityHeader},
    http::{HeaderEdit, Request},
    session::{
        Claim, Session,
        cookie::{self, Stripped},
        cookie_name,
        pending::cookie_prefix,
    },
};

use super::permit::Permit;

/// The longest identity header we set; most apps refuse headers above 8 KiB.
const MAX_HEADER: usize = 7 * 1024;

/// The changes that turn this request into one the app may see.
pub(super) fn edits(request: &Request, permit: &Permit, config: &Config) -> Vec<HeaderEdit> {
    let mut edits = Vec::new();
    strip_identity(request, &config.identity_headers, &mut edits);
    strip_cookies(request, &config.session.cookie_name, &mut edits);
    if let Some(session) = permit.identity() {
        edits.extend(config.identity_headers.iter().filter_map(|header| {
            Some(HeaderEdit::Set(header.name.clone(), value(session, &header.claim)?.into_bytes()))
        }));
    }
    edits
}

// CGI, WSGI and PHP fold `_` and `-` together, and some servers dots and spaces too: whatever an app could read as
// one of our headers goes, under the name it came with.
fn strip_identity(request: &Request, ours: &[IdentityHeader], edits: &mut Vec<HeaderEdit>) {
    let fold = |byte: u8| match byte {
        b'_' | b'.' | b' ' => b'-',
        _ => byte.to_ascii_lowercase(),
    };
    let same = |a: &str, b: &str| a.len() == b.len() && a.bytes().map(fold).eq(b.bytes().map(fold));
    for (name, _) in request.headers() {
        if ours.iter().any(|header| same(&header.name, name)) {
            edits.push(HeaderEdit::Remove(name.to_owned()));
        }
    }
}

fn strip_cookies(request: &Request, base: &str, edits: &mut Vec<HeaderEdit>) {
    let (session, pending) = (cookie_name(base), cookie_prefix(base));
    let is_ours = |name: &[u8]| name == session.as_bytes() || name.starts_with(pending.as_bytes());
    let lines: Vec<_> = request.lines("cookie").map(|line| (line, cookie::strip(line, is_ours))).collect();
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
/// with control characters, and a list's item with a comma in it, which would pass for two.
fn value(session: &Session, claim: &str) -> Option<String> {
    // An address that the provider itself does not vouch for identifies nobody.
    if claim == "email" && matches!(session.claim("email_verified"), Some(Claim::Json(Value::Bool(false)))) {
        return None;
    }
    let text = match session.claim(claim)? {
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

fn scalar_text(text: &str) -> Option<String> {
    (!text.contains(char::is_control)).then(|| text.trim().to_owned())
}

/// The claims that a session must carry for these headers.
pub(super) fn claims_kept(headers: &[IdentityHeader]) -> impl Iterator<Item = &str> {
    headers.iter().map(|header| header.claim.as_str()).chain(["email_verified"])
}
