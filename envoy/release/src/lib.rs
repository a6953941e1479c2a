//! The image that Istio and Envoy Gateway pull, and the files of a release.
//!
//! [`image`] writes an OCI image without a container engine, [`sbom`] lists the crates of the module, [`provenance`] says what
//! they were built from, [`assembly`] collects the files of a release, and [`reproduction`] builds the module once more,
//! elsewhere, and compares. The same commit gives the same image: no clock, no path and no name of the machine goes into it.

pub mod archive;
pub mod assembly;
pub mod changelog;
pub mod error;
pub mod files;
pub mod image;
pub mod licences;
pub mod provenance;
pub mod reproduction;
pub mod sbom;
pub mod source;

pub use error::ReleaseError;
