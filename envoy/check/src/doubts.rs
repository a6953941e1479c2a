//! Warnings on values that the filter accepts and that are probably mistakes: secrets in the file, issuers that no provider has.

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
