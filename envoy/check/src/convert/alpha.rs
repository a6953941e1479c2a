//! The YAML of `--alpha-config`, as options.

use super::{
    names,
    notes::{Place, Weight},
    settings::{InjectedHeader, Rank, Settings},
};
use crate::tree::Node;

/// Fields of a provider, and the options that they are.
const FIELDS: &[(&str, &str, &str)] = &[
    ("", "allowedGroups", "allowed_groups"),
    ("", "caFiles", "provider_ca_files"),
    ("", "clientID", "client_id"),
    ("", "clientSecret", "client_secret"),
    ("", "clientSecretFile", "client_secret_file"),
    ("", "code_challenge_method", "code_challenge_method"),
    ("", "loginURL", "login_url"),
    ("", "name", "provider_display_name"),
    ("", "profileURL", "profile_url"),
    ("", "provider", "provider"),
    ("", "redeemURL", "redeem_url"),
    ("", "resource", "resource"),
    ("", "scope", "scope"),
    ("", "skipClaimsFromProfileURL", "skip_claims_from_profile_url"),
    ("", "useSystemTrustStore", "use_system_trust_store"),
    ("", "validateURL", "validate_url"),
    ("azureConfig", "graphGroupField", "azure_graph_group_field"),
    ("azureConfig", "tenant", "azure_tenant"),
    ("bitbucketConfig", "repository", "bitbucket_repository"),
    ("bitbucketConfig", "team", "bitbucket_team"),
    ("githubConfig", "org", "github_org"),
    ("githubConfig", "repo", "github_repo"),
    ("githubConfig", "team", "github_team"),
    ("githubConfig", "token", "github_token"),
    ("githubConfig", "users", "github_users"),
    ("gitlabConfig", "group", "gitlab_groups"),
    ("gitlabConfig", "projects", "gitlab_projects"),
    ("googleConfig", "adminEmail", "google_admin_email"),
    ("googleConfig", "group", "google_groups"),
    ("googleConfig", "serviceAccountJson", "google_service_account_json"),
    ("googleConfig", "targetPrincipal", "google_target_principal"),
    ("googleConfig", "useApplicationDefaultCredentials", "google_use_application_default_credentials"),
    ("keycloakConfig", "groups", "keycloak_groups"),
    ("keycloakConfig", "roles", "allowed_roles"),
    ("loginGovConfig", "jwtKey", "jwt_key"),
    ("loginGovConfig", "jwtKeyFile", "jwt_key_file"),
    ("loginGovConfig", "pubjwkURL", "pubjwk_url"),
    ("microsoftEntraIDConfig", "allowedTenants", "entra_id_allowed_tenants"),
    ("microsoftEntraIDConfig", "federatedTokenAuth", "entra_id_federated_token_auth"),
    ("oidcConfig", "audienceClaims", "oidc_audience_claims"),
    ("oidcConfig", "emailClaim", "oidc_email_claim"),
    ("oidcConfig", "extraAudiences", "oidc_extra_audiences"),
    ("oidcConfig", "groupsClaim", "oidc_groups_claim"),
    ("oidcConfig", "insecureAllowUnverifiedEmail", "insecure_oidc_allow_unverified_email"),
    ("oidcConfig", "insecureSkipIssuerVerification", "insecure_oidc_skip_issuer_verification"),
    ("oidcConfig", "insecureSkipNonce", "insecure_oidc_skip_nonce"),
    ("oidcConfig", "issuerURL", "oidc_issuer_url"),
    ("oidcConfig", "jwksURL", "oidc_jwks_url"),
    ("oidcConfig", "publicKeys", "oidc_public_key_files"),
    ("oidcConfig", "skipDiscovery", "skip_oidc_discovery"),
    ("oidcConfig", "userIDClaim", "user_id_claim"),
];

/// Reads the document, if it is one of oauth2-proxy.
pub(super) fn read(file: &str, document: &Node, settings: &mut Settings) {
    let is_alpha =
        ["injectRequestHeaders", "providers", "upstreamConfig"].iter().any(|name| document.get(name).is_some());
    if !is_alpha || document.get("apiVersion").is_some() {
        return;
    }
    settings.injected = Some(Vec::new());
    for member in document.members() {
        let place = Place::new(file, member.at.line);
        match member.key.as_str() {
            "injectRequestHeaders" => {
                let headers = member.node.elements().iter().map(|header| injected(file, header)).collect();
                settings.injected = Some(headers);
            }
            "injectResponseHeaders" => {
                let said = "injectResponseHeaders: nothing asks the filter by auth_request: the app reads the identity headers";
                settings.note(&place, Weight::Told, said);
            }
            "metricsServer" | "server" | "upstreamConfig" => {
                settings.note(&place, Weight::Told, format!("{}: Envoy's own configuration has that", member.key));
            }
            "providers" => providers(file, &member.node, settings),
            other => settings.close(&place, format!("{other}: not a field that is known here")),
        }
    }
}

fn providers(file: &str, list: &Node, settings: &mut Settings) {
    let mut providers = list.elements().iter();
    if let Some(first) = providers.next() {
        provider(file, "", first, settings);
    }
    for further in providers {
        let said = "providers: oauth2-proxy uses the first one alone, and so does this conversion";
        settings.note(&Place::new(file, further.at.line), Weight::Decide, said);
    }
}

fn provider(file: &str, section: &str, node: &Node, settings: &mut Settings) {
    for member in node.members() {
        let place = Place::new(file, member.at.line);
        let known = FIELDS.iter().find(|(of, field, _)| *of == section && *field == member.key);
        match known {
            Some((_, _, option)) => {
                let values = match member.node.text() {
                    Some(value) => vec![value.to_owned()],
                    None => member.node.elements().iter().filter_map(|value| value.text().map(str::to_owned)).collect(),
                };
                settings.add(option, values, place, Rank::File);
            }
            None if member.key == "id" && section.is_empty() => {}
            None if member.key == "loginURLParameters" && section.is_empty() => {
                member.node.elements().iter().for_each(|parameter| parameter_of(file, parameter, settings));
            }
            None if section.is_empty() && FIELDS.iter().any(|(of, ..)| *of == member.key) => {
                provider(file, &member.key, &member.node, settings);
            }
            None => {
                let said = format!("{}: not a field that is known here", names::canonical(&member.key));
                settings.close(&place, said);
            }
        }
    }
}

fn parameter_of(file: &str, parameter: &Node, settings: &mut Settings) {
    let place = Place::new(file, parameter.at.line);
    let Some(name) = parameter.get("name").and_then(Node::text) else { return };
    let defaults = parameter.get("default").map_or(&[][..], Node::elements);
    if let Some(value) = defaults.first().and_then(Node::text).filter(|_| name != "approval_prompt") {
        settings.parameters.push((name.to_owned(), value.to_owned()));
    }
    if parameter.get("allow").is_some() {
        settings.passed.push(name.to_owned());
        let said = format!("{name}: links may give any value here, where oauth2-proxy had `allow`");
        settings.note(&place, Weight::Decide, said);
    }
}

fn injected(file: &str, header: &Node) -> InjectedHeader {
    let values = header.get("values").map_or(&[][..], Node::elements);
    let text = |value: &Node, name: &str| value.get(name).and_then(Node::text).unwrap_or_default().to_owned();
    // Some versions have the claim below `claimSource`.
    let source = |value: &Node| value.get("claimSource").unwrap_or(value).clone();
    let sources: Vec<Node> = values.iter().map(source).collect();
    let is_claim = |value: &&Node| value.get("claim").is_some() && value.get("basicAuthPassword").is_none();
    let claims = sources.iter().filter(is_claim).map(|value| (text(value, "claim"), text(value, "prefix"))).collect();
    InjectedHeader {
        name: header.get("name").and_then(Node::text).unwrap_or_default().to_owned(),
        claims,
        has_other: sources.iter().any(|value| !is_claim(&value)),
        place: Place::new(file, header.at.line),
    }
}
