use proptest::{collection, prelude::*};
use serde_json::{Value, json};

use super::{as_struct, env, example, faults};
use crate::config::Config;

/// A unique secret, unlike the name of a variable.
const CANARY: &str = "c4n4ry-0f+a/secret=";

/// A document with a fault at a secret, and the canary at or below it.
fn leaky() -> impl Strategy<Value = Value> {
    let below = prop_oneof![
        Just(json!(CANARY)),
        Just(json!({ "env": CANARY })),
        Just(json!({ "evn": CANARY })),
        Just(json!({ CANARY: 1 })),
        Just(json!({ CANARY: CANARY, "env": "VESTIBULE_KEY" })),
        Just(json!({ "env": { CANARY: CANARY } })),
        Just(json!({ "env": [CANARY] })),
        Just(json!([CANARY])),
        Just(json!([[CANARY]])),
        Just(json!(format!("{CANARY}\n"))),
        Just(json!(format!("{CANARY}\u{e9}"))),
        Just(json!(CANARY.repeat(300))),
    ];
    let keys = prop_oneof![below.clone(), collection::vec(below.clone(), 0..10).prop_map(Value::from)];
    (below, keys, 0..4_u8).prop_map(|(client_secret, keys, method)| {
        let mut document = example();
        document["cluster"] = json!(5);
        document["providers"][0]["client_secret"] = client_secret;
        document["session"]["keys"] = keys;
        let methods = [json!("none"), json!("client_secret_basic"), json!(CANARY.len())];
        if let Some(method) = methods.get(usize::from(method)) {
            document["providers"][0]["token_endpoint_auth_method"] = method.clone();
        }
        document
    })
}

/// Any JSON value, mostly with names of settings.
fn anything() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "external_url|cluster|clusters|providers|session|rules|identity_headers|filter_state|prefix|danger",
        "issuer|client_id|client_secret|env|scopes|keys|path|regex|methods|access|public|https://a.example",
        "claims|claim|template|separator|encoding|too_long|verified_email_only|authorization|id_token|\\{sub\\}|\\{",
        ".{0,20}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            collection::vec((text.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The example with anything in place of one of its nodes.
fn almost() -> impl Strategy<Value = Value> {
    let places = prop::sample::select(vec![
        "/external_url",
        "/cluster",
        "/providers",
        "/providers/0",
        "/providers/0/issuer",
        "/providers/0/client_id",
        "/providers/0/client_secret",
        "/session",
        "/session/keys",
        "/session/keys/0",
        "/rules",
        "/rules/0",
        "/rules/0/path",
        "/rules/0/access",
    ]);
    (places, anything()).prop_map(|(place, value)| {
        let mut document = example();
        *document.pointer_mut(place).unwrap() = value;
        document
    })
}

/// Parses the document in both forms; every fault fits on a line.
fn read(document: &Value) {
    let mut forms = vec![document.to_string().into_bytes()];
    if document.is_object() {
        forms.push(as_struct(document));
    }
    for form in forms {
        if let Err(errors) = Config::parse(&form, &env) {
            assert!(!errors.faults().is_empty());
            for fault in errors.faults() {
                assert!(!fault.to_string().contains(char::is_control), "{fault}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_fault_shows_a_secret(document in leaky()) {
        let said = faults(&document);
        prop_assert!(!said.contains("c4n4ry"), "{}", said);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Config::parse(&bytes, &env).is_err());
    }

    #[test]
    fn a_damaged_struct_is_read_without_a_panic(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = as_struct(&example());
        *place.get_mut(&mut bytes) = byte;
        match Config::parse(&bytes, &env) {
            Ok(config) => prop_assert_eq!(config.providers.len(), 1),
            Err(errors) => prop_assert!(!errors.faults().is_empty()),
        }
    }

    #[test]
    fn any_json_is_read_without_a_panic(document in anything()) {
        read(&document);
    }

    #[test]
    fn a_document_with_any_value_at_any_path_is_read_without_a_panic(document in almost()) {
        read(&document);
    }
}
