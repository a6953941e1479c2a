//! `vestibule check` and `vestibule convert`: read files and environment variables, print the reports.

use std::{
    env, fs,
    io::{self, Read, Write},
    process::ExitCode,
};

use vestibule_check::{Arguments, Command, Conversions, USAGE, UsageError, check, convert, variables_of_file};

/// The exit status of a wrong call.
const USAGE_STATUS: u8 = 2;

fn main() -> ExitCode {
    let printed = match Command::read(env::args().skip(1)) {
        Ok(Command::Help) => print(USAGE).map(|()| true),
        Ok(Command::Version) => print(concat!("vestibule ", env!("CARGO_PKG_VERSION"), "\n")).map(|()| true),
        Ok(Command::Check(arguments)) => run(&arguments),
        Ok(Command::Convert(conversions)) => run_conversion(&conversions),
        Err(error) => Err(error),
    };
    match printed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(UsageError(message)) => {
            // Nobody reads it where standard error is closed.
            drop(writeln!(io::stderr(), "vestibule: {message}\nvestibule --help says more"));
            ExitCode::from(USAGE_STATUS)
        }
    }
}

/// Checks each file; whether all are valid.
fn run(arguments: &Arguments) -> Result<bool, UsageError> {
    let from_file = match &arguments.env_file {
        None => Vec::new(),
        Some(file) => {
            variables_of_file(&read(file)?).map_err(|line| UsageError(format!("{file}:{line}: expected NAME=VALUE")))?
        }
    };
    let variables = |name: &str| {
        let known = from_file.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        known.or_else(|| env::var(name).ok())
    };
    let mut are_valid = true;
    for (place, file) in arguments.files.iter().enumerate() {
        let text = read(file)?;
        let name = if file == "-" { "stdin" } else { file };
        let report = check(name, &text, &variables, &arguments.options);
        if place > 0 {
            print("\n")?;
        }
        print(&report.text)?;
        are_valid &= report.is_valid;
    }
    Ok(are_valid)
}

/// Converts the files; whether nothing that protects the app was left out.
fn run_conversion(conversions: &Conversions) -> Result<bool, UsageError> {
    let texts = conversions.files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    let names = conversions.files.iter().map(|file| if file == "-" { "stdin" } else { file.as_str() });
    let files: Vec<_> = names.zip(texts.iter().map(String::as_str)).collect();
    let (document, notes, is_complete) = match convert(&files, &conversions.options) {
        Ok(conversion) => (conversion.document, conversion.notes, conversion.is_complete),
        Err(error) => (String::new(), format!("{error}\n"), false),
    };
    print(&document)?;
    // Nobody reads it where standard error is closed.
    drop(io::stderr().lock().write_all(notes.as_bytes()));
    Ok(is_complete)
}

fn read(file: &str) -> Result<String, UsageError> {
    let bytes = if file == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    let bytes = bytes.map_err(|error| UsageError(format!("{file}: {error}")))?;
    String::from_utf8(bytes).map_err(|_| UsageError(format!("{file}: not UTF-8")))
}

fn print(text: &str) -> Result<(), UsageError> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| UsageError(format!("cannot print: {error}"))),
    }
}
