//! The host as a trait: the clock, randomness, Envoy's signatures and zlib, the key-value store that all workers of a process
//! share, and facts about the current request. The filter implements it with host calls, the tests in memory.

use std::net::{IpAddr, SocketAddr};

use crate::time::UnixTime;

#[cfg(test)]
pub(crate) mod testing;

/// The host has no randomness. Nothing may be sealed or started without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the platform gives no randomness")]
pub struct NoRandomness;

/// The most draws of [`draw`]. At most one draw in fifty, that of a PKCE verifier, is repeated.
const MAX_DRAWS: usize = 16;

/// Random bytes whose `text` stands in URLs and cookies. They are drawn again while it contains `--`, which firewalls take for
/// an SQL comment.
///
/// # Errors
/// [`NoRandomness`]
pub fn draw<const N: usize>(
    platform: &dyn Platform,
    text: impl Fn(&[u8; N]) -> String,
) -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    for _ in 0..MAX_DRAWS {
        platform.random(&mut bytes)?;
        if !text(&bytes).contains("--") {
            break;
        }
    }
    Ok(bytes)
}

/// Another worker wrote the value first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared value has changed")]
pub struct Conflict;

/// A value of the shared store, with its version for a compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedValue {
    /// The bytes; empty where the key was never written.
    pub bytes: Vec<u8>,
    /// The version; `None` where the key was never written.
    pub version: Option<u32>,
}

/// The part of a client's address that limits are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddress {
    /// Not an IP address, such as the path of a Unix socket. All such clients count as one.
    Unknown,
    /// IPv4.
    V4([u8; 4]),
    /// The first 64 bits of IPv6, which are one subscriber's (RFC 6177).
    V6([u8; 8]),
}

impl ClientAddress {
    /// The part of this address that counts.
    pub const fn of(address: Option<IpAddr>) -> Self {
        match address {
            Some(IpAddr::V4(address)) => Self::V4(address.octets()),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
            None => Self::Unknown,
        }
    }
}

/// Reads an address as Envoy writes it, with or without a port. An IPv4-mapped IPv6 address is the IPv4 address.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse());
    address.ok().map(|address| address.to_canonical())
}

/// A hash function of the host's signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashFunction {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl HashFunction {
    /// The name that Envoy takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// Why the host has signed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It offers no such call.
    #[error("this Envoy signs nothing for its filters: use a newer one, or an Ed25519 key")]
    NotOffered,
    /// It did not take the key.
    #[error("Envoy does not sign with the private key under client_key or dpop_key; check that the key is complete")]
    Refused,
}

/// The calls to the host that the core needs.
pub trait Platform {
    /// The time.
    fn now(&self) -> UnixTime;

    /// Fills `bytes` from a cryptographically secure source.
    ///
    /// # Errors
    /// [`NoRandomness`]
    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;

    /// Checks an RSASSA-PKCS1-v1_5 or ECDSA signature. The key is a DER SubjectPublicKeyInfo, an ECDSA signature a DER
    /// sequence. `None` where the host offers no such call.
    fn verify_signature(&self, hash: HashFunction, spki: &[u8], signature: &[u8], text: &[u8]) -> Option<bool>;

    /// Signs by RSASSA-PKCS1-v1_5 or ECDSA, as the key is. The key is PKCS #8 in DER, an ECDSA signature a DER sequence.
    ///
    /// # Errors
    /// [`SignError`]
    fn sign(&self, hash: HashFunction, pkcs8: &[u8], text: &[u8]) -> Result<Vec<u8>, SignError>;

    /// Compresses in the format of zlib (RFC 1950). `None` where the host cannot.
    fn compress(&self, bytes: &[u8]) -> Option<Vec<u8>>;

    /// Decompresses the output of [`Self::compress`]. Only for bytes that we packed or sealed ourselves: the host bounds no length, so that
    /// foreign ones could fill the memory.
    fn decompress(&self, bytes: &[u8]) -> Option<Vec<u8>>;

    /// Reads a value of the store that all workers of this process share.
    fn shared_get(&self, key: &str) -> SharedValue;

    /// Writes a value of the shared store if it is still at `version`, or in any case for `None`.
    ///
    /// # Errors
    /// [`Conflict`]
    fn shared_set(&self, key: &str, bytes: &[u8], version: Option<u32>) -> Result<(), Conflict>;

    /// The name of the current request's route, if it has one.
    fn route_name(&self) -> Option<String> {
        None
    }

    /// The value of a header of the current request, while it is decided at once.
    fn request_header(&self, _name: &str) -> Option<Vec<u8>> {
        None
    }

    /// The address of the current request's client, as Envoy's connection manager determined it.
    fn client_address(&self) -> Option<IpAddr> {
        None
    }

    /// Writes a value of the shared store if there is none: a compare-and-swap on a key that was never written succeeds for all
    /// workers.
    fn shared_create(&self, key: &str, bytes: &[u8]) {
        if self.shared_get(key).version.is_none() {
            let _ = self.shared_set(key, bytes, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_envoy_writes_it() {
        let v6 = ClientAddress::V6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]);
        for (text, expected) in [
            ("192.0.2.1:4711", ClientAddress::V4([192, 0, 2, 1])),
            ("192.0.2.1:0", ClientAddress::V4([192, 0, 2, 1])),
            ("192.0.2.1", ClientAddress::V4([192, 0, 2, 1])),
            ("[::ffff:192.0.2.1]:80", ClientAddress::V4([192, 0, 2, 1])),
            ("[2001:db8:1:2:3:4:5:6]:443", v6),
            ("2001:db8:1:2::9", v6),
            ("/run/envoy.sock", ClientAddress::Unknown),
            ("", ClientAddress::Unknown),
            ("192.0.2.1:4711, 192.0.2.2:1", ClientAddress::Unknown),
        ] {
            assert_eq!(ClientAddress::of(parse_address(text)), expected, "{text}");
        }
    }
}
