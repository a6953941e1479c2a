//! The bill of materials, against Cargo.toml, Cargo.lock and cargo's metadata.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use vestibule_release::{
    licences, provenance, sbom,
    source::{Source, Tools},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn source() -> Source {
    Source { version: "0.1.0".to_owned(), revision: "a".repeat(40), created: "2026-01-02T03:04:05Z".to_owned() }
}

fn tools() -> Tools {
    Tools::of(&root()).unwrap()
}

fn document() -> Value {
    sbom::document(&root(), &"b".repeat(64), &source(), &tools()).unwrap()
}

/// The components by name and version.
fn components(document: &Value) -> BTreeMap<(String, String), &Value> {
    let components = document["components"].as_array().unwrap().iter();
    let named = components.map(|component| {
        let text = |member: &str| component[member].as_str().unwrap().to_owned();
        ((text("name"), text("version")), component)
    });
    named.collect()
}

/// The crates that cargo's metadata says the filter is linked with on wasm32-wasip1. It counts features that other members of
/// the workspace ask for, so there may be more of them than the module has.
fn linked() -> BTreeSet<(String, String)> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", "wasm32-wasip1"]);
    let metadata: Value = serde_json::from_slice(&cargo.current_dir(root()).output().unwrap().stdout).unwrap();
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let is_macro =
        |id: &str| packages[id]["targets"].as_array().unwrap().iter().any(|target| target["kind"][0] == "proc-macro");
    let mut found = BTreeSet::new();
    let filter = packages.iter().find(|(_, package)| package["name"] == "vestibule").unwrap().0;
    let mut open = vec![*filter];
    while let Some(id) = open.pop() {
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            let needed = dependency["pkg"].as_str().unwrap();
            if kinds.iter().any(|kind| kind["kind"].is_null()) && !is_macro(needed) && found.insert(needed) {
                open.push(needed);
            }
        }
    }
    let text = |id: &str, member: &str| packages[id][member].as_str().unwrap().to_owned();
    found.into_iter().map(|id| (text(id, "name"), text(id, "version"))).collect()
}

#[test]
fn the_sbom_lists_every_linked_crate_and_no_test_dependency() {
    let document = document();
    let components = components(&document);
    let linked = linked();
    let unlinked: Vec<_> = components.keys().filter(|key| key.0 != "rust" && !linked.contains(*key)).collect();
    assert!(unlinked.is_empty(), "{unlinked:?}");
    let has = |name: &str| components.keys().any(|(known, _)| known == name);
    // What Cargo.toml asks for directly, one line each.
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut direct = 0;
    for section in ["[dependencies]\n", "[target.'cfg(target_family = \"wasm\")'.dependencies]\n"] {
        let lines = manifest.split_once(section).unwrap().1.lines().take_while(|line| !line.is_empty());
        for name in lines.map(|line| line.split_once(" = ").unwrap().0) {
            direct += 1;
            assert!(has(name), "{name} is not named");
        }
    }
    assert!(direct > 20, "{direct}");
    for indirect in ["idna", "hashbrown", "curve25519-dalek", "generic-array", "itoa", "rust"] {
        assert!(has(indirect), "{indirect} is not named");
    }
    for left_out in ["serde_derive", "syn", "proptest", "insta", "p256", "schemars", "ring", "wasm-tests", "vestibule"]
    {
        assert!(!has(left_out), "{left_out} is named");
    }
}

#[test]
fn each_crate_has_its_licence_and_the_checksum_of_the_lock_file() {
    let document = document();
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut ours = Vec::new();
    for ((name, version), component) in components(&document) {
        let licence = component["licenses"][0]["expression"].as_str().unwrap();
        assert!(!licence.is_empty() && !licence.contains('/'), "{name}: {licence}");
        if name == "rust" {
            continue;
        }
        let Some(purl) = component["purl"].as_str() else {
            ours.push(name);
            continue;
        };
        assert_eq!(purl, format!("pkg:cargo/{name}@{version}"));
        let entry =
            lock.split("\n\n").find(|entry| entry.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")));
        let checksum = component["hashes"][0]["content"].as_str().unwrap();
        assert!(entry.unwrap().contains(&format!("checksum = \"{checksum}\"")), "{name}");
    }
    // They stand in the repository, and `idna` is not the one at crates.io.
    assert_eq!(ours, ["idna", "vestibule-abi"]);
}

#[test]
fn the_sbom_references_only_components_that_it_lists() {
    let document = document();
    assert_eq!((&document["bomFormat"], &document["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let module = &document["metadata"]["component"];
    assert_eq!(module["hashes"][0]["content"], "b".repeat(64));
    let mut known: BTreeSet<&str> = document["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["bom-ref"].as_str().unwrap())
        .collect();
    assert!(known.insert(module["bom-ref"].as_str().unwrap()));
    let dependencies = document["dependencies"].as_array().unwrap();
    let mut named = BTreeSet::new();
    for dependency in dependencies {
        assert!(known.contains(dependency["ref"].as_str().unwrap()));
        for needed in dependency["dependsOn"].as_array().unwrap() {
            assert!(known.contains(needed.as_str().unwrap()), "{needed}");
            let _ = named.insert(needed.as_str().unwrap());
        }
    }
    // All but the module are needed by something.
    assert_eq!(named.len() + 1, known.len());
    assert_eq!(document, self::document());
}

#[test]
fn the_texts_of_licences_name_every_crate_that_has_one() {
    let document = document();
    let texts = licences::texts(&root(), &document).unwrap();
    assert_eq!(texts, licences::texts(&root(), &document).unwrap());
    assert!(texts.contains("Redistributions in binary form must reproduce"), "BSD-3-Clause");
    let purls = document["components"].as_array().unwrap().iter().filter_map(|component| component["purl"].as_str());
    let without: Vec<_> = purls.filter(|purl| !texts.lines().any(|line| line == *purl)).collect();
    // Their archives have no text. The licences, MIT and MIT OR Apache-2.0, stand in the bill of materials.
    let named = |purl: &&str| ["rust@", "base64-simd@", "fast-glob@", "vsimd@"].iter().any(|name| purl.contains(name));
    assert!(without.iter().all(named), "{without:?}");
}

#[test]
fn the_provenance_names_the_module_and_its_source_commit() {
    let tools = tools();
    let statement = provenance::statement(&[("vestibule.wasm".to_owned(), "b".repeat(64))], &source(), &tools);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], "b".repeat(64));
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let materials = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    assert_eq!(materials[0]["digest"]["gitCommit"], "a".repeat(40));
    let names: Vec<_> = materials.iter().map(|material| material["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["vestibule", "Cargo.lock", "rustc", "binaryen"]);
    assert_eq!(statement["predicate"]["runDetails"]["builder"]["id"], "urn:vestibule:unsigned");
}
