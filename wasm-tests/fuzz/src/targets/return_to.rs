//! The return target of a sign-in: the target of the request, or the one that a page of the app names. It stays on our
//! origin.

use url::Url;
use vestibule::{
    http::Origin,
    session::return_to::{KEPT_FORM, MAX_RETURN_TO, ReturnTo},
};

use crate::fixture::config;

pub(crate) fn run(bytes: &[u8]) {
    let config = config();
    let (origin, reserved) = (&config.origin, config.prefix.as_str());
    check(&ReturnTo::parse(bytes, reserved), origin, reserved);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check(&ReturnTo::with_fragment(text, reserved), origin, reserved);
    let asked_for = ReturnTo::from_rd(text, origin, reserved);
    check(&asked_for, origin, reserved);
    assert!(!asked_for.as_str().starts_with("//"));
}

/// Checks that the redirect leads to our origin, and to none of our own paths but that of a kept form.
pub(crate) fn check(return_to: &ReturnTo, origin: &Origin, reserved: &str) {
    assert!(return_to.as_str().len() <= MAX_RETURN_TO);
    assert_eq!(ReturnTo::with_fragment(return_to.as_str(), reserved), *return_to);
    let location = return_to.location(origin);
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
    let url = Url::parse(&location).expect("it is a URL");
    assert_eq!(url.origin().ascii_serialization(), origin.as_str(), "{location:?}");
    assert!(url.username().is_empty() && url.password().is_none(), "{location:?}");
    // The path that the browser requests next.
    let path = url.path();
    let is_reserved = path == reserved || path.starts_with(&format!("{reserved}/"));
    assert!(!is_reserved || path == format!("{reserved}{KEPT_FORM}"), "{location:?}");
}
