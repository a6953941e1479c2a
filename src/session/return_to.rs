//! The return target of a sign-in: path and query of the first request, kept byte for byte, always on our own origin.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::http::Origin;

/// The longest kept path and query, in bytes; it is a part of a cookie and of `state`.
pub const MAX_RETURN_TO: usize = 2048;

/// The path, below our prefix, that sends a kept form again.
pub const KEPT_FORM: &str = "/form";

/// Layers of percent encoding that are decoded in search of a reserved path.
const MAX_LAYERS: usize = 4;

/// The target after a sign-in: only a path and a query. [`Self::location`] is the only way to a `Location`, because the
/// bare text could begin with `//` and name another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The request target, or `/` if it is not a path, not visible ASCII, has a fragment, is too long, or is one of our
    /// own paths under `reserved_prefix`, which would loop.
    pub fn parse(target: &[u8], reserved_prefix: &str) -> Self {
        let is_kept_form = |text: &str| text.strip_prefix(reserved_prefix) == Some(KEPT_FORM);
        let is_fine = |text: &&str| is_target(text) && (!is_reserved(text, reserved_prefix) || is_kept_form(text));
        let text = std::str::from_utf8(target).ok().filter(is_fine);
        Self(text.unwrap_or("/").to_owned())
    }

    /// The target in the parameter `rd`: a path, or a URL of our own origin, optionally with a fragment. Others become
    /// `/`.
    pub fn from_rd(target: &str, origin: &Origin, reserved_prefix: &str) -> Self {
        let path = target.strip_prefix(origin.as_str()).filter(|rest| rest.starts_with('/')).unwrap_or(target);
        // Behind our own origin two slashes are a path, but a link with them means another host.
        if path.starts_with("//") {
            return Self("/".to_owned());
        }
        Self::with_fragment(path, reserved_prefix)
    }

    /// Like [`Self::parse`], with an optional fragment, as in sealed targets.
    pub fn with_fragment(text: &str, reserved_prefix: &str) -> Self {
        let (target, fragment) = text.split_at(text.find('#').unwrap_or(text.len()));
        let mut kept = Self::parse(target.as_bytes(), reserved_prefix);
        let is_clean = text.len() <= MAX_RETURN_TO && fragment.bytes().all(|byte| byte.is_ascii_graphic());
        if is_clean && kept.0 == target {
            kept.0.push_str(fragment);
        }
        kept
    }

    /// The page that sends a kept form again: the only reserved path that is a target.
    pub fn kept_form(reserved_prefix: &str) -> Self {
        Self(format!("{reserved_prefix}{KEPT_FORM}"))
    }

    /// Path, query and fragment, to be sealed and parsed again.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The absolute URL for `Location`, on our own origin: the path begins with the slash that ends the authority.
    pub fn location(&self, origin: &Origin) -> String {
        format!("{}{}", origin.as_str(), self.0)
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
