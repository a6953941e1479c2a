//! Documents of a provider in odd forms: accepted all the same, or left out and named in the log.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    super::event::{Event, Level},
    world::{ISSUER, Outcome, PARTNERS, World, document, ok},
};
use crate::http::CalloutResponse;

/// Takes the log lines since the last call.
fn lines(world: &mut World) -> Vec<String> {
    let events = std::mem::take(&mut world.events);
    events.into_iter().filter(|event| event.level() != Level::Count).map(|event| event.to_string()).collect()
}

fn omitted(world: &World, counter: &str) -> usize {
    world.events.iter().filter(|event| matches!(event, Event::Omitted { .. }) && event.counter() == counter).count()
}

/// A world whose provider publishes a changed key set.
fn with_keys(change: impl Fn(&mut Vec<Value>)) -> World {
    let mut world = World::new();
    let mut jwks = world.provider.jwks();
    change(jwks["keys"].as_array_mut().unwrap());
    world.provider.jwks = Some(ok(&jwks));
    world.settle();
    world
}

#[test]
fn an_omitted_key_is_logged_once_and_counted_each_time() {
    let mut world = with_keys(|keys| {
        let mut short = keys[0].clone();
        short["kid"] = json!("a\r\nb");
        short["y"] = json!("AQ");
        keys.push(short);
        keys.push(json!({ "kty": "RSA", "kid": "enc", "use": "enc", "n": "AQ", "e": "AQ" }));
        keys.push(json!({ "kty": "OKP", "crv": "Ed448", "kid": "other", "x": "AQ" }));
    });
    assert_eq!(omitted(&world, "vestibule_left_out_keys"), 1);
    let told = format!(
        r#"left the key "a\r\nb" (kty "EC", crv "P-256", use "sig") out of the keys of {ISSUER} at "{ISSUER}/jwks": its coordinates are no usable point of its curve; tokens that it signs are refused until the provider publishes it as RFC 7518, 6 has it"#
    );
    let metadata = format!("read the metadata of {ISSUER}");
    assert_eq!(lines(&mut world), [metadata, told, format!("read the keys of {ISSUER}")]);
    world.refresh_keys_of_worker(1);
    assert_eq!(omitted(&world, "vestibule_left_out_keys"), 1);
    assert_eq!(lines(&mut world), [format!("read the keys of {ISSUER}")]);
    world.sign_in("/");
}

#[test]
fn a_key_set_without_usable_keys_is_logged_with_a_reason_per_key() {
    let mut world = with_keys(|keys| {
        keys[0]["x"] = json!("*");
        keys.push(json!({ "kty": "RSA", "kid": 7, "alg": "RSA-OAEP", "n": "AQ", "e": "AQ" }));
        keys.push(json!("key"));
    });
    let lines = lines(&mut world);
    let told = lines.iter().find(|line| line.contains("cannot use the keys")).unwrap();
    for part in [
        r#"; the key "one" (kty "EC", crv "P-256", use "sig") is left out: its x is missing or malformed;"#,
        r#"; the key "7" (kty "RSA", alg "RSA-OAEP") is left out: its alg is not supported;"#,
        "; a key without kid is left out: it is not a JSON object",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn many_omitted_keys_do_not_flood_the_log() {
    let mut world = with_keys(|keys| {
        for number in 0..300 {
            keys.push(json!({ "kty": "EC", "crv": "P-256", "kid": number, "x": "AQ", "y": "AQ" }));
        }
    });
    for number in 300..600 {
        world.provider.jwks = Some(ok(&json!({ "keys": [
            world.provider.jwks()["keys"][0],
            { "kty": "EC", "crv": "P-256", "kid": number, "x": "AQ", "y": "AQ" },
        ] })));
        world.refresh_keys_of_worker(1);
        world.advance(60);
    }
    assert!(omitted(&world, "vestibule_left_out_keys") >= 200);
    assert_eq!(lines(&mut world).iter().filter(|line| line.starts_with("left the key")).count(), 128);
}

/// The status and code of a refused callback, and its log line.
fn refused(world: &mut World) -> ((u16, &'static str), String) {
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    world.events.clear();
    let outcome = world.visit(&callback);
    let code = world.then(outcome).code();
    assert!(!world.has_session());
    (code, lines(world).pop().unwrap())
}

#[test]
fn a_duplicate_member_in_an_id_token_is_named_and_has_its_own_code() {
    type Change = fn(String) -> String;
    let cases: [(&str, Change, &str); 4] = [
        ("sub", |payload| payload.replacen('{', r#"{"sub":"admin","#, 1), r#"has the member "sub" twice"#),
        ("escaped", |payload| payload.replacen('{', r#"{"s\u0075b":"admin","#, 1), r#"has the member "sub" twice"#),
        ("deep", |payload| payload.replacen('{', r#"{"a":[{"x\n":1,"x\n":2}],"#, 1), r#"has the member "x\n" twice"#),
        ("a byte order mark", |payload| format!("\u{feff}{payload}"), "its payload is not JSON"),
    ];
    for (name, change, told) in cases {
        let mut world = World::ready();
        world.provider.payload = Box::new(change);
        let (code, line) = refused(&mut world);
        assert_eq!(code, (502, "id_token_payload"), "{name}");
        assert!(line.contains(told) && line.contains("the ID token is refused: its payload is"), "{line}");
        world.provider.payload = Box::new(|payload| payload);
        world.sign_in("/");
    }
}

#[test]
fn a_duplicate_member_in_metadata_or_keys_is_named() {
    for (path, document) in [
        ("metadata", r#"{"issuer":"https://idp.example.com","issuer":"https://evil.example"}"#),
        ("keys", r#"{"keys":[],"keys":[]}"#),
    ] {
        let mut world = World::new();
        let whole = ok(&world.provider.jwks());
        let told = Ok(CalloutResponse::new(200, document.as_bytes().to_vec()));
        match path {
            "metadata" => world.provider.instead = Some(Box::new(move |_| told.clone())),
            _ => world.provider.jwks = Some(told),
        }
        world.settle();
        let name = if path == "metadata" { "issuer" } else { "keys" };
        let lines = lines(&mut world);
        let line = lines.iter().find(|line| line.contains(&format!("cannot use the {path} of {ISSUER}"))).unwrap();
        assert!(line.contains(&format!("ambiguous, because an object in it has the member {name:?} twice")), "{line}");
        world.provider.instead = None;
        world.provider.jwks = Some(whole);
        world.advance(60);
        world.settle();
        world.sign_in("/");
    }
}

#[test]
fn an_unknown_signing_key_is_logged_with_kid_algorithm_and_key_set() {
    let unknown = |kid: &str| format!(r#"it is signed by an unknown key ({kid}, alg ES256, key set "{ISSUER}/jwks""#);
    // The tenant's own keys are published elsewhere.
    let mut world = World::ready();
    world.provider.jwks = Some(ok(&world.provider.jwks()));
    world.provider.rotate();
    let (code, line) = refused(&mut world);
    assert_eq!(code, (502, "id_token_unknown_key"));
    assert!(line.contains(&unknown(r#"kid "two""#)), "{line}");
    // A kid that would break the line.
    world.provider.kid = Some("a\nb".to_owned());
    assert!(refused(&mut world).1.contains(&unknown(r#"kid "a\nb""#)));

    // It is in the set, but cannot be used.
    let mut world = with_keys(|keys| {
        let mut two = keys[0].clone();
        (two["kid"], two["x"]) = (json!("two"), json!("AQ"));
        keys.push(two);
    });
    world.provider.rotate();
    let (_, line) = refused(&mut world);
    let why = "; the set's key of this kid is left out: its coordinates are no usable point of its curve)";
    assert!(line.contains(&(unknown(r#"kid "two""#) + why)), "{line}");

    // Without a kid, any key of the set may have signed.
    let mut world = World::ready();
    world.provider.jwks = Some(ok(&world.provider.jwks()));
    world.provider.kid = None;
    world.provider.rotate();
    let (code, line) = refused(&mut world);
    assert_eq!(code, (502, "id_token_signature"));
    let told = format!(r#"no key of the set made its signature (no kid, alg ES256, key set "{ISSUER}/jwks")"#);
    assert!(line.contains(&told), "{line}");
}

#[test]
fn a_byte_order_mark_is_skipped_in_every_provider_response() {
    let token_issuers = json!([{
        "issuer": PARTNERS, "audiences": ["api"], "introspection": { "client_id": "gate", "client_secret": "s" },
    }]);
    let mut document = document();
    document["providers"][0]["userinfo"] = json!(true);
    document["token_issuers"] = token_issuers;
    let mut world = World::with(&document);
    world.provider.byte_order_mark = true;
    world.partners.byte_order_mark = true;
    world.provider.refreshes = true;
    world.provider.userinfo = Box::new(|| ok(&json!({ "sub": "alice" })));
    world.partners.introspection = Box::new(|_, _| ok(&json!({ "active": true, "sub": "robot", "aud": "api" })));
    world.settle();
    world.sign_in("/");
    world.advance(480);
    let outcome = world.visit("/");
    assert!(matches!(world.then(outcome), Outcome::Forwarded { .. }));
    assert!(world.events.iter().any(|event| matches!(event, Event::Renewed(_))));
    let bearer = [(":method", "GET"), (":path", "/x"), ("authorization", "Bearer opaque")];
    assert!(matches!(world.send(&bearer), Outcome::Forwarded { .. }));
}

#[test]
fn an_empty_string_is_treated_as_absent() {
    // At the token endpoint.
    let mut world = World::ready();
    world.provider.token_response = Box::new(|mut body| {
        body["refresh_token"] = json!("");
        body["expires_in"] = json!("");
        ok(&body)
    });
    world.sign_in("/");
    world.advance(3600);
    assert!(matches!(world.visit("/"), Outcome::Forwarded { .. }));
    // In the metadata.
    let mut world = World::new();
    world.provider.metadata = Box::new(|metadata| {
        metadata["end_session_endpoint"] = json!("");
        metadata["userinfo_endpoint"] = json!("");
    });
    world.settle();
    assert_eq!(omitted(&world, "vestibule_left_out_endpoints"), 0);
    world.sign_in("/");
    // In the key set.
    with_keys(|keys| {
        keys[0]["alg"] = json!("");
        keys[0]["use"] = json!("");
    })
    .sign_in("/");
    // In the authorization response, where the provider does not promise an issuer.
    let mut world = World::new();
    world.provider.metadata =
        Box::new(|metadata| drop(metadata["authorization_response_iss_parameter_supported"].take()));
    world.settle();
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply);
    let callback = format!("{}&iss=&error=", callback.split_once("&iss=").unwrap().0);
    assert_eq!(world.visit(&callback).code(), (303, "signed_in"));
}

#[test]
fn an_empty_iss_parameter_is_refused_where_the_provider_promises_one() {
    for (promised, expected) in
        [(json!(true), (400, "callback_wrong_issuer")), (json!("true"), (400, "callback_wrong_issuer"))]
    {
        let mut world = World::new();
        world.provider.metadata = Box::new(move |metadata| {
            metadata["authorization_response_iss_parameter_supported"] = promised.clone();
        });
        world.settle();
        let reply = world.visit("/").reply();
        let callback = world.signs_in(&reply);
        let callback = format!("{}&iss=", callback.split_once("&iss=").unwrap().0);
        assert_eq!(world.visit(&callback).code(), expected);
        world.sign_in("/");
    }
}

#[test]
fn a_key_is_found_by_a_kid_that_is_a_number_or_empty() {
    for (published, signed) in
        [(json!(7), Some("7")), (json!(""), None), (json!(""), Some("")), (json!("one"), Some(""))]
    {
        let mut world = with_keys(|keys| keys[0]["kid"] = published.clone());
        world.provider.kid = signed.map(str::to_owned);
        world.sign_in("/");
    }
}

#[test]
fn an_unusable_endpoint_is_logged_with_its_url_and_the_remedy() {
    let remedy = |name: &str| {
        format!(
            "; let the provider publish https URLs, or configure {name} as https and the Envoy cluster that reaches it \
             under clusters, or set danger.plain_http_providers"
        )
    };
    // An endpoint that only sign-out needs is left out.
    let mut world = World::new();
    world.provider.metadata =
        Box::new(|metadata| metadata["end_session_endpoint"] = json!("http://idp.example.com/end"));
    world.settle();
    let told = format!(
        r#"left an endpoint out of the metadata of {ISSUER}: end_session_endpoint "http://idp.example.com/end" is not an https URL (http only for localhost and loopback addresses){}"#,
        remedy("end_session_endpoint")
    );
    assert!(lines(&mut world).contains(&told));
    world.sign_in("/");
    // Without a usable token endpoint, the metadata is refused.
    for (url, told) in [
        ("http://idp.example.com/token\n", r#"token_endpoint "http://idp.example.com/token\n" is not an https URL"#),
        ("/token", r#"token_endpoint "/token" is not an absolute URL"#),
    ] {
        let mut world = World::new();
        world.provider.metadata = Box::new(move |metadata| metadata["token_endpoint"] = json!(url));
        world.settle();
        let lines = lines(&mut world);
        assert!(lines.iter().any(|line| line.contains("cannot use the metadata") && line.contains(told)), "{lines:?}");
        world.provider.metadata = Box::new(|_| ());
        world.advance(60);
        world.settle();
        world.sign_in("/");
    }
}

#[test]
fn a_redirect_is_logged_and_not_followed() {
    let provider = World::new().config.providers.remove(0);
    let request = provider.get(provider.issuer().discovery());
    for status in [301, 302, 303, 307, 308] {
        let location = |_: &str| Some(b"https://new.example/realm\n".to_vec());
        let redirect = CalloutResponse::received(&request, status, location, Vec::new());
        let told = format!(
            r#"the response is {status} with Location "https://new.example/realm\n", which is not followed: configure that issuer or address"#
        );
        for document in ["metadata", "keys"] {
            let mut world = World::new();
            let given = redirect.clone();
            match document {
                "keys" => world.provider.jwks = Some(given),
                _ => world.provider.instead = Some(Box::new(move |_| given.clone())),
            }
            world.settle();
            let lines = lines(&mut world);
            let line = lines.iter().find(|line| line.contains(&format!("cannot use the {document} of {ISSUER}")));
            assert!(line.unwrap().contains(&told), "{lines:?}");
            (world.provider.jwks, world.provider.instead) = (None, None);
            world.advance(60);
            world.settle();
            world.sign_in("/");
        }
        let mut world = World::ready();
        let given = redirect.clone();
        world.provider.token_response = Box::new(move |_| given.clone());
        let (code, line) = refused(&mut world);
        assert_eq!(code, (502, "token_endpoint_malformed"));
        assert!(line.contains(&told), "{line}");
    }
}

#[test]
fn a_provider_error_description_is_logged_and_never_shown() {
    let mut world = World::ready();
    for (query, told) in [
        (
            "error=invalid_request&error_description=Pushed+Authorization+Request+is+only+allowed.",
            r#"says invalid_request ("Pushed Authorization Request is only allowed.")"#,
        ),
        ("error=access_denied&error_description=a%0d%0ab%1b%5b31m%ff", r#"says access_denied ("a\r\nb\u{1b}[31m"#),
        ("error=own_code&error_description=", r#"says unknown_error "own_code""#),
        ("error=consent_required&error_description=one&error_description=two", r#"says consent_required ("one")"#),
        ("error=consent_required&error_description=SplxlOBeZQQYbYS6WxSbIA", r#"says consent_required ("[...]")"#),
    ] {
        let reply = world.visit("/").reply();
        let callback = world.signs_in(&reply);
        let callback = callback.replace("code=code", query);
        world.events.clear();
        let reply = world.visit(&callback).reply();
        assert!(reply.status >= 400, "{query}");
        let page = String::from_utf8(reply.body).unwrap();
        assert!(!["Pushed", "own_code", "31m", "Splx"].iter().any(|text| page.contains(text)), "{page}");
        let line = lines(&mut world).pop().unwrap();
        assert!(line.contains("the authorization response, which came through the browser, "), "{line}");
        assert!(line.contains(told), "{line}");
        assert!(!line.contains(|c: char| c.is_control()));
    }
    let long = "x ".repeat(4000);
    let reply = world.visit("/").reply();
    let callback = world.signs_in(&reply).replace("code=code", &format!("error=server_error&error_description={long}"));
    world.events.clear();
    assert_eq!(world.visit(&callback).code(), (503, "provider_unavailable"));
    assert!(lines(&mut world).pop().unwrap().len() < 600);
    world.sign_in("/");
}

#[test]
fn a_duplicate_member_in_a_token_header_is_named() {
    for (header, told) in [
        (
            r#"{"alg":"ES256","alg":"none"}"#,
            r#"a header that is ambiguous, because an object in it has the member "alg" twice"#,
        ),
        (r#"{"alg":"ES256","x":{"kid":1,"k\u0069d":2}}"#, r#"has the member "kid" twice"#),
        ("\u{feff}{\"alg\":\"ES256\"}", "a header that is not JSON"),
    ] {
        let mut world = World::ready();
        world.provider.token_response = Box::new(move |mut body| {
            let token = body["id_token"].as_str().unwrap();
            body["id_token"] =
                json!(format!("{}.{}", URL_SAFE_NO_PAD.encode(header), token.split_once('.').unwrap().1));
            ok(&body)
        });
        let (code, line) = refused(&mut world);
        assert_eq!(code, (502, "id_token_malformed"));
        assert!(line.contains(told), "{line}");
        world.provider.token_response = Box::new(|body| ok(&body));
        world.sign_in("/");
    }
}

#[test]
fn a_bearer_token_with_an_unknown_key_is_logged_with_kid_and_key_set() {
    let token = |world: &World, issuer: &str| {
        let now = world.now.as_secs();
        let claims = json!({ "iss": issuer, "aud": "api", "sub": "robot", "iat": now, "exp": now + 300 });
        world.provider.signed(&json!({ "alg": "ES256", "kid": "ot\nher", "typ": "at+jwt" }), &claims)
    };
    let mut published = World::new().provider.jwks();
    published["keys"][0]["kid"] = json!("one");
    for (issuer, keys, set) in [
        (PARTNERS, json!({ "jwks_uri": format!("{PARTNERS}/keys") }), format!(r#"key set "{PARTNERS}/keys""#)),
        (PARTNERS, json!({}), format!(r#"key set "{PARTNERS}/jwks""#)),
        ("ci", json!({ "jwks": published.to_string() }), "configured keys".to_owned()),
    ] {
        let mut token_issuer = json!({ "issuer": issuer, "audiences": ["api"] });
        token_issuer.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let mut document = document();
        document["token_issuers"] = json!([token_issuer]);
        let mut world = World::with(&document);
        if keys.get("jwks_uri").is_some() {
            let jwks = world.partners.jwks();
            world.partners.instead = Some(Box::new(move |_| ok(&jwks)));
        }
        world.settle();
        world.events.clear();
        let bearer = format!("Bearer {}", token(&world, issuer));
        let outcome = world.send(&[(":method", "GET"), (":path", "/x"), ("authorization", &bearer)]);
        assert_eq!(world.then(outcome).code(), (401, "invalid_token"), "{issuer} {keys}");
        let line = lines(&mut world).pop().unwrap();
        let told = format!(r#"it is signed by an unknown key (kid "ot\nher", alg ES256, {set})"#);
        assert!(line.contains(&told), "{line}");
        world.sign_in("/");
    }
}
