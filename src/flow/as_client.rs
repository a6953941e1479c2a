//! Calls for which the client authenticates. Where no method of sending the secret is configured and the server refuses the one
//! that its metadata suggest, the call is made once more with the other one: some offer a method that they do not take.

use crate::{
    oidc::{
        client::CallContext,
        dpop::ProofServer,
        token::{accepts_client, refuses_client},
    },
    time::Deadline,
};

use super::{
    context::{CalloutResult, TaskContext},
    dpop_call::MakeRequest,
    event::{Event, failure::Failure},
    memory::issuers::Ready,
};

impl TaskContext {
    /// Makes such a call at this provider; until the deadline, while Envoy does not take it.
    ///
    /// # Errors
    /// [`Failure::Unreachable`], and where the host has no randomness.
    pub(super) async fn call_as_client(
        &self,
        ready: &Ready,
        deadline: Deadline,
        request: &MakeRequest<'_>,
    ) -> Result<CalloutResult, Failure> {
        let provider = &ready.provider;
        let other_method = self.with(|env| env.issuers.takes_other_method(provider.id))?;
        let call = async |other_method, deadline| {
            let request = |context: CallContext<'_>| request(CallContext { other_method, ..context });
            self.call_with_proof(provider, ProofServer::Authorization, deadline, &request).await
        };
        let first = call(other_method, deadline).await?;
        if !provider.may_send_secret_otherwise() || !refuses_client(&first) {
            return Ok(first);
        }
        let second = call(!other_method, Deadline::immediate(self.now())).await?;
        // Only tokens, or a word about the grant, show that the client was accepted.
        if !accepts_client(&second) {
            return Ok(first);
        }
        self.with(|env| {
            env.issuers.take_other_method(provider.id, !other_method);
            let method = ready.metadata.secret_method(!other_method);
            env.events.push(Event::OtherMethod(env.issuers.name(provider.id), method));
        })?;
        Ok(second)
    }
}
