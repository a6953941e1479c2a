//! The client of a bearer token that is good.

use std::{cell::OnceCell, rc::Rc};

use crate::{
    claims::{Claim, Claims, Conditions, IssuerId, StaticToken},
    config::Config,
    http::IdentityEdits,
    oidc::{access_token::VerifiedAccessToken, introspection::ActiveToken},
    time::{Leeway, UnixTime},
};

/// The client of a bearer token that is good.
#[derive(Debug, Clone)]
pub(in crate::flow) struct VerifiedBearer(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    grounds: Grounds,
    identity: OnceCell<Rc<IdentityEdits>>,
}

#[derive(Debug)]
enum Grounds {
    AccessToken(VerifiedAccessToken),
    Active(ActiveToken),
    Static(Rc<StaticToken>),
}

impl VerifiedBearer {
    fn new(grounds: Grounds) -> Self {
        Self(Rc::new(Inner { grounds, identity: OnceCell::new() }))
    }

    /// The client of a signed access token.
    pub(in crate::flow) fn signed(token: VerifiedAccessToken) -> Self {
        Self::new(Grounds::AccessToken(token))
    }

    /// The client of an introspected token.
    pub(in crate::flow) fn active(token: ActiveToken) -> Self {
        Self::new(Grounds::Active(token))
    }

    /// The client of a static token.
    pub(in crate::flow) fn static_token(token: &Rc<StaticToken>) -> Self {
        Self::new(Grounds::Static(Rc::clone(token)))
    }

    /// Its subject.
    pub(in crate::flow) fn subject(&self) -> &str {
        match &self.0.grounds {
            Grounds::AccessToken(token) => token.subject(),
            Grounds::Active(token) => token.subject(),
            Grounds::Static(token) => &token.name,
        }
    }

    /// Its identity for the app, made by `render` when it is first asked for, and kept.
    pub(in crate::flow) fn identity(&self, render: impl FnOnce(&Self) -> IdentityEdits) -> Rc<IdentityEdits> {
        Rc::clone(self.0.identity.get_or_init(|| render(self).into()))
    }

    /// Whether it is an access token of an issuer.
    pub(in crate::flow) fn is_access_token(&self) -> bool {
        matches!(self.0.grounds, Grounds::AccessToken(_) | Grounds::Active(_))
    }

    /// When it expires, if it does.
    pub(in crate::flow) fn expires(&self, leeway: Leeway) -> Option<UnixTime> {
        match &self.0.grounds {
            Grounds::AccessToken(token) => Some(token.expires_at().plus(leeway.span())),
            Grounds::Active(token) => token.ends().map(|end| end.plus(leeway.span())),
            Grounds::Static(token) => token.expires_at,
        }
    }

    /// Its issuer; `None` for a static token.
    pub(in crate::flow) fn source(&self) -> Option<IssuerId> {
        match &self.0.grounds {
            Grounds::AccessToken(token) => Some(token.source()),
            Grounds::Active(token) => Some(token.source()),
            Grounds::Static(_) => None,
        }
    }

    /// The conditions of its issuer: those of a provider hold for its tokens too.
    pub(in crate::flow) fn issuer_conditions<'a>(&self, config: &'a Config) -> Option<&'a Conditions> {
        config.token_issuer(self.source()?)?.allow.as_ref()
    }
}

impl Claims for VerifiedBearer {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        match &self.0.grounds {
            Grounds::AccessToken(token) => token.claim(name),
            Grounds::Active(token) => token.claim(name),
            Grounds::Static(token) if name == "sub" => Some(Claim::Text(&token.name)),
            Grounds::Static(token) => token.claims.get(name).map(Claim::Json),
        }
    }

    fn issuer(&self) -> Option<IssuerId> {
        match &self.0.grounds {
            Grounds::AccessToken(token) => token.issuer(),
            Grounds::Active(token) => token.issuer(),
            Grounds::Static(_) => None,
        }
    }

    fn source(&self) -> &'static str {
        match &self.0.grounds {
            Grounds::AccessToken(_) => "the access token",
            Grounds::Active(_) => "the introspection response",
            Grounds::Static(_) => "the entry of static_tokens",
        }
    }
}
