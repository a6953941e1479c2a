//! The cost of each kind of request without noise: the built module runs in an interpreter (wasmi) with a stub host, and its host calls
//! and instructions are counted. The table is kept in `table.md`; a cost that differs from it by more than 5 % fails.
//!
//! `make cost`, or `make cost KEEP=1` to keep the new table.

mod browser;
mod filter;
mod host;
mod kinds;
mod table;

use std::{env, fs, path::Path, process::ExitCode};

use wasm_tests::tools;

use filter::Linked;

fn main() -> ExitCode {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("table.md");
    let linked = Linked::read(&tools::module());
    let new = table::write(&kinds::all(&linked));
    println!("{new}");
    if env::var_os("KEEP").is_some_and(|keep| !keep.is_empty()) {
        fs::write(&file, new).expect("the folder of the tests can be written");
        return ExitCode::SUCCESS;
    }
    let differences = table::differences(&fs::read_to_string(&file).unwrap_or_default(), &new);
    for difference in &differences {
        println!("{difference}");
    }
    if differences.is_empty() {
        println!("the costs are those of {}", file.display());
        return ExitCode::SUCCESS;
    }
    println!("to keep the new costs, with the reason in the commit: make cost KEEP=1");
    ExitCode::FAILURE
}
