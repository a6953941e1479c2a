use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::json;

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
fn a_forger_does_not_choose_an_algorithm_that_the_keys_are_not_used_with() {
    for extra in [json!({}), json!({ "alg": "RS256" })] {
        let keys = keys(&extra);
        let flood = |header: &Value| verified(&keys, header, 0, Origin::Request(NOW)).unwrap_err();
        assert_eq!(verified(&keys, &json!({ "alg": "RS256" }), 1, Origin::Request(NOW)), Ok(Algorithm::Rs256));
        for number in 0..8 {
            let error = flood(&json!({ "alg": "RS256" }));
            assert_eq!(matches!(error, VerifyError::NamelessKey(_)), number < 4, "{number}: {error}");
            assert_eq!(error == VerifyError::Throttled, number >= 4, "{number}: {error}");
        }
        // Not one trial, with a name or without.
        for algorithm in [Algorithm::Ps256, Algorithm::Ps512, Algorithm::Rs512] {
            let candidates = keys.candidates(None, algorithm);
            assert!(keys.likely_signer(&candidates, algorithm).is_none(), "{algorithm:?}");
            let named = flood(&json!({ "alg": algorithm.name(), "kid": "key-2" }));
            assert!(matches!(named, VerifyError::Throttled | VerifyError::KeyMismatch(_)), "{named:?}");
        }
        // Good tokens pass: without a name by the key in use, by each with its name, and at the token endpoint.
        for origin in [Origin::Request(NOW), Origin::TokenEndpoint] {
            assert_eq!(verified(&keys, &json!({ "alg": "RS256" }), 1, origin), Ok(Algorithm::Rs256));
            for number in 0..4 {
                let header = json!({ "alg": "RS256", "kid": format!("key-{number}") });
                assert_eq!(verified(&keys, &header, 1, origin), Ok(Algorithm::Rs256));
            }
        }
        // Every key is tried on a token of the token endpoint, and a second later on others again.
        for origin in [Origin::TokenEndpoint, Origin::Request(NOW.plus(std::time::Duration::from_secs(1)))] {
            let wrong = verified(&keys, &json!({ "alg": "RS256" }), 0, origin);
            assert!(matches!(wrong, Err(VerifyError::NamelessKey(_))), "{wrong:?}");
        }
    }
}
