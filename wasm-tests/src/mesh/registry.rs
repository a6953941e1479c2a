//! A registry of container images with one image, which holds the module as the pages on control planes say.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    http1::{Outcome, Request, Server, response},
    keys::sha256,
    process::Scratch,
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const TAG: &str = "0.1.0";

/// A running registry. Dropping it closes its port.
#[derive(Debug)]
pub(super) struct Registry {
    server: Server,
}

/// A document or a layer, by its digest.
#[derive(Debug, Clone)]
struct Blob {
    digest: String,
    kind: &'static str,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(kind: &'static str, bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), kind, bytes }
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.kind, "digest": self.digest, "size": self.bytes.len()})
    }
}

impl Registry {
    /// Starts on a free port with an image of this module: what `FROM scratch` and `COPY vestibule.wasm ./plugin.wasm` make.
    pub(super) fn start(module: &Path) -> Self {
        let scratch = Scratch::new("image");
        let file = |name: &str| scratch.file(name);
        fs::copy(module, file("plugin.wasm")).expect("the target folder can be written");
        for command in [&["tar", "-cf", "layer.tar", "plugin.wasm"][..], &["gzip", "-k", "layer.tar"]] {
            let status = Command::new(command[0]).args(&command[1..]).current_dir(file("")).status();
            assert!(status.is_ok_and(|status| status.success()), "failed: {command:?}");
        }
        let read = |name: &str| fs::read(file(name)).expect("a file just written");
        let unpacked = digest(&read("layer.tar"));
        let layer = Blob::new("application/vnd.oci.image.layer.v1.tar+gzip", read("layer.tar.gz"));
        let settings = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [unpacked]},
        });
        let settings = Blob::new("application/vnd.oci.image.config.v1+json", settings.to_string().into());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": settings.descriptor(), "layers": [layer.descriptor()],
        });
        let manifest = Blob::new(MANIFEST, manifest.to_string().into());
        let blobs = [layer, settings, manifest];
        Self {
            server: Server::start(0, move |request, connection| {
                let sent = connection.send(&answer(&blobs, &request));
                if sent.is_ok() { Outcome::KeepAlive } else { Outcome::Close }
            }),
        }
    }

    /// The image's name, without a scheme.
    pub(super) fn image(&self) -> String {
        format!("{}/vestibule:{TAG}", self.server.address())
    }
}

/// The pull half of the OCI distribution specification.
fn answer(blobs: &[Blob; 3], request: &Request) -> Vec<u8> {
    if request.path() == "/v2/" {
        return response(200, &[], b"");
    }
    let asked = request.path().rsplit('/').next().unwrap_or_default();
    let [.., manifest] = blobs;
    let found = if asked == TAG { Some(manifest) } else { blobs.iter().find(|blob| blob.digest == asked) };
    let Some(Blob { digest, kind, bytes }) = found else { return response(404, &[], b"") };
    let mut answer = response(200, &[("content-type", kind), ("docker-content-digest", digest)], bytes);
    if request.method == "HEAD" {
        answer.truncate(answer.len() - bytes.len());
    }
    answer
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
