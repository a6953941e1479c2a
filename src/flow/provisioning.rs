//! The app is asked about a user before a session begins, and before it goes on with new tokens. No session begins without an
//! answer.

use std::time::Duration;

use serde_json::Map;

use crate::{
    claims::{Claim, Claims},
    config::Config,
    http::CalloutRequest,
    provisioning::{self, Occasion, User},
    session::Session,
    time::Deadline,
};

use super::{context::TaskContext, event::failure::Failure, limits::MIN_PATIENCE};

/// Asks the app about the user of this session, and keeps its attributes there.
///
/// # Errors
/// [`Failure::Provisioning`]
pub(super) async fn provision(session: &mut Session, occasion: Occasion, cx: &TaskContext) -> Result<(), Failure> {
    let attributes = match request(session, occasion, cx.config()) {
        Some(request) => {
            let patience = match occasion {
                Occasion::SignIn => request.timeout.max(MIN_PATIENCE),
                Occasion::Renewal => Duration::ZERO,
            };
            provisioning::read(cx.call_until(Deadline::after(patience, cx.now()), request).await)?
        }
        // The app is not asked about this user, who has no attributes then.
        None if occasion == Occasion::SignIn => Map::new(),
        None => return Ok(()),
    };
    let config = cx.config();
    if let Some(provider) = config.provider(session.provider()).filter(|_| config.keeps_attributes) {
        session.set_attributes(attributes, &provider.object_keys);
    }
    Ok(())
}

fn request(session: &Session, occasion: Occasion, config: &Config) -> Option<CalloutRequest> {
    let provider = config.provider(session.provider())?;
    let provisioning = provider.provisioning.as_ref().filter(|it| it.is_asked_at(occasion))?;
    // A provider with many tenants has an issuer for each.
    let issuer = match session.claim("iss") {
        Some(Claim::Json(issuer)) => issuer.as_str(),
        Some(Claim::Text(_)) | None => None,
    };
    let issuer = issuer.unwrap_or_else(|| provider.issuer().as_str());
    let user = User { provider: &provider.name, issuer, subject: session.subject(), claims: session };
    Some(provisioning.request(occasion, user))
}
