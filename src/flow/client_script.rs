//! Our module for scripts of the app, `envoy/client.js`. It is the same for all users and holds no secret, so it needs no session.

use crate::http::{LocalReply, Request};

use super::{
    answer::{
        self, Offer,
        caller::{Caller, Kind},
    },
    context::Env,
    event::failure::Failure,
};

const SOURCE: &[u8] = include_bytes!("../../envoy/client.js");
const LENGTH: usize = strip(SOURCE, &mut [0; SOURCE.len()]);
const SCRIPT: &[u8] = &{
    let mut script = [0; LENGTH];
    strip(SOURCE, &mut script);
    script
};
const HASH: u64 = hash(SCRIPT);

/// Decides a request for the path of the module.
#[inline(never)]
pub(super) fn decide(request: &Request, env: &mut Env<'_>) -> LocalReply {
    if !matches!(request.method(), "GET" | "HEAD") {
        let caller = Caller { kind: Kind::Program, ..Caller::of(request) };
        return answer::refuse(Failure::ClientScriptMethod, &caller, Offer::default(), env);
    }
    let tag = format!("\"{HASH:x}\"");
    let has_it = request.text("if-none-match").is_some_and(|known| known.contains(&tag));
    answer::script("client_script", SCRIPT, tag, has_it)
}

/// Writes `source` into `out` without indentation, empty lines and comments; returns the length. A comment is a line that begins
/// with a slash, which no line of code does.
const fn strip(mut source: &[u8], mut out: &mut [u8]) -> usize {
    let (mut begins_line, mut is_comment, mut length) = (true, false, 0);
    while let [byte, rest @ ..] = source {
        source = rest;
        if begins_line {
            if matches!(*byte, b' ' | b'\n') {
                continue;
            }
            is_comment = *byte == b'/';
        }
        begins_line = *byte == b'\n';
        if is_comment {
            continue;
        }
        length += 1;
        if let [place, rest @ ..] = out {
            *place = *byte;
            out = rest;
        }
    }
    length
}

/// FNV-1a: tells versions of the module apart, and nothing else.
const fn hash(mut text: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    while let [byte, rest @ ..] = text {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
        text = rest;
    }
    hash
}
