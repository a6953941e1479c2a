//! Bearer tokens.

use super::{
    access::Users,
    document::{Yaml, map, text, texts},
    notes::Weight,
    settings::Settings,
};

/// The bearer tokens that are taken.
#[derive(Default)]
pub(super) struct BearerTokens {
    pub(super) own_audiences: Vec<String>,
    pub(super) issuers: Vec<Yaml>,
}

/// Bearer tokens: those of the provider itself, if its issuer is known, and those of further issuers.
pub(super) fn convert(own_issuer: Option<&str>, users: &Users, settings: &mut Settings) -> BearerTokens {
    let mut tokens = BearerTokens::default();
    let place = settings.place("skip_jwt_bearer_tokens");
    let is_on = settings.is_on("skip_jwt_bearer_tokens");
    let further = settings.take("extra_jwt_issuers");
    if !is_on {
        return tokens;
    }
    let said = "skip_jwt_bearer_tokens: ID tokens of the client are no bearer tokens here; name the audience of your API in providers[].access_token_audiences";
    settings.note(&place, Weight::Decide, said);
    let Some(further) = further else { return tokens };
    let said = "extra_jwt_issuers: access tokens of these issuers are taken; `kind: jwt` takes any JWT, where an issuer signs nothing else for the audience";
    settings.note(&further.place, Weight::Decide, said);
    let mut by_issuer: Vec<(String, Vec<String>)> = Vec::new();
    for pair in &further.values {
        match pair.split_once('=') {
            Some((issuer, audience)) if own_issuer == Some(issuer) && users.are_alike => {
                tokens.own_audiences.push(audience.to_owned());
            }
            Some((issuer, _)) if own_issuer == Some(issuer) => {
                let said = "extra_jwt_issuers: `allow` of the provider asks for more than the claim `groups`, which is all that oauth2-proxy asks of tokens; \
                            put that into rules with `access: bearer`, and the audience into providers[].access_token_audiences";
                settings.note(&further.place, Weight::Missing, said);
            }
            Some((issuer, audience)) => match by_issuer.iter_mut().find(|(known, _)| known == issuer) {
                Some((_, audiences)) => audiences.push(audience.to_owned()),
                None => by_issuer.push((issuer.to_owned(), vec![audience.to_owned()])),
            },
            None => {
                let said = format!("extra_jwt_issuers: expected ISSUER=AUDIENCE, got {pair:?}");
                settings.note(&further.place, Weight::Missing, said);
            }
        }
    }
    if !tokens.own_audiences.is_empty() && users.allow.is_some() {
        let said = "extra_jwt_issuers: tokens of the provider itself must meet its `allow`, with a verified address where that asks for one";
        settings.note(&further.place, Weight::Decide, said);
    }
    for (issuer, audiences) in by_issuer {
        let mut members = vec![("issuer".to_owned(), text(issuer)), ("audiences".to_owned(), texts(audiences))];
        members.extend(users.bearers.clone().map(|bearers| ("allow".to_owned(), bearers)));
        tokens.issuers.push(map(members));
    }
    tokens
}
