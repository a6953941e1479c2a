//! The token that an admitted request carries to the app: the access token of its session or client, or one that the provider gives
//! in exchange. An exchange is made once for each token and kept until the new token expires. Without it, no request goes upstream.

use std::{rc::Rc, time::Duration};

use crate::{
    claims::IssuerId,
    config::Config,
    http::{CalloutError, HeaderEdit},
    oidc::{
        client::{CallContext, ClientAuthentication},
        token::TokenEndpointError,
        token_exchange,
    },
    rules::UpstreamToken,
    secret::AccessToken,
    session::app_tokens::is_usable,
    time::Deadline,
};

use super::{
    context::{CalloutResult, Env, RequestContext},
    event::failure::Failure,
    executor::Gate,
    limits::{MIN_PATIENCE, hold_from},
    memory::upstream_tokens::{Exchanged, Outcome},
};

/// Lifetime of a token whose provider names none.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// The longest time for which a token is kept.
const MAX_LIFE: Duration = Duration::from_secs(3600);
/// A token is replaced so long before its end, or in the last fifth of its life: what it is for needs time, too.
const MARGIN: Duration = Duration::from_secs(30);
/// The time for which a failure counts.
const PAUSE: Duration = Duration::from_secs(2);

/// The place of the token.
pub(super) enum Lookup {
    /// It is here.
    Known(HeaderEdit),
    /// It must be exchanged first.
    Exchange(Rc<Exchanged>),
    /// There is none.
    Failed(Failure),
}

/// Decides a request by the outcome of its exchange.
pub(super) type Then = dyn FnOnce(Result<HeaderEdit, Failure>, &mut Env<'_>) -> Gate;

/// Looks for the token that the rules want, made of this one of a user or client. `issuer` is the provider of that token.
pub(super) fn find(wanted: &Rc<UpstreamToken>, issuer: Option<IssuerId>, token: &str, env: &Env<'_>) -> Lookup {
    if wanted.exchange.is_none() {
        return Lookup::Known(header(wanted, token));
    }
    let provider = issuer.and_then(|issuer| env.config.provider(issuer));
    // Anyone could exchange a token without a client that authenticates.
    let is_client = |with: &ClientAuthentication| !matches!(with, ClientAuthentication::None);
    let Some(provider) = provider.filter(|provider| is_client(&provider.relying_party.authentication)) else {
        return Lookup::Failed(Failure::NotExchangeable);
    };
    let known = env.upstream_tokens.find(provider.id, token, wanted);
    match known.filter(|(_, until)| !until.has_passed(env.now_near(until.end()))) {
        Some((Ok(token), _)) => Lookup::Known(header(wanted, token.expose())),
        Some((Err(failure), _)) => Lookup::Failed(failure.clone().into()),
        None => Lookup::Exchange(Rc::new(Exchanged {
            issuer: provider.id,
            subject: AccessToken::new(token),
            wanted: Rc::clone(wanted),
        })),
    }
}

/// Exchanges a token, and decides by the outcome: what was decided before must be decided anew.
pub(super) fn exchange_first(exchange: Rc<Exchanged>, then: Box<Then>) -> Gate {
    Gate::flow(move |cx| async move {
        let answer = ask(&exchange, &cx).await;
        Gate::settle_apart(cx.with(|env| then(conclude(&exchange, answer, env), env)), &cx).await
    })
}

/// What an exchange has come to.
enum Answer {
    /// The outcome of the same exchange of another request.
    Known(Outcome),
    /// The provider's answer.
    Own(CalloutResult),
}

/// Asks the provider, or waits for its answer to another request.
async fn ask(exchange: &Rc<Exchanged>, cx: &RequestContext) -> Result<Answer, Failure> {
    let _slot = cx.limits().exchanging.take().ok_or(Failure::Busy)?;
    let turn = |env: &mut Env<'_>| {
        let Exchanged { issuer, subject, wanted } = &**exchange;
        match env.upstream_tokens.find(*issuer, subject.expose(), wanted) {
            Some((outcome, until)) if !until.has_passed(env.now()) => Some(Some(outcome.clone())),
            _ => env.upstream_tokens.begin(exchange).then_some(None),
        }
    };
    match cx.until(hold_from(cx.now()), turn).await? {
        Some(Some(outcome)) => return Ok(Answer::Known(outcome)),
        Some(None) => {}
        // The other one takes too long.
        None => return Ok(Answer::Own(Err(CalloutError::NoResponse))),
    }
    let settings = exchange.wanted.exchange.as_ref().ok_or(Failure::Unreachable("there is nothing to exchange"))?;
    let ready = cx.provider(exchange.issuer).await?;
    let request = |context: CallContext<'_>| {
        let relying_party = &ready.provider.relying_party;
        token_exchange::request(relying_party, &ready.metadata, &exchange.subject, settings, context)
    };
    let deadline = Deadline::after(ready.provider.timeout().max(MIN_PATIENCE), cx.now());
    Ok(Answer::Own(cx.call_as_client(&ready, deadline, &request).await?))
}

/// The header with the token, which is kept from now on.
#[inline(never)]
fn conclude(
    exchange: &Rc<Exchanged>,
    answer: Result<Answer, Failure>,
    env: &mut Env<'_>,
) -> Result<HeaderEdit, Failure> {
    let outcome = match answer? {
        Answer::Known(outcome) => outcome,
        Answer::Own(answer) => {
            let (outcome, life) = read(exchange, answer, env.config);
            env.upstream_tokens.settle(exchange, &outcome, Deadline::after(life, env.now()));
            outcome
        }
    };
    Ok(header(&exchange.wanted, outcome?.expose()))
}

/// The outcome, and how long it counts.
fn read(exchange: &Exchanged, answer: CalloutResult, config: &Config) -> (Outcome, Duration) {
    let error = match token_exchange::read(answer) {
        Ok(exchanged) if is_usable(&exchanged.token) => {
            let life = exchanged.expires_in.unwrap_or(DEFAULT_LIFE).min(MAX_LIFE);
            return (Ok(exchanged.token), life.saturating_sub(MARGIN.min(life / 5)));
        }
        Ok(_) => TokenEndpointError::Malformed("access_token"),
        Err(error) => error,
    };
    let error = match config.provider(exchange.issuer) {
        Some(provider) => error.for_client(&provider.relying_party),
        None => error,
    };
    (Err(error.into()), PAUSE)
}

fn header(wanted: &UpstreamToken, token: &str) -> HeaderEdit {
    HeaderEdit::Set(wanted.header.clone(), wanted.value(token))
}
