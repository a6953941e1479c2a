//! Fuzz targets for every parser of bytes from outside. A target panics where the parser does, and where an assertion
//! about its result fails: a second reader of the same bytes, a round trip, a bound.
//!
//! Each has a file under `targets` and a corpus under `corpus`. `make fuzz` runs them under libFuzzer.

mod fixture;
mod targets;

/// Runs a parser on these bytes.
pub type Target = fn(&[u8]);

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    targets::ALL.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn corpus() -> impl Iterator<Item = (String, Vec<fs::DirEntry>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let entries = |folder: &Path| fs::read_dir(folder).unwrap().map(Result::unwrap).collect::<Vec<_>>();
        entries(&folder)
            .into_iter()
            .map(move |target| (target.file_name().into_string().unwrap(), entries(&target.path())))
    }

    #[test]
    fn every_fuzz_target_passes_on_its_corpus() {
        for (name, files) in corpus() {
            let run = target(&name).unwrap_or_else(|| panic!("a corpus for {name}, which is no target"));
            for file in files {
                println!("{}", file.path().display());
                run(&fs::read(file.path()).unwrap());
            }
        }
    }

    #[test]
    fn every_fuzz_target_has_a_small_corpus() {
        let corpus: Vec<_> = corpus().collect();
        for (name, _) in targets::ALL {
            let (_, files) =
                corpus.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("none for {name}"));
            let size: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
            assert!((3..=80).contains(&files.len()) && size < 64 * 1024, "{name}: {} files, {size} bytes", files.len());
        }
    }
}
