//! Documents of a provider: odd in form and read all the same, or left out and named.

use serde_json::{Value, json};

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
