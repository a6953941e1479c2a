//! The answer to a user whom the rules do not admit: who is signed in, and the ways that may help.

use crate::{
    claims::{Claim, Claims},
    config::AuditLog,
    http::LocalReply,
    page::{Action, Link, text::Text},
    rules::RuledRequest,
    session::{Session, return_to::ReturnTo},
};

use super::{
    answer::{
        self, Offer,
        caller::{Caller, Kind},
    },
    context::Env,
    event::failure::Failure,
    sign_in,
    sign_out::sign_out_path,
};

/// The longest name of a user on a page, in characters.
const MAX_NAME: usize = 80;

/// Refuses a user whom the rules do not admit, or for whom there is no token, and offers the ways that may help. A renewed session
/// is written all the same: its user may open other pages.
pub(super) fn refuse(ruled: &RuledRequest, session: &Session, failure: Failure, env: &mut Env<'_>) -> LocalReply {
    let caller = Caller::of(ruled.request()).of_issuer(session.provider());
    let offer = if failure.status() == 403 && caller.kind != Kind::Program {
        other_ways(ruled, session, caller.kind, env)
    } else {
        Offer::default()
    };
    let subject = (env.config.audit_log == AuditLog::WithSubject).then(|| session.subject().to_owned());
    answer::refuse_user(failure, &caller, subject, offer, env)
}

/// The links that may help this user: to another account, to another provider, and to sign out.
fn other_ways(ruled: &RuledRequest, session: &Session, kind: Kind, env: &Env<'_>) -> Offer {
    let target = ReturnTo::parse(ruled.request().target(), &env.config.prefix);
    let accepted = ruled.verdict().providers();
    let is_accepted = accepted.is_empty() || accepted.contains(&session.provider());
    let start =
        |providers: &[_]| sign_in::start_with(&sign_in::Wishes::another_account(), target.as_str(), providers, env);
    let another_way = || Link { label: Text::AnotherWay, href: start(&accepted) };
    let count = if accepted.is_empty() { env.config.providers.len() } else { accepted.len() };
    let has_choice = count > 1;
    let (action, way) = match (is_accepted, has_choice) {
        (false, _) => (another_way(), None),
        (true, false) => (Link { label: Text::AnotherAccount, href: start(&accepted) }, None),
        (true, true) => (Link { label: Text::AnotherAccount, href: start(&[session.provider()]) }, Some(another_way())),
    };
    // Clickjacking: a page around the frame cannot sign the user out by itself.
    let sign_out = (kind != Kind::Frame).then(|| Link { label: Text::SignOut, href: sign_out_path(None, env) });
    Offer {
        action: Some(Action::Link(action)),
        secondary_links: way.into_iter().chain(sign_out).collect(),
        user: Some(name_of(session, env)),
        ..Offer::default()
    }
}

/// The name of the signed-in user, for their own page, with the provider where there are several.
fn name_of(session: &Session, env: &Env<'_>) -> String {
    let text = |name: &str| session.claim(name).and_then(as_text).filter(|text| !text.is_empty());
    let name = ["email", "preferred_username", "name", "sub"].into_iter().find_map(text).unwrap_or_default();
    let mut shown: String = name.chars().filter(|c| !c.is_control() && !has_direction(*c)).take(MAX_NAME).collect();
    if name.chars().count() > MAX_NAME {
        shown.push('…');
    }
    match env.config.provider(session.provider()) {
        Some(provider) if env.config.providers.len() > 1 => format!("{shown} ({})", provider.title),
        _ => shown,
    }
}

/// Whether a character changes the direction of those behind it (UAX 9, 2.1 to 2.5): in a name it could end the marks around it.
const fn has_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn as_text(claim: Claim<'_>) -> Option<&str> {
    match claim {
        Claim::Text(text) => Some(text),
        Claim::Json(value) => value.as_str(),
    }
}
