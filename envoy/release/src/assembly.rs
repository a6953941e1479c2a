//! The folder of a release.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    ReleaseError, archive, changelog,
    files::{self, read, read_text, sha256, write},
    image::Image,
    licences, provenance, sbom,
    source::{Source, Tools},
};

/// The module that `make build` leaves below cargo's target folder.
pub const MODULE: &str = "wasm32-wasip1/release/vestibule.wasm";
/// The names and digests of all other files, as `sha256sum --check` reads them.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// The section of the changelog that has no version yet.
const UNRELEASED: &str = "Unreleased";

/// Writes the image of the module that is built from this source to `image` in the target folder.
///
/// # Errors
/// If there is no module, or something cannot be written.
pub fn write_image(target: &Path, source: &Source) -> Result<Image, ReleaseError> {
    let image = Image::of(&read(&target.join(MODULE))?, source)?;
    image.write(&target.join("image"))?;
    Ok(image)
}

/// Collects the files of a release in a folder of its own below the target folder, and returns that. With a tag, it has to be
/// that of the version, the changelog has to have an entry, and all has to be committed.
///
/// # Errors
/// If one of this does not hold, something is not built, or a file cannot be written.
pub fn assemble(root: &Path, target: &Path, tag: Option<&str>) -> Result<PathBuf, ReleaseError> {
    let (source, tools) = (Source::of(root)?, Tools::of(root)?);
    let version = &source.version;
    if let Some(tag) = tag {
        check_tag(tag, &source)?;
    }
    let changes = read_text(&root.join("CHANGELOG.md"))?;
    let unreleased = || changelog::entry(&changes, UNRELEASED).filter(|_| tag.is_none());
    let entry = changelog::entry(&changes, version).or_else(unreleased);
    let entry = entry.ok_or_else(|| ReleaseError::Changelog(version.clone()))?;
    let module = read(&target.join(MODULE))?;
    let image = write_image(target, &source)?;
    let sbom = sbom::document(root, &sha256(&module), &source, &tools)?;
    let named = |end: &str| format!("vestibule-{version}{end}");
    let mut files = vec![
        (named(".wasm"), module),
        (named(".oci.tar"), archive::tar(&image.files)?),
        (named(&format!("-{}", tools.host)), read(&target.join("release/vestibule"))?),
        (named("-samples.tar.gz"), archive::gzip(&archive::tar(&samples(root, version)?)?)?),
        (named(".cdx.json"), pretty(&sbom)),
        (named("-licenses.txt"), licences::texts(root, &sbom)?.into_bytes()),
        ("config.schema.json".to_owned(), read(&root.join("envoy/config.schema.json"))?),
        ("LICENSE".to_owned(), read(&root.join("LICENSE"))?),
        ("CHANGES.md".to_owned(), format!("{entry}\n").into_bytes()),
    ];
    let mut subjects: Vec<_> = files.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect();
    let digest = image.digest.strip_prefix("sha256:").unwrap_or_default();
    subjects.push((format!("vestibule:{version}"), digest.to_owned()));
    files.push((named(".provenance.json"), pretty(&provenance::statement(&subjects, &source, &tools))));
    files.sort();
    let sums = files.iter().map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes))).collect::<String>();
    files.push((CHECKSUMS.to_owned(), sums.into_bytes()));
    let folder = target.join(named(""));
    files::empty_folder(&folder)?;
    for (name, bytes) in &files {
        write(&folder.join(name), bytes)?;
    }
    make_executable(&folder.join(named(&format!("-{}", tools.host))))?;
    Ok(folder)
}

/// Whether this tag may be released.
fn check_tag(tag: &str, source: &Source) -> Result<(), ReleaseError> {
    if tag.strip_prefix('v') != Some(&source.version) {
        return Err(ReleaseError::Tag { tag: tag.to_owned(), version: source.version.clone() });
    }
    if source.is_of_commit() { Ok(()) } else { Err(ReleaseError::Modified) }
}

/// The configurations to copy, the module for scripts with its types, the dashboard and the alerts, by the places they have in the archive.
fn samples(root: &Path, version: &str) -> Result<Vec<(String, Vec<u8>)>, ReleaseError> {
    let folder = root.join("envoy");
    let mut samples = Vec::new();
    let kinds: [(_, _, &[&str]); 2] =
        [(folder.clone(), "", &["js", "ts", "yaml"]), (folder.join("monitoring"), "monitoring/", &["json", "yaml"])];
    for (from, to, extensions) in kinds {
        for path in files::in_folder(&from)? {
            if path.extension().is_some_and(|extension| extensions.iter().any(|known| extension == *known)) {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                samples.push((format!("vestibule-{version}-samples/{to}{name}"), read(&path)?));
            }
        }
    }
    samples.sort();
    Ok(samples)
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<(), ReleaseError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|error| ReleaseError::File { path: path.to_owned(), error })
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<(), ReleaseError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{check_tag, samples};
    use crate::source::Source;

    #[test]
    fn the_samples_have_the_dashboard_and_the_alerts() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let samples: Vec<_> = samples(&root, "1.2.3").unwrap().into_iter().map(|(name, _)| name).collect();
        for name in
            ["minimal.yaml", "monitoring/alerts.test.yaml", "monitoring/alerts.yaml", "monitoring/dashboard.json"]
        {
            assert!(samples.contains(&format!("vestibule-1.2.3-samples/{name}")), "{name} is not among {samples:?}");
        }
        assert!(samples.iter().all(|name| !name.ends_with("/config.schema.json")), "{samples:?}");
    }

    #[test]
    fn a_release_tag_names_the_version_of_an_unmodified_commit() {
        let source = |revision: &str| Source {
            version: "1.2.3".to_owned(),
            revision: revision.to_owned(),
            created: "2026-01-02T03:04:05Z".to_owned(),
        };
        assert!(check_tag("v1.2.3", &source("abc")).is_ok());
        for (tag, revision) in [("1.2.3", "abc"), ("v1.2.4", "abc"), ("vv1.2.3", "abc"), ("v1.2.3", "abc-modified")] {
            assert!(check_tag(tag, &source(revision)).is_err(), "{tag} {revision}");
        }
    }
}
