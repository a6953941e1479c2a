//! What the core borrows from the machine it runs on, in one trait: randomness, Envoy's signature check and its zlib, and
//! the small store that all workers of one process share. The filter implements it with host calls, the tests in memory.

use std::net::{IpAddr, SocketAddr};

/// The machine has no randomness to give. Nothing may be sealed or started without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no randomness")]
pub struct NoRandomness;

/// The most draws of [`draw`]. Of a verifier with its challenge, one draw in fifty is refused, so so many are never needed.
const MAX_DRAWS: usize = 16;

/// Random bytes for a value that travels in URLs and cookies. They are drawn again while their `text` contains `--`, which
/// firewalls take for an SQL comment.
///
/// # Errors
/// [`NoRandomness`] when the platform has none.
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

/// Somebody else wrote first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared value has changed")]
pub struct Conflict;

/// A value of the shared store, with the mark that a compare-and-swap wants back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedValue {
    /// The bytes; empty when the key was never written.
    pub bytes: Vec<u8>,
    /// The mark of this version; `None` when the key was never written.
    pub version: Option<u32>,
}

/// The address of a client, as far as it tells one client from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddress {
    /// No IP address, such as the path of a Unix socket. All such clients count as one.
    Unknown,
    /// IPv4.
    V4([u8; 4]),
    /// The first 64 bits of IPv6: one subscriber has all addresses that share them (RFC 6177).
    V6([u8; 8]),
}

impl ClientAddress {
    /// Reads an address with or without its port, as Envoy writes it.
    pub fn parse(text: &str) -> Self {
        let address = text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse());
        match address.as_ref().map(IpAddr::to_canonical) {
            Ok(IpAddr::V4(address)) => Self::V4(address.octets()),
            Ok(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
            Err(_) => Self::Unknown,
        }
    }
}

/// A hash function by the name that the host's signature check takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashFunction {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

/// The machine, as far as the core needs it.
pub trait Platform {
    /// Fills `bytes` from a cryptographically secure source.
    ///
    /// # Errors
    /// [`NoRandomness`] when there is none; the caller must then refuse.
    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;

    /// The host's own check of an RSA PKCS#1 v1.5 or ECDSA signature: key as DER SubjectPublicKeyInfo, an ECDSA
    /// signature as a DER sequence. `None` where the host offers no such call.
    fn verify_signature(&self, hash: HashFunction, spki: &[u8], signature: &[u8], text: &[u8]) -> Option<bool>;

    /// These bytes, made shorter, if the machine can: in the format of zlib (RFC 1950).
    fn compress(&self, bytes: &[u8]) -> Option<Vec<u8>>;

    /// What [`Self::compress`] made shorter. Only what we have sealed ourselves may come here: the host makes it as long as it
    /// says that it is.
    fn decompress(&self, bytes: &[u8]) -> Option<Vec<u8>>;

    /// Reads a value that all workers of this process share.
    fn shared_get(&self, key: &str) -> SharedValue;

    /// Writes such a value, provided that it is still at `version` (`None`: whatever it is).
    ///
    /// # Errors
    /// [`Conflict`] when somebody else wrote meanwhile.
    fn shared_set(&self, key: &str, bytes: &[u8], version: Option<u32>) -> Result<(), Conflict>;

    /// The name of the route that the present request is on, where the host tells it.
    fn route_name(&self) -> Option<String> {
        None
    }

    /// The address of the client that sent the present request, as the host has it.
    fn client_address(&self) -> ClientAddress {
        ClientAddress::Unknown
    }

    /// Makes sure that there is such a value: a compare-and-swap on a key that was never written always succeeds, for
    /// everybody.
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
            assert_eq!(ClientAddress::parse(text), expected, "{text}");
        }
    }
}
