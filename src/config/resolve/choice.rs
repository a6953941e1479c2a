//! How a provider is shown on the page where users choose one, and whose addresses choose it.

use super::{
    super::fault::{At, Faults, Faulty},
    bounds::{limit_entries, resolve_each},
    limits, text,
};
use crate::{page::logo::Logo, provider::Provider};

pub(super) fn logo(text: &str, at: &At<'_>, faults: &mut Faults) -> Result<Logo, Faulty> {
    Logo::parse(text).map_err(|error| faults.wrong(at, error.to_string()))
}

/// One class name. It stands in an attribute, beside a class of ours.
pub(super) fn css_class(name: String, at: &At<'_>, faults: &mut Faults) -> Result<String, Faulty> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if begins_well && name.len() <= limits::MAX_NAME && name.bytes().all(is_plain) {
        return Ok(name);
    }
    let expected = format!("one class name: 1 to {} letters, digits, `-` and `_`, a letter first", limits::MAX_NAME);
    Err(faults.wrong_value(at, expected, &name))
}

/// Domains in lower case. An empty list is refused: it reads like a restriction.
#[inline(never)]
pub(super) fn email_domains(domains: Vec<String>, at: &At<'_>, faults: &mut Faults) -> Result<Vec<String>, Faulty> {
    if domains.is_empty() {
        return Err(faults.wrong(at, "at least one domain"));
    }
    limit_entries(domains.len(), at, faults)?;
    resolve_each(domains, at, faults, |domain, at, faults| {
        if text::is_domain(&domain) {
            return Ok(domain.to_ascii_lowercase());
        }
        let expected = "a whole domain in ASCII (punycode) with its dots, such as example.com, without `@` or `*`";
        Err(faults.wrong_value(at, expected, &domain))
    })
}

/// Refuses a domain of this provider that is listed before, there or at another one: an address chooses one provider.
pub(super) fn refuse_domain_twice(
    provider: &Provider,
    others: &[Provider],
    at: &At<'_>,
    faults: &mut Faults,
) -> Result<(), Faulty> {
    let mut outcome = Ok(());
    for (place, domain) in provider.email_domains.iter().enumerate() {
        let earlier = provider.email_domains.iter().take(place);
        if earlier.chain(others.iter().flat_map(|other| &other.email_domains)).any(|known| known == domain) {
            let expected = "a domain that is listed once: an address leads to one provider";
            outcome = Err(faults.wrong_value(&at.index(place), expected, domain));
        }
    }
    outcome
}

/// A warning where there is nothing to choose.
pub(super) fn warn_of_no_choice(providers: &[Provider]) -> Option<String> {
    let [only] = providers else { return None };
    let is_shown = only.logo.is_some() || only.css_class.is_some() || !only.email_domains.is_empty();
    is_shown.then(|| {
        "providers: `logo`, `css_class` and `email_domains` have no effect where there is one provider".to_owned()
    })
}
