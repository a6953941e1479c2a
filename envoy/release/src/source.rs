//! The commit that a release is built from, and the tools that build it.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::{
    ReleaseError,
    files::{output, read, sha256},
};

/// What a module is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The version in Cargo.toml.
    pub version: String,
    /// The commit; with `-modified` behind it where files differ.
    pub revision: String,
    /// The date of the commit, in UTC.
    pub created: String,
}

impl Source {
    /// Asks git and cargo in this folder.
    ///
    /// # Errors
    /// If it is no checkout.
    pub fn of(root: &Path) -> Result<Self, ReleaseError> {
        let git = |arguments: &[&str]| output(Command::new("git").args(arguments).current_dir(root).env("TZ", "UTC0"));
        let mut revision = git(&["rev-parse", "HEAD"])?;
        if !git(&["status", "--porcelain"])?.is_empty() {
            revision.push_str("-modified");
        }
        let created = git(&["log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"])?;
        // path+file:///checkout#vestibule@0.1.0
        let package = output(Command::new("cargo").args(["pkgid", "--locked", "-p", "vestibule"]).current_dir(root))?;
        let version = package.rsplit(['#', '@']).next().unwrap_or_default().to_owned();
        Ok(Self { version, revision, created })
    }

    /// Whether the files are those of the commit.
    #[must_use]
    pub fn is_of_commit(&self) -> bool {
        !self.revision.ends_with("-modified")
    }
}

/// The tools that the bytes of a module depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    /// The version of rustc and of the standard library in the module.
    pub rust: String,
    /// The commit of rustc.
    pub rust_commit: String,
    /// The platform of this machine, as rustc names it.
    pub host: String,
    /// The version of binaryen, which shrinks the module.
    pub binaryen: String,
    /// The SHA-256 digest of Cargo.lock.
    pub lock: String,
}

impl Tools {
    /// Asks rustc and reads the lock files in this folder.
    ///
    /// # Errors
    /// If something of it is not there.
    pub fn of(root: &Path) -> Result<Self, ReleaseError> {
        let rustc = output(Command::new("rustc").args(["--version", "--verbose"]).current_dir(root))?;
        let line = |name: &str| {
            let value = rustc.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.map(str::to_owned).ok_or(ReleaseError::Unreadable("the version of rustc"))
        };
        let packages = read(&root.join(".wasm-opt/package-lock.json"))?;
        let packages: Value = serde_json::from_slice(&packages).unwrap_or_default();
        let binaryen = packages.pointer("/packages/node_modules~1binaryen/version").and_then(Value::as_str);
        Ok(Self {
            rust: line("release")?,
            rust_commit: line("commit-hash")?,
            host: line("host")?,
            binaryen: binaryen.ok_or(ReleaseError::Unreadable(".wasm-opt/package-lock.json"))?.to_owned(),
            lock: sha256(&read(&root.join("Cargo.lock"))?),
        })
    }
}
