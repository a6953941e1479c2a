//! Internal redirects: Envoy runs all filters again, on the request as it went upstream, with another path. What an earlier
//! pass changed is then undone before anything is decided, so that each pass sees what the client sent.
//!
//! A further pass is recognised by filter state only, not by a header that a client could send. Nothing of an earlier pass is
//! believed: the client's own lines of `cookie` and `authorization` are put back and checked as if the client sent them now,
//! and the rules decide anew whether the request may pass.

use crate::{
    config::Config,
    http::{Edits, HeaderEdit, HeaderNames, Request},
    wire::{self, Value::Bytes},
};

/// The headers with a client's credentials. Edits remove or replace them.
const CREDENTIALS: [&str; 2] = ["cookie", "authorization"];

/// Separates the lines of one header; no line contains it (RFC 9110, 5.5).
const LINE_END: u8 = b'\n';

/// Whether the request says that it comes from an internal redirect. Envoy sets this header, and a client may forge it.
pub(in crate::flow) fn is_claimed(request: &Request) -> bool {
    request.has("x-envoy-original-url")
}

/// The credentials of a request that goes upstream with these edits, for the pass after an internal redirect. `None` where
/// there are no edits to undo.
pub(super) fn credentials(request: &Request, edits: &Edits) -> Option<Vec<u8>> {
    if edits.own.is_empty() && edits.identity.is_none() {
        return None;
    }
    let [cookie, authorization] = CREDENTIALS.map(|name| request.lines(name).collect::<Vec<_>>().join(&LINE_END));
    Some(wire::write(&[Bytes(&cookie), Bytes(&authorization)]).to_vec())
}

/// The headers of a request that claim an identity, which only we may set.
pub(in crate::flow) fn claimed_identity<'a>(request: &'a Request, ours: &HeaderNames) -> Vec<&'a str> {
    request.names_like_any(ours)
}

/// The edits that undo the pass before: our headers go, and these credentials come back. `None` where they cannot be read.
pub fn undo(request: &Request, credentials: &[u8], config: &Config) -> Option<Vec<HeaderEdit>> {
    let fields: [wire::Field<'_>; 2] = wire::read(credentials)?;
    let claimed = claimed_identity(request, &config.stripped_headers).into_iter();
    let mut edits: Vec<_> = claimed.chain(CREDENTIALS).map(|name| HeaderEdit::Remove(name.to_owned())).collect();
    for (name, field) in CREDENTIALS.into_iter().zip(fields) {
        let lines = field.bytes()?.split(|byte| *byte == LINE_END).filter(|line| !line.is_empty());
        edits.extend(lines.map(|line| HeaderEdit::Add(name.to_owned(), line.to_vec())));
    }
    Some(edits)
}
