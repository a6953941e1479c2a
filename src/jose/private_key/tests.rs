use serde_json::json;

use super::*;
use PrivateKeyError::{Encrypted, Format, Kind, NoKey, Public};

fn keys(file: &'static str) -> Vec<String> {
    file.split("-----BEGIN ").skip(1).map(|rest| format!("-----BEGIN {rest}")).collect()
}

fn kind(text: &str) -> Result<&'static str, PrivateKeyError> {
    PrivateKey::read(text).map(|(key, _)| key.algorithms().1)
}

fn error(text: &str) -> PrivateKeyError {
    kind(text).unwrap_err()
}

const EXPECTED: [&str; 5] = ["RS256, RS384 or RS512", "ES256", "ES384", "ES512", "EdDSA"];

fn jwks() -> Vec<Value> {
    serde_json::from_str(include_str!("../testdata/private_keys.json")).unwrap()
}

#[test]
fn a_key_is_read_in_pem_with_line_breaks_or_their_escapes_and_as_a_jwk() {
    let pems = keys(include_str!("../testdata/private_keys.pem"));
    let pems: Vec<_> = pems.into_iter().filter(|pem| pem.contains("PRIVATE")).collect();
    for ((pem, jwk), expected) in pems.iter().zip(jwks()).zip(EXPECTED) {
        assert_eq!(kind(pem).as_ref(), Ok(&expected));
        assert_eq!(kind(&pem.trim().replace('\n', "\\n")).as_ref(), Ok(&expected));
        let among_others =
            format!("Bag Attributes\n{pem}\n-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n");
        assert_eq!(kind(&among_others).as_ref(), Ok(&expected));
        assert_eq!(kind(&jwk.to_string()).as_ref(), Ok(&expected));
    }
}

#[test]
fn a_jwk_makes_the_same_key_as_pem() {
    let pems = keys(include_str!("../testdata/private_keys.pem"));
    let rsa = pems.iter().find(|pem| pem.contains("PRIVATE")).unwrap();
    let pkcs8 = |text: &str| match PrivateKey::read(text).unwrap().0 {
        PrivateKey::Rsa(pkcs8) => pkcs8,
        _ => panic!("{text}"),
    };
    assert_eq!(*pkcs8(rsa), *pkcs8(&jwks()[0].to_string()));
}

#[test]
fn an_unusable_private_key_is_refused_with_its_reason() {
    let others = keys(include_str!("../testdata/other_private_keys.pem"));
    let errors: Vec<_> = others.iter().map(|text| error(text)).collect();
    // PKCS #1, SEC 1, a passphrase, a public key, secp256k1, RSA of 1024 bits, X25519, and a key for RSASSA-PSS alone.
    assert_eq!(errors, [Format, Format, Encrypted, Public, Kind, Kind, Kind, Kind]);
    let mut public = jwks()[1].clone();
    public.as_object_mut().unwrap().remove("d");
    assert_eq!(error(&public.to_string()), Public);
    assert_eq!(error(&json!({ "keys": jwks() }).to_string()), NoKey);
    assert_eq!(error("-----BEGIN OPENSSH PRIVATE KEY-----\nAA\n-----END OPENSSH PRIVATE KEY-----"), Format);
    for text in ["", "secret", "-----BEGIN PRIVATE KEY-----", "{", "{}x"] {
        assert_eq!(error(text), NoKey, "{text}");
    }
}

#[test]
fn a_private_jwk_may_declare_its_use_for_signatures() {
    for (name, value) in [("use", json!("sig")), ("key_ops", json!(["verify", "sign"])), ("alg", json!("RS512"))] {
        let mut jwk = jwks()[0].clone();
        jwk[name] = value;
        assert_eq!(kind(&jwk.to_string()), Ok(EXPECTED[0]), "{name}");
    }
}

#[test]
fn a_key_that_lacks_a_part_is_refused() {
    let [rsa, ec, ..] = &jwks()[..] else { panic!() };
    for name in ["n", "e", "p", "q", "dp", "dq", "qi"] {
        let mut cut = rsa.clone();
        cut.as_object_mut().unwrap().remove(name);
        assert_eq!(error(&cut.to_string()), Kind, "{name}");
    }
    let order = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Curve::P256.order());
    for d in ["AA", &order] {
        let mut other = ec.clone();
        other["d"] = json!(d);
        assert_eq!(error(&other.to_string()), Kind, "{d}");
    }
    let pems = keys(include_str!("../testdata/private_keys.pem"));
    for pem in pems.iter().filter(|pem| pem.contains("PRIVATE")) {
        let body = pem.trim().strip_prefix(BEGIN).unwrap().strip_suffix(END).unwrap().replace('\n', "");
        let der = STANDARD.decode(body).unwrap();
        for length in 0..der.len() {
            let cut = format!("{BEGIN}\n{}\n{END}", STANDARD.encode(&der[..length]));
            assert!(kind(&cut).is_err(), "{length}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_private_key_bytes_do_not_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = kind(&format!("{BEGIN}{}{END}", STANDARD.encode(&bytes)));
        let _ = kind(&String::from_utf8_lossy(&bytes));
    }
}
