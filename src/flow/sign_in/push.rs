//! Pushes an authorization request to the provider, and sends the browser there with the reference to it (RFC 9126).

use crate::{
    http::LocalReply,
    oidc::{Endpoint, client::CallContext, pushed},
    time::Deadline,
};

use super::{
    super::{
        answer::{Offer, caller::Caller},
        context::RequestContext,
        event::failure::Failure,
        executor::Gate,
        memory::issuers::Ready,
    },
    begun::BegunSignIn,
};

/// The redirect of a sign-in whose request is pushed.
pub(super) fn redirect(begun: BegunSignIn, endpoint: Endpoint, known: Ready, caller: Caller) -> Gate<LocalReply> {
    Gate::flow(move |cx| async move {
        let again = Offer::again(begun.again.clone(), Vec::new());
        let redirected = pushed(begun, &endpoint, &known, &cx).await;
        redirected.unwrap_or_else(|failure| cx.refuse(failure, &caller, again))
    })
}

async fn pushed(
    begun: BegunSignIn,
    endpoint: &Endpoint,
    known: &Ready,
    cx: &RequestContext,
) -> Result<LocalReply, Failure> {
    let Ready { provider, metadata, .. } = known;
    // Anyone can begin sign-ins: their calls of the provider are bounded.
    let _slot = cx.take_unauthenticated_slot().ok_or(Failure::Busy)?;
    let deadline = Deadline::after(provider.timeout(), cx.now());
    let push = |context: CallContext<'_>| provider.push(metadata, endpoint, &begun.parameters, context);
    let answer = cx.call_as_client(known, deadline, &push).await?;
    let parameters = provider.pushed_parameters(pushed::read(answer)?);
    cx.with(|env| BegunSignIn { parameters, ..begun }.redirect(metadata, env))
}
