mod faults;
mod presets;
mod properties;
mod settings;
mod several_hosts;

use serde_json::{Value, json};

use super::Config;

/// 32 arbitrary bytes.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The ten lines of the README.
fn example() -> Value {
    json!({
        "external_url": "https://app.example.com",
        "cluster": "idp",
        "providers": [{
            "issuer": "https://accounts.google.com",
            "client_id": "my-client",
            "client_secret": {"env": "OIDC_CLIENT_SECRET"},
        }],
        "session": {"keys": [{"env": "VESTIBULE_KEY"}]},
        "rules": [{"path": "/evaluate/v1/*", "access": "public"}],
    })
}

/// The environment of every test.
fn env(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "LINE_BREAK" => Some("secret\n".to_owned()),
        "OIDC_CLIENT_SECRET" => Some("client-secret".to_owned()),
        "VESTIBULE_KEY" => Some(KEY.to_owned()),
        _ => None,
    }
}

fn parse(document: &Value) -> Result<Config, String> {
    parse_bytes(document.to_string().as_bytes())
}

fn parse_bytes(bytes: &[u8]) -> Result<Config, String> {
    Config::parse(bytes, &env).map_err(|errors| errors.to_string())
}

/// The settings; panics with every fault.
fn settings(document: &Value) -> Config {
    parse(document).unwrap_or_else(|faults| panic!("{faults}"))
}

fn faults(document: &Value) -> String {
    parse(document).err().unwrap_or_else(|| panic!("no fault in {document}"))
}

/// The example with this value at this JSON pointer; `None` removes the value there.
fn example_with(pointer: &str, value: Option<Value>) -> Value {
    let mut document = example();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match (document.pointer_mut(parent).unwrap(), value) {
        (Value::Object(object), Some(value)) => drop(object.insert(last.to_owned(), value)),
        (Value::Object(object), None) => drop(object.remove(last)),
        (Value::Array(list), Some(value)) => {
            let place: usize = last.parse().unwrap();
            list.splice(place..list.len().min(place + 1), [value]);
        }
        (other, _) => panic!("{pointer} leads into {other}"),
    }
    document
}

/// The document as Envoy passes an inline configuration.
fn as_struct(document: &Value) -> Vec<u8> {
    use prost::Message;
    let Value::Object(object) = document else { panic!("a Struct is an object") };
    struct_of(object).encode_to_vec()
}

fn struct_of(object: &serde_json::Map<String, Value>) -> prost_types::Struct {
    prost_types::Struct { fields: object.iter().map(|(key, value)| (key.clone(), struct_value(value))).collect() }
}

fn struct_value(value: &Value) -> prost_types::Value {
    use prost_types::{ListValue, value::Kind};
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(list) => Kind::ListValue(ListValue { values: list.iter().map(struct_value).collect() }),
        Value::Object(object) => Kind::StructValue(struct_of(object)),
    };
    prost_types::Value { kind: Some(kind) }
}
