//! The paths under our prefix. They are compared byte by byte; any other spelling is a path like every other.

use serde_json::json;

use crate::{
    claims::IssuerId,
    config::Config,
    http::{LocalReply, Request},
    provider::{DEFAULT_PROVIDER, Provider},
};

use super::{
    answer::{self, Offer, caller::Caller},
    client_script,
    context::Env,
    event::failure::Failure,
    executor::Gate,
    sign_in::{self, callback, kept_form},
    sign_out::{self, back_channel, front_channel, security_events},
    userinfo,
    with_session::with_session,
};

/// A path under our prefix.
pub(super) enum Reserved {
    BackChannelLogout,
    /// The redirect URI of this provider.
    Callback(IssuerId),
    ClientScript,
    FrontChannelLogout,
    Health,
    KeptForm,
    SecurityEvents,
    SignOut,
    SignedOut,
    Start,
    Unknown,
    Userinfo,
}

impl Reserved {
    pub(super) fn of(target: &[u8], config: &Config) -> Option<Self> {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        match path.strip_prefix(config.prefix.as_bytes())? {
            b"/backchannel_logout" => Some(Self::BackChannelLogout),
            b"/client.js" => Some(Self::ClientScript),
            b"/events" => Some(Self::SecurityEvents),
            b"/form" => Some(Self::KeptForm),
            b"/frontchannel_logout" => Some(Self::FrontChannelLogout),
            b"/health" => Some(Self::Health),
            b"/sign_out" => Some(Self::SignOut),
            b"/signed_out" => Some(Self::SignedOut),
            b"/start" => Some(Self::Start),
            b"/userinfo" => Some(Self::Userinfo),
            reserved @ ([] | [b'/', ..]) => Some(Self::callback(reserved, config).unwrap_or(Self::Unknown)),
            _ => None,
        }
    }

    /// `/callback`, or `/callback/` and the name of a provider.
    fn callback(path: &[u8], config: &Config) -> Option<Self> {
        let name = match path.strip_prefix(b"/callback")? {
            [] => DEFAULT_PROVIDER,
            [b'/', name @ ..] => std::str::from_utf8(name).ok().filter(|name| *name != DEFAULT_PROVIDER)?,
            _ => return None,
        };
        config.provider_named(name).map(|provider| Self::Callback(provider.id))
    }

    /// Decides a request for it.
    pub(super) fn decide(self, request: Request, env: &mut Env<'_>) -> Gate {
        match self {
            Self::BackChannelLogout => back_channel::begin(&request, env).decision(),
            Self::Callback(provider) => with_session(request, env, move |request, session, env| {
                callback::arrive(provider, request, session, env).decision()
            }),
            Self::ClientScript => client_script::decide(&request, env).into(),
            Self::FrontChannelLogout => front_channel::begin(&request, env).decision(),
            Self::Health => health(env).into(),
            Self::KeptForm => kept_form::resend(&request, env).into(),
            Self::SecurityEvents => security_events::begin(&request, env).decision(),
            Self::SignOut => {
                with_session(request, env, |request, session, env| sign_out::begin(&request, session, env).decision())
            }
            Self::SignedOut => sign_out::handle_post_logout(&request, env).into(),
            Self::Start => with_session(request, env, |request, session, env| {
                sign_in::start(request, session.as_ref(), env).decision()
            }),
            Self::Unknown => answer::refuse(Failure::ReservedPath, &Caller::of(&request), Offer::default(), env).into(),
            Self::Userinfo => with_session(request, env, |request, session, env| {
                userinfo::decide(&request, session.as_ref(), env).into()
            }),
        }
    }
}

fn health(env: &Env<'_>) -> LocalReply {
    // 200 as long as the filter lives: an unreachable provider must not take the app out of its load balancer.
    let word = |is_ready: bool| if is_ready { "ready" } else { "waiting" };
    let of_each = |provider: &Provider| {
        let (is_ready, trouble) = env.issuers.health(provider.id, env.now());
        json!({ "name": provider.name, "state": word(is_ready), "trouble": trouble })
    };
    let providers: Vec<_> = env.config.providers.iter().map(of_each).collect();
    let provider = word(env.issuers.are_ready(env.now()));
    answer::json(200, "health", &json!({ "status": "ok", "provider": provider, "providers": providers }))
}
