//! A sign-in that is begun: its authorization request, and the cookies that bind it to the browser.

use crate::{
    http::LocalReply,
    oidc::{
        authorization::{self, Parameters},
        provider_metadata::ProviderMetadata,
    },
};

use super::super::{
    answer::{self, Redirect},
    context::Env,
    event::Event,
};

pub(super) struct BegunSignIn {
    /// The parameters that the browser carries to the provider.
    pub(super) parameters: Parameters,
    pub(super) cookies: Vec<String>,
    /// The URL at which the browser can try again.
    pub(super) again: String,
}

impl BegunSignIn {
    /// Sends the browser to the provider.
    pub(super) fn redirect(self, metadata: &ProviderMetadata, env: &mut Env<'_>) -> LocalReply {
        env.events.push(Event::SignInStarted);
        let url = authorization::url(&metadata.authorization_endpoint, &self.parameters);
        answer::redirect(Redirect::Found, "sign_in_started", url, self.cookies)
    }
}
