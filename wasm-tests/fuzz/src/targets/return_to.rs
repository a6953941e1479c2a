//! The return target of a sign-in: the target of the request, or the one that a page of the app names. It stays on our
//! origin, or is listed.

use url::Url;
use vestibule::{
    config::Config,
    session::return_to::{KEPT_FORM, MAX_RETURN_TO, ReturnTo},
};

use crate::fixture::{LISTED, config};

pub(crate) fn run(bytes: &[u8]) {
    let config = config();
    let request_target = ReturnTo::parse(bytes, &config.prefix);
    assert!(!request_target.is_elsewhere());
    check(&request_target, config);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check(&ReturnTo::from_sealed(text, config.return_targets()), config);
    let asked_for = ReturnTo::from_rd(text, config.origins.home().origin(), config.return_targets());
    check(&asked_for, config);
    assert!(!asked_for.as_str().starts_with("//"));
}

/// Checks that the redirect leads to our origin, and to none of our own paths but that of a kept form, or to a listed URL.
pub(crate) fn check(return_to: &ReturnTo, config: &Config) {
    let reserved = config.prefix.as_str();
    assert!(return_to.as_str().len() <= MAX_RETURN_TO);
    assert_eq!(ReturnTo::from_sealed(return_to.as_str(), config.return_targets()), *return_to);
    let origin = config.origins.home().origin();
    let location = return_to.location(origin);
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
    if return_to.is_elsewhere() {
        assert!(is_listed(&location), "{location:?}");
        return;
    }
    let url = Url::parse(&location).expect("it is a URL");
    assert_eq!(url.origin().ascii_serialization(), origin.as_str(), "{location:?}");
    assert!(url.username().is_empty() && url.password().is_none(), "{location:?}");
    // The path that the browser requests next.
    let path = url.path();
    let is_reserved = path == reserved || path.starts_with(&format!("{reserved}/"));
    assert!(!is_reserved || path == format!("{reserved}{KEPT_FORM}"), "{location:?}");
}

/// Whether a browser goes to a listed URL.
pub(crate) fn is_listed(location: &str) -> bool {
    let [app, site] = LISTED;
    let is_of_site =
        |url: Url| url.origin().ascii_serialization() == site.trim_end_matches('/') && url.username().is_empty();
    location == app || Url::parse(location).is_ok_and(is_of_site)
}
