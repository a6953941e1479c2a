//! Replies by their type: redirect, page, JSON, script, or no body. Only the script may be stored. No reply may be taken for another
//! type, and none passes its URL on. Only answers to a frame may be framed.

use crate::{http::LocalReply, page::Page};

use super::{super::context::Env, caller::Caller};

/// The Content-Security-Policy of replies that are not pages.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

/// The headers of every answer that must not be stored.
fn common(code: &'static str) -> Vec<(&'static str, String)> {
    common_with("no-store", code)
}

/// The headers of every answer, with this `cache-control`.
fn common_with(cache_control: &'static str, code: &'static str) -> Vec<(&'static str, String)> {
    vec![
        ("cache-control", cache_control.to_owned()),
        // RFC 9700, 4.2: a callback's URL holds a code.
        ("referrer-policy", "no-referrer".to_owned()),
        ("vestibule-code", code.to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
    ]
}

/// A redirect that turns every method into GET. 307 and 308 are never used: they would send a form's body to the
/// provider (RFC 9700, 4.12).
pub(in crate::flow) fn redirect(
    status: Redirect,
    code: &'static str,
    location: String,
    cookies: Vec<String>,
) -> LocalReply {
    let mut headers = common(code);
    headers.push(("location", location));
    headers.extend(cookies.into_iter().map(|cookie| ("set-cookie", cookie)));
    LocalReply { status: status as u16, code, headers, body: Vec::new() }
}

/// The redirects we send.
#[derive(Debug, Clone, Copy)]
pub(in crate::flow) enum Redirect {
    /// To the provider.
    Found = 302,
    /// Back to the app.
    SeeOther = 303,
}

/// A page for a person, in their language.
pub(in crate::flow) fn page(
    status: u16,
    code: &'static str,
    page: &Page<'_>,
    caller: &Caller,
    env: &Env<'_>,
    cookies: Vec<String>,
) -> LocalReply {
    let look = &env.config.look;
    let language = caller.language.unwrap_or(look.language).unpacked(&|packed| env.platform.decompress(packed));
    let mut headers = common(code);
    headers.push(("content-type", "text/html; charset=utf-8".to_owned()));
    headers.push(("content-language", language.tag().to_owned()));
    headers.push(("content-security-policy", page.content_security_policy(look)));
    with_cookies(LocalReply { status, code, headers, body: page.html(look, language).into_bytes() }, cookies)
}

/// A JSON document for a program.
pub(in crate::flow) fn json(status: u16, code: &'static str, body: &serde_json::Value) -> LocalReply {
    let mut headers = common(code);
    headers.push(("content-type", "application/json".to_owned()));
    headers.push(("content-security-policy", NO_PAGE.to_owned()));
    LocalReply { status, code, headers, body: serde_json::to_vec(body).unwrap_or_default() }
}

/// A module for scripts of our origin, or 304 to a browser that has it. It may be stored for a while: a new version of the filter
/// brings its own.
pub(in crate::flow) fn script(code: &'static str, script: &[u8], tag: String, has_it: bool) -> LocalReply {
    let mut headers = common_with("public, max-age=300", code);
    headers.push(("etag", tag));
    if has_it {
        return LocalReply { status: 304, code, headers, body: Vec::new() };
    }
    let of_script = [
        ("content-type", "text/javascript; charset=utf-8"),
        ("content-security-policy", NO_PAGE),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    headers.extend(of_script.map(|(name, value)| (name, value.to_owned())));
    LocalReply { status: 200, code, headers, body: script.to_vec() }
}

/// A page that the provider may frame.
pub(in crate::flow) fn framed(
    status: u16,
    code: &'static str,
    page: &Page<'_>,
    caller: &Caller,
    env: &Env<'_>,
) -> LocalReply {
    let mut reply = self::page(status, code, page, caller, env, Vec::new());
    let origins: Vec<_> = env.config.providers.iter().map(|p| p.issuer().discovery().origin()).collect();
    for (name, value) in &mut reply.headers {
        if *name == "content-security-policy" {
            *value = value.replace("frame-ancestors 'none'", &format!("frame-ancestors {}", origins.join(" ")));
        }
    }
    reply
}

/// A reply without a body.
pub(in crate::flow) fn empty(status: u16, code: &'static str) -> LocalReply {
    LocalReply { status, code, headers: common(code), body: Vec::new() }
}

/// The same answer with these cookies.
pub(in crate::flow) fn with_cookies(mut reply: LocalReply, cookies: Vec<String>) -> LocalReply {
    reply.headers.extend(cookies.into_iter().map(|cookie| ("set-cookie", cookie)));
    reply
}
