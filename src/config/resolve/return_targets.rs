//! The URLs outside of this site that a browser may be sent to, after a sign-in or a sign-out.

use super::{
    super::fault::{At, Faults, Faulty},
    bounds::{limit_entries, resolve_each},
    text,
};
use crate::http::parse_url;

/// Targets are compared with these as text, so each must be in the browser's serialization: `https://a.example` without
/// its slash would allow `https://a.example.evil.example/`.
pub(super) fn return_to(urls: Vec<String>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    limit_entries(urls.len(), at, faults)?;
    resolve_each(urls, at, faults, target)
}

/// Schemes that no app has for itself: their URLs run scripts, read files, start any app, or are no pages.
const NO_APP: [&str; 14] = [
    "about",
    "blob",
    "content",
    "data",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "jar",
    "javascript",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

fn target(text: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    text::url_text(&text, at, faults)?;
    let url = parse_url(&text).filter(|url| {
        !NO_APP.contains(&url.scheme())
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !text.contains('*')
    });
    match url {
        Some(url) if url.as_str() == text => Ok(text),
        Some(url) => Err(text::wrong_url(&text, format!("{url}, as browsers write it"), at, faults)),
        None => {
            let expected = "a URL of http, https or an app's own scheme (`myapp://signed-in`; no `javascript`, `data`, `intent` and \
                            the like), without user name, query, fragment and wildcard; what ends in `/` stands for all below it, \
                            and paths of this site need not be listed";
            Err(text::wrong_url(&text, expected, at, faults))
        }
    }
}
