//! The texts of the licences under which the crates of the module are used: BSD, MIT and others ask for them beside a copy.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    ReleaseError,
    files::{output, read},
};

/// How the files with texts begin, in capital letters.
const NAMES: [&str; 5] = ["COPYING", "COPYRIGHT", "LICENCE", "LICENSE", "NOTICE"];

/// All texts, each once, below the crates that it is of. The bill of materials says which crates there are.
///
/// # Errors
/// If cargo fails, or the source of a crate cannot be read.
pub fn texts(root: &Path, sbom: &Value) -> Result<String, ReleaseError> {
    const METADATA: ReleaseError = ReleaseError::Unreadable("the output of cargo metadata");
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", "wasm32-wasip1"]);
    let metadata: Value = serde_json::from_str(&output(metadata.current_dir(root))?).map_err(|_| METADATA)?;
    let packages = metadata.get("packages").and_then(Value::as_array).ok_or(METADATA)?;
    let folders: BTreeMap<String, PathBuf> = packages
        .iter()
        .filter_map(|package| {
            let manifest = Path::new(package.get("manifest_path")?.as_str()?);
            let (name, version) = (package.get("name")?.as_str()?, package.get("version")?.as_str()?);
            Some((format!("pkg:cargo/{name}@{version}"), manifest.parent()?.to_owned()))
        })
        .collect();
    let mut crates_of: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let components = sbom.get("components").and_then(Value::as_array).into_iter().flatten();
    for purl in components.filter_map(|component| component.get("purl")?.as_str()) {
        let Some(folder) = folders.get(purl) else { continue };
        for text in texts_in(folder)? {
            let _ = crates_of.entry(text).or_default().insert(purl);
        }
    }
    let mut blocks: Vec<(Vec<&str>, String)> =
        crates_of.into_iter().map(|(text, purls)| (purls.into_iter().collect(), text)).collect();
    blocks.sort();
    let line = "=".repeat(80);
    let blocks = blocks.iter().map(|(purls, text)| format!("{line}\n{}\n{line}\n\n{text}\n\n", purls.join("\n")));
    Ok(blocks.collect())
}

/// The texts in the source of a crate.
fn texts_in(folder: &Path) -> Result<Vec<String>, ReleaseError> {
    let entries = fs::read_dir(folder).map_err(|error| ReleaseError::File { path: folder.to_owned(), error })?;
    let names = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && NAMES.iter().any(|start| name.starts_with(start))
    });
    names.map(|path| Ok(String::from_utf8_lossy(&read(&path)?).replace("\r\n", "\n").trim().to_owned())).collect()
}
