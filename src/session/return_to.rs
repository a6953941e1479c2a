//! The way back: path and query first asked for, kept byte for byte, and only ever written behind our own origin.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::http::Origin;

/// The longest path and query that is kept; it travels in a cookie and in `state`.
pub const MAX_RETURN_TO: usize = 2048;

/// Where a kept form is sent again, below our prefix.
pub const KEPT_FORM: &str = "/form";

/// How many layers of percent encoding are looked through for a reserved path.
const MAX_LAYERS: usize = 4;

/// Where the browser goes once it has signed in. Nothing but a path and a query, so [`Self::location`] is the one way
/// to a `Location`: the bare text could begin with `//` and name another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The target as it was asked for, or `/` where it cannot be returned to: not a path, not visible ASCII, with a
    /// fragment, too long, or one of our own paths under `reserved_prefix`, from which the browser would loop.
    pub fn parse(target: &[u8], reserved_prefix: &str) -> Self {
        let is_kept_form = |text: &str| text.strip_prefix(reserved_prefix) == Some(KEPT_FORM);
        let is_fine = |text: &&str| is_target(text) && (!is_reserved(text, reserved_prefix) || is_kept_form(text));
        let text = std::str::from_utf8(target).ok().filter(is_fine);
        Self(text.unwrap_or("/").to_owned())
    }

    /// A target that a page of the app names (`rd=`): a path, or a URL of our own origin; with a fragment, which only a
    /// page can know. Anything else leads to `/`.
    pub fn from_rd(target: &str, origin: &Origin, reserved_prefix: &str) -> Self {
        let path = target.strip_prefix(origin.as_str()).filter(|rest| rest.starts_with('/')).unwrap_or(target);
        // Two slashes are a path of ours behind our own origin, but nobody who writes them means that.
        if path.starts_with("//") {
            return Self("/".to_owned());
        }
        Self::with_fragment(path, reserved_prefix)
    }

    /// One that was sealed before: like [`Self::parse`], and it may have a fragment.
    pub fn with_fragment(text: &str, reserved_prefix: &str) -> Self {
        let (target, fragment) = text.split_at(text.find('#').unwrap_or(text.len()));
        let mut kept = Self::parse(target.as_bytes(), reserved_prefix);
        let is_clean = text.len() <= MAX_RETURN_TO && fragment.bytes().all(|byte| byte.is_ascii_graphic());
        if is_clean && kept.0 == target {
            kept.0.push_str(fragment);
        }
        kept
    }

    /// The page of ours where a kept form is sent again: the one reserved path to come back to.
    pub fn kept_form(reserved_prefix: &str) -> Self {
        Self(format!("{reserved_prefix}{KEPT_FORM}"))
    }

    /// Path and query, to be sealed and parsed again.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The absolute URL for `Location`, always on our own origin: the path begins with the slash that ends the
    /// authority, whatever follows it.
    pub fn location(&self, origin: &Origin) -> String {
        format!("{}{}", origin.as_str(), self.0)
    }
}

fn is_target(text: &str) -> bool {
    text.len() <= MAX_RETURN_TO
        && text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Whether some reader could find the target under the prefix. In doubt it is: a browser asks for a path only after
/// it has resolved dot segments and backslashes, so nobody's bookmark is lost.
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

/// A segment without parameters and without what a second reader would cut off.
fn name_of(segment: &[u8]) -> &[u8] {
    segment.split(|byte| matches!(byte, b';' | b'?' | b'#')).next().unwrap_or_default()
}

fn is_name(segment: &[u8]) -> bool {
    !matches!(segment, b"" | b".")
}

#[cfg(test)]
mod tests;
