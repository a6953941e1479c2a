//! The table at the top of `convert` is true: it has each file, which imports files of lines above its own alone.

use std::collections::BTreeMap;

#[test]
fn conversions_import_one_way() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/convert");
    let rows = include_str!("../convert.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
    let files =
        |row: &str| row.split('|').next().unwrap().split(['`', ',', ' ']).map(str::to_owned).collect::<Vec<_>>();
    let lines = rows.enumerate().flat_map(|(line, row)| files(row).into_iter().map(move |file| (file, line)));
    let layers: BTreeMap<_, _> = lines.filter(|(file, _)| !file.is_empty()).collect();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let line = layers.get(&name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let source = std::fs::read_to_string(&path).unwrap();
        let imports = source.split("mod tests").next().unwrap().split("super::").skip(1);
        let words = imports
            .flat_map(|import| import.split(';').next().unwrap().split(|c: char| !c.is_alphanumeric() && c != '_'));
        let known = words.filter_map(|word| layers.get_key_value(word));
        for (import, above) in known {
            assert!(above < line, "{name} imports {import}");
        }
        seen += 1;
    }
    assert_eq!(seen, layers.len());
}
