//! Documents of a provider: odd in form and read all the same, or left out and named.

use serde_json::{Value, json};

use crate::http::CalloutResponse;

use super::{
    super::event::{Event, Level},
    world::{ISSUER, World, ok},
};

/// Lines of the log from here on.
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
fn a_key_that_is_left_out_is_named_once_and_counted_each_time() {
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
fn a_set_without_usable_keys_says_why_of_each() {
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
fn made_up_omissions_do_not_flood_the_log() {
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

/// What a sign-in whose callback is refused comes to, and its line of the log.
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
fn a_member_that_stands_twice_is_named_under_a_code_of_its_own() {
    let cases: [(&str, fn(String) -> String, &str); 4] = [
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
fn a_member_that_stands_twice_in_metadata_or_keys_is_named() {
    for (path, document) in [
        ("metadata", r#"{"issuer":"https://idp.example.com","issuer":"https://evil.example"}"#),
        ("keys", r#"{"keys":[],"keys":[]}"#),
    ] {
        let mut world = World::new();
        let whole = ok(&world.provider.jwks());
        let told = Ok(CalloutResponse { status: 200, body: document.as_bytes().to_vec() });
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
fn a_token_by_a_key_that_is_not_in_the_set_names_kid_algorithm_and_set() {
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
