//! Tokens that a provider signed are verified with the keys that are known, and once more where newer ones may help: a
//! provider may rotate its keys just before it signs.

use crate::{
    claims::IssuerId,
    jose::verify::VerifyError,
    shared::lease::{Asker, KeyRequest, Lack},
};

use super::{Env, failure::Failure};

/// When a token is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// When it has come.
    First,
    /// After it has waited for newer keys.
    Later {
        /// Whether there is time to wait on.
        may_wait: bool,
    },
}

/// Verifies a token of this provider's by `verify`. `None`: newer keys may help and are on their way, so the token is to be
/// verified again once they are there.
pub(super) fn verified<T>(
    provider: IssuerId,
    asker: Asker,
    when: When,
    env: &mut Env<'_>,
    verify: impl Fn(&Env<'_>) -> Result<T, Failure>,
) -> Option<Result<T, Failure>> {
    let mut outcome = verify(env);
    match when {
        When::First => {
            // Another worker may have met the new key before.
            if lack(outcome.as_ref().err()).is_some() && env.issuers.look(provider, env.platform, env.now) {
                outcome = verify(env);
            }
            if let Some(lack) = lack(outcome.as_ref().err())
                && env.issuers.ask_for_keys(provider, KeyRequest { asker, lack }, env.platform, env.now, env.events)
            {
                return None;
            }
        }
        When::Later { may_wait } => {
            let may_help = may_wait && lack(outcome.as_ref().err()).is_some();
            if may_help && env.issuers.wants_keys(provider, env.now) {
                return None;
            }
            if outcome.is_ok() {
                env.issuers.wish_came_true(provider);
            }
        }
    }
    Some(outcome)
}

/// The lack of the known keys, where newer ones may verify the token.
fn lack(failure: Option<&Failure>) -> Option<Lack> {
    let error = match failure {
        Some(Failure::BearerSignature(error) | Failure::LogoutTokenSignature(error) | Failure::Signature(error)) => {
            error
        }
        _ => return None,
    };
    match error {
        VerifyError::BadSignature(_) | VerifyError::KeyMismatch(_) => Some(Lack::Signature),
        VerifyError::NamelessKey(_) | VerifyError::UnknownKey(_) => Some(Lack::Key),
        VerifyError::AlgorithmNotAllowed(_) | VerifyError::BadPayload(_) | VerifyError::Throttled => None,
    }
}
