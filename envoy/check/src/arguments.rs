//! The command line.

use crate::{ConvertOptions, Options, Question};

/// How the program is called.
pub const USAGE: &str = "\
Checks a configuration of Vestibule before Envoy loads it, or makes one of a configuration of oauth2-proxy.

Usage: vestibule check [OPTIONS] FILE...
       vestibule convert oauth2-proxy [--external-url URL] [--cluster NAME] FILE...

FILE is Envoy's bootstrap, a WasmPlugin or EnvoyFilter of Istio, an EnvoyExtensionPolicy of Envoy Gateway, or the filter's own
configuration; YAML or JSON; - reads standard input. Prints every fault with its line and column, or what takes effect: the settings of
each provider, the URLs to register there, and the clusters that have to exist.

Options:
  --explain METHOD URL   which rule decides this request, and what it asks for; may be given several times
  --env-file FILE        reads environment variables from a file of NAME=VALUE lines, beside those of this process
  --without-secrets      checks the rest where environment variables are not set
  --help                 this text
  --version              the version

convert: the FILEs are together one configuration of oauth2-proxy: its configuration file, command-line flags or environment variables
(one in a line), a manifest of Kubernetes or values for the Helm chart, the YAML of --alpha-config. Prints the filter's document, and on
standard error what has no counterpart or needs a decision. Secrets are not printed: they become environment variables.

  --external-url URL     the address of the app, where redirect_url does not say it
  --cluster NAME         the Envoy cluster that reaches the provider; idp by default

Exit status: 0 without faults (there may be warnings), 1 with faults, or where something that protects the app could not be converted,
2 for a wrong call.
";

/// A command.
#[derive(Debug, Clone)]
pub enum Command {
    /// Checks files.
    Check(Arguments),
    /// Converts a configuration of oauth2-proxy.
    Convert(Conversions),
    /// Prints [`USAGE`].
    Help,
    /// Prints the version.
    Version,
}

/// The arguments of a check.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// The files; `-` is standard input.
    pub files: Vec<String>,
    /// The file of environment variables.
    pub env_file: Option<String>,
    /// What is checked beside the files.
    pub options: Options,
}

/// The arguments of a conversion.
#[derive(Debug, Clone, Default)]
pub struct Conversions {
    /// The files; `-` is standard input.
    pub files: Vec<String>,
    /// What the files do not say.
    pub options: ConvertOptions,
}

/// The program was called wrongly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(pub String);

impl Command {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// [`UsageError`]
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, UsageError> {
        let mut rest = arguments.into_iter();
        match rest.next().as_deref() {
            Some("check") => Self::read_check(rest),
            Some("convert") => Self::read_convert(rest),
            None | Some("--help" | "-h" | "help") => Ok(Self::Help),
            Some("--version" | "-V") => Ok(Self::Version),
            Some(other) => {
                Err(UsageError(format!("there is no command {other:?}; the commands are `check` and `convert`")))
            }
        }
    }

    fn read_check(mut rest: impl Iterator<Item = String>) -> Result<Self, UsageError> {
        let mut arguments = Arguments::default();
        while let Some(argument) = rest.next() {
            let mut value = |name: &str| rest.next().ok_or_else(|| UsageError(format!("{argument} needs {name}")));
            match argument.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--explain" => {
                    let (method, url) = (value("METHOD and URL")?, value("METHOD and URL")?);
                    let question = Question::read(&method, &url).ok_or_else(|| {
                        UsageError(format!(
                            "expected a method and a URL, such as GET https://app.example.com/, got {method:?} {url:?}"
                        ))
                    })?;
                    arguments.options.questions.push(question);
                }
                "--env-file" => arguments.env_file = Some(value("FILE")?),
                "--without-secrets" => arguments.options.without_secrets = true,
                option if option.starts_with("--") => {
                    return Err(UsageError(format!("there is no option {option}")));
                }
                _ => arguments.files.push(argument),
            }
        }
        if arguments.files.is_empty() {
            return Err(UsageError("which file?".to_owned()));
        }
        Ok(Self::Check(arguments))
    }

    fn read_convert(mut rest: impl Iterator<Item = String>) -> Result<Self, UsageError> {
        match rest.next().as_deref() {
            Some("oauth2-proxy") => {}
            Some("--help" | "-h") => return Ok(Self::Help),
            _ => return Err(UsageError("what is converted? The one kind is `convert oauth2-proxy`".to_owned())),
        }
        let mut conversions = Conversions::default();
        while let Some(argument) = rest.next() {
            let mut value = |name: &str| rest.next().ok_or_else(|| UsageError(format!("{argument} needs {name}")));
            match argument.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--external-url" => conversions.options.external_url = Some(value("URL")?),
                "--cluster" => conversions.options.cluster = Some(value("NAME")?),
                option if option.starts_with("--") => {
                    return Err(UsageError(format!("there is no option {option}")));
                }
                _ => conversions.files.push(argument),
            }
        }
        if conversions.files.is_empty() {
            return Err(UsageError("which file?".to_owned()));
        }
        Ok(Self::Convert(conversions))
    }
}
