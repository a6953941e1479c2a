//! An OCI image layout with one plain manifest and one layer, as Istio and Envoy Gateway expect it: they read `plugin.wasm` out of
//! the last layer, and choose linux/amd64 where an index offers several platforms, so there is none to choose from.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{ReleaseError, archive, files, source::Source};

/// The name of the module within the layer.
pub const MODULE: &str = "plugin.wasm";
/// The media type of the manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of the configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of the layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image: its files by their places in the layout, and the digest to pin it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The files of the layout.
    pub files: Vec<(String, Vec<u8>)>,
    /// The digest of the manifest, `sha256:…`.
    pub digest: String,
}

impl Image {
    /// The image of this module.
    ///
    /// # Errors
    /// If an archive cannot be written.
    pub fn of(module: &[u8], source: &Source) -> Result<Self, ReleaseError> {
        let layer = archive::tar(&[(MODULE.to_owned(), module.to_vec())])?;
        let diff_id = digest(&layer);
        let mut blobs = Vec::new();
        let config = json!({
            "created": source.created,
            "architecture": "wasm",
            "os": "wasip1",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        });
        let config = descriptor(CONFIG, config.to_string().into_bytes(), &mut blobs);
        let layer = descriptor(LAYER, archive::gzip(&layer)?, &mut blobs);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": {
                "org.opencontainers.image.title": "vestibule",
                "org.opencontainers.image.description": "Sign-in for any app behind Envoy or Istio, in one WebAssembly file",
                "org.opencontainers.image.version": source.version,
                "org.opencontainers.image.revision": source.revision,
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.created": source.created,
            },
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = digest(&manifest);
        let mut manifest = descriptor(MANIFEST, manifest, &mut blobs);
        if let Some(members) = manifest.as_object_mut() {
            let _ =
                members.insert("annotations".to_owned(), json!({"org.opencontainers.image.ref.name": source.version}));
        }
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]});
        blobs.sort();
        blobs.push(("index.json".to_owned(), index.to_string().into_bytes()));
        blobs.push(("oci-layout".to_owned(), json!({"imageLayoutVersion": "1.0.0"}).to_string().into_bytes()));
        Ok(Self { files: blobs, digest })
    }

    /// Writes the layout in place of what is in this folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ReleaseError> {
        files::empty_folder(folder)?;
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|error| ReleaseError::File { path: parent.to_owned(), error })?;
            }
            files::write(&path, bytes)?;
        }
        Ok(())
    }
}

/// Keeps a blob, and describes it.
fn descriptor(media_type: &str, bytes: Vec<u8>, blobs: &mut Vec<(String, Vec<u8>)>) -> Value {
    let sha256 = files::sha256(&bytes);
    let descriptor = json!({"mediaType": media_type, "digest": format!("sha256:{sha256}"), "size": bytes.len()});
    blobs.push((format!("blobs/sha256/{sha256}"), bytes));
    descriptor
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", files::sha256(bytes))
}
