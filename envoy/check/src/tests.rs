mod access;
mod convert;
mod hostile;
mod layers;
mod mistakes;
mod reports;
mod resources;

use crate::{Options, Question, Report, check};

/// 32 arbitrary bytes.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const ALONE: &str = include_str!("tests/alone.yaml");

/// The environment of the tests.
fn variables(name: &str) -> Option<String> {
    match name {
        "OIDC_CLIENT_SECRET" => Some("client-secret".to_owned()),
        "VESTIBULE_KEY" => Some(KEY.to_owned()),
        _ => None,
    }
}

/// A sample of the repository, or a file of the tests.
fn file(name: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let own = format!("{root}/check/src/tests/{name}");
    std::fs::read_to_string(&own).or_else(|_| std::fs::read_to_string(format!("{root}/{name}"))).unwrap()
}

fn report(name: &str, text: &str) -> Report {
    check(name, text, &variables, &Options::default())
}

fn without_secrets(name: &str, text: &str) -> Report {
    check(name, text, &|_| None, &Options { without_secrets: true, ..Options::default() })
}

fn explained(name: &str, text: &str, questions: &[(&str, &str)]) -> String {
    let questions = questions.iter().map(|(method, url)| Question::read(method, url).unwrap()).collect();
    let text = check(name, text, &variables, &Options { questions, ..Options::default() }).text;
    text.split_once("Clusters that have to exist").unwrap().1.split_once("\n\n").unwrap().1.to_owned()
}
