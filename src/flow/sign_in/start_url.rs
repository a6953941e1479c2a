//! The URL of the start path, which begins a sign-in.

use crate::claims::IssuerId;

use super::super::context::Env;

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

/// [`start_url`], and where another account is asked for, with the prompt that lets the user select one.
pub(in crate::flow) fn start_as(selects_account: bool, target: &str, providers: &[IssuerId], env: &Env<'_>) -> String {
    let href = start_url(target, providers, env);
    if selects_account { href + "&prompt=" + SELECT_ACCOUNT } else { href }
}
