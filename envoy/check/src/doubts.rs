//! Warnings on values that the filter accepts and that are probably mistakes: secrets in the file, issuers that no provider has,
//! claims that no token has, expressions that match less than they seem to.

mod claims;
mod expressions;

use crate::{
    advice::is_reference,
    finding::Finding,
    tree::{Node, Value},
};

/// How the issuers of Entra ID begin.
const ENTRA: &str = "https://login.microsoftonline.com/";

/// The warnings on this configuration.
pub(crate) fn review(root: &Node) -> Vec<Finding> {
    let mut found = Vec::new();
    let keys = root.at_path(&["session", "keys"]).map_or(&[][..], Node::elements).iter();
    let providers = root.get("providers").map_or(&[][..], Node::elements);
    let secrets = providers.iter().filter_map(|provider| provider.get("client_secret"));
    for secret in keys.chain(secrets) {
        let Value::Text(text, _) = &secret.value else { continue };
        let message = if is_reference(text) {
            "this text is the secret itself, and looks like the name of a variable: {env: NAME} takes it from the environment"
        } else {
            "a secret stands in this file: {env: NAME} takes it from the environment"
        };
        found.push(Finding::warning(secret.at, message));
    }
    let asks_for_addresses = ["allowed_domains", "email_matches", "emails"].iter().any(|name| root.mentions(name));
    for provider in providers {
        let Some(issuer) = provider.get("issuer") else { continue };
        let text = issuer.text().unwrap_or_default();
        if let Some(doubt) = doubt_about_issuer(text) {
            found.push(Finding::warning(issuer.at, doubt));
        }
        found.extend(address_scope(provider).filter(|_| asks_for_addresses));
        if asks_for_addresses && text.starts_with(ENTRA) && provider.get("says_email_verified").is_none() {
            let message = "issuer: Entra ID never says `email_verified`, so a condition on an address admits nobody; \
                           `preset: microsoft` knows that, and providers.md what to do";
            found.push(Finding::warning(issuer.at, message));
        }
    }
    if let Some(cluster) = root.get("cluster").filter(|cluster| cluster.text().is_some_and(|name| name.contains("://")))
    {
        found.push(Finding::warning(cluster.at, "cluster: expected the name of a cluster of Envoy, and this is a URL"));
    }
    found.extend(claims::review(root));
    found.extend(expressions::review(root));
    found.extend(repeated_names(root));
    found
}

/// Warns where a provider is asked for scopes without that of addresses, and conditions look at addresses.
fn address_scope(provider: &Node) -> Option<Finding> {
    let scopes = provider.get("scopes")?;
    let is_openid = provider.get("type").is_none_or(|kind| kind.text() == Some("oidc"));
    let has_it = scopes
        .elements()
        .iter()
        .any(|scope| scope.text().is_some_and(|text| text.split(' ').any(|word| word == "email")));
    let message = "scopes: conditions look at addresses, and most providers send them with the scope `email` alone";
    (is_openid && !has_it).then(|| Finding::warning(scopes.at, message))
}

/// Warns where several rules have one name.
fn repeated_names(root: &Node) -> Vec<Finding> {
    let rules = root.get("rules").map_or(&[][..], Node::elements).iter();
    let mut known: Vec<&Node> = Vec::new();
    let mut found = Vec::new();
    for name in rules.filter_map(|rule| rule.get("name")) {
        if let Some(first) = known.iter().find(|known| known.text() == name.text()) {
            let text = name.text().unwrap_or_default();
            let message = format!(
                "name: the rule at line {} is {text:?} too, and the log tells rules by their names",
                first.at.line
            );
            found.push(Finding::warning(name.at, message));
        }
        known.push(name);
    }
    found
}

/// Why an issuer is probably not the one that the provider's metadata name.
fn doubt_about_issuer(issuer: &str) -> Option<&'static str> {
    let (_, rest) = issuer.split_once("://")?;
    if rest.contains("//") {
        return Some("issuer: two slashes in a row; write it exactly as the provider's metadata do");
    }
    let has_none = issuer.contains("/realms/") || rest == "accounts.google.com/" || issuer.starts_with(ENTRA);
    if has_none && issuer.ends_with('/') {
        return Some("issuer: a slash too many at its end; write it exactly as the provider's metadata do");
    }
    let tenant = issuer.strip_prefix(ENTRA)?.split('/').next()?;
    let is_guid = tenant.len() == 36 || tenant.starts_with('{');
    (!is_guid).then_some(
        "issuer: Entra ID has the ID of a tenant in its issuers, a GUID; `preset: microsoft` knows the forms",
    )
}
