//! The return target of a sign-in: path and query of the first request, kept byte for byte, on one of our origins; or a URL that
//! the operator lists.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::{
    http::parse_url,
    origin::{Origin, Origins},
};

/// The longest kept path and query, in bytes; it is a part of a cookie and of `state`.
pub const MAX_RETURN_TO: usize = 2048;

/// The path, below our prefix, that sends a kept form again.
pub const KEPT_FORM: &str = "/form";

/// Layers of percent encoding that are decoded in search of a reserved path.
const MAX_LAYERS: usize = 4;

/// The targets after a sign-in.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// The prefix of our own paths, which are no targets.
    pub reserved_prefix: &'a str,
    /// Our origins.
    pub origins: &'a Origins,
    /// URLs outside of our origins, in the browser's serialization: whole ones, or beginnings that end in a slash.
    pub listed: &'a [String],
}

impl Targets<'_> {
    /// The URL, as browsers write it, if it is listed.
    pub fn find_listed(self, url: &str) -> Option<String> {
        if self.listed.is_empty() {
            return None;
        }
        // Compared as browsers normalize it, not as it was written.
        let url = String::from(parse_url(url)?);
        let is_listed = |known: &String| if known.ends_with('/') { url.starts_with(known) } else { url == *known };
        let is_clean = url.len() <= MAX_RETURN_TO && url.bytes().all(|byte| byte.is_ascii_graphic());
        (is_clean && self.listed.iter().any(is_listed)).then_some(url)
    }
}

/// The target after a sign-in: a path and a query, a URL of one of our origins, or a listed URL. [`Self::location`] is the only way
/// to a `Location`, because the bare text of a path could begin with `//` and name another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo {
    text: String,
    is_elsewhere: bool,
}

impl ReturnTo {
    /// The request target, or `/` if it is not a path, not visible ASCII, has a fragment, is too long, or is one of our
    /// own paths under `reserved_prefix`, which would loop.
    pub fn parse(target: &[u8], reserved_prefix: &str) -> Self {
        let is_kept_form = |text: &str| text.strip_prefix(reserved_prefix) == Some(KEPT_FORM);
        let is_fine = |text: &&str| is_target(text) && (!is_reserved(text, reserved_prefix) || is_kept_form(text));
        let text = std::str::from_utf8(target).ok().filter(is_fine);
        Self::own(text.unwrap_or("/"))
    }

    fn own(text: &str) -> Self {
        Self { text: text.to_owned(), is_elsewhere: false }
    }

    /// The target in the parameter `rd`: a path, or a URL of one of our origins, optionally with a fragment, or a listed URL. Others
    /// become `/`. `origin` is that of the request.
    pub fn from_rd(target: &str, origin: &Origin, targets: Targets<'_>) -> Self {
        let path = target.strip_prefix(origin.as_str()).filter(|rest| rest.starts_with('/')).unwrap_or(target);
        // Behind our own origin two slashes are a path, but a link with them means another host.
        if path.starts_with("//") {
            return Self::own("/");
        }
        Self::from_sealed(path, targets)
    }

    /// Like [`Self::parse`], with an optional fragment, or a URL, as in sealed targets: origins and list may have changed since.
    pub fn from_sealed(text: &str, targets: Targets<'_>) -> Self {
        if !text.starts_with('/') {
            if let Some((origin, path)) = targets.origins.split(text) {
                let is_page = !path.is_empty() && text.len() <= MAX_RETURN_TO;
                let path = Self::from_sealed(if is_page { path } else { "/" }, targets).text;
                return Self::own(&format!("{origin}{path}"));
            }
            if let Some(url) = targets.find_listed(text) {
                return Self { text: url, is_elsewhere: true };
            }
        }
        let (target, fragment) = text.split_at(text.find('#').unwrap_or(text.len()));
        let mut kept = Self::parse(target.as_bytes(), targets.reserved_prefix);
        let is_clean = text.len() <= MAX_RETURN_TO && fragment.bytes().all(|byte| byte.is_ascii_graphic());
        if is_clean && kept.text == target {
            kept.text.push_str(fragment);
        }
        kept
    }

    /// The page that sends a kept form again: the only reserved path that is a target.
    pub fn kept_form(reserved_prefix: &str) -> Self {
        Self::own(&format!("{reserved_prefix}{KEPT_FORM}"))
    }

    /// Path, query and fragment, or the URL, to be sealed and parsed again.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first page of the same origin.
    pub fn first_page(&self) -> &str {
        if self.is_elsewhere || self.text.starts_with('/') {
            return "/";
        }
        // Of `https://host/path`, up to the third slash.
        let mut slashes = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
        slashes.nth(2).and_then(|(place, _)| self.text.get(..=place)).unwrap_or("/")
    }

    /// Whether it is a listed URL outside of the app.
    pub const fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }

    /// The absolute URL for `Location`, where a path is one of this origin. The path begins with the slash that ends the authority.
    pub fn location(&self, origin: &Origin) -> String {
        if self.text.starts_with('/') { format!("{}{}", origin.as_str(), self.text) } else { self.text.clone() }
    }
}

fn is_target(text: &str) -> bool {
    text.len() <= MAX_RETURN_TO
        && text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Whether some parser could find the target under the prefix. In doubt it is reserved: browsers resolve dot segments
/// and backslashes before the request, so no ordinary target is lost.
fn is_reserved(target: &str, prefix: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let mut layer = Cow::Borrowed(path.as_bytes());
    for _ in 0..MAX_LAYERS {
        if lies_under(&layer, prefix) {
            return true;
        }
        let decoded: Vec<u8> = percent_decode(&layer).collect();
        if decoded == *layer {
            return false;
        }
        layer = Cow::Owned(decoded);
    }
    true
}

fn lies_under(path: &[u8], prefix: &str) -> bool {
    let segments = || path.split(|byte| matches!(byte, b'/' | b'\\')).map(name_of).filter(|name| is_name(name));
    let reserved = || prefix.as_bytes().split(|byte| *byte == b'/').filter(|name| is_name(name));
    if segments().any(|name| name == b"..") {
        return reserved().next().is_none_or(|first| segments().any(|name| name == first));
    }
    let mut rest = segments();
    reserved().all(|name| rest.next() == Some(name))
}

/// A segment without parameters, query and fragment.
fn name_of(segment: &[u8]) -> &[u8] {
    segment.split(|byte| matches!(byte, b';' | b'?' | b'#')).next().unwrap_or_default()
}

fn is_name(segment: &[u8]) -> bool {
    !matches!(segment, b"" | b".")
}

#[cfg(test)]
mod tests;
