//! Secrets: they print as `[redacted]`, have no `PartialEq`, and are wiped when dropped.
//! [`expose`](AccessToken::expose) is the only access, so its callers are the list to review.
//!
//! Wiping has limits: copies in the host's buffers, or of a vector that grew, stay in memory.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

macro_rules! secret {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Wraps the secret.
            pub fn new(value: impl Into<String>) -> Self {
                Self(Zeroizing::new(value.into()))
            }

            /// The secret itself, to send, seal or hash.
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// Compares with `other` in constant time.
            pub fn matches(&self, other: &str) -> bool {
                is_same(self.0.as_bytes(), other.as_bytes())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    )* };
}

secret! {
    /// The access token of a token response.
    AccessToken
    /// The `code` of an authorization response (RFC 6749, 4.1.2).
    AuthorizationCode
    /// The client's password at the token endpoint (RFC 6749, 2.3.1).
    ClientSecret
    /// The `nonce` that binds an ID token to one authorization request (OIDC Core 3.1.2.1).
    Nonce
    /// The `code_verifier` of PKCE (RFC 7636, 4.1).
    PkceVerifier
    /// The bearer token of our requests to the provisioning endpoint.
    ProvisioningSecret
    /// The bearer token of a request (RFC 6750).
    RawBearerToken
    /// An ID token in its compact serialization, as received.
    RawIdToken
    /// A logout token as received, not verified.
    RawLogoutToken
    /// The refresh token of a token response.
    RefreshToken
    /// The `Authorization` header for the session store's gateway.
    StoreCredentials
}

/// Compares in constant time. Eight bytes at a time: `subtle` alone compares single bytes, which costs as much as the
/// rest of the request.
pub fn is_same(a: &[u8], b: &[u8]) -> bool {
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let difference =
        a_words.iter().zip(b_words).fold(0, |sum, (a, b)| sum | (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)));
    let rest = a_rest.iter().zip(b_rest).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && bool::from((difference | u64::from(rest)).ct_eq(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = ClientSecret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "ClientSecret([redacted]) Some(\n    ClientSecret([redacted]),\n)"
        );
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_secret_matches_only_itself() {
        let nonce = Nonce::new("abc");
        assert!(nonce.matches("abc"));
        for other in ["abd", "ab", "abcd", ""] {
            assert!(!nonce.matches(other), "{other:?}");
        }
    }

    #[test]
    fn secret_comparison_detects_every_difference() {
        let value: Vec<u8> = (0..21).collect();
        assert!(is_same(&value, &value) && is_same(b"", b""));
        for place in 0..value.len() {
            let mut other = value.clone();
            other[place] ^= 0x80;
            assert!(!is_same(&value, &other), "{place}");
        }
        for length in 0..value.len() {
            assert!(!is_same(&value, &value[..length]) && !is_same(&value[..length], &value), "{length}");
        }
    }
}
