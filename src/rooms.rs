//! Keeps two maps true: the one at the top of the crate says which rooms a room may import, the one at the top of `flow` its
//! layers. No file of `flow` is in an import cycle.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

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
        if matches!(room.as_str(), "docs" | "lib" | "rooms")
            || path.extension().is_some_and(|extension| extension == "css")
        {
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

/// A file of `flow`: its module path below `flow`, and the modules there that it names.
type Graph = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

fn flow_files(folder: &Path, module: &[String], files: &mut BTreeMap<Vec<String>, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if stem == "tests" {
            continue;
        }
        let own = if stem == "mod" { module.to_vec() } else { [module, &[stem]].concat() };
        if path.is_dir() {
            flow_files(&path, &own, files);
        } else {
            files.insert(own, path);
        }
    }
}

/// The paths of a use tree: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn paths(tree: &str) -> Vec<String> {
    let Some((prefix, inner)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = inner.trim_end().strip_suffix('}').unwrap();
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in inner.chars() {
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                parts.last_mut().unwrap().push(c);
            }
        }
    }
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| paths(&part)).map(|path| format!("{}{path}", prefix.trim())).collect()
}

/// The paths that a file names, in `use` and elsewhere.
fn named_paths(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: Vec<_> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let (mut found, mut rest) = (Vec::new(), String::new());
    for statement in code.split_inclusive(';') {
        let (before, item) = statement.rsplit_once("use ").unwrap_or((statement, ""));
        let line = before.rsplit('\n').next().unwrap().trim();
        // `use` begins a line, perhaps after `pub` or `pub(...)`.
        if line.is_empty() || line.starts_with("pub") {
            found.extend(paths(&item.trim_end_matches(';').replace('\n', " ")));
            rest.push_str(before);
        } else {
            rest.push_str(statement);
        }
    }
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    found.extend(rest.split(|c| !is_path(c)).filter(|path| path.contains("::")).map(str::to_owned));
    found
}

fn graph() -> Graph {
    let mut files = BTreeMap::new();
    flow_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/flow"), &[], &mut files);
    let mut graph = Graph::new();
    for (module, file) in &files {
        let mut named = BTreeSet::new();
        for path in named_paths(&fs::read_to_string(file).unwrap()) {
            let mut segments: Vec<_> = path.split("::").map(|segment| segment.trim().to_owned()).collect();
            let mut base = module.clone();
            if path.starts_with("crate::flow::") {
                base.clear();
                segments.drain(..2);
            } else if path.starts_with("crate::") {
                continue;
            }
            while segments.first().is_some_and(|segment| segment == "super" || segment == "self") {
                if segments.remove(0) == "super" && base.pop().is_none() {
                    break;
                }
            }
            let full = [base, segments].concat();
            let target =
                (1..=full.len()).rev().map(|length| full[..length].to_vec()).find(|path| files.contains_key(path));
            named.extend(target.filter(|target| target != module));
        }
        graph.insert(module.clone(), named);
    }
    graph
}

#[test]
fn the_layers_of_flow_import_only_those_above_them() {
    let map = include_str!("flow/mod.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
    let layers: Vec<_> = map.map(|line| line.split('`').next().unwrap().to_owned()).collect();
    let place = |module: &[String]| {
        let layer = module.first().unwrap();
        layers
            .iter()
            .position(|known| known == layer)
            .unwrap_or_else(|| panic!("{layer} is not on the map in flow/mod.rs"))
    };
    let mut faults = Vec::new();
    for (module, imports) in graph().iter().filter(|(module, _)| !module.is_empty()) {
        let upwards = imports.iter().filter(|import| place(import) > place(module));
        faults.extend(upwards.map(|import| format!("{} imports {}", module.join("::"), import.join("::"))));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn no_file_of_flow_is_in_an_import_cycle() {
    let mut graph = graph();
    // A file that imports none of those that are left is in no cycle.
    loop {
        let settled: Vec<_> =
            graph.iter().filter(|(_, imports)| imports.is_empty()).map(|(module, _)| module.clone()).collect();
        if settled.is_empty() {
            break;
        }
        for module in settled {
            graph.remove(&module);
            for imports in graph.values_mut() {
                imports.remove(&module);
            }
        }
    }
    assert!(graph.is_empty(), "{graph:#?}");
}

#[test]
fn paths_are_found_in_trees_and_in_code() {
    let source = "use super::{a::{self, B}, c};\npub(super) use d::E;\nfn f(_: super::g::H) {}\n// super::not_this\n";
    let found = named_paths(source);
    for path in ["super::a::self", "super::a::B", "super::c", "d::E", "super::g::H"] {
        assert!(found.iter().any(|known| known == path), "{path} in {found:?}");
    }
    assert!(!found.iter().any(|path| path.contains("not_this")));
}
