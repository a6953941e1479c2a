//! The parameters of callbacks and authorization requests, read and changed.

use url::Url;

use crate::http1::single;

/// The parameters of a callback, by name and in their order.
pub type Parameters = Vec<(String, String)>;

/// The callback URL with its parameters changed.
pub fn changed(callback: &str, change: impl FnOnce(&mut Parameters)) -> String {
    let mut url = Url::parse(callback).expect("a callback URL");
    let mut parameters: Parameters = url.query_pairs().into_owned().collect();
    change(&mut parameters);
    url.query_pairs_mut().clear().extend_pairs(parameters);
    url.into()
}

/// Gives a parameter another value.
///
/// # Panics
/// When there is none of this name.
pub fn set_parameter(parameters: &mut [(String, String)], name: &str, value: impl Into<String>) {
    let found = parameters.iter_mut().find(|(found, _)| found == name).expect("the parameter is there");
    found.1 = value.into();
}

/// Adds a parameter at the end.
pub fn add_parameter(parameters: &mut Parameters, name: &str, value: impl Into<String>) {
    parameters.push((name.to_owned(), value.into()));
}

/// A parameter of the URL's query, which must be there once.
pub fn parameter(url: &str, name: &str) -> String {
    single(&parameters(url), name).unwrap_or_else(|| panic!("{name} is missing in {url}")).to_owned()
}

/// The parameters of the URL's query.
pub fn parameters(url: &str) -> Parameters {
    Url::parse(url).expect("a URL").query_pairs().into_owned().collect()
}
