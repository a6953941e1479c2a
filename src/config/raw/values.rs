//! Values that settings of any kind have: secrets, scalars, and members with free keys.

use zeroize::Zeroizing;

use super::super::{
    document::Node,
    shape::{Place, Shape},
};

/// Both forms of a secret, in the wording of faults.
const SECRET: &str = "a string or {env: NAME}";

/// A secret: the text itself, or the environment variable that holds it. Envoy passes on only the variables listed
/// under `vm_config.environment_variables`.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged, deny_unknown_fields))]
pub(in crate::config) enum Secret {
    /// Reference to an environment variable.
    Environment {
        /// The variable's name.
        env: String,
    },
    /// The secret itself. It is visible to every reader of the configuration.
    Inline(#[cfg_attr(test, schemars(with = "String"))] Zeroizing<String>),
}

impl Shape for Secret {
    fn read(mut place: Place<'_>) -> Self {
        match place.node() {
            Node::Text(text) => return Self::Inline(text.clone()),
            Node::Object(members) if !members.is_empty() && members.iter().all(|(key, _)| key == "env") => {
                let env = place.members(Some(&["env"])).field("env");
                return Self::Environment { env: env.unwrap_or_default() };
            }
            // The field names are not shown: one may be the secret, on the wrong level.
            Node::Object(_) => place.misfit_of(SECRET, "an object with other fields"),
            _ => place.misfit(SECRET),
        }
        Self::Inline(Zeroizing::default())
    }
}

/// A value of a claim.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged))]
pub(in crate::config) enum Scalar {
    /// true or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
}

impl Shape for Scalar {
    fn read(mut place: Place<'_>) -> Self {
        match place.node() {
            Node::Bool(value) => Self::Bool(*value),
            Node::Number(number) => Self::Number(*number),
            Node::Text(text) => Self::Text(text.to_string()),
            Node::List(_) | Node::Null | Node::Object(_) => {
                place.misfit("a string, a number, true or false");
                Self::Bool(false)
            }
        }
    }
}

/// The members of an object with free keys, in the order of the document.
pub(in crate::config) struct Entries<T = String>(pub(in crate::config) Vec<(String, T)>);

/// Every member of an object with free keys.
impl<T: Shape> Shape for Entries<T> {
    fn read(place: Place<'_>) -> Self {
        Self(place.members(None).entries())
    }
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Lists of values by free names.
pub(in crate::config) type Lists = Entries<Vec<Scalar>>;
