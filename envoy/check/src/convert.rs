//! `vestibule convert oauth2-proxy`: a configuration of oauth2-proxy as a document of the filter, and all that has no counterpart.
//!
//! Each file imports files of lines above its own alone:
//!
//! | files | what they do |
//! | --- | --- |
//! | `document`, `error`, `kind`, `notes`, `pattern` | write YAML; the error; the kinds of provider; what the reader is told; path rules of regular expressions |
//! | `names` | knows the options of oauth2-proxy |
//! | `settings` | holds the options that were given until they are taken |
//! | `access`, `alpha` | who may pass; options of oauth2-proxy's YAML |
//! | `bearer`, `headers`, `provider`, `rules`, `session`, `source` | parts of the document; options in each form in which they are written |
//!
//! An option that nothing took is told, and one that restricts access and cannot be expressed closes the app.

mod access;
mod alpha;
mod bearer;
mod document;
mod error;
mod headers;
mod kind;
mod names;
mod notes;
mod pattern;
mod provider;
mod rules;
mod session;
mod settings;
mod source;

use crate::{Options, check};
use document::{PLACEHOLDER, Yaml, flow, map, text, texts};
use notes::{Place, Weight};
use settings::Settings;

pub use error::ConversionError;

/// Settings of the document that oauth2-proxy does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConvertOptions {
    /// `external_url`, in place of the origin of `redirect_url`.
    pub external_url: Option<String>,
    /// The Envoy cluster that reaches the provider; `idp` where it is not given.
    pub cluster: Option<String>,
}

/// The result of a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The filter's document.
    pub document: String,
    /// What has no counterpart or needs a decision, a line each.
    pub notes: String,
    /// Whether nothing that protects the app was left out.
    pub is_complete: bool,
}

const DEFAULT_PREFIX: &str = "/oauth2";

/// Converts the texts of these files, together one configuration.
///
/// # Errors
/// [`ConversionError`] where a file cannot be read, or the kind of provider has no counterpart.
pub fn convert(files: &[(&str, &str)], options: &ConvertOptions) -> Result<Conversion, ConversionError> {
    let mut settings = Settings::default();
    for (name, text) in files {
        source::read(name, text, &mut settings)?;
    }
    settings.in_effect();
    let cluster = options.cluster.clone().unwrap_or_else(|| "idp".to_owned());
    let mut members = vec![("external_url", text(external_url(&mut settings, options))), ("cluster", text(cluster))];
    let mut provider = provider::convert(&mut settings)?;
    let users = access::users(provider.kind, &mut settings);
    let tokens = bearer::convert(provider.issuer.as_deref(), &users, &mut settings);
    if !tokens.own_audiences.is_empty() {
        provider.members.push(("access_token_audiences".to_owned(), texts(tokens.own_audiences)));
    }
    provider.members.extend(users.allow.map(|allow| ("allow".to_owned(), allow)));
    members.push(("providers", Yaml::List(vec![map(provider.members)])));
    members.push(("session", map(session::convert(&mut settings))));
    if let Some(prefix) = settings.text("proxy_prefix").filter(|prefix| prefix != DEFAULT_PREFIX) {
        members.push(("prefix", text(prefix)));
    }
    members.extend(headers::convert(&mut settings, provider.kind));
    if !tokens.issuers.is_empty() {
        members.push(("token_issuers", Yaml::List(tokens.issuers)));
    }
    members.extend(session::sign_in(&mut settings));
    settings.close_unknown(&rules::OPTIONS);
    let is_closed = settings.lacks_restriction();
    let mut rules = rules::convert(&mut settings, is_closed);
    upstreams(&mut settings);
    settings.tell_the_rest();
    let with = |is_closed: bool, rules: &[Yaml]| {
        let rules = ("rules", Yaml::List(rules.to_vec()));
        document::write(is_closed, members.iter().cloned().chain([rules]).collect())
    };
    let mut document = with(is_closed, &rules);
    let report = check("result", &document, &|_| None, &Options { without_secrets: true, ..Options::default() });
    if !report.is_valid {
        // What the filter does not take may be a restriction, and may be taken out of the document.
        rules.pop();
        rules.push(flow([("access", text("deny"))]));
        document = with(true, &rules);
    }
    for finding in &report.findings {
        let weight = if finding.is_fault() { Weight::Missing } else { Weight::Decide };
        settings.note(&Place::result(), weight, finding.said());
    }
    let notes = settings.into_notes();
    Ok(Conversion { document, is_complete: notes.is_complete() && report.is_valid, notes: notes.lines() })
}

/// Says what Envoy needs for each upstream, where it is more than one for every path.
fn upstreams(settings: &mut Settings) {
    let place = settings.place("upstreams");
    let upstreams = settings.values("upstreams");
    for upstream in &upstreams {
        let (scheme, rest) = upstream.split_once("://").unwrap_or(("http", upstream));
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // Behind `#` is the path of a folder or of a fixed answer.
        let path = rest.split_once('#').map_or(path, |(_, path)| path);
        let path = if path.is_empty() { "/" } else { path };
        let (weight, said) = match scheme {
            // For a proxy that only answers whether a request may pass.
            "static" | "file" if upstreams.len() == 1 => continue,
            "static" => (Weight::Decide, format!("a route of Envoy with `direct_response` for {path}")),
            "file" => (Weight::Decide, format!("Envoy serves no files: put a web server behind it for {path}")),
            _ if upstreams.len() > 1 || path != "/" => {
                (Weight::Told, format!("a route of Envoy for {path}, to a cluster with {host}"))
            }
            _ => continue,
        };
        settings.note(&place, weight, format!("upstreams: {upstream}: {said}"));
    }
}

fn external_url(settings: &mut Settings, options: &ConvertOptions) -> String {
    let callback = settings.take("redirect_url");
    let url = callback.as_ref().map(|given| given.text().to_owned()).unwrap_or_default();
    let after_scheme = url.split_once("://").map_or(0, |(scheme, _)| scheme.len().saturating_add(3));
    let host_and_path = url.get(after_scheme..).unwrap_or_default();
    let (authority, path) = host_and_path.split_at(host_and_path.find('/').unwrap_or(host_and_path.len()));
    let prefix = settings.peek("proxy_prefix").unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
    if let Some(given) = &callback
        && !path.is_empty()
        && path != format!("{prefix}/callback")
    {
        let said = format!("redirect_url: the callback is {prefix}/callback here: register it at the provider");
        settings.note(&given.place, Weight::Decide, said);
    }
    if let Some(url) = &options.external_url {
        return url.clone();
    }
    if after_scheme > 0 && !authority.is_empty() {
        return url.get(..after_scheme.saturating_add(authority.len())).unwrap_or_default().to_owned();
    }
    let said = format!(
        "no redirect_url with a host: external_url is a placeholder ({PLACEHOLDER}); give it with --external-url"
    );
    settings.note(&Place::result(), Weight::Missing, said);
    PLACEHOLDER.to_owned()
}
