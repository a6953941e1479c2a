//! Files, digests, and the programs that are run.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

use crate::ReleaseError;

/// The SHA-256 digest in hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

/// The bytes of a file.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, ReleaseError> {
    fs::read(path).map_err(|error| at(path, error))
}

/// The text of a file.
///
/// # Errors
/// If it cannot be read.
pub fn read_text(path: &Path) -> Result<String, ReleaseError> {
    fs::read_to_string(path).map_err(|error| at(path, error))
}

/// Writes a file.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), ReleaseError> {
    fs::write(path, bytes).map_err(|error| at(path, error))
}

/// The files and folders in a folder.
///
/// # Errors
/// If it cannot be read.
pub fn in_folder(path: &Path) -> Result<Vec<PathBuf>, ReleaseError> {
    let entries = fs::read_dir(path).map_err(|error| at(path, error))?;
    Ok(entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
}

/// Makes an empty folder, in place of the one that is there.
///
/// # Errors
/// If it cannot be made.
pub fn empty_folder(path: &Path) -> Result<(), ReleaseError> {
    remove_folder(path)?;
    fs::create_dir_all(path).map_err(|error| at(path, error))
}

/// Removes a folder, if it is there.
///
/// # Errors
/// If it stays.
pub fn remove_folder(path: &Path) -> Result<(), ReleaseError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path, error)),
        _ => Ok(()),
    }
}

/// Runs a program and returns what it prints, without white space at the ends.
///
/// # Errors
/// If it fails, with what it said.
pub fn output(command: &mut Command) -> Result<String, ReleaseError> {
    let described = format!("{command:?}");
    let failed = |said: String| ReleaseError::Command { command: described.clone(), said };
    let output = command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| failed("printed what is not UTF-8".to_owned()))?;
    Ok(text.trim().to_owned())
}

fn at(path: &Path, error: io::Error) -> ReleaseError {
    ReleaseError::File { path: path.to_owned(), error }
}
