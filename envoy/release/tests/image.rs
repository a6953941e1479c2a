//! The image as others read it: Python's libraries, which share no code with what writes it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{env, fs, path::Path, process::Command};

use serde_json::{Value, json};
use vestibule_release::{
    files::sha256,
    image::{CONFIG, Image, LAYER, MANIFEST, MODULE},
    source::Source,
};

fn source() -> Source {
    Source {
        version: "1.2.3".to_owned(),
        revision: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        created: "2026-01-02T03:04:05Z".to_owned(),
    }
}

/// The module that ships where it is built, or bytes that do not compress.
fn module() -> Vec<u8> {
    match env::var_os("VESTIBULE_WASM") {
        Some(module) => fs::read(module).unwrap(),
        None => {
            (0..100_000_u32).flat_map(|number| sha256(&number.to_le_bytes()).into_bytes()).take(1_200_000).collect()
        }
    }
}

fn read_back(image: &Image, name: &str) -> Value {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    image.write(&folder).unwrap();
    let mut reader = Command::new("python3");
    reader.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_image.py")).arg(&folder);
    let output = reader.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_independent_reader_finds_the_module_in_the_last_image_layer() {
    let module = module();
    let image = Image::of(&module, &source()).unwrap();
    let read = read_back(&image, "image");
    assert_eq!(read["entry"]["mediaType"], MANIFEST);
    assert_eq!(read["entry"]["digest"], image.digest);
    assert_eq!(read["entry"]["annotations"], json!({"org.opencontainers.image.ref.name": "1.2.3"}));
    assert_eq!(read["manifest"]["mediaType"], MANIFEST);
    assert_eq!(read["manifest"]["config"]["mediaType"], CONFIG);
    assert_eq!(read["config"]["architecture"], "wasm");
    assert_eq!(read["config"]["os"], "wasip1");
    let file = json!({
        "name": MODULE, "is_file": true, "mode": 0o644, "owner": [0, 0, 0], "sha256": sha256(&module),
    });
    assert_eq!(read["layers"], json!([{"mediaType": LAYER, "files": [file]}]));
    let annotations = &read["manifest"]["annotations"];
    for (name, value) in [
        ("title", "vestibule"),
        ("version", "1.2.3"),
        ("revision", "0123456789abcdef0123456789abcdef01234567"),
        ("licenses", "Apache-2.0"),
        ("created", "2026-01-02T03:04:05Z"),
    ] {
        assert_eq!(annotations[format!("org.opencontainers.image.{name}")], value, "{name}");
    }
}

#[test]
fn the_same_module_of_the_same_commit_gives_the_same_bytes() {
    let module = module();
    let image = Image::of(&module, &source()).unwrap();
    assert_eq!(image, Image::of(&module, &source()).unwrap());
    assert_ne!(image.digest, Image::of(&module, &Source { version: "1.2.4".to_owned(), ..source() }).unwrap().digest);
    assert_ne!(image.digest, Image::of(b"another module", &source()).unwrap().digest);
}

#[test]
fn writing_an_image_removes_the_blobs_of_the_previous_one() {
    let first = Image::of(b"first", &source()).unwrap();
    let second = Image::of(b"second", &source()).unwrap();
    let _ = read_back(&first, "replaced");
    // The reader refuses blobs that nothing names.
    let read = read_back(&second, "replaced");
    assert_eq!(read["layers"][0]["files"][0]["sha256"], sha256(b"second"));
}
