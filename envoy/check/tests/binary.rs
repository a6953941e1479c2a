//! The program itself: standard input, variables, exit status.

#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

fn vestibule(arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that does not read its input may be gone already.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

fn status(output: &Output) -> Option<i32> {
    output.status.code()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../minimal.yaml");
const KEY: (&str, &str) = ("VESTIBULE_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
const SECRET: (&str, &str) = ("OIDC_CLIENT_SECRET", "of-the-client");

#[test]
fn the_exit_status_tells_a_valid_configuration_from_an_invalid_one() {
    let valid = vestibule(&["check", SAMPLE], "", &[KEY, SECRET]);
    assert_eq!(status(&valid), Some(0), "{valid:?}");
    assert!(printed(&valid).starts_with(&format!("{SAMPLE}: the filter vestibule is valid\n")), "{valid:?}");
    let without_secrets = vestibule(&["check", "--without-secrets", SAMPLE], "", &[]);
    assert_eq!(status(&without_secrets), Some(0), "{without_secrets:?}");
    let faulty = vestibule(&["check", SAMPLE], "", &[KEY]);
    assert_eq!(status(&faulty), Some(1), "{faulty:?}");
    assert!(printed(&faulty).contains(":44:44: providers[0].client_secret.env: "), "{faulty:?}");
    let both = vestibule(&["check", SAMPLE, "-"], "a: [", &[KEY, SECRET]);
    assert_eq!(status(&both), Some(1), "{both:?}");
    for arguments in [&["chekc"][..], &["check"], &["check", "/nowhere/envoy.yaml"], &["check", "--strict", SAMPLE]] {
        let output = vestibule(arguments, "", &[]);
        assert_eq!((status(&output), output.stdout.len()), (Some(2), 0), "{output:?}");
        assert!(output.stderr.starts_with(b"vestibule: "), "{output:?}");
    }
}

#[test]
fn standard_input_and_a_file_of_variables_are_read() {
    let sample = std::fs::read_to_string(SAMPLE).unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("variables.env");
    std::fs::write(&file, format!("# of the tests\n{}={}\n{}='{}'\n", KEY.0, KEY.1, SECRET.0, SECRET.1)).unwrap();
    let file = file.to_str().unwrap();
    let output = vestibule(&["check", "-", "--env-file", file], &sample, &[]);
    assert_eq!(status(&output), Some(0), "{output:?}");
    assert!(printed(&output).starts_with("stdin: the filter vestibule is valid\n"), "{output:?}");
    assert!(!printed(&output).contains(SECRET.1), "{output:?}");
    let malformed = vestibule(&["check", "-", "--env-file", SAMPLE], &sample, &[]);
    assert_eq!(status(&malformed), Some(2), "{malformed:?}");
}

#[test]
fn a_conversion_prints_the_document_to_stdout_and_notes_to_stderr() {
    let options = "provider = 'oidc'\noidc_issuer_url = 'https://login.example.com'\nclient_id = 'app'\n\
                   redirect_url = 'https://app.example.com/oauth2/callback'\nemail_domains = ['*']\n";
    let converted = vestibule(&["convert", "oauth2-proxy", "-"], options, &[]);
    assert_eq!(status(&converted), Some(0), "{converted:?}");
    assert!(printed(&converted).starts_with("external_url: https://app.example.com\n"), "{converted:?}");
    assert!(converted.stderr.starts_with(b"stdin:5: decide: email_domains: "), "{converted:?}");
    let checked = vestibule(&["check", "--without-secrets", "-"], &printed(&converted), &[]);
    assert_eq!(status(&checked), Some(0), "{checked:?}");
    let restricted = vestibule(&["convert", "oauth2-proxy", "-"], &format!("{options}signature_key = 'a'\n"), &[]);
    assert_eq!(status(&restricted), Some(1), "{restricted:?}");
    let unknown = vestibule(&["convert", "oauth2-proxy", "-"], "provider = 'linkedin'", &[]);
    assert_eq!((status(&unknown), unknown.stdout.len()), (Some(1), 0), "{unknown:?}");
    assert_eq!(status(&vestibule(&["convert", "authservice", "-"], "", &[])), Some(2));
}

#[test]
fn help_and_version_are_printed() {
    let help = vestibule(&["--help"], "", &[]);
    assert!(status(&help) == Some(0) && printed(&help).contains("--explain METHOD URL"), "{help:?}");
    assert_eq!(printed(&vestibule(&["--version"], "", &[])), "vestibule 0.1.0\n");
}
