use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use serde_json::json;

use super::*;

fn read(key: &Value) -> Result<PublicKey, KeyError> {
    Jwk::read(key).map(|jwk| jwk.key)
}

fn spki(key: &Value) -> Result<Vec<u8>, KeyError> {
    read(key).map(|key| match key {
        PublicKey::Ec(key) => key.spki().to_vec(),
        PublicKey::Rsa(key) => key.spki().to_vec(),
        PublicKey::Ed25519(key) => key.to_bytes().to_vec(),
    })
}

/// The point of a small scalar.
fn point(crv: &str, scalar: u16) -> [Vec<u8>; 2] {
    macro_rules! point {
        ($crate_name:ident, $length:literal) => {{
            let mut bytes = [0; $length];
            bytes[$length - 2..].copy_from_slice(&scalar.to_be_bytes());
            let point = $crate_name::SecretKey::from_slice(&bytes).unwrap().public_key().to_encoded_point(false);
            [point.x().unwrap().to_vec(), point.y().unwrap().to_vec()]
        }};
    }
    match crv {
        "P-256" => point!(p256, 32),
        "P-384" => point!(p384, 48),
        _ => point!(p521, 66),
    }
}

fn ec(crv: &str, x: &[u8], y: &[u8]) -> Value {
    json!({ "kty": "EC", "crv": crv, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) })
}

#[test]
fn leading_zeros_of_a_coordinate_are_optional() {
    // Scalars whose point has a leading zero in x, and in y.
    for (crv, in_x, in_y) in [("P-256", 379, 43), ("P-384", 197, 176), ("P-521", 1, 2)] {
        for (scalar, place) in [(in_x, 0), (in_y, 1)] {
            let full = point(crv, scalar);
            assert_eq!(full[place][0], 0, "{crv} {scalar}");
            let expected = spki(&ec(crv, &full[0], &full[1])).unwrap();
            let mut short = full.clone();
            short[place].remove(0);
            assert_eq!(spki(&ec(crv, &short[0], &short[1])).as_ref(), Ok(&expected), "{crv} {scalar}");
            for zeros in [1, 2, 40] {
                let mut long = full.clone();
                long[place].splice(0..0, vec![0; zeros]);
                assert_eq!(spki(&ec(crv, &long[0], &long[1])).as_ref(), Ok(&expected), "{crv} {scalar} {zeros}");
            }
        }
    }
}

#[test]
fn a_coordinate_of_the_wrong_length_is_malformed() {
    for crv in ["P-256", "P-384", "P-521"] {
        let [x, y] = point(crv, 5);
        let mut large = y.clone();
        large.insert(0, 1);
        let mut cut = x.clone();
        cut.pop();
        for (x, y, expected) in [
            (&x, &large, KeyError::Malformed("y")),
            (&large, &y, KeyError::Malformed("x")),
            (&Vec::new(), &y, KeyError::Malformed("x")),
            (&vec![0; x.len()], &vec![0; x.len()], KeyError::Point),
            (&cut, &y, KeyError::Point),
            (&y, &x, KeyError::Point),
        ] {
            assert_eq!(read(&ec(crv, x, y)).unwrap_err(), expected, "{crv}");
        }
    }
}

#[test]
fn key_members_are_read_in_both_base64_alphabets() {
    // Bytes that both alphabets spell with their own signs.
    let modulus: Vec<u8> = [0xfb, 0xff].into_iter().cycle().take(256).collect();
    let rsa = |n: String, e: &str| json!({ "kty": "RSA", "n": n, "e": e });
    let expected = spki(&rsa(URL_SAFE_NO_PAD.encode(&modulus), "AQAB")).unwrap();
    let zeros = [vec![0; 3], modulus.clone()].concat();
    for (n, e) in [
        (URL_SAFE.encode(&modulus), "AQAB"),
        (STANDARD.encode(&modulus), "AQAB"),
        (URL_SAFE_NO_PAD.encode(&zeros), "AAEAAQ"),
        (STANDARD.encode(&zeros), "AAEAAQ=="),
    ] {
        assert_eq!(spki(&rsa(n, e)).as_ref(), Ok(&expected));
    }
    for odd in [" AQAB", "AQAB\n", "AQ AB", "AQAB====", "AR=", "A", "AQAB.", "ÄQAB"] {
        let key = rsa(URL_SAFE_NO_PAD.encode(&modulus), odd);
        assert_eq!(read(&key).unwrap_err(), KeyError::Malformed("e"), "{odd:?}");
    }
}

#[test]
fn an_omitted_key_has_a_reason() {
    let [x, y] = point("P-256", 5);
    let key = |change: &dyn Fn(&mut Value)| {
        let mut key = ec("P-256", &x, &y);
        change(&mut key);
        read(&key).err()
    };
    let set = |name: &str, value: Value| key(&|key| key[name] = value.clone());
    for (name, value, expected) in [
        ("kid", json!("a"), None),
        ("kid", json!(7), None),
        ("kid", json!(""), None),
        ("kid", Value::Null, None),
        ("kid", json!(1.5), Some(KeyError::Malformed("kid"))),
        ("kid", json!(["a"]), Some(KeyError::Malformed("kid"))),
        ("kid", json!("x".repeat(MAX_KID + 1)), Some(KeyError::KeyId)),
        ("use", json!("sig"), None),
        ("use", json!(""), None),
        ("use", json!("enc"), Some(KeyError::Use)),
        ("use", json!(["sig"]), Some(KeyError::Use)),
        ("key_ops", json!(["verify"]), None),
        ("key_ops", json!("verify"), None),
        ("key_ops", json!(["sign"]), Some(KeyError::Use)),
        ("key_ops", json!([]), Some(KeyError::Use)),
        ("alg", json!("ES256"), None),
        ("alg", json!(""), None),
        ("alg", json!("ES384"), Some(KeyError::Mismatch)),
        ("alg", json!("ES256K"), Some(KeyError::Algorithm)),
        ("alg", json!("none"), Some(KeyError::Algorithm)),
        ("alg", json!(256), Some(KeyError::Malformed("alg"))),
        ("kty", json!("ec"), Some(KeyError::Kind)),
        ("kty", json!(""), Some(KeyError::Malformed("kty"))),
        ("crv", json!("secp256k1"), Some(KeyError::Kind)),
        ("d", json!("AQ"), Some(KeyError::Private)),
        ("k", json!(1), Some(KeyError::Private)),
        ("d", Value::Null, None),
    ] {
        assert_eq!(set(name, value.clone()), expected, "{name} {value}");
    }
    assert_eq!(read(&json!([])).unwrap_err(), KeyError::NotAnObject);
    let small = json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB" });
    assert_eq!(read(&small).unwrap_err(), KeyError::Rsa);
}
