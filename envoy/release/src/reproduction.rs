//! Builds the module of the commit once more, in another folder and from nothing, and compares.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    ReleaseError,
    assembly::{MODULE, write_image},
    files::{self, output, read, sha256},
    source::Source,
};

/// The SHA-256 digest of the module and the digest of the image, if a second build comes to the same. It leaves nothing behind
/// unless they differ.
///
/// # Errors
/// If they differ, or the build fails.
pub fn reproduce(root: &Path, target: &Path) -> Result<(String, String), ReleaseError> {
    let source = Source::of(root)?;
    if !source.is_of_commit() {
        return Err(ReleaseError::Modified);
    }
    let here = (sha256(&read(&target.join(MODULE))?), write_image(target, &source)?.digest);
    let folder = target.join("reproduction");
    files::empty_folder(&folder)?;
    // Paths of another length than here, for the sources and for what is built.
    let folder = fs::canonicalize(&folder).map_err(|error| ReleaseError::File { path: folder.clone(), error })?;
    let (checkout, built) = (folder.join("somewhere/else"), folder.join("built"));
    let mut clone = Command::new("git");
    let _ = output(clone.args(["clone", "--quiet", "--shared"]).arg(root).arg(&checkout))?;
    let mut make = Command::new("make");
    make.arg("build").current_dir(&checkout).env("CARGO_TARGET_DIR", &built).stdin(Stdio::null()).stdout(Stdio::null());
    for variable in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VESTIBULE_WASM"] {
        make.env_remove(variable);
    }
    let is_built = make.status().is_ok_and(|status| status.success());
    if !is_built {
        return Err(ReleaseError::Command { command: format!("{make:?}"), said: "the second build failed".to_owned() });
    }
    let elsewhere = (sha256(&read(&built.join(MODULE))?), write_image(&built, &Source::of(&checkout)?)?.digest);
    if here != elsewhere {
        let describe = |(module, image): (String, String)| format!("module {module}, image {image}");
        return Err(ReleaseError::Differs { here: describe(here), elsewhere: describe(elsewhere), folder });
    }
    files::remove_folder(&folder)?;
    Ok(here)
}
