//! The identity at GitHub: its API is asked with the access token of this very sign-in.

use crate::oidc::{
    github::{Inquiry, Progress},
    identity::Identity,
    token::TokenResponse,
};

use super::{
    super::{
        context::{CalloutResult, RequestContext},
        event::failure::Failure,
        memory::issuers::Ready,
    },
    complete::Granted,
};

/// The identity that GitHub's API gives. Only its last answer makes one.
pub(super) async fn identify(
    answer: CalloutResult,
    known: &Ready,
    cx: &RequestContext,
) -> Result<(Identity, Granted), Failure> {
    let access_token = TokenResponse::read(answer)?.access_token;
    let github = known.provider.github.as_ref().ok_or(Failure::ProviderNotReady)?;
    let mut inquiry = Inquiry::of(access_token.clone());
    loop {
        let answer = cx.call(inquiry.request(&known.provider, github)).await;
        match inquiry.read(answer, github)? {
            Progress::Ask(next) => inquiry = next,
            Progress::Known(identity) => {
                // Nothing renews it or signs it out: it lasts for its time.
                let granted = Granted { refresh_token: None, access_token, expires_in: None, id_token: None };
                return Ok((*identity, granted));
            }
        }
    }
}
