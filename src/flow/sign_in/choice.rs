//! The choice of a provider, where several may be meant.

use crate::{
    claims::{IssuerId, email_domain},
    http::{LocalReply, Request},
    page::{Action, AddressForm, Choice, Link, Page, text::Text},
    provider::Provider,
};

use super::{
    super::{
        answer::{
            self, Offer,
            caller::{Caller, Kind},
        },
        context::Env,
        event::failure::Failure,
    },
    request::SignInRequest,
    start_url::{self, LOGIN_HINT, Wishes, start_url, start_with},
};

/// A link to the page on which to choose a provider, where there are several.
pub(super) fn link(target: &str, env: &Env<'_>) -> Option<Link> {
    let has_choice = env.config.providers.len() > 1;
    has_choice.then(|| Link { label: Text::AnotherWay, href: start_url(target, &[], env) })
}

/// The providers at which a sign-in may begin.
pub(super) fn candidates<'a>(among: &[IssuerId], env: &Env<'a>) -> Vec<&'a Provider> {
    let providers = &env.config.providers;
    let among: Vec<_> = providers.iter().filter(|provider| among.contains(&provider.id)).collect();
    if among.is_empty() { providers.iter().collect() } else { among }
}

/// The provider among these at which to sign in, if that is settled: there is no other, or the user's address is of its domain.
pub(super) fn settled<'a>(among: &[&'a Provider], wishes: &Wishes) -> Option<&'a Provider> {
    match (among, wishes.login_hint()) {
        (&[only], _) => Some(only),
        (_, Some(address)) => among.iter().find(|provider| provider.is_for_address(address)).copied(),
        (_, None) => None,
    }
}

/// The page to choose a provider on, in the order of the configuration. A program cannot choose.
pub(super) fn page(
    among: &[&Provider],
    request: &Request,
    caller: &Caller,
    sign_in: &SignInRequest,
    env: &mut Env<'_>,
) -> LocalReply {
    let failure = Failure::SignInRequired;
    if caller.kind == Kind::Program || request.method() != "GET" {
        return answer::refuse(failure, caller, Offer::default(), env);
    }
    let wishes = sign_in.wishes.for_any_provider();
    let choice = |provider: &&Provider| Choice {
        title: provider.title.clone(),
        href: start_with(&wishes, sign_in.return_to.as_str(), &[provider.id], env),
        logo: provider.logo.clone(),
        css_class: provider.css_class.clone(),
    };
    let choices = among.iter().map(choice).collect();
    // A page in a frame has links alone.
    let has_form = caller.kind != Kind::Frame && among.iter().any(|provider| !provider.email_domains.is_empty());
    let form = has_form.then(|| address_form(sign_in, env));
    let text = match &form {
        None => Text::Choose,
        Some(form) if form.is_unknown => Text::UnknownAddress,
        Some(_) => Text::ChooseOrEnter,
    };
    let mut page = Page::new(Text::SignIn, &[text]);
    page.action = Some(Action::Choose { form, choices });
    answer::refuse_with_page(failure, page, caller, env)
}

/// The form that starts the same sign-in with an address, which chooses the provider.
fn address_form(sign_in: &SignInRequest, env: &Env<'_>) -> AddressForm {
    let mut fields = start_url::parameters(&sign_in.wishes, sign_in.return_to.as_str(), &sign_in.providers, env);
    fields.retain(|(name, _)| name != LOGIN_HINT);
    AddressForm {
        action: env.config.start_uri(env.origin()),
        fields,
        name: LOGIN_HINT,
        // An app may send another hint than an address, such as a user name.
        is_unknown: sign_in.wishes.login_hint().is_some_and(|hint| email_domain(hint).is_some()),
    }
}
