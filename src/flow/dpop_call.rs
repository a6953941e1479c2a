//! Calls that carry a DPoP proof where the provider binds tokens to our key (RFC 9449). A server may want its own nonce in the
//! proof: the call is then made once more, with the nonce that came with the refusal.

use crate::{
    http::CalloutRequest,
    oidc::{
        client::{AuthenticationError, CallContext},
        dpop::{self, ProofServer},
    },
    provider::Provider,
    time::Deadline,
};

use super::{
    context::{CalloutResult, TaskContext},
    event::failure::Failure,
};

/// Makes the request of a call. Not a type parameter: the code of the calls would be there once for each kind of request.
pub(super) type MakeRequest<'a> = dyn Fn(CallContext<'_>) -> Result<CalloutRequest, AuthenticationError> + 'a;

impl TaskContext {
    /// Calls the provider with a DPoP proof, if it has a proof key. Repeats the call until the deadline while Envoy does not start it.
    ///
    /// # Errors
    /// [`Failure::Unreachable`], and those of `request`.
    pub(super) async fn call_with_proof(
        &self,
        provider: &Provider,
        server: ProofServer,
        deadline: Deadline,
        request: &MakeRequest<'_>,
    ) -> Result<CalloutResult, Failure> {
        if provider.relying_party.proof_key.is_none() {
            return Ok(self.call_until(deadline, request(self.call_context())?).await);
        }
        let known = self.with(|env| env.issuers.proof_nonce(provider.id, server))?;
        let proof_nonce = known.as_deref();
        let first = self.call_until(deadline, request(CallContext { proof_nonce, ..self.call_context() })?).await;
        let given = self.keep_nonce(provider, server, &first)?;
        if given.is_none() || given == known || !dpop::wants_nonce(server, &first) {
            return Ok(first);
        }
        let proof_nonce = given.as_deref();
        let second = self.call(request(CallContext { proof_nonce, ..self.call_context() })?).await;
        self.keep_nonce(provider, server, &second)?;
        Ok(second)
    }

    /// Keeps the nonce of this answer for the next proofs.
    fn keep_nonce(
        &self,
        provider: &Provider,
        server: ProofServer,
        answer: &CalloutResult,
    ) -> Result<Option<String>, Failure> {
        let Some(nonce) = dpop::nonce(answer).map(str::to_owned) else { return Ok(None) };
        self.with(|env| env.issuers.keep_proof_nonce(provider.id, server, nonce.clone()))?;
        Ok(Some(nonce))
    }
}
