//! The source of claims, by protocol.

use crate::{
    digest::{HalfDigest, half_digest},
    jose::claims::ExpectedIssuer,
};

use super::{Protocol, Provider};

impl Provider {
    /// Asks for these claims alone, where the protocol has scopes and calls for them.
    pub fn ask_for(&mut self, claims: &[String]) {
        match &mut self.protocol {
            Protocol::GitHub(github) => self.relying_party.scopes = github.ask_for(claims),
            Protocol::OAuth2(_) | Protocol::Oidc(_) => {}
        }
    }

    /// A digest of all by which the provider decides which claims it sends.
    pub fn claims_request(&self) -> HalfDigest {
        match &self.protocol {
            Protocol::OAuth2(server) => {
                let parts = [&self.relying_party.claims_request(), server.questions_digest()];
                half_digest("claims request", &parts.map(|part| &part[..]))
            }
            Protocol::GitHub(_) | Protocol::Oidc(_) => self.relying_party.claims_request(),
        }
    }

    /// Whether claims come from a userinfo endpoint.
    pub fn asks_userinfo(&self) -> bool {
        match &self.protocol {
            Protocol::GitHub(_) => false,
            Protocol::OAuth2(_) => true,
            Protocol::Oidc(settings) => settings.userinfo,
        }
    }

    /// The source of a session's claims, for the log; `userinfo` says whether the userinfo endpoint was asked.
    pub const fn claims_source(&self, userinfo: bool) -> &'static str {
        match (&self.protocol, userinfo) {
            (Protocol::GitHub(_), _) => "GitHub's API",
            (Protocol::OAuth2(_), _) => "userinfo",
            (Protocol::Oidc(_), true) => "the ID token and userinfo",
            (Protocol::Oidc(_), false) => "the ID token (userinfo was not asked)",
        }
    }

    /// The settings that bring a claim which it has not sent. `None` for GitHub, which is asked for what the rules want.
    pub const fn remedy_of_absent_claim(&self) -> Option<&'static str> {
        match &self.protocol {
            Protocol::GitHub(_) => None,
            Protocol::OAuth2(_) => Some("add the scope that brings it to `scopes`, or name its place in `claims`"),
            Protocol::Oidc(settings) if settings.userinfo => {
                Some("add the scope that brings it to `scopes`, or have the provider send it")
            }
            Protocol::Oidc(_) => Some(
                "add the scope that brings it to `scopes`, or set `userinfo: true` if the userinfo endpoint has it",
            ),
        }
    }

    /// Whether it is GitHub, which has claims of its own in place of `groups`.
    pub const fn is_github(&self) -> bool {
        matches!(self.protocol, Protocol::GitHub(_))
    }

    /// Whether an address of its users can count as verified.
    pub fn may_verify_email(&self) -> bool {
        self.says_email_verified
            || matches!(&self.protocol, Protocol::OAuth2(server) if server.questions.email_is_verified)
    }

    /// Whether its tokens name issuers of their own, one for each tenant.
    pub fn has_many_tenants(&self) -> bool {
        matches!(self.issuer().expected(), ExpectedIssuer::OfTenant(_))
    }

    /// Whether `email` may come without the provider's word that it is verified.
    pub fn may_send_unverified_email(&self) -> bool {
        match &self.protocol {
            Protocol::GitHub(_) => false,
            Protocol::OAuth2(server) => !server.questions.email_is_verified,
            Protocol::Oidc(_) => true,
        }
    }
}
