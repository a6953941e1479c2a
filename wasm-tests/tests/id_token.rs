//! ID tokens of every kind that must not make a session, and those that must.

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::{CLIENT_ID, Fault, IdToken, Signing, Spoil},
    keys::{Algorithm, base64url, from_base64url},
    world::{SESSION_COOKIE, World, assert_page, assert_signed_in},
};

fn world() -> World {
    World::with(|document| {
        document["providers"][0]["id_token_signing_algs"] =
            json!(["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"]);
    })
}

/// A sign-in whose ID token is spoilt in this way.
fn sign_in(world: &World, spoil: Spoil) -> Response {
    world.issuer.misbehave(Fault::IdToken(spoil));
    let browser = world.browser();
    let response = browser.get(&world.callback_url(&browser, "/page"));
    world.issuer.behave();
    if response.status != 303 {
        assert!(!browser.cookie_names(&world.url("/")).contains(&SESSION_COOKIE.to_owned()));
    }
    response
}

fn assert_refused(cases: &[(&str, Spoil)]) {
    let world = world();
    for (what, spoil) in cases {
        let response = sign_in(&world, *spoil);
        assert_page(&response, &[400, 502], what);
        // It is the ID token that was found bad, and nothing on the way to it.
        let code = response.code().unwrap_or_default();
        assert!(code.starts_with("id_token") || *what == "empty", "{what}: {code}");
    }
    world.upstream.assert_saw_nothing();
    // The worker and the keys are as good as before.
    world.signed_in();
}

fn header(token: &mut IdToken, name: &str, value: Value) {
    token.header.insert(name.to_owned(), value);
}

#[test]
fn id_tokens_with_invalid_claims_are_refused() {
    assert_refused(&[
        ("iss: another", |token| token.set("iss", "http://other.example")),
        ("iss: a slash at the end", |token| token.set("iss", format!("{}/", token.text("iss")))),
        ("iss: upper case", |token| token.set("iss", token.text("iss").to_uppercase())),
        ("iss: an array", |token| token.set("iss", json!([token.text("iss")]))),
        ("iss: missing", |token| token.remove("iss")),
        ("aud: another", |token| token.set("aud", format!("{CLIENT_ID}1"))),
        ("aud: missing", |token| token.remove("aud")),
        ("aud: null", |token| token.set("aud", Value::Null)),
        ("aud: a number", |token| token.set("aud", 1)),
        ("aud: empty array", |token| token.set("aud", json!([]))),
        ("aud: others", |token| token.set("aud", json!(["other"]))),
        ("aud: us and others", |token| {
            token.set("aud", json!([CLIENT_ID, "other"]));
            token.set("azp", CLIENT_ID);
        }),
        ("aud: nested", |token| token.set("aud", json!([[CLIENT_ID]]))),
        ("azp: another", |token| token.set("azp", "other")),
        ("azp: a number", |token| token.set("azp", 1)),
        ("sub: missing", |token| token.remove("sub")),
        ("sub: empty", |token| token.set("sub", "")),
        ("sub: a number", |token| token.set("sub", 1)),
        ("sub: null", |token| token.set("sub", Value::Null)),
        ("sub: an object", |token| token.set("sub", json!({"a": 1}))),
        ("sub: 10 KiB", |token| token.set("sub", "a".repeat(10 * 1024))),
        ("sub: control characters", |token| token.set("sub", "a\r\nx-evil: 1")),
        ("nonce: missing", |token| token.remove("nonce")),
        ("nonce: another", |token| token.set("nonce", format!("{}1", token.text("nonce")))),
        ("nonce: empty", |token| token.set("nonce", "")),
        ("nonce: an array", |token| token.set("nonce", json!([token.text("nonce")]))),
        ("nonce: a number", |token| token.set("nonce", 1)),
        ("nonce: in another case", |token| {
            let nonce = token.text("nonce");
            let other: String = nonce
                .chars()
                .map(|letter| {
                    if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
                })
                .collect();
            token.set("nonce", other);
        }),
        ("iat: missing", |token| token.remove("iat")),
        ("iat: text", |token| token.set("iat", token.issued_at().to_string())),
        ("iat: in an hour", |token| token.set("iat", token.issued_at() + 3600)),
        ("exp: missing", |token| token.remove("exp")),
        ("exp: an hour ago", |token| token.set("exp", token.issued_at() - 3600)),
        ("exp: text", |token| token.set("exp", "9999999999")),
        ("exp: null", |token| token.set("exp", Value::Null)),
        ("exp: true", |token| token.set("exp", true)),
        ("exp: an array", |token| token.set("exp", json!([9_999_999_999_u64]))),
        ("exp: negative", |token| token.set("exp", -1)),
        ("exp: milliseconds ago", |token| token.set("exp", 1)),
        ("nbf: in an hour", |token| token.set("nbf", token.issued_at() + 3600)),
        ("nbf: text", |token| token.set("nbf", "0")),
        ("at_hash: another", |token| token.set("at_hash", base64url(&[7; 16]))),
        ("at_hash: a number", |token| token.set("at_hash", 1)),
        ("at_hash: empty", |token| token.set("at_hash", "")),
        ("typ: an access token", |token| header(token, "typ", json!("at+jwt"))),
        ("typ: an access token, in full", |token| header(token, "typ", json!("application/at+jwt"))),
        ("typ: a logout token", |token| header(token, "typ", json!("logout+jwt"))),
    ]);
}

#[test]
fn id_tokens_with_invalid_signatures_are_refused() {
    assert_refused(&[
        ("another key under the known kid", |token| token.signing = Signing::Unpublished),
        ("unsigned", |token| token.signing = Signing::None),
        ("unsigned, alg None", |token| {
            token.signing = Signing::None;
            header(token, "alg", json!("None"))
        }),
        ("unsigned, alg nOnE", |token| {
            token.signing = Signing::None;
            header(token, "alg", json!("nOnE"))
        }),
        ("unsigned, alg empty", |token| {
            token.signing = Signing::None;
            header(token, "alg", json!(""))
        }),
        ("unsigned, alg null", |token| {
            token.signing = Signing::None;
            header(token, "alg", Value::Null)
        }),
        ("unsigned, alg RS256", |token| {
            token.signing = Signing::None;
            header(token, "alg", json!("RS256"))
        }),
        ("unsigned, no alg", |token| {
            token.signing = Signing::None;
            token.raw_header = Some("{}".into())
        }),
        ("HS256 with the key as PEM", |token| token.signing = Signing::Hmac(token.public.pem.clone().into())),
        ("HS256 with the key as PEM, trimmed", |token| token.signing = Signing::Hmac(token.public.pem.trim().into())),
        ("HS256 with the key as DER", |token| token.signing = Signing::Hmac(token.public.spki.clone())),
        ("HS256 with the key as PKCS#1", |token| token.signing = Signing::Hmac(token.public.pkcs1.clone())),
        ("HS256 with the key as JWK", |token| token.signing = Signing::Hmac(token.public.jwk.clone().into())),
        ("HS256 with nothing", |token| token.signing = Signing::Hmac(Vec::new())),
        ("HS256 with the client secret", |token| {
            token.signing = Signing::Hmac(wasm_tests::issuer::CLIENT_SECRET.into())
        }),
        ("HS256 called RS256", |token| {
            token.signing = Signing::Hmac(token.public.pem.clone().into());
            header(token, "alg", json!("RS256"));
        }),
        ("alg with a space", |token| header(token, "alg", json!(" RS256"))),
        ("alg in lower case", |token| header(token, "alg", json!("rs256"))),
        ("alg with NUL", |token| header(token, "alg", json!("RS256\0"))),
        ("alg as an array", |token| header(token, "alg", json!(["RS256"]))),
        ("alg as a number", |token| header(token, "alg", json!(256))),
        ("an algorithm that is not allowed", |token| token.signing = Signing::Published(Algorithm::Rs512)),
        ("an unknown algorithm", |token| header(token, "alg", json!("ES256K"))),
        ("PS256 called RS256", |token| {
            token.signing = Signing::Published(Algorithm::Ps256);
            header(token, "alg", json!("RS256"));
        }),
        ("ES256 called ES384", |token| {
            token.signing = Signing::Published(Algorithm::Es256);
            header(token, "alg", json!("ES384"));
        }),
        ("the kid of a key of another kind", |token| header(token, "kid", json!("p256"))),
        ("kid: a number", |token| header(token, "kid", json!(1))),
        ("kid: an object", |token| header(token, "kid", json!({}))),
        ("crit", |token| {
            header(token, "crit", json!(["b64"]));
            header(token, "b64", json!(false))
        }),
        ("the attacker's key in the header", |token| {
            token.signing = Signing::Unpublished;
            header(token, "jwk", wasm_tests::keys::SigningKey::rsa(wasm_tests::keys::Rsa::Second).jwk());
        }),
        ("the attacker's key by URL", |token| {
            token.signing = Signing::Unpublished;
            let url = format!("{}/evil", token.text("iss"));
            header(token, "jku", json!(url));
            header(token, "x5u", json!(url));
        }),
        ("claims changed after signing", |token| {
            token.finish = |compact| {
                let parts: Vec<&str> = compact.split('.').collect();
                let claims = String::from_utf8(from_base64url(parts[1])).expect("JSON").replace("alice", "malic");
                format!("{}.{}.{}", parts[0], base64url(claims.as_bytes()), parts[2])
            }
        }),
        ("a signature cut short", |token| token.finish = |compact| compact[..compact.len() - 4].to_owned()),
        ("a signature made longer", |token| token.finish = |compact| format!("{compact}AAAA")),
    ]);
}

#[test]
fn malformed_id_tokens_are_refused() {
    assert_refused(&[
        ("empty", |token| token.finish = |_| String::new()),
        ("one dot", |token| token.finish = |compact| compact.rsplit_once('.').expect("dots").0.to_owned()),
        ("no dot", |token| token.finish = |compact| compact.replace('.', "")),
        ("three dots", |token| token.finish = |compact| format!("{compact}.AAAA")),
        ("encrypted", |token| token.finish = |compact| format!("{compact}.AAAA.AAAA")),
        ("many dots", |token| token.finish = |_| ".".repeat(100_000)),
        ("dots only", |token| token.finish = |_| "..".to_owned()),
        ("padding", |token| token.finish = |compact| format!("{compact}=")),
        ("a space", |token| token.finish = |compact| format!(" {compact}")),
        ("a line end", |token| token.finish = |compact| format!("{compact}\n")),
        ("another alphabet", |token| token.finish = |compact| compact.replace(['-', '_'], "+")),
        ("JSON serialisation", |token| {
            token.finish = |compact| {
                let parts: Vec<&str> = compact.split('.').collect();
                json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string()
            }
        }),
        ("detached", |token| {
            token.finish = |compact| {
                let parts: Vec<&str> = compact.split('.').collect();
                format!("{}..{}", parts[0], parts[2])
            }
        }),
        ("claims: an array", |token| token.raw_claims = Some("[]".into())),
        ("claims: null", |token| token.raw_claims = Some("null".into())),
        ("claims: text", |token| token.raw_claims = Some("\"x\"".into())),
        ("claims: a number", |token| token.raw_claims = Some("1".into())),
        ("claims: nothing", |token| token.raw_claims = Some(String::new())),
        ("claims: an empty object", |token| token.raw_claims = Some("{}".into())),
        ("claims: cut", |token| {
            token.raw_claims = Some(token.with_members("\"x\":1").trim_end_matches('}').to_owned())
        }),
        ("claims: something after", |token| token.raw_claims = Some(token.with_members("\"x\":1") + "{}")),
        ("claims: a byte order mark", |token| {
            token.raw_claims = Some(format!("\u{feff}{}", token.with_members("\"x\":1")))
        }),
        ("claims: nested deeply", |token| {
            let deep = format!("\"x\":{}{}", "[".repeat(50_000), "]".repeat(50_000));
            token.raw_claims = Some(token.with_members(&deep));
        }),
        ("claims: 100 KiB", |token| token.set("junk", "x".repeat(100 * 1024))),
        ("claims: two subjects", |token| token.raw_claims = Some(token.with_members(r#""sub":"mallory""#))),
        ("claims: two audiences", |token| token.raw_claims = Some(token.with_members(r#""aud":"other""#))),
        ("claims: two nonces", |token| token.raw_claims = Some(token.with_members(r#""nonce":"x""#))),
        ("claims: two subjects, one escaped", |token| {
            token.raw_claims = Some(token.with_members(r#""s\u0075b":"mallory""#));
        }),
        ("claims: a lone surrogate", |token| token.raw_claims = Some(token.with_members(r#""name2":"\ud800""#))),
        ("claims: not a number", |token| token.raw_claims = Some(token.with_members(r#""x":NaN"#))),
        ("header: an array", |token| token.raw_header = Some("[]".into())),
        ("header: null", |token| token.raw_header = Some("null".into())),
        ("header: nothing", |token| token.raw_header = Some(String::new())),
        ("header: two algorithms", |token| {
            token.raw_header = Some(r#"{"alg":"none","kid":"rsa-first","alg":"RS256"}"#.into());
        }),
    ]);
}

#[test]
fn valid_id_tokens_of_every_kind_are_accepted() {
    let world = world();
    let cases: [(&str, Spoil); 17] = [
        ("RS256", |_| {}),
        ("one more member", |token| token.raw_claims = Some(token.with_members("\"x\":1"))),
        ("PS256", |token| token.signing = Signing::Published(Algorithm::Ps256)),
        ("ES256", |token| token.signing = Signing::Published(Algorithm::Es256)),
        ("ES384", |token| token.signing = Signing::Published(Algorithm::Es384)),
        ("ES512", |token| token.signing = Signing::Published(Algorithm::Es512)),
        ("EdDSA", |token| token.signing = Signing::Published(Algorithm::EdDsa)),
        ("no kid, one key that fits", |token| token.without_kid = true),
        ("no typ", |token| token.raw_header = Some(r#"{"alg":"RS256","kid":"rsa-first"}"#.into())),
        ("unknown members", |token| {
            header(token, "x", json!({"y": [1]}));
            token.set("x", json!({"y": [1]}))
        }),
        ("an array of one audience", |token| token.set("aud", json!([CLIENT_ID]))),
        ("azp", |token| token.set("azp", CLIENT_ID)),
        ("no at_hash", |token| token.remove("at_hash")),
        ("times with a fraction", |token| {
            token.set("exp", token.issued_at() as f64 + 3600.9);
            token.set("iat", token.issued_at() as f64 + 0.5);
        }),
        ("nbf in the past", |token| token.set("nbf", token.issued_at() - 10)),
        ("clocks a little apart", |token| token.set("iat", token.issued_at() + 10)),
        ("jwk, jku and x5c are ignored", |token| {
            header(token, "jwk", json!({"kty": "oct", "k": "AAAA"}));
            header(token, "jku", json!("http://evil.example/jwks"));
            header(token, "x5c", json!(["AAAA"]));
        }),
    ];
    for (what, spoil) in cases {
        let response = sign_in(&world, spoil);
        assert_eq!(response.status, 303, "{what}: {response:?}\n{}", world.log());
        assert_signed_in(&response, &world.url("/page"));
    }
    assert!(world.issuer.all_requests().iter().all(|request| request.path() != "/evil"));
}

#[test]
fn a_trusted_additional_audience_is_accepted_with_our_azp() {
    let world = World::with(|document| document["providers"][0]["trusted_audiences"] = json!(["other"]));
    let accepted: Spoil = |token| {
        token.set("aud", json!(["other", CLIENT_ID]));
        token.set("azp", CLIENT_ID)
    };
    assert_signed_in(&sign_in(&world, accepted), &world.url("/page"));
    let refused: [(&str, Spoil); 4] = [
        ("azp: another", |token| {
            token.set("aud", json!(["other", CLIENT_ID]));
            token.set("azp", "other")
        }),
        ("azp: missing", |token| token.set("aud", json!(["other", CLIENT_ID]))),
        ("one that is not trusted", |token| {
            token.set("aud", json!(["other", CLIENT_ID, "third"]));
            token.set("azp", CLIENT_ID);
        }),
        ("without us", |token| token.set("aud", json!(["other"]))),
    ];
    for (what, spoil) in refused {
        assert_page(&sign_in(&world, spoil), &[400, 502], what);
    }
}
