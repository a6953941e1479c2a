use super::*;
use crate::{
    oidc::{
        testing::{TestPlatform, metadata, relying_party},
        token::refresh_grant,
        userinfo,
    },
    secret::RefreshToken,
    time::UnixTime,
};

fn jwks() -> Vec<Value> {
    serde_json::from_str(include_str!("../../jose/testdata/private_keys.json")).unwrap()
}

fn key(jwk: &Value) -> ProofKey {
    ProofKey::new(SigningKey::read(&jwk.to_string(), None, Some("a kid".to_owned())).unwrap()).unwrap()
}

/// Header and claims of the proof of this call; the flow's tests check its signature.
fn proof(request: &CalloutRequest) -> [Value; 2] {
    let proofs: Vec<_> = request.headers.iter().filter(|(name, _)| *name == DPOP).collect();
    let [(_, proof)] = proofs[..] else { panic!("{proofs:?}") };
    let mut parts = proof.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}

#[test]
fn a_key_has_the_thumbprint_of_its_required_members() {
    // RFC 8037, A.3.
    let okp = json!({
        "kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    assert_eq!(key(&okp).thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    for jwk in jwks() {
        let key = key(&jwk);
        let members: Vec<_> = key.jwk.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = match jwk["kty"].as_str().unwrap() {
            "EC" => vec!["crv", "kty", "x", "y"],
            "OKP" => vec!["crv", "kty", "x"],
            _ => vec!["e", "kty", "n"],
        };
        assert_eq!(members, expected);
        assert!(expected.iter().all(|name| key.jwk[name] == jwk[name]), "{}", key.jwk);
    }
}

#[test]
fn a_dpop_key_in_pem_has_the_same_public_key_as_its_jwk() {
    let pems = include_str!("../../jose/testdata/private_keys.pem").split("-----BEGIN ").skip(1);
    let pems = pems.map(|rest| format!("-----BEGIN {rest}")).filter(|pem| pem.contains("PRIVATE"));
    for (pem, jwk) in pems.zip(jwks()) {
        let of_pem = ProofKey::new(SigningKey::read(&pem, None, None).unwrap()).unwrap();
        assert_eq!(of_pem.jwk, key(&jwk).jwk);
    }
}

#[test]
fn an_ec_dpop_key_without_a_valid_public_key_is_refused() {
    for missing in ["x", "y"] {
        let mut jwk = jwks()[1].clone();
        jwk.as_object_mut().unwrap().shift_remove(missing);
        let key = SigningKey::read(&jwk.to_string(), None, None).unwrap();
        assert!(ProofKey::new(key).is_none(), "{missing}");
    }
    let mut jwk = jwks()[1].clone();
    jwk["x"] = jwk["y"].clone();
    let key = SigningKey::read(&jwk.to_string(), None, None).unwrap();
    assert!(ProofKey::new(key).is_none(), "no point of the curve");
}

#[test]
fn a_proof_names_call_time_and_token() {
    let mut relying_party = relying_party();
    relying_party.proof_key = Some(key(&jwks()[1]).into());
    let platform = TestPlatform::default();
    let context = CallContext::new(UnixTime::from_secs(7), &platform);
    let metadata = metadata();
    let refresh = |context| refresh_grant(&relying_party, &metadata, &RefreshToken::new("r"), context).unwrap();

    let [header, claims] = proof(&refresh(context));
    assert_eq!(
        header,
        json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": relying_party.proof_key.as_ref().unwrap().jwk })
    );
    let jti = claims["jti"].clone();
    assert_eq!(jti.as_str().unwrap().len(), 22);
    assert_eq!(claims, json!({ "htm": "POST", "htu": "https://idp.example.com/token", "iat": 7, "jti": jti }));

    let [_, claims] = proof(&refresh(CallContext { proof_nonce: Some("n-1"), ..context }));
    assert_eq!(claims["nonce"], "n-1");
    assert_ne!(claims["jti"], jti);

    // RFC 9449, 4.2: `htu` has no query. `ath` is the hash of the token (7).
    let endpoint = metadata.token_endpoint.with_parameter("fields", "all");
    let token = AccessToken::new("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
    let request = userinfo::request(&relying_party, &endpoint, &token, context).unwrap();
    let [_, claims] = proof(&request);
    assert_eq!((&claims["htm"], &claims["htu"]), (&json!("GET"), &json!("https://idp.example.com/token")));
    assert_eq!(claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    assert!(request.headers.contains(&("authorization", format!("DPoP {}", token.expose()))));
}

#[test]
fn a_dpop_nonce_that_is_long_or_not_printable_ascii_is_ignored() {
    let given = |nonce: &str| {
        let response = CalloutResponse { dpop_nonce: Some(nonce.to_owned()), ..CalloutResponse::new(200, Vec::new()) };
        nonce_of(Ok(response))
    };
    for good in ["eyJ7S_zG.eyJH0-Z.HX4w-7v", "!", "~", &"x".repeat(256)] {
        assert_eq!(given(good).as_deref(), Some(good));
    }
    for odd in ["", "a b", "a\"b", "a\\b", "a\u{7f}", "\u{e4}", "a\r\nb: c", &"x".repeat(257)] {
        assert_eq!(given(odd), None, "{odd:?}");
    }
    assert_eq!(nonce_of(Ok(CalloutResponse::new(200, Vec::new()))), None);
    assert_eq!(nonce_of(Err(CalloutError::NoResponse)), None);
}

fn nonce_of(response: Result<CalloutResponse, CalloutError>) -> Option<String> {
    nonce(&response).map(str::to_owned)
}

#[test]
fn only_use_dpop_nonce_causes_a_retry() {
    let wants =
        |server, status, body: &str| wants_nonce(server, &Ok(CalloutResponse::new(status, body.as_bytes().to_vec())));
    let (authorization, resource) = (ProofServer::Authorization, ProofServer::Resource);
    assert!(wants(authorization, 400, r#"{"error":"use_dpop_nonce"}"#));
    for (status, body) in [
        (400, r#"{"error":"invalid_grant"}"#),
        (400, r#"{"error":"invalid_dpop_proof"}"#),
        (401, r#"{"error":"invalid_client"}"#),
        (500, r#"{"error":"use_dpop_nonce"}"#),
        (200, r#"{"access_token":"a","token_type":"DPoP"}"#),
        (400, ""),
    ] {
        assert!(!wants(authorization, status, body), "{status} {body}");
    }
    // A question may be asked again.
    assert!(wants(resource, 401, ""));
    assert!(!wants(resource, 200, "") && !wants(resource, 403, "") && !wants(resource, 400, ""));
    for server in [authorization, resource] {
        assert!(!wants_nonce(server, &Err(CalloutError::NoResponse)));
    }
}
