//! What a release was built from, as an in-toto statement with a predicate of SLSA. It is not signed, and says so in the name of
//! its builder: whoever publishes the release signs (`.github/workflows/release.yml`).

use serde_json::{Value, json};

use crate::source::{Source, Tools};

/// The statement on these files, each with its SHA-256 digest.
#[must_use]
pub fn statement(subjects: &[(String, String)], source: &Source, tools: &Tools) -> Value {
    let subjects = subjects.iter().map(|(name, sha256)| json!({"name": name, "digest": {"sha256": sha256}}));
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects.collect::<Vec<_>>(),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:vestibule:make-release",
                "externalParameters": {"version": source.version, "commit": source.revision},
                "internalParameters": {"host": tools.host},
                "resolvedDependencies": [
                    {"name": "vestibule", "digest": {"gitCommit": source.revision}},
                    {"name": "Cargo.lock", "digest": {"sha256": tools.lock}},
                    {"name": "rustc", "digest": {"gitCommit": tools.rust_commit}, "annotations": {"version": tools.rust}},
                    {"name": "binaryen", "uri": format!("pkg:npm/binaryen@{}", tools.binaryen)},
                ],
            },
            "runDetails": {"builder": {"id": "urn:vestibule:unsigned"}},
        },
    })
}
