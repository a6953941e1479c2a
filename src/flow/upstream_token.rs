//! The token that an admitted request carries to the app: the access token of its session or client, or one that the provider gives
//! in exchange. An exchange is made once for each token and kept until the new token expires. Without it, no request goes upstream.

use std::{rc::Rc, time::Duration};

use crate::{
    claims::IssuerId,
    config::Config,
    http::HeaderEdit,
    oidc::{
        client::{CallContext, ClientAuthentication},
        token::TokenEndpointError,
        token_exchange::{self, ExchangeGrant, NoExchange},
    },
    rules::UpstreamToken,
    secret::AccessToken,
    session::app_tokens::is_usable,
    time::Deadline,
};

use super::{
    context::{CalloutResult, Env, RequestContext},
    event::failure::Failure,
    limits::{MIN_PATIENCE, hold_from},
    memory::upstream_tokens::{ExchangeKey, Outcome},
};

/// Lifetime of a token whose provider names none.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// The longest time for which a token is kept.
const MAX_LIFE: Duration = Duration::from_secs(3600);
/// A token is exchanged anew this long before it expires (or a fifth of its lifetime, if that is less): the app needs time to use it.
const MARGIN: Duration = Duration::from_secs(30);
/// A failed exchange is not repeated for this long.
const FAILURE_LIFE: Duration = Duration::from_secs(2);

/// The result of looking for the token.
pub(super) enum Lookup {
    /// The header that carries it.
    Ready(HeaderEdit),
    /// It must be exchanged first.
    Needed(Rc<ExchangeKey>),
    /// There is none.
    Failed(Failure),
}

/// Looks for the token that the rules want, made of this one of a user or client. `issuer` is the provider of that token.
pub(super) fn find(wanted: &Rc<UpstreamToken>, issuer: Option<IssuerId>, token: &str, env: &Env<'_>) -> Lookup {
    if wanted.exchange.is_none() {
        return Lookup::Ready(header(wanted, token));
    }
    let provider = issuer.and_then(|issuer| env.config.provider(issuer));
    let Some(provider) = provider else {
        return Lookup::Failed(Failure::NotExchangeable);
    };
    // Anyone could exchange a token as a client that does not authenticate.
    if matches!(provider.relying_party.authentication, ClientAuthentication::None) {
        return Lookup::Failed(Failure::PublicClientExchange);
    }
    let known = env.upstream_tokens.find(provider.id, token, wanted);
    match known.filter(|(_, until)| !until.has_passed(env.now_near(until.end()))) {
        Some((Ok(token), _)) => Lookup::Ready(header(wanted, token.expose())),
        Some((Err(failure), _)) => Lookup::Failed(failure.clone().into()),
        None => Lookup::Needed(Rc::new(ExchangeKey {
            issuer: provider.id,
            subject: AccessToken::new(token),
            wanted: Rc::clone(wanted),
        })),
    }
}

/// Exchanges a token. The request must be decided again afterwards: its session may have ended.
pub(super) async fn exchange(key: Rc<ExchangeKey>, cx: &RequestContext) -> Result<HeaderEdit, Failure> {
    let outcome = match take_turn(&key, cx).await? {
        Some(outcome) => outcome,
        None => {
            let _slot = cx.limits().exchanging.take().ok_or(Failure::Busy)?;
            let answer = ask(&key, cx).await?;
            cx.with(|env| keep(&key, answer, env))?
        }
    };
    Ok(header(&key.wanted, outcome?.expose()))
}

/// Waits for the outcome of the same exchange of another request; `None` where this request is to make it.
async fn take_turn(key: &Rc<ExchangeKey>, cx: &RequestContext) -> Result<Option<Outcome>, Failure> {
    let turn = |env: &mut Env<'_>| {
        let ExchangeKey { issuer, subject, wanted } = &**key;
        match env.upstream_tokens.find(*issuer, subject.expose(), wanted) {
            Some((outcome, until)) if !until.has_passed(env.now()) => Some(Some(outcome.clone())),
            _ => env.upstream_tokens.begin(key).then_some(None),
        }
    };
    if let Some(turn) = cx.with(turn)? {
        return Ok(turn);
    }
    // Requests that wait have a limit of their own: those of one user take no slot from the exchanges of others.
    let _slot = cx.limits().awaiting_exchange.take().ok_or(Failure::Busy)?;
    let turn = cx.until(hold_from(cx.now()), turn).await?;
    // The other one may still succeed: this says nothing about its outcome.
    turn.ok_or_else(|| NoExchange::late().into())
}

/// Asks the provider.
async fn ask(key: &ExchangeKey, cx: &RequestContext) -> Result<CalloutResult, Failure> {
    let settings = key.wanted.exchange.as_ref().ok_or(Failure::Unreachable("there is nothing to exchange"))?;
    let ready = cx.provider(key.issuer).await?;
    let request = |context: CallContext<'_>| {
        let relying_party = &ready.provider.relying_party;
        token_exchange::request(relying_party, &ready.metadata, &key.subject, settings, context)
    };
    let deadline = Deadline::after(ready.provider.timeout().max(MIN_PATIENCE), cx.now());
    cx.call_as_client(&ready, deadline, &request).await
}

/// Keeps what the provider's answer means.
#[inline(never)]
fn keep(key: &Rc<ExchangeKey>, answer: CalloutResult, env: &mut Env<'_>) -> Outcome {
    let (outcome, life) = read(key, answer, env.config);
    env.upstream_tokens.settle(key, &outcome, Deadline::after(life, env.now()));
    outcome
}

/// The outcome, and how long it counts.
fn read(key: &ExchangeKey, answer: CalloutResult, config: &Config) -> (Outcome, Duration) {
    let grant = key.wanted.exchange.as_ref().map_or(ExchangeGrant::TokenExchange, |exchange| exchange.grant);
    let error = match token_exchange::read(answer) {
        Ok(exchanged) if is_usable(&exchanged.token) => {
            let life = exchanged.expires_in.unwrap_or(DEFAULT_LIFE).min(MAX_LIFE);
            return (Ok(exchanged.token), life.saturating_sub(MARGIN.min(life / 5)));
        }
        Ok(_) => TokenEndpointError::Malformed("access_token"),
        Err(error) => error,
    };
    let error = match config.provider(key.issuer) {
        Some(provider) => error.for_client(&provider.relying_party),
        None => error,
    };
    (Err(NoExchange::new(error, grant)), FAILURE_LIFE)
}

fn header(wanted: &UpstreamToken, token: &str) -> HeaderEdit {
    HeaderEdit::Set(wanted.header.clone(), wanted.value(token))
}
