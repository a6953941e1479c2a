//! What can keep a release from being made.

use std::{io, path::PathBuf};

/// Why there is no image or release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// An archive that cannot be written.
    #[error("cannot write an archive: {0}")]
    Archive(#[source] io::Error),
    /// No section of CHANGELOG.md tells of this version.
    #[error("CHANGELOG.md has no section \"## {0}\"")]
    Changelog(String),
    /// A program that failed, with what it said.
    #[error("{command}: {said}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// The end of its standard error.
        said: String,
    },
    /// The second build differs from the first.
    #[error("not reproducible: {here} is built here, {elsewhere} in another folder (kept: {})", .folder.display())]
    Differs {
        /// The SHA-256 digest of the module built here.
        here: String,
        /// That of the module built in the other folder.
        elsewhere: String,
        /// The other folder.
        folder: PathBuf,
    },
    /// A file that cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Files that differ from those of the commit.
    #[error("files differ from the commit: commit them first, or a release could not be built again")]
    Modified,
    /// A tag of another version.
    #[error("the tag {tag} is not of version {version}: write v{version}, or change Cargo.toml")]
    Tag {
        /// The tag.
        tag: String,
        /// The version in Cargo.toml.
        version: String,
    },
    /// What a tool printed, or a file of it, that does not read as expected.
    #[error("cannot read {0}")]
    Unreadable(&'static str),
    /// Arguments that are none of this program's.
    #[error("usage: vestibule-release image | assemble [TAG] | reproduce")]
    Usage,
}
