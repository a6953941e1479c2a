//! With the feature `libfuzzer` (`make fuzz`), libFuzzer with the target that `FUZZ_TARGET` names. Without it, runs
//! one target on files, to look at a crash with a debugger: `cargo run -p vestibule-fuzz -- jws target/fuzz/crashes/...`
#![cfg_attr(feature = "libfuzzer", no_main)]

#[cfg(feature = "libfuzzer")]
mod libfuzzer {
    use std::sync::OnceLock;

    use vestibule_fuzz::{Target, target};

    static TARGET: OnceLock<Target> = OnceLock::new();

    libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
        let run = TARGET.get_or_init(|| {
            let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
            target(&name).unwrap_or_else(|| panic!("there is no target {name}"))
        });
        run(bytes);
    });
}

#[cfg(not(feature = "libfuzzer"))]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let run =
        arguments.next().and_then(|name| vestibule_fuzz::target(&name)).expect("usage: vestibule-fuzz TARGET FILE...");
    for file in arguments {
        run(&std::fs::read(&file).unwrap_or_else(|error| panic!("cannot read {file}: {error}")));
    }
}
