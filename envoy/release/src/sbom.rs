//! The bill of materials in CycloneDX 1.6: the crates whose code is in the module, and Rust's standard library. Crates that only
//! run while it is built (derive macros, build scripts) and those of tests are not in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use crate::{
    ReleaseError,
    files::{output, read_text},
    source::{Source, Tools},
};

/// A crate of the module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    /// An SPDX expression.
    licence: String,
    /// Whether it is of the repository, not of crates.io.
    is_ours: bool,
}

impl Crate {
    /// What other parts of the document name it by. `envoy/idna` is not the crate of that name at crates.io.
    fn reference(&self) -> String {
        let Self { name, version, .. } = self;
        if self.is_ours { format!("vestibule/{name}@{version}") } else { format!("pkg:cargo/{name}@{version}") }
    }

    fn component(&self, checksums: &BTreeMap<(String, String), String>) -> Result<Value, ReleaseError> {
        let Self { name, version, .. } = self;
        let mut component = json!({
            "type": "library",
            "bom-ref": self.reference(),
            "name": name,
            "version": version,
            "licenses": [{"expression": self.licence}],
        });
        let Some(members) = component.as_object_mut() else { return Ok(component) };
        if self.is_ours {
            let _ = members.insert("description".to_owned(), json!("Part of the repository of vestibule"));
        } else {
            let checksum = checksums.get(&(name.clone(), version.clone()));
            let checksum = checksum.ok_or(ReleaseError::Unreadable("the checksum of a crate in Cargo.lock"))?;
            let _ = members.insert("hashes".to_owned(), json!([{"alg": "SHA-256", "content": checksum}]));
            let _ = members.insert("purl".to_owned(), json!(self.reference()));
        }
        Ok(component)
    }
}

/// The document for a module of this SHA-256 digest.
///
/// # Errors
/// If cargo fails, or Cargo.lock does not fit.
pub fn document(root: &Path, module: &str, source: &Source, tools: &Tools) -> Result<Value, ReleaseError> {
    let mut tree = Command::new("cargo");
    tree.args(["tree", "--locked", "--color=never", "-p", "vestibule", "--target", "wasm32-wasip1"]);
    tree.args(["-e", "normal,no-proc-macro", "--prefix", "depth", "--charset", "ascii", "--format", "{p}|{l}|"]);
    let (filter, edges) = read_tree(&output(tree.current_dir(root))?)?;
    let checksums = read_checksums(&read_text(&root.join("Cargo.lock"))?)?;
    let standard_library = format!("pkg:generic/rust@{}", tools.rust);
    let mut components = vec![json!({
        "type": "library",
        "bom-ref": standard_library,
        "name": "rust",
        "version": tools.rust,
        "description": "The standard library of the toolchain, with wasi-libc",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "purl": standard_library,
    })];
    for package in edges.keys().filter(|package| **package != filter) {
        components.push(package.component(&checksums)?);
    }
    let dependencies = edges.iter().map(|(package, needed)| {
        let needed = needed.iter().map(Crate::reference).chain([standard_library.clone()]);
        json!({"ref": package.reference(), "dependsOn": needed.collect::<Vec<_>>()})
    });
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": source.created,
            "component": {
                "type": "application",
                "bom-ref": filter.reference(),
                "name": filter.name,
                "version": filter.version,
                "licenses": [{"expression": filter.licence}],
                "hashes": [{"alg": "SHA-256", "content": module}],
                "properties": [{"name": "vestibule:revision", "value": source.revision}],
            },
        },
        "components": components,
        "dependencies": dependencies.collect::<Vec<_>>(),
    }))
}

/// The crate at the root, and what each crate needs. A line is `2itoa v1.0.18|MIT OR Apache-2.0|`, with a path behind the version
/// of ours, and ` (*)` at the end of one whose dependencies stand above.
fn read_tree(text: &str) -> Result<(Crate, BTreeMap<Crate, BTreeSet<Crate>>), ReleaseError> {
    const UNREADABLE: ReleaseError = ReleaseError::Unreadable("the output of cargo tree");
    let mut edges: BTreeMap<Crate, BTreeSet<Crate>> = BTreeMap::new();
    let mut path: Vec<Crate> = Vec::new();
    for line in text.lines() {
        let name_at = line.find(|letter: char| !letter.is_ascii_digit()).ok_or(UNREADABLE)?;
        let (depth, line) = line.split_at_checked(name_at).ok_or(UNREADABLE)?;
        let depth: usize = depth.parse().map_err(|_| UNREADABLE)?;
        let mut fields = line.split('|');
        let (package, licence) = fields.next().zip(fields.next()).ok_or(UNREADABLE)?;
        let (name, version) = package.split_once(" v").ok_or(UNREADABLE)?;
        let (version, is_ours) = version.split_once(" (").map_or((version, false), |(version, _)| (version, true));
        let licence = licence.replace('/', " OR ");
        let package = Crate { name: name.to_owned(), version: version.to_owned(), licence, is_ours };
        path.truncate(depth);
        if let Some(parent) = path.last() {
            let _ = edges.entry(parent.clone()).or_default().insert(package.clone());
        }
        let _ = edges.entry(package.clone()).or_default();
        path.push(package);
    }
    Ok((path.into_iter().next().ok_or(UNREADABLE)?, edges))
}

/// The SHA-256 digests of the crates' archives at crates.io, by name and version.
fn read_checksums(lock: &str) -> Result<BTreeMap<(String, String), String>, ReleaseError> {
    const UNREADABLE: ReleaseError = ReleaseError::Unreadable("Cargo.lock");
    let lock = DeTable::parse(lock).map_err(|_| UNREADABLE)?;
    let packages =
        lock.get_ref().get("package").and_then(|packages| packages.get_ref().as_array()).ok_or(UNREADABLE)?;
    let text = |package: &DeTable<'_>, name: &str| match package.get(name)?.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    let packages = packages.iter().filter_map(|package| package.get_ref().as_table());
    let checksums = packages
        .filter_map(|package| Some(((text(package, "name")?, text(package, "version")?), text(package, "checksum")?)));
    Ok(checksums.collect())
}
