//! Stands in for the crate `idna`, on which `url` depends, with a tenth of its size in the module. It reads a domain
//! name as that crate does with its adapter without Unicode tables: in ASCII only. Other names are written in their
//! ASCII form (`xn--...`).
#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

mod punycode;

use alloc::{
    borrow::{Cow, ToOwned},
    string::String,
};

/// A text that is no domain name.
#[derive(Debug)]
pub struct Errors;

/// Which ASCII characters are denied.
pub struct AsciiDenyList;

impl AsciiDenyList {
    /// The forbidden domain code points of the URL standard.
    pub const URL: Self = Self;

    const fn denies(&self, byte: u8) -> bool {
        matches!(
            byte,
            0..=b' ' | b'%' | b'#' | b'/' | b':' | b'<' | b'>' | b'?' | b'@' | b'[' | b'\\' | b']' | b'^' | b'|' | 0x7f..
        )
    }
}

/// A domain name in lower case.
///
/// # Errors
/// [`Errors`]
pub fn domain_to_ascii_from_cow(domain: Cow<'_, [u8]>, denied: AsciiDenyList) -> Result<Cow<'_, str>, Errors> {
    if domain.iter().any(|byte| denied.denies(*byte)) {
        return Err(Errors);
    }
    let domain = String::from_utf8(domain.to_ascii_lowercase()).map_err(|_| Errors)?;
    if !domain.split('.').filter_map(|label| label.strip_prefix("xn--")).all(punycode::is_valid) {
        return Err(Errors);
    }
    Ok(Cow::Owned(domain))
}

/// The domain name for display: unchanged.
pub fn domain_to_unicode(domain: &str) -> (String, Result<(), Errors>) {
    (domain.to_owned(), Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascii(domain: &str) -> Option<String> {
        domain_to_ascii_from_cow(Cow::Borrowed(domain.as_bytes()), AsciiDenyList::URL).map(Cow::into_owned).ok()
    }

    #[test]
    fn accepts_ascii_domains_and_lower_cases_them() {
        let cases = [
            ("", ""),
            ("app.example.com", "app.example.com"),
            ("App.EXAMPLE.com.", "app.example.com."),
            ("a_b-.-c--d..e", "a_b-.-c--d..e"),
            ("!\"$&'()*+,;=`{}~", "!\"$&'()*+,;=`{}~"),
            ("XN--Mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ];
        for (domain, expected) in cases {
            assert_eq!(ascii(domain).as_deref(), Some(expected));
        }
    }

    #[test]
    fn refuses_non_ascii_and_forbidden_characters() {
        for domain in ["münchen.example", "a\u{3002}b", "xn--", "a.xn--z.b", "xn--mnchen-3ya\u{ad}"] {
            assert_eq!(ascii(domain), None, "{domain}");
        }
        for denied in "\0\t\n \u{7f}%#/:<>?@[\\]^|".chars() {
            assert_eq!(ascii(&alloc::format!("a{denied}b")), None, "{denied:?}");
        }
        assert!(domain_to_ascii_from_cow(Cow::Borrowed(b"a\xff"), AsciiDenyList::URL).is_err());
    }
}
