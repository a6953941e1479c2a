//! The changes to a request before it goes upstream.

use std::rc::Rc;

/// One change to a request's headers before it goes upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Add a line to those of this name.
    Add(String, Vec<u8>),
    /// Remove every line of this name.
    Remove(String),
    /// Replace every line of this name by this one.
    Set(String, Vec<u8>),
}

/// The edits that carry an identity, the same for every request of a session.
#[derive(Debug, PartialEq, Eq)]
pub struct IdentityEdits {
    /// Edits of headers for the app.
    pub headers: Vec<HeaderEdit>,
    /// Keys and values of filter state.
    pub state: Vec<(String, String)>,
    /// The header or key with a value that is too long, if the request is refused for it.
    pub too_long: Option<String>,
}

/// The changes to a permitted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edits {
    /// First: headers to remove, and edits of this request alone.
    pub own: Vec<HeaderEdit>,
    /// Then: the identity.
    pub identity: Option<Rc<IdentityEdits>>,
    /// The name of the deciding rule, for filter state.
    pub rule: Option<String>,
    /// The subject, for filter state.
    pub user: Option<String>,
    /// The client's credentials, for the request after an internal redirect.
    pub credentials: Option<Vec<u8>>,
}

impl Edits {
    /// The edits of headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderEdit> {
        self.own.iter().chain(self.identity.iter().flat_map(|identity| &identity.headers))
    }

    /// Keys and values of filter state.
    pub fn state(&self) -> impl Iterator<Item = (&str, &str)> {
        let identity = self.identity.iter().flat_map(|identity| &identity.state);
        let rule = self.rule.as_deref().map(|name| ("vestibule_rule", name));
        let user = self.user.as_deref().map(|subject| ("vestibule_user", subject));
        identity.map(|(key, value)| (key.as_str(), value.as_str())).chain(rule).chain(user)
    }
}
