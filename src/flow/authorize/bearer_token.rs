//! The bearer token in a request: in the header `Authorization`, or in a cookie.

use crate::{
    config::Config,
    http::Request,
    rules::{Authorization, RuledRequest},
    secret::RawBearerToken,
    session::{
        app_tokens::is_b64token,
        cookie::{self, Found},
    },
};

/// The longest token that is read.
pub(in crate::flow) const MAX_TOKEN: usize = 16 * 1024;

/// Whether `Authorization` has a bearer token, valid or not, or text that an app may take for one: some apps look for the
/// scheme anywhere in the header, also at the end of a word, and few want exactly one space after it. With
/// `authorization: app` the header is the app's, and holds no credential for us.
pub(in crate::flow) fn is_in_header(ruled: &RuledRequest, config: &Config) -> bool {
    ruled.verdict().authorization(config.authorization) != Authorization::App
        && ruled.request().lines("authorization").any(names_bearer)
}

fn names_bearer(line: &[u8]) -> bool {
    const SCHEME: &[u8] = b"bearer";
    let follows_a_word =
        |at: usize| at.checked_sub(1).and_then(|at| line.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'\x0b' || !byte.is_ascii();
    let is_before_space = |at: usize| line.get(at.saturating_add(SCHEME.len())).is_some_and(is_space);
    let mut parts = line.windows(SCHEME.len()).enumerate();
    parts.any(|(at, part)| part.eq_ignore_ascii_case(SCHEME) && (!follows_a_word(at) || is_before_space(at)))
}

/// Whether the cookie that `token_cookie` names is there.
pub(in crate::flow) fn is_in_cookie(request: &Request, config: &Config) -> bool {
    config
        .token_cookie
        .as_ref()
        .is_some_and(|name| !matches!(cookie::find(request.lines("cookie"), name), Found::Absent | Found::One(b"")))
}

/// RFC 9110, 11.4, and a tab, which some apps take for the space.
fn scheme_and_token(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(6)?;
    (scheme.eq_ignore_ascii_case(b"bearer") && matches!(token.first(), Some(b' ' | b'\t'))).then_some(token)
}

/// The one token of the header.
pub(in crate::flow) fn in_header(request: &Request) -> Option<RawBearerToken> {
    read(scheme_and_token(request.single("authorization")?)?.trim_ascii())
}

/// The one token of the cookie.
pub(in crate::flow) fn in_cookie(request: &Request, config: &Config) -> Option<RawBearerToken> {
    let Found::One(token) = cookie::find(request.lines("cookie"), config.token_cookie.as_ref()?) else {
        return None;
    };
    read(token)
}

/// A `b64token` (RFC 6750, 2.1).
fn read(token: &[u8]) -> Option<RawBearerToken> {
    let text = std::str::from_utf8(token).ok().filter(|text| is_b64token(text))?;
    (1..=MAX_TOKEN).contains(&text.len()).then(|| RawBearerToken::new(text))
}
