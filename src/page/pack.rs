//! The build script: packs the texts of `src/page/texts/LANGUAGE.txt`, without their keys, in zlib.
#![expect(clippy::print_stdout, reason = "cargo reads it")]

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    const TEXTS: &str = "src/page/texts";
    println!("cargo::rerun-if-changed={TEXTS}");
    let out = env::var("OUT_DIR")?;
    for file in fs::read_dir(TEXTS)? {
        let file = file?.path();
        let mut texts = String::new();
        for line in fs::read_to_string(&file)?.lines() {
            let (_, text) =
                line.split_once(" = ").ok_or_else(|| format!("{}: `{line}` is not `key = text`", file.display()))?;
            texts.push_str(text);
            texts.push('\n');
        }
        let name = file.file_stem().ok_or("a file without a name")?;
        let out = Path::new(&out).join(name);
        fs::write(out.with_extension("zlib"), miniz_oxide::deflate::compress_to_vec_zlib(texts.as_bytes(), 10))?;
        fs::write(out, texts)?;
    }
    Ok(())
}
