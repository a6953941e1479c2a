use super::*;
use crate::{
    jose::{
        jwks::Jwks,
        jws::UnverifiedJws,
        verify::{Origin, verify},
    },
    platform::testing::TestPlatform,
};

fn jwks() -> Vec<Value> {
    serde_json::from_str(include_str!("../testdata/private_keys.json")).unwrap()
}

/// The public halves.
fn public() -> Jwks {
    let mut keys = jwks();
    for key in &mut keys {
        let members = key.as_object_mut().unwrap();
        for name in ["d", "p", "q", "dp", "dq", "qi"] {
            members.remove(name);
        }
    }
    Jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

#[test]
fn a_signature_of_each_private_key_verifies_with_its_public_key() {
    let (platform, public) = (TestPlatform::default(), public());
    let mut algorithms = Vec::new();
    for jwk in jwks() {
        let (_, names) = PrivateKey::read(&jwk.to_string()).unwrap().0.algorithms();
        for name in names.split([',', ' ']).filter(|name| Algorithm::from_name(name).is_some()) {
            let key = SigningKey::read(&jwk.to_string(), Algorithm::from_name(name), None).unwrap();
            let token = key.sign("JWT", &json!({ "sub": "a client" }), &platform).unwrap();
            let token = UnverifiedJws::parse(&token).unwrap();
            assert_eq!(token.algorithm().name(), name);
            let verified = verify(&token, &public, &Algorithm::ALL, Origin::TokenEndpoint, &platform).unwrap();
            assert_eq!((verified.payload()["sub"].as_str(), verified.typ()), (Some("a client"), Some("JWT")));
            algorithms.push(name.to_owned());
        }
    }
    assert_eq!(algorithms, ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]);
}

#[test]
fn configured_kid_and_algorithm_override_those_of_the_jwk() {
    let mut jwk = jwks()[0].clone();
    jwk["kid"] = json!("of the jwk");
    jwk["alg"] = json!("RS384");
    let header = |algorithm, kid: Option<&str>| {
        let key = SigningKey::read(&jwk.to_string(), algorithm, kid.map(str::to_owned)).unwrap();
        let token = key.sign("JWT", &json!({}), &TestPlatform::default()).unwrap();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&header).unwrap()
    };
    assert_eq!(header(None, None), json!({ "alg": "RS384", "typ": "JWT", "kid": "of the jwk" }));
    assert_eq!(header(Some(Algorithm::Rs256), Some("given")), json!({ "alg": "RS256", "typ": "JWT", "kid": "given" }));
    for other in [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        let error = SigningKey::read(&jwk.to_string(), Some(other), None).unwrap_err();
        assert_eq!(error.to_string(), "an algorithm of this key: RS256, RS384 or RS512");
    }
}

#[test]
fn a_host_without_signatures_is_an_error_except_for_ed25519() {
    let platform = TestPlatform::default();
    platform.without_signatures.set(true);
    let jwks = jwks();
    let sign = |place: usize| {
        SigningKey::read(&jwks[place].to_string(), None, None).unwrap().sign("JWT", &json!({}), &platform)
    };
    assert_eq!(sign(0), Err(SignError::NotOffered));
    assert!(sign(4).is_ok());
}

#[test]
fn an_hs256_signature_equals_that_of_openssl() {
    let token = sign_with_secret("secret", &json!({ "sub": "1" }));
    let (text, signature) = token.rsplit_once('.').unwrap();
    // `printf TEXT | openssl dgst -sha256 -hmac secret`
    assert_eq!(text, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0");
    assert_eq!(signature, "8qZF8vbN3UpcanXFc-mPXJkOPN01-bRch8XX3rToP1U");
}

#[test]
fn a_key_does_not_print() {
    let key = SigningKey::read(&jwks()[4].to_string(), None, Some("k".to_owned())).unwrap();
    assert_eq!(format!("{key:?}"), r#"SigningKey { algorithm: EdDsa, kid: Some("k"), .. }"#);
}
