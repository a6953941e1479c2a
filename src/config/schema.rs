//! The JSON Schema of the document, generated from [`raw`](super::raw) and kept in the repository.

mod examples;
mod reference;

use std::{env, fs, path::Path};

use schemars::{
    Schema,
    generate::SchemaSettings,
    transform::{Transform, transform_subschemas},
};
use serde_json::Value;

use super::raw::Document;

/// Optional fields are left out, never null (see [`shape`](super::shape)), and descriptions have no line breaks.
#[derive(Clone)]
struct AsRead;

impl Transform for AsRead {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(Value::String(text)) = object.get_mut("description") {
            *text = text.replace('\n', " ");
        }
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|one| one != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".into(), only);
            }
        }
        if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
            choices.retain(|one| one["type"] != "null");
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                object.remove("anyOf");
                object.extend(only);
            }
        }
    }
}

fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12().with_transform(AsRead);
    let mut schema = settings.into_generator().into_root_schema_for::<Document>();
    schema.insert("title".into(), "Vestibule".into());
    schema
}

/// Compares a file of the repository with what the code generates, and writes it where `UPDATE_SCHEMA=1` asks for that.
fn compare(file: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if env::var_os("UPDATE_SCHEMA").is_some_and(|value| value == "1") {
        fs::write(&path, generated).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == generated,
        "{file} is not that of the code: run `UPDATE_SCHEMA=1 cargo test -p vestibule --lib schema`"
    );
}

#[test]
fn the_schema_file_matches_the_code() {
    let text = serde_json::to_string_pretty(&schema()).unwrap();
    compare("envoy/config.schema.json", &format!("{text}\n"));
}

#[test]
fn no_field_of_the_schema_is_null() {
    assert!(!serde_json::to_string(&schema()).unwrap().contains("\"null\""));
}
