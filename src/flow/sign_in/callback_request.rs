//! The request that brings an authorization response.

use crate::{
    http::Request,
    session::{
        cookie::delete_cookie,
        open::FreshSession,
        pending::{PendingSignIn, State},
    },
};

use super::{
    super::{
        answer::{Offer, caller::Caller},
        context::RequestContext,
    },
    start_url::again_url,
};

/// An authorization response that belongs to a sign-in which this browser began.
#[derive(Debug)]
pub(super) struct CallbackRequest {
    pub(super) request: Request,
    pub(super) caller: Caller,
    /// The session that the browser has.
    pub(super) session: Option<FreshSession>,
    /// The sign-in, from the browser's cookie: `state` leaves out a long path.
    pub(super) pending: PendingSignIn,
    /// The parameter `state`.
    pub(super) state: State,
}

impl CallbackRequest {
    /// A link that starts again; the cookie of this sign-in goes.
    pub(super) fn offer(&self, cx: &RequestContext) -> Offer {
        Offer::again(again_url(&self.pending.state.return_to, cx.origin(), cx.config()), vec![self.delete_pending(cx)])
    }

    /// Deletes the cookie of this sign-in.
    pub(super) fn delete_pending(&self, cx: &RequestContext) -> String {
        let settings = &cx.config().session;
        let name = PendingSignIn::cookie_name(&self.state.id, &settings.pending_prefix);
        delete_cookie(&name, settings.cookies.same_site())
    }
}
