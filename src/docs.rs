//! The pages on architecture, security and speed name files, items and tests: each must exist.

use std::{fs, path::Path};

const ARCHITECTURE: &str = include_str!("../envoy/docs/architecture.md");
const SECURITY: &str = include_str!("../envoy/docs/security.md");
const SPEED: &str = include_str!("../envoy/docs/speed.md");

/// The texts in backquotes, outside of blocks.
fn spans(page: &str) -> Vec<&str> {
    let outside = page.split("```").step_by(2);
    outside.flat_map(|text| text.split('`').skip(1).step_by(2)).collect()
}

/// The files that links lead to, as the page writes them.
fn linked_files(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter_map(|target| target.split('#').next());
    files.filter(|file| !file.is_empty() && !file.contains("://")).collect()
}

/// Whether a span names a file or folder of the repository.
fn is_path(span: &str) -> bool {
    const FOLDERS: [&str; 3] = ["envoy/", "src/", "wasm-tests/"];
    !span.contains(' ') && FOLDERS.iter().any(|folder| span.starts_with(folder))
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).ok()
}

fn exists(file: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists()
}

/// Whether the file defines this function, type, constant or module.
fn defines(source: &str, item: &str) -> bool {
    const KEYWORDS: [&str; 7] = ["const", "enum", "fn", "macro_rules!", "mod", "struct", "trait"];
    source.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).any(|line| {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '!');
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        words.windows(2).any(|pair| KEYWORDS.contains(&pair[0]) && pair[1] == item)
    })
}

/// Whether the file has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    source.split("#[test]").skip(1).any(|rest| defines(rest.split('{').next().unwrap(), name))
}

/// The faults of a page.
fn faults(page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for file in linked_files(page) {
        if !exists(&format!("envoy/docs/{file}")) {
            faults.push(format!("the link {file} leads nowhere"));
        }
    }
    for span in spans(page).into_iter().filter(|span| is_path(span)) {
        let (file, item) = span.split_once("::").map_or((span, None), |(file, item)| (file, Some(item)));
        match item {
            None if exists(file) => {}
            Some(item) if read(file).is_some_and(|source| defines(&source, item)) => {}
            None | Some(_) => faults.push(format!("{span} does not exist")),
        }
    }
    faults
}

/// The faults of a table of attacks: the third cell names items, the last one tests.
fn faults_of_row(row: &str) -> Vec<String> {
    let cells: Vec<_> = row.trim_matches('|').split('|').collect();
    let [_, _, items, tests] = cells[..] else { return vec![format!("not four cells: {row}")] };
    let named =
        |cell| -> Vec<(&str, &str)> { spans(cell).into_iter().filter_map(|span| span.split_once("::")).collect() };
    let mut faults = Vec::new();
    if named(items).is_empty() || named(tests).is_empty() {
        faults.push(format!("no item or no test: {row}"));
    }
    for (file, name) in named(tests) {
        if !read(file).is_some_and(|source| has_test(&source, name)) {
            faults.push(format!("{file}::{name} is no test"));
        }
    }
    faults
}

#[test]
fn the_pages_on_architecture_and_speed_name_what_exists() {
    let faults = [ARCHITECTURE, SPEED].map(faults).concat();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_page_on_security_names_items_and_tests_that_exist() {
    let mut faults = faults(SECURITY);
    let attacks = SECURITY.lines().filter(|line| line.starts_with("| ") && line.contains("::"));
    let rows: Vec<_> = attacks.collect();
    assert!(rows.len() > 50, "{rows:#?}");
    faults.extend(rows.into_iter().flat_map(faults_of_row));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_name_that_does_not_exist_is_found() {
    let page = "[a](gone.md) [b](../../README.md) `src/gone.rs` `src/docs.rs::gone` `src/docs.rs::faults` `src/flow/`";
    assert_eq!(
        faults(page),
        ["the link gone.md leads nowhere", "src/gone.rs does not exist", "src/docs.rs::gone does not exist"]
    );
    let row = "| a | b | `src/docs.rs::faults` | `src/docs.rs::faults` |";
    assert_eq!(faults_of_row(row), ["src/docs.rs::faults is no test"]);
    let row = "| a | b | `src/docs.rs::faults` | `src/docs.rs::a_name_that_does_not_exist_is_found` |";
    assert_eq!(faults_of_row(row), [""; 0]);
    assert_eq!(faults_of_row("| a | b | c | d |").len(), 1);
}
