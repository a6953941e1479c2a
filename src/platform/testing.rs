//! The platform of the tests, in memory: seeded randomness, a shared store, zlib, and Envoy's signature check.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::IpAddr,
    rc::Rc,
};

use p256::{
    ecdsa::signature::{Signer, hazmat::PrehashVerifier},
    pkcs8::{DecodePrivateKey as _, DecodePublicKey as _},
};
use rsa::{
    pkcs8::{DecodePrivateKey as _, DecodePublicKey as _},
    sha2::{Digest, Sha256, Sha384, Sha512},
};

use super::{Conflict, HashFunction, NoRandomness, Platform, SharedValue, SignError};
use crate::{http::Request, time::UnixTime};

type Decide = fn(&[u8]) -> bool;
type Versioned = (Vec<u8>, u32);

/// Clones share everything, as the workers of one process share the store.
#[derive(Clone, Default)]
pub(crate) struct TestPlatform {
    counter: Rc<Cell<u64>>,
    shared: Rc<RefCell<BTreeMap<String, Versioned>>>,
    versions: Rc<Cell<u32>>,
    /// The time, for decisions that no test has set one for.
    pub(crate) time: Rc<Cell<UnixTime>>,
    /// The current request, while it is decided at once.
    pub(crate) request: Rc<RefCell<Request>>,
    /// The last byte of the client's address.
    pub(crate) client: Rc<Cell<u8>>,
    /// Decides on signatures in place of the check, for keys without a known private key.
    pub(crate) decides: Rc<Cell<Option<Decide>>>,
    /// The number of signatures that were checked.
    pub(crate) trials: Rc<Cell<usize>>,
    pub(crate) without_randomness: Rc<Cell<bool>>,
    /// The host offers no signature check.
    pub(crate) without_signatures: Rc<Cell<bool>>,
    pub(crate) without_zlib: Rc<Cell<bool>>,
}

thread_local! {
    static PROCESSES: Cell<u64> = const { Cell::new(0) };
}

impl TestPlatform {
    /// A platform with randomness of its own.
    pub(crate) fn of_a_process() -> Self {
        let number = PROCESSES.replace(PROCESSES.get() + 1);
        Self { counter: Rc::new(Cell::new(number << 32)), ..Self::default() }
    }
}

impl Platform for TestPlatform {
    fn now(&self) -> UnixTime {
        self.time.get()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        if self.without_randomness.get() {
            return Err(NoRandomness);
        }
        for chunk in bytes.chunks_mut(32) {
            self.counter.set(self.counter.get() + 1);
            let block = Sha256::digest(self.counter.get().to_le_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }

    fn verify_signature(&self, hash: HashFunction, spki: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
        self.trials.set(self.trials.get() + 1);
        if self.without_signatures.get() {
            return None;
        }
        Some(match self.decides.get() {
            Some(decides) => decides(signature),
            None => is_signed(hash, spki, signature, text),
        })
    }

    fn sign(&self, hash: HashFunction, pkcs8: &[u8], text: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.without_signatures.get() {
            return Err(SignError::NotOffered);
        }
        sign(hash, pkcs8, text).ok_or(SignError::Refused)
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        self.request.borrow().lines(name).next().map(<[u8]>::to_vec)
    }

    fn client_address(&self) -> Option<IpAddr> {
        Some([192, 0, 2, self.client.get()].into())
    }

    fn compress(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        (!self.without_zlib.get()).then(|| miniz_oxide::deflate::compress_to_vec_zlib(bytes, 6))
    }

    fn decompress(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        miniz_oxide::inflate::decompress_to_vec_zlib(bytes).ok()
    }

    fn shared_get(&self, key: &str) -> SharedValue {
        self.shared.borrow().get(key).map_or(SharedValue { bytes: Vec::new(), version: None }, |(bytes, version)| {
            SharedValue { bytes: bytes.clone(), version: Some(*version) }
        })
    }

    fn shared_set(&self, key: &str, bytes: &[u8], version: Option<u32>) -> Result<(), Conflict> {
        let mut shared = self.shared.borrow_mut();
        if let (Some(expected), Some((_, current))) = (version, shared.get(key))
            && expected != *current
        {
            return Err(Conflict);
        }
        self.versions.set(self.versions.get() + 1);
        shared.insert(key.to_owned(), (bytes.to_vec(), self.versions.get()));
        Ok(())
    }
}

/// `None` where the key is not one of this curve.
macro_rules! ecdsa {
    ($curve:ident, $spki:expr, $digest:expr, $signature:expr) => {
        $curve::PublicKey::from_public_key_der($spki).ok().map(|key| {
            let key = $curve::ecdsa::VerifyingKey::from_affine(*key.as_affine()).unwrap();
            let signature = $curve::ecdsa::Signature::from_der($signature);
            signature.is_ok_and(|signature| key.verify_prehash($digest, &signature).is_ok())
        })
    };
}

/// Envoy's `verify_signature`: RSASSA-PKCS1-v1_5 or ECDSA with a DER signature, as the key in SubjectPublicKeyInfo says. A
/// key that is no point of its curve has signed nothing.
fn is_signed(hash: HashFunction, spki: &[u8], signature: &[u8], text: &[u8]) -> bool {
    let digest = digest(hash, text);
    let rsa = |key: rsa::PublicKey| match hash {
        HashFunction::Sha256 => key.pkcs1v15_verify_prehash::<Sha256>(&digest, signature),
        HashFunction::Sha384 => key.pkcs1v15_verify_prehash::<Sha384>(&digest, signature),
        HashFunction::Sha512 => key.pkcs1v15_verify_prehash::<Sha512>(&digest, signature),
    };
    ecdsa!(p256, spki, &digest, signature)
        .or_else(|| ecdsa!(p384, spki, &digest, signature))
        .or_else(|| ecdsa!(p521, spki, &digest, signature))
        .or_else(|| rsa::PublicKey::from_public_key_der(spki).ok().map(|key| rsa(key).is_ok()))
        .unwrap_or(false)
}

/// Envoy's `sign`, with a key in PKCS #8.
fn sign(hash: HashFunction, pkcs8: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    macro_rules! ecdsa {
        ($curve:ident) => {
            $curve::SecretKey::from_pkcs8_der(pkcs8).ok().map(|key| {
                let key = $curve::ecdsa::SigningKey::from_slice(&key.to_bytes()).unwrap();
                let signature: $curve::ecdsa::Signature = key.sign(text);
                signature.to_der().as_bytes().to_vec()
            })
        };
    }
    ecdsa!(p256).or_else(|| ecdsa!(p384)).or_else(|| ecdsa!(p521)).or_else(|| {
        let key = rsa::PrivateKey::from_pkcs8_der(pkcs8).ok()?;
        let digest = digest(hash, text);
        match hash {
            HashFunction::Sha256 => key.pkcs1v15_sign_prehash::<Sha256>(&digest),
            HashFunction::Sha384 => key.pkcs1v15_sign_prehash::<Sha384>(&digest),
            HashFunction::Sha512 => key.pkcs1v15_sign_prehash::<Sha512>(&digest),
        }
        .ok()
    })
}

fn digest(hash: HashFunction, text: &[u8]) -> Vec<u8> {
    match hash {
        HashFunction::Sha256 => Sha256::digest(text).to_vec(),
        HashFunction::Sha384 => Sha384::digest(text).to_vec(),
        HashFunction::Sha512 => Sha512::digest(text).to_vec(),
    }
}
