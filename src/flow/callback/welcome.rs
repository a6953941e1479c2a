//! Somebody is known: they get a session, and go back to where they came from.

use std::time::Duration;

use crate::{
    oidc::identity::Identity,
    platform::NoRandomness,
    secret::{AccessToken, RawIdToken, RefreshToken},
    session::{Beginning, Grant, Session, open::FreshSession, trail::Trail},
    time::UnixTime,
};

use super::SignIn;
use crate::flow::{
    Env, Step,
    event::Event,
    failure::Failure,
    renewal,
    reply::{self, Redirect},
    revocation::{self, By, Revocation},
    signed_in,
    store::{self, Command, Next, Saving},
};

/// What came with an identity, and a session keeps for later.
#[derive(Debug)]
pub(super) struct Granted {
    /// What renews it, if anything does.
    pub(super) refresh_token: Option<RefreshToken>,
    /// The access token.
    pub(super) access_token: AccessToken,
    /// How long it is good, where that is known.
    pub(super) expires_in: Option<Duration>,
    /// The ID token and its end, if there is one.
    pub(super) id_token: Option<(RawIdToken, UnixTime)>,
}

impl SignIn {
    /// Back to where they came from, with a session.
    pub(super) fn welcome(&self, identity: Identity, granted: Granted, env: &mut Env<'_>) -> Step {
        self.session(identity, granted, env)
            .and_then(|session| self.seal(session, env))
            .unwrap_or_else(|failure| self.refuse(failure, env))
    }

    fn seal(&self, session: Session, env: &mut Env<'_>) -> Result<Step, Failure> {
        let Self { pending, caller, brought, .. } = self;
        // An answer that is still on its way must not bring back somebody else's.
        let is_anothers = |before: &&FreshSession| {
            let before = before.session();
            before.subject() != session.subject() || before.provider() != session.provider()
        };
        if let Some(before) = brought.before.as_ref().filter(is_anothers) {
            revocation::end(&Revocation::of_session(before.session(), env), By::Person, env);
        }
        let settings = &env.config.session;
        let own = self.offer(env).cookies;
        let mut cookies: Vec<_> = brought.surplus.iter().filter(|line| !own.contains(line)).cloned().collect();
        cookies.extend(own);
        match settings.store {
            Some(_) => {
                cookies.push(signed_in::reference_to(&session, env)?);
                cookies.extend(settings.cookies.delete_beyond(1, brought.session));
            }
            None => cookies.extend(signed_in::write(&session, brought.session, env)?),
        }
        let settings = &env.config.session;
        cookies.push(Trail::and_one(brought.trail, env.now).cookie(
            &settings.trail_cookie,
            &settings.sealer,
            env.platform,
        )?);
        let location = pending.state.return_to.location(&env.config.origin);
        let reply = reply::redirect(Redirect::SeeOther, "signed_in", location, cookies);
        env.events.push(Event::SignedIn(env.issuers.name(session.provider()), session.subject().to_owned()));
        let Some(store) = &env.config.session.store else { return Ok(Step::Reply(reply)) };
        let offer = self.offer(env);
        let saving = Saving { caller: caller.clone(), offer, next: Next::Reply(reply), command: Command::Save };
        Ok(store::save_then(store, session, saving))
    }

    fn session(&self, identity: Identity, granted: Granted, env: &mut Env<'_>) -> Result<Session, Failure> {
        let provider = self.pending.state.provider;
        let settings = &env.config.session;
        let known = env.issuers.ready(provider, env.now).ok_or(Failure::ProviderNotReady)?;
        let refresh_token = granted.refresh_token.filter(|_| settings.lifetimes.refresh);
        let wants_hint = env.config.sign_out.at_provider && known.metadata.end_session_endpoint.is_some();
        let claims_request = known.provider.claims_request();
        let handed_on = env.config.handed_on;
        if refresh_token.is_some() {
            renewal::report_short_life(provider, granted.expires_in, env);
        }
        let (id_token, id_token_ends) = granted.id_token.unzip();
        let until_exp = id_token_ends.map(|ends| ends.since(env.now));
        let life = handed_on.life(granted.expires_in, until_exp);
        let with = Beginning {
            provider,
            claims_request,
            kept: &env.config.kept_claims,
            now: env.now,
            lifetime: settings.lifetimes.absolute,
            grant: refresh_token.map(|token| Grant::new(token, life, env.now)),
            app_token: handed_on.access_token(&granted.access_token, granted.expires_in.or(until_exp), env.now),
            id_token: id_token.filter(|_| wants_hint || handed_on.id_token),
            id_token_ends: id_token_ends.unwrap_or_default(),
        };
        let mut session = Session::begin(identity, with, env.platform).map_err(|NoRandomness| Failure::NoRandomness)?;
        revocation::begin_after(&mut session, env);
        Ok(session)
    }
}
