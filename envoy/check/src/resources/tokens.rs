//! Policies by tokens: whether the filter hands on what they verify.

use vestibule::{config::Config, rules::Authorization};

use crate::{
    finding::Finding,
    kubernetes::{kind, list, text},
    tree::Node,
};

/// Whether requests carry a token of the user behind the filter.
pub(super) fn hands_on(config: &Config) -> bool {
    matches!(config.authorization, Authorization::IdToken | Authorization::AccessToken)
}

/// Warns where a policy by tokens has another issuer or audience than the filter, or gets no token from it.
pub(super) fn review(policy: &Node, verifiers: &[Node], config: &Config) -> Option<Finding> {
    let first = verifiers.first()?;
    let kind = kind(policy);
    if !hands_on(config) {
        // Clients may bring tokens of their own.
        let brings = config.authorization == Authorization::Keep && !config.token_issuers.is_empty();
        let message =
            format!("no token of a user comes to this {kind}: the filter hands one on with `authorization: id_token`");
        return (!brings).then(|| Finding::warning(first.at, message));
    }
    let issuers = || config.providers.iter().map(|provider| provider.issuer().as_str());
    let issuer = |verifier: &Node| verifier.field("issuer").and_then(Node::text).map(str::to_owned);
    let of_ours = |verifier: &&Node| issuer(verifier).is_none_or(|issuer| issuers().any(|ours| ours == issuer));
    let Some(ours) = verifiers.iter().find(of_ours) else {
        let at = first.field("issuer").map_or(first.at, |node| node.at);
        let wanted = issuers().next().unwrap_or_default();
        let message = format!(
            "the filter's users come from {wanted}, which is no issuer of this {kind}: it answers them 401 \"Jwt issuer is not configured\""
        );
        return Some(Finding::warning(at, message));
    };
    // Who an access token is for is the provider's to say.
    if config.authorization != Authorization::IdToken {
        return None;
    }
    let audiences = list(ours, &["audiences"]);
    let is_client = |audience: &Node| {
        config.providers.iter().any(|provider| audience.text() == Some(provider.relying_party.client_id.as_str()))
    };
    let other = audiences.first().filter(|_| !audiences.iter().any(is_client))?;
    let client = config.providers.first().map_or("", |provider| provider.relying_party.client_id.as_str());
    let message = format!(
        "the ID tokens that the filter hands on are for `{client}`, its client_id, and this {kind} takes none for that: 401 \"Audiences in Jwt are not \
         allowed\""
    );
    Some(Finding::warning(other.at, message))
}

/// Warns where the policies let only users of other issuers pass.
pub(super) fn principals(config: &Config, policies: &[&Node]) -> Option<Finding> {
    let policies = policies.iter().filter(|policy| text(policy, &["spec", "action"]) != Some("DENY"));
    let sources = policies.flat_map(|policy| list(policy, &["spec", "rules"])).flat_map(|rule| list(rule, &["from"]));
    let principals: Vec<_> = sources.flat_map(|source| list(source, &["source", "request_principals"])).collect();
    let is_ours = |principal: &&Node| {
        let of = |issuer: &str| {
            principal.text().and_then(|text| text.strip_prefix(issuer)).is_some_and(|rest| rest.starts_with('/'))
        };
        let begins = principal.text().is_some_and(|text| text.starts_with('*'));
        begins || config.providers.iter().any(|provider| of(provider.issuer().as_str()))
    };
    let first = principals.first().filter(|_| hands_on(config) && !principals.iter().any(is_ours))?;
    let issuer = config.providers.first().map_or("", |provider| provider.issuer().as_str());
    let message = format!(
        "the principals of the filter's users are {issuer}/SUBJECT, and this AuthorizationPolicy lets none of them pass: 403"
    );
    Some(Finding::warning(first.at, message))
}
