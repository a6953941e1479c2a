//! The values that one worker keeps between decisions. None of these files knows of a request that is being decided.

pub(super) mod bearers;
pub(super) mod issuers;
pub(super) mod known_sids;
pub(super) mod omissions;
pub(super) mod revocations;
pub(super) mod stored;
pub(super) mod upstream_tokens;
pub(super) mod verified_bearer;

use crate::{config::Config, platform::Platform, session::open::OpenSessions, shared::renewals::Outcomes};

use bearers::Bearers;
use issuers::Issuers;
use omissions::Omissions;
use revocations::Revocations;
use stored::CachedSessions;
use upstream_tokens::UpstreamTokens;

/// The values that one worker keeps between decisions.
#[derive(Debug)]
pub(in crate::flow) struct Memory {
    pub(in crate::flow) issuers: Issuers,
    pub(in crate::flow) sessions: OpenSessions,
    pub(in crate::flow) renewals: Outcomes,
    pub(in crate::flow) revocations: Revocations,
    pub(in crate::flow) stored: CachedSessions,
    pub(in crate::flow) bearers: Bearers,
    pub(in crate::flow) omissions: Omissions,
    pub(in crate::flow) upstream_tokens: UpstreamTokens,
}

impl Memory {
    /// Nothing is known yet.
    pub(in crate::flow) fn new(config: &Config, platform: &dyn Platform) -> Self {
        Self {
            issuers: Issuers::new(config, platform),
            sessions: OpenSessions::new(config.session.cookies.clone()),
            renewals: Outcomes::new(&config.fingerprint, &config.session.sealer, platform),
            revocations: Revocations::new(config, platform),
            stored: CachedSessions::default(),
            bearers: Bearers::default(),
            omissions: Omissions::default(),
            upstream_tokens: UpstreamTokens::default(),
        }
    }
}
