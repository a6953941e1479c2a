//! Keeps the map at the top of the crate true: who may import whom.

use std::{collections::BTreeMap, fs, path::Path};

/// The rooms and what each may import, read off the table in `lib.rs`.
fn map() -> BTreeMap<String, Vec<String>> {
    let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let cells: Vec<_> = line.trim_end_matches('|').split(" | ").map(str::trim).collect();
        let [room, _, imports] = cells[..] else { continue };
        let name = room.trim_matches(['[', ']', '`']);
        if matches!(name, "room" | "---") {
            continue;
        }
        let imports = match imports {
            "all of the above" => map.keys().cloned().collect(),
            list => list.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        };
        map.insert(name.to_owned(), imports);
    }
    map
}

/// Every `crate::room` that the file names.
fn imports(source: &str) -> Vec<String> {
    // Groups (`use crate::{a, b::c}`) name one room after each brace and comma at their own depth.
    let mut found = Vec::new();
    for rest in source.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            continue;
        };
        let (mut depth, mut name, mut expects_name) = (0, String::new(), true);
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expects_name = true,
                c if expects_name && (c.is_alphanumeric() || c == '_') => name.push(c),
                _ if !name.is_empty() => {
                    found.push(std::mem::take(&mut name));
                    expects_name = false;
                }
                _ => {}
            }
        }
        found.extend((!name.is_empty()).then_some(name));
    }
    found
}

fn check(file: &Path, room: &str, allowed: &[String], faults: &mut Vec<String>) {
    let source = fs::read_to_string(file).unwrap();
    for import in imports(&source) {
        if import != room && !allowed.contains(&import) {
            faults.push(format!("{} imports crate::{import}", file.display()));
        }
    }
}

fn visit(folder: &Path, room: &str, allowed: &[String], faults: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Tests may borrow from anywhere.
        if path.file_stem().is_some_and(|stem| stem == "tests" || stem == "testing" || stem == "testdata") {
            continue;
        }
        if path.is_dir() {
            visit(&path, room, allowed, faults);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            check(&path, room, allowed, faults);
        }
    }
}

#[test]
fn every_room_imports_only_what_the_map_allows() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let map = map();
    let mut faults = Vec::new();
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if matches!(room.as_str(), "lib" | "rooms") || path.extension().is_some_and(|extension| extension == "css") {
            continue;
        }
        let allowed = map.get(&room).unwrap_or_else(|| panic!("{room} is not on the map in lib.rs"));
        if path.is_dir() {
            visit(&path, &room, allowed, &mut faults);
        } else {
            check(&path, &room, allowed, &mut faults);
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn imports_are_found_in_groups_and_alone() {
    let source = "use crate::http::Request;\nuse crate::{\n    jose::{json, jws::X},\n    time,\n};\nfn f(_: crate::page::Page) {}";
    assert_eq!(imports(source), ["http", "jose", "time", "page"]);
}
