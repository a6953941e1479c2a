//! Warnings of settings that have no effect beside others, or another one than an operator expects.

use super::{super::Config, kept_claims::each_condition_claim};
use crate::{oidc::client::ClientAuthentication, provider::Provider, rules::Authorization};

/// Warns of settings that do nothing, or not what an operator expects, beside the other settings.
#[inline(never)]
pub(super) fn warn_of_ineffective_settings(config: &mut Config) {
    let takes_none = config.static_tokens.is_empty() && config.token_issuers.is_empty();
    let has_no_id_tokens = config.providers.iter().all(|provider| provider.openid().is_none());
    let is_github = config.providers.iter().all(Provider::is_github);
    let (mut asks_groups, mut asks_email) = (false, false);
    each_condition_claim(&config.rules, &config.providers, &mut |name| {
        asks_groups |= name == "groups";
        asks_email |= name == "email";
    });
    for provider in config.providers.iter().filter(|provider| asks_email && !provider.may_verify_email()) {
        config.warnings.push(format!(
            "allow: {:?} never says `email_verified`, so a condition on an address (`emails`, `allowed_domains`, `email_matches`) \
             lets none of its users pass; use groups, roles or other claims",
            provider.title
        ));
    }
    for provider in config.providers.iter().filter(|provider| provider.allow.is_none()) {
        let has_hd = provider.relying_party.authorization_params.iter().any(|(name, _)| name == "hd");
        if provider.has_many_tenants() {
            config.warnings.push(format!(
                "{:?} signs in users of every tenant: unless each rule has conditions, set `allow` there, such as claims: {{tid: [...]}}",
                provider.title
            ));
        } else if has_hd {
            config.warnings.push(format!(
                "{:?}: the parameter `hd` is a hint that the browser can take out; set `allow: {{claims: {{hd: [...]}}}}`, as `with: {{hd: ...}}` \
                 of the preset does",
                provider.title
            ));
        }
    }
    warn_of_shared_injection(config);
    let goes_to_app = forwards(config, Authorization::AccessToken)
        || config.rules.upstream_tokens().any(|token| token.exchange.is_none());
    for provider in config.providers.iter().filter(|provider| goes_to_app && provider.relying_party.proof_key.is_some())
    {
        config.warnings.push(format!(
            "authorization: the access tokens of {:?} are bound to dpop_key, so the app cannot use them",
            provider.title
        ));
    }
    for provider in config.providers.iter().filter(|provider| provider.openid().is_none()) {
        if config.rules.step_ups().next().is_some() {
            config.warnings.push(format!(
                "step_up: {:?} has no ID tokens, which would say how its users authenticated, so a rule with step_up lets none of \
                 them pass",
                provider.title
            ));
        }
    }
    let is_public = |provider: &Provider| matches!(provider.relying_party.authentication, ClientAuthentication::None);
    let warnings = [
        (
            takes_none && config.rules.have_bearer_rules(),
            "rules: `access: bearer` refuses every request: without static_tokens, token_issuers or access_token_audiences no tokens are accepted",
        ),
        (
            takes_none && config.rules.have_scopes(),
            "rules: `scopes` have no effect: they apply to tokens, and no tokens are accepted",
        ),
        (
            !takes_none
                && config.token_cookie.is_none()
                && config.rules.leave_authorization_to_app(config.authorization),
            "authorization: with `app` in every rule no token is read, so `static_tokens` and `token_issuers` have no effect",
        ),
        (takes_none && config.token_cookie.is_some(), "token_cookie: has no effect, because no tokens are accepted"),
        (
            has_no_id_tokens && config.forwarded_tokens.id_token,
            "authorization: no provider has ID tokens, so `id_token` forwards nothing",
        ),
        (
            config.rules.upstream_tokens().any(|token| token.exchange.is_some())
                && config.providers.iter().any(is_public),
            "upstream_token: a provider at which this client does not authenticate exchanges no tokens, so `exchange` lets none of its users pass",
        ),
        (is_github && asks_groups, "allow: GitHub has no `groups`; its claims are `orgs` and `teams`"),
        (config.filter_state.rule && !config.rules.have_names(), "filter_state.rule: no rule has a name"),
    ];
    for (_, warning) in warnings.into_iter().filter(|(applies, _)| *applies) {
        config.warnings.push(warning.to_owned());
    }
}

/// Whether the default or a rule sends this token to the app in `Authorization`.
pub(super) fn forwards(config: &Config, token: Authorization) -> bool {
    config.authorization == token || config.rules.have_authorization(token)
}

/// Warns where providers share a cluster that injects a secret: Envoy then sends the secret of one to the others.
fn warn_of_shared_injection(config: &mut Config) {
    let clusters = |provider: &Provider| provider.relying_party.clusters.clone();
    let is_injected =
        |provider: &Provider| matches!(provider.relying_party.authentication, ClientAuthentication::Injected);
    let shares = |provider: &&Provider| {
        let of = clusters(provider);
        let others = config.providers.iter().filter(|other| other.id != provider.id);
        let cluster = of.reaching(provider.issuer().discovery());
        is_injected(provider) && others.into_iter().any(|other| of.reaching(other.issuer().discovery()) == cluster)
    };
    let warnings = config.providers.iter().filter(shares).map(|provider| {
        format!(
            "token_endpoint_auth_method: the cluster of {:?} injects its secret, and other providers are called by the same cluster: give it \
             one of its own in `clusters`",
            provider.title
        )
    });
    let warnings: Vec<_> = warnings.collect();
    config.warnings.extend(warnings);
}
