//! The pages name files, items, tests, commands and each other: each must exist. `samples` of `wasm-tests` gives their YAML to
//! Envoy, `client_module` their scripts to a compiler, `envoy/check` reads the commands of its own program.

mod monitoring;

use std::{collections::HashMap, fs, path::Path};

const SECURITY: &str = include_str!("../envoy/docs/security.md");
/// What blocks are written in.
const LANGUAGES: [&str; 7] = ["js", "json", "mermaid", "sh", "text", "toml", "yaml"];
/// The programs of commands to copy, beside `make` and `cargo`.
const PROGRAMS: [&str; 4] = ["UPDATE_SCHEMA=1", "kubectl", "sha256sum", "skopeo"];

/// The folder and the text of each page, by its place in the repository.
fn pages() -> Vec<(String, String)> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/docs")).unwrap();
    let names = folder.map(|entry| format!("envoy/docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    let names = names.chain(["README.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md"].map(str::to_owned));
    names.map(|name| (name.clone(), read(&name).unwrap())).collect()
}

/// The texts in backquotes, outside of blocks.
fn spans(page: &str) -> Vec<&str> {
    let outside = page.split("```").step_by(2);
    outside.flat_map(|text| text.split('`').skip(1).step_by(2)).collect()
}

/// The targets of links within the repository, as the page writes them.
fn links(page: &str) -> Vec<&str> {
    let outside = page.split("```").step_by(2);
    let targets = outside.flat_map(|text| text.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The file that a link of a page in this folder leads to.
fn resolve(folder: &str, link: &str) -> String {
    let mut steps: Vec<&str> = folder.split('/').filter(|step| !step.is_empty()).collect();
    for step in link.split('/') {
        match step {
            ".." => drop(steps.pop()),
            "." => {}
            step => steps.push(step),
        }
    }
    steps.join("/")
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let outside = page.split("```").step_by(2);
    let headings = outside
        .flat_map(str::lines)
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    headings
        .map(|heading| {
            let letters = heading.trim().to_lowercase();
            let letters = letters.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            let slug: String = letters.map(|letter| if letter == ' ' { '-' } else { letter }).collect();
            let count = seen.entry(slug.clone()).or_default();
            *count += 1;
            if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
        })
        .collect()
}

/// The language and the text of each block, also in lists.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
        blocks.push((language, block.join("\n")));
    }
    blocks
}

/// The fault of a command that a reader copies.
fn fault_of_command(command: &str) -> Option<String> {
    let mut words = command.split_whitespace();
    let program = words.next()?;
    let mut words: Vec<&str> = words.collect();
    let is_known = match program {
        "make" => words.first().is_some_and(|target| is_target(target)),
        "cargo" => true,
        _ => PROGRAMS.contains(&program),
    };
    // What a check reads and where a build goes.
    words.retain(|word| is_path(word) && !word.contains('*'));
    match words.into_iter().find(|word| !exists(word)) {
        Some(file) => Some(format!("{file} of {command:?} does not exist")),
        None if is_known => None,
        None => Some(format!("no such command: {command}")),
    }
}

/// Whether the Makefile has this target.
fn is_target(name: &str) -> bool {
    read("Makefile").unwrap().lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
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

/// The faults of the page at this place.
fn faults(place: &str, page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let folder = place.rsplit_once('/').map_or("", |(folder, _)| folder);
    for link in links(page) {
        let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
        let file = if file.is_empty() { place.to_owned() } else { resolve(folder, file) };
        let target = if file == place { Some(page.to_owned()) } else { read(&file) };
        match (anchor, target) {
            (None, _) if exists(&file) => {}
            (Some(anchor), Some(target)) if anchors(&target).iter().any(|known| known == anchor) => {}
            _ => faults.push(format!("the link {link} leads nowhere")),
        }
    }
    for (language, block) in blocks(page) {
        match language {
            "json" if serde_json::from_str::<serde_json::Value>(&block).is_err() => {
                faults.push(format!("no JSON: {block}"))
            }
            "sh" => faults.extend(block.lines().filter_map(fault_of_command)),
            known if LANGUAGES.contains(&known) => {}
            other => faults.push(format!("a block in {other:?}, which no test reads")),
        }
    }
    let commands = spans(page).into_iter().filter_map(|span| span.strip_prefix("make "));
    let targets = commands.filter_map(|words| words.split(' ').find(|word| !word.contains('=')));
    faults.extend(targets.filter(|target| !is_target(target)).map(|target| format!("no such target: {target}")));
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
fn the_pages_refer_only_to_existing_files_targets_and_items() {
    let pages = pages();
    assert!(pages.len() > 20, "{pages:?}");
    let faults = pages
        .iter()
        .flat_map(|(place, page)| faults(place, page).into_iter().map(move |fault| format!("{place}: {fault}")));
    let faults: Vec<_> = faults.collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_page_on_security_names_items_and_tests_that_exist() {
    let attacks = SECURITY.lines().filter(|line| line.starts_with("| ") && line.contains("::"));
    let rows: Vec<_> = attacks.collect();
    assert!(rows.len() > 50, "{rows:#?}");
    let faults: Vec<_> = rows.into_iter().flat_map(faults_of_row).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_page_on_operations_names_every_counter() {
    let page = read("envoy/docs/operations.md").unwrap();
    let sources = ["src/flow/event/mod.rs", "src/flow/event/omission.rs"].map(|file| read(file).unwrap()).concat();
    let counters: Vec<_> = sources.split("=> \"vestibule_").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(counters.len() > 25, "{counters:?}");
    let unnamed: Vec<_> = counters.iter().filter(|name| !page.contains(&format!("`vestibule_{name}`"))).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

/// An editor finds the schema that the first line of a document names.
#[test]
fn sample_documents_refer_to_the_schema_file() {
    let mut pages = pages();
    pages.push(("envoy/document.yaml".to_owned(), read("envoy/document.yaml").unwrap()));
    let named: Vec<_> = pages
        .iter()
        .flat_map(|(place, text)| text.split("yaml-language-server: $schema=").skip(1).map(move |rest| (place, rest)))
        .map(|(place, rest)| resolve(place.rsplit_once('/').unwrap().0, rest.lines().next().unwrap()))
        .collect();
    assert_eq!(named, ["envoy/config.schema.json"; 2]);
}

/// One page, but for the map of the others.
#[test]
fn the_readme_is_one_page() {
    let lines = read("README.md").unwrap().lines().count();
    assert!(lines <= 150, "{lines} lines");
}

#[test]
fn the_documentation_check_reports_references_that_do_not_exist() {
    let page = "## A `b`, c\n[a](gone.md) [b](../../README.md) [c](#a-b-c) [d](#gone) [e](../../README.md#gone) `src/gone.rs` `src/docs.rs::gone` \
                `src/docs.rs::faults` `src/flow/` `make gone` `make test`\n```sh\nmake gone\ncat envoy/gone.yaml\nmake test\n```\n```json\n{\n```\n```\n```\n";
    assert_eq!(
        faults("envoy/docs/a.md", page),
        [
            "the link gone.md leads nowhere",
            "the link #gone leads nowhere",
            "the link ../../README.md#gone leads nowhere",
            "no such command: make gone",
            "envoy/gone.yaml of \"cat envoy/gone.yaml\" does not exist",
            "no JSON: {",
            "a block in \"\", which no test reads",
            "no such target: gone",
            "src/gone.rs does not exist",
            "src/docs.rs::gone does not exist"
        ]
    );
    let row = "| a | b | `src/docs.rs::faults` | `src/docs.rs::faults` |";
    assert_eq!(faults_of_row(row), ["src/docs.rs::faults is no test"]);
    let row = "| a | b | `src/docs.rs::faults` | `src/docs.rs::the_documentation_check_reports_references_that_do_not_exist` |";
    assert_eq!(faults_of_row(row), [""; 0]);
    assert_eq!(faults_of_row("| a | b | c | d |").len(), 1);
}
