//! The options of oauth2-proxy, by their names in its configuration file.

use super::notes::Weight;

/// Options that are lists. Flags and environment variables name many of them in the singular.
const LISTS: [&str; 26] = [
    "allowed_groups",
    "allowed_roles",
    "api_routes",
    "cookie_domains",
    "email_domains",
    "entra_id_allowed_tenants",
    "extra_jwt_issuers",
    "github_users",
    "gitlab_groups",
    "gitlab_projects",
    "google_groups",
    "htpasswd_user_groups",
    "keycloak_groups",
    "oidc_audience_claims",
    "oidc_extra_audiences",
    "oidc_public_key_files",
    "provider_ca_files",
    "redis_cluster_connection_urls",
    "redis_sentinel_connection_urls",
    "skip_auth_regex",
    "skip_auth_routes",
    "tls_cipher_suites",
    "trusted_ips",
    "trusted_proxy_ips",
    "upstreams",
    "whitelist_domains",
];

/// The name of an option in a configuration file: `email_domains` for `email-domain`.
pub(super) fn canonical(name: &str) -> String {
    let name = name.trim().trim_start_matches('-').to_ascii_lowercase().replace('-', "_");
    match name.as_str() {
        "entra_id_allowed_tenant" => "entra_id_allowed_tenants".to_owned(),
        "gitlab_project" => "gitlab_projects".to_owned(),
        "keycloak_group" => "keycloak_groups".to_owned(),
        _ => {
            let plural = format!("{name}s");
            if LISTS.contains(&plural.as_str()) { plural } else { name }
        }
    }
}

pub(super) fn is_list(name: &str) -> bool {
    LISTS.contains(&name)
}

/// Whether an option that no part of the document takes may restrict who passes: one that is unknown may.
pub(super) fn may_restrict(name: &str) -> bool {
    const RESTRICTING: [&str; 4] = ["alpha_config", "bitbucket_repository", "bitbucket_team", "config"];
    without_counterpart(name).is_none() || RESTRICTING.contains(&name)
}

/// The note on an option that no part of the document takes; `None` where the option is unknown.
pub(super) fn without_counterpart(name: &str) -> Option<(Weight, &'static str)> {
    use Weight::{Decide, Missing, Told};
    const ENVOY: &str = "Envoy's own configuration has that";
    const LOGS: &str = "Envoy's access log, and the filter's lines in Envoy's log";
    const PAGES: &str = "the filter's pages are its own";
    const REDIS: &str = "Webdis reaches Redis: put it into the configuration of Webdis";
    Some(match name {
        // Listeners, upstreams, TLS.
        "allow_query_semicolons"
        | "flush_interval"
        | "force_https"
        | "gcp_healthchecks"
        | "http_address"
        | "https_address"
        | "disable_keep_alives"
        | "metrics_address"
        | "metrics_secure_address"
        | "metrics_tls_cert_file"
        | "metrics_tls_key_file"
        | "pass_host_header"
        | "proxy_websockets"
        | "ssl_upstream_insecure_skip_verify"
        | "tls_cert_file"
        | "tls_cipher_suites"
        | "tls_key_file"
        | "tls_min_version"
        | "upstream_timeout"
        | "upstreams"
        | "proxy_raw_path" => (Told, ENVOY),
        "auth_logging"
        | "auth_logging_format"
        | "errors_to_info_log"
        | "exclude_logging_path"
        | "exclude_logging_paths"
        | "logging_compress"
        | "logging_filename"
        | "logging_local_time"
        | "logging_max_age"
        | "logging_max_backups"
        | "logging_max_size"
        | "request_id_header"
        | "request_logging"
        | "request_logging_format"
        | "show_debug_on_error"
        | "silence_ping_logging"
        | "standard_logging"
        | "standard_logging_format" => (Told, LOGS),
        "banner" | "custom_sign_in_logo" | "custom_templates_dir" | "display_htpasswd_form" | "footer" => (Told, PAGES),
        "ping_path" | "ping_user_agent" | "ready_path" => {
            (Decide, "the filter answers at /oauth2/health: change your probes")
        }
        "real_client_ip_header" | "reverse_proxy" | "trusted_proxy_ips" => {
            (Told, "Envoy knows its clients by use_remote_address and xff_num_trusted_hops")
        }
        "provider_ca_files" | "use_system_trust_store" => {
            (Decide, "set trusted_ca in the TLS of the Envoy cluster of the provider")
        }
        "ssl_insecure_skip_verify" => (Told, "the TLS of the Envoy cluster decides; do not take that over"),
        // Sign-in.
        "approval_prompt"
        | "encode_state"
        | "relative_redirect_url"
        | "skip_provider_button"
        | "validate_url"
        | "cookie_csrf_per_request"
        | "cookie_csrf_per_request_limit"
        | "session_cookie_minimal" => (Told, "not needed here"),
        "code_challenge_method" => (Told, "every sign-in sends a PKCE challenge (S256)"),
        "insecure_oidc_skip_nonce" => (Told, "the nonce of ID tokens is always checked"),
        "insecure_oidc_skip_issuer_verification" => (
            Decide,
            "the issuer of ID tokens is always checked; for several tenants of Entra ID see `preset: microsoft`",
        ),
        "insecure_oidc_allow_unverified_email" => {
            (Decide, "an address that is not verified counts for no condition, and no setting changes that")
        }
        "cookie_httponly" | "cookie_secure" => (Told, "cookies are always Secure and HttpOnly"),
        "cookie_path" => (Told, "cookies are for the whole host"),
        "skip_auth_strip_headers" => (Told, "identity headers of clients are removed on every path"),
        "backend_logout_url" => {
            (Decide, "sign-out at the provider goes through the browser; see sign_out.at_provider and sign_out.revoke")
        }
        "bearer_token_login_fallback" => (Told, "a bearer token that is not good is refused"),
        "redis_connection_url"
        | "redis_password"
        | "redis_username"
        | "redis_connection_idle_timeout"
        | "redis_ca_path"
        | "redis_insecure_skip_tls_verify" => (Decide, REDIS),
        "redis_use_cluster" | "redis_cluster_connection_urls" => (Decide, "the store works with no Redis Cluster"),
        "redis_use_sentinel"
        | "redis_sentinel_connection_urls"
        | "redis_sentinel_master_name"
        | "redis_sentinel_password" => {
            (Decide, "Webdis needs one address of Redis: put a proxy that follows Sentinel before it")
        }
        // Headers.
        "basic_auth_password" => {
            (Decide, "no Basic credentials are made for the app; have it read the identity headers")
        }
        "set_basic_auth" => (Decide, "nothing asks the filter by auth_request: the app reads the identity headers"),
        // Options that protect something.
        "signature_key" => (
            Missing,
            "requests are not signed (GAP-Signature): have the app accept connections of Envoy alone, by mTLS",
        ),
        "htpasswd_file" | "htpasswd_user_groups" => {
            (Decide, "no users of a file sign in; use static_tokens for scripts")
        }
        "alpha_config" | "config" => (Missing, "convert that file together with this one"),
        "github_token"
        | "google_admin_email"
        | "google_service_account_json"
        | "google_target_principal"
        | "google_use_application_default_credentials"
        | "google_use_organization_id"
        | "azure_graph_group_field"
        | "entra_id_federated_token_auth"
        | "pubjwk_url"
        | "user_id_claim" => (Told, "not needed here"),
        "bitbucket_team" | "bitbucket_repository" | "oidc_public_key_files" => (Missing, "there is no counterpart"),
        _ => return None,
    })
}
