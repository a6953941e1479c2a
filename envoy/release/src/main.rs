//! `vestibule-release`: run from the folder of the repository by `make image`, `make release` and `make reproducible`.

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use vestibule_release::{
    ReleaseError,
    assembly::{MODULE, assemble, write_image},
    files::{read, sha256},
    reproduction::reproduce,
    source::Source,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(said) => {
            // Nobody reads it where standard output is closed.
            drop(writeln!(io::stdout(), "{said}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nor where standard error is.
            drop(writeln!(io::stderr(), "vestibule-release: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<String, ReleaseError> {
    let root = Path::new(".");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    match arguments {
        ["image"] => {
            let image = write_image(&target, &Source::of(root)?)?;
            let module = sha256(&read(&target.join(MODULE))?);
            Ok(format!("{}\nimage {}\nmodule sha256:{module}", target.join("image").display(), image.digest))
        }
        ["assemble"] => Ok(assemble(root, &target, None)?.display().to_string()),
        ["assemble", tag] => Ok(assemble(root, &target, Some(tag))?.display().to_string()),
        ["reproduce"] => {
            let (module, image) = reproduce(root, &target)?;
            Ok(format!("reproducible: module sha256:{module}, image {image}"))
        }
        _ => Err(ReleaseError::Usage),
    }
}
