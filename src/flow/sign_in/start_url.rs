//! The URL of the start path, which begins a sign-in, and what its parameters ask of the provider.

use crate::{
    claims::IssuerId,
    config::SignInSettings,
    http::{Request, parameter},
};

use super::super::context::Env;

/// The longest value that is passed on, in bytes.
const MAX_VALUE: usize = 512;
/// What a link may ask for by `prompt`. Not `none`: the provider would answer with an error, again and again.
const PROMPTS: [&str; 3] = ["login", "consent", SELECT_ACCOUNT];

/// The `prompt` that lets the user select another account, although the provider knows one (OIDC Core, 3.1.2.1).
pub(super) const SELECT_ACCOUNT: &str = "select_account";

/// Appended to the URL of the start path, which then keeps a session that the browser has: the browser may come from another
/// host or from a frame, to which it does not send our cookies.
pub(super) const KEEP_SESSION: &str = "&session=keep";

/// The URL that starts a sign-in, at one of these providers, and comes back to this target.
pub(in crate::flow) fn start_url(target: &str, providers: &[IssuerId], env: &Env<'_>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("rd", target);
    let named = providers.iter().filter_map(|id| Some(env.config.provider(*id)?.name.as_str()));
    let named = named.collect::<Vec<_>>().join(",");
    if !named.is_empty() {
        query.append_pair("provider", &named);
    }
    format!("{}?{}", env.config.start_uri(), query.finish())
}

/// [`start_url`] with these wishes.
pub(in crate::flow) fn start_with(wishes: &Wishes, target: &str, providers: &[IssuerId], env: &Env<'_>) -> String {
    let mut href = start_url(target, providers, env);
    if wishes.selects_account {
        href = href + "&prompt=" + SELECT_ACCOUNT;
    }
    for (name, value) in &wishes.passed {
        let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        href = href + "&" + &pair;
    }
    href
}

/// What a link asks of the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::flow) struct Wishes {
    /// Whether the provider is to let the user select another account.
    pub(in crate::flow) selects_account: bool,
    /// Parameters for the authorization request that the operator lets links set.
    pub(in crate::flow) passed: Vec<(String, String)>,
}

impl Wishes {
    /// Another account.
    pub(in crate::flow) const fn another_account() -> Self {
        Self { selects_account: true, passed: Vec::new() }
    }

    /// The wishes in the query of a request for the start path.
    pub(super) fn of(request: &Request, settings: &SignInSettings) -> Self {
        let parameter = |name: &str| request.query().and_then(|query| parameter(query, name));
        let selects_account = parameter("prompt").as_deref() == Some(SELECT_ACCOUNT);
        let is_good = |name: &str, value: &str| {
            let is_text = (1..=MAX_VALUE).contains(&value.len()) && !value.contains(char::is_control);
            is_text && (name != "prompt" || !selects_account && value.split(' ').all(|word| PROMPTS.contains(&word)))
        };
        let passed = settings.pass_parameters.iter().filter_map(|name| {
            let value = parameter(name).filter(|value| is_good(name, value))?;
            Some((name.clone(), value))
        });
        Self { selects_account, passed: passed.collect() }
    }
}
