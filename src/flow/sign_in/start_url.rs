//! The URL of the start path, which begins a sign-in, and what its parameters ask of the provider.
//!
//! `login_hint` is a hint that any link may have: it chooses among providers, and is never taken for an identity.

use std::rc::Rc;

use crate::{
    claims::{IssuerId, StepUp},
    config::Config,
    http::{Request, parameter},
    origin::Origin,
    provider::Provider,
    session::return_to::ReturnTo,
};

use super::super::context::Env;

/// The longest value that is passed on, in bytes.
const MAX_VALUE: usize = 512;
/// The values of `prompt` that a link may have. Not `none`: the provider would answer with an error, again and again.
const PROMPTS: [&str; 3] = ["login", "consent", SELECT_ACCOUNT];

/// The `prompt` that lets the user select another account, although the provider knows one (OIDC Core, 3.1.2.1).
pub(super) const SELECT_ACCOUNT: &str = "select_account";

/// The parameter with the user's address (OIDC Core, 3.1.2.1).
pub(super) const LOGIN_HINT: &str = "login_hint";

/// The parameter that names the demand of a rule, which links can use and not make up.
const STEP_UP: &str = "step_up";

/// Appended to the URL of the start path, which then keeps a session that the browser has: the browser may come from another
/// host or from a frame, to which it does not send our cookies.
pub(super) const KEEP_SESSION: &str = "&session=keep";

/// Appended to the URL of the start path where the page that leads there has found no session that is enough. The start path
/// then ends a redirect loop, also where it finds one.
pub(super) const NO_SESSION: &str = "&session=none";

/// The URL that starts a sign-in, at one of these providers, and comes back to this target; without `rd` if that is empty.
pub(in crate::flow) fn start_url(target: &str, providers: &[IssuerId], env: &Env<'_>) -> String {
    start_with(&Wishes::default(), target, providers, env)
}

/// [`start_url`] with these wishes.
pub(in crate::flow) fn start_with(wishes: &Wishes, target: &str, providers: &[IssuerId], env: &Env<'_>) -> String {
    start_at(env.origin(), wishes, target, providers, env)
}

/// [`start_with`] at this origin.
pub(super) fn start_at(
    origin: &Origin,
    wishes: &Wishes,
    target: &str,
    providers: &[IssuerId],
    env: &Env<'_>,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters(wishes, target, providers, env));
    if let Some(address) = &wishes.address {
        query.append_pair(LOGIN_HINT, address);
    }
    format!("{}?{}", env.config.start_uri(origin), query.finish())
}

/// The URL at which a browser tries a sign-in of this origin again: the page that it came for. No listed URL begins one, so that is
/// the start path.
pub(super) fn again_url(return_to: &ReturnTo, origin: &Origin, config: &Config) -> String {
    if !return_to.is_elsewhere() {
        return return_to.location(origin);
    }
    let target: String = form_urlencoded::byte_serialize(return_to.as_str().as_bytes()).collect();
    format!("{}?rd={target}", config.start_uri(origin))
}

/// The parameters of [`start_with`], without [`Wishes::address`].
pub(super) fn parameters(
    wishes: &Wishes,
    target: &str,
    providers: &[IssuerId],
    env: &Env<'_>,
) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut add = |name: &str, value: &str| parameters.push((name.to_owned(), value.to_owned()));
    if !target.is_empty() {
        add("rd", target);
    }
    let named = providers.iter().filter_map(|id| Some(env.config.provider(*id)?.name.as_str()));
    let named = named.collect::<Vec<_>>().join(",");
    if !named.is_empty() {
        add("provider", &named);
    }
    if let Some(step_up) = &wishes.step_up {
        add(STEP_UP, &step_up.id().to_string());
    }
    if wishes.selects_account {
        add("prompt", SELECT_ACCOUNT);
    }
    wishes.passed.iter().for_each(|(name, value)| add(name, value));
    parameters
}

/// The parameters of a link that are for the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::flow) struct Wishes {
    /// Whether the provider is to let the user select another account.
    pub(in crate::flow) selects_account: bool,
    /// The demand of a rule on the authentication.
    pub(in crate::flow) step_up: Option<Rc<StepUp>>,
    /// Parameters for the authorization request that the operator lets links set.
    passed: Vec<(String, String)>,
    /// The `login_hint`, where the operator does not let links set it: it chooses among providers with `email_domains`, and
    /// goes to the one of its domain alone.
    address: Option<String>,
}

impl Wishes {
    /// Another account.
    pub(in crate::flow) const fn another_account() -> Self {
        Self { selects_account: true, step_up: None, passed: Vec::new(), address: None }
    }

    /// The authentication that a rule demands.
    pub(in crate::flow) fn step_up(step_up: Option<&Rc<StepUp>>) -> Self {
        Self { step_up: step_up.cloned(), ..Self::default() }
    }

    /// The wishes in the query of a request for the start path.
    pub(super) fn of(request: &Request, config: &Config) -> Self {
        let Config { sign_in: settings, providers, rules, .. } = config;
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
        let passed: Vec<_> = passed.collect();
        let is_address = |value: &String| is_good(LOGIN_HINT, value) && !value.contains(char::REPLACEMENT_CHARACTER);
        let chooses = providers.len() > 1 && providers.iter().any(|provider| !provider.email_domains.is_empty());
        let is_listed = settings.pass_parameters.iter().any(|name| name == LOGIN_HINT);
        let address = (chooses && !is_listed).then(|| parameter(LOGIN_HINT).filter(is_address)).flatten();
        let step_up = parameter(STEP_UP).and_then(|id| id.parse().ok()).and_then(|id| rules.step_up(id)).cloned();
        Self { selects_account, step_up, passed, address }
    }

    /// The `login_hint`.
    pub(super) fn login_hint(&self) -> Option<&str> {
        let passed = || self.passed.iter().find(|(name, _)| name == LOGIN_HINT).map(|(_, value)| value.as_str());
        self.address.as_deref().or_else(passed)
    }

    /// Without what only the provider of an address may get.
    pub(super) fn for_any_provider(&self) -> Self {
        Self { address: None, ..self.clone() }
    }

    /// The parameters for the authorization request at this provider.
    pub(super) fn parameters_for(self, provider: &Provider) -> Vec<(String, String)> {
        let Self { mut passed, address, .. } = self;
        let address = address.filter(|address| provider.is_for_address(address));
        passed.extend(address.map(|address| (LOGIN_HINT.to_owned(), address)));
        passed
    }
}
