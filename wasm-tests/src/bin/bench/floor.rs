//! Filters written by hand as WebAssembly text: the cost of host calls alone. Each makes a few more than the one before; the
//! files in `wasm-tests/floor` name them.

use std::{fs, path::PathBuf};

use wasm_tests::{process::Scratch, tools};

/// The counter of `must`, as Envoy names it.
pub const COUNTER: &str = "wasmcustom.floor_requests";

/// A hand-written filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// Has a request handler and nothing else.
    Nothing,
    /// Reads all headers in one call, sets two, asks for the time; contexts are created and deleted.
    Need,
    /// And reads the route's metadata and counts the request.
    Must,
}

impl Floor {
    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Need => "need",
            Self::Must => "must",
        }
    }

    /// Assembles it into this folder.
    pub fn assemble(self, folder: &Scratch) -> PathBuf {
        let source = tools::root().join("wasm-tests/floor").join(format!("{}.wat", self.name()));
        let module = wat::parse_file(&source).unwrap_or_else(|error| panic!("{error}"));
        let file = folder.file(&format!("{}.wasm", self.name()));
        fs::write(&file, module).expect("the target folder can be written");
        file
    }
}
