//! A conversion admits nobody whom oauth2-proxy refuses: for each option that restricts access, the users whom oauth2-proxy
//! admits (read from its source, version 7.15.3), and those whom the filter admits by the document.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use vestibule::{
    claims::{Claims, Conditions},
    config::Config,
    http::Request,
    rules::{Principal, RuledRequest},
};

use super::*;
use crate::{Conversion, ConvertOptions, convert, plugin};

struct User(Map<String, Value>);

impl Principal for User {
    fn with_claims<R>(&self, look: impl FnOnce(&dyn Claims) -> R) -> R {
        look(&self.0)
    }
}

/// The claims of users at GitHub, as the filter has them.
fn of_github() -> Value {
    let verified = |address: &str| json!({"email": address, "email_verified": true});
    json!({
        "admin": [{"login": "ann", "orgs": ["acme"], "teams": ["acme/admins"]}, verified("a@example.com")],
        "member": [{"login": "bob", "orgs": ["acme"], "teams": []}, verified("b@example.com")],
        "listed": [{"login": "cat", "orgs": [], "teams": []}, verified("c@other.example")],
        "stranger": [{"login": "dan", "orgs": ["other"], "teams": ["other/admins"]}, verified("d@example.com")],
        "hidden": [{"login": "eve", "orgs": ["acme"], "teams": ["acme/admins"]}, {}],
    })
}

/// The claims of users at other providers, and of bearer tokens.
fn of_openid() -> Value {
    let verified = |address: &str| json!({"email": address, "email_verified": true});
    let staff = json!({"sub": "1", "groups": ["staff"]});
    let client = json!({"app": {"roles": ["editor"]}});
    json!({
        "staff": [staff, {"tid": "t"}, verified("a@example.com")],
        "editor": [{"roles": ["editor"], "realm_access": {"roles": ["editor"]}}, verified("b@example.com")],
        "client": [{"resource_access": client}, verified("c@example.com")],
        "below": [staff, verified("d@eu.example.com")],
        "foreign": [staff, verified("e@other.example")],
        "mapped": [{"groups": ["other"], "team": "staff", "upn": "f@example.com"}, verified("f@other.example")],
        "unsaid": [staff, {"email": "g@example.com"}],
        "unverified": [staff, {"email": "h@example.com", "email_verified": false}],
        "nameless": [staff],
    })
}

fn claims(parts: &Value) -> Map<String, Value> {
    parts.as_array().unwrap().iter().flat_map(|part| part.as_object().unwrap().clone()).collect()
}

fn conversion(provider: &str, options: &str) -> Conversion {
    let issuer = match provider {
        "github" | "google" | "facebook" => String::new(),
        "gitlab" => "oidc_issuer_url = 'https://gitlab.com'\n".to_owned(),
        "entra-id" => "oidc_issuer_url = 'https://login.microsoftonline.com/organizations/v2.0'\n".to_owned(),
        _ => "oidc_issuer_url = 'https://login.example.com'\n".to_owned(),
    };
    let text = format!(
        "provider = '{provider}'\n{issuer}client_id = 'app'\nclient_secret = 'hidden'\ncookie_secret = 'hidden'\n\
         redirect_url = 'https://app.example.com/oauth2/callback'\n{options}\n"
    );
    convert(&[("a.cfg", text.as_str())], &ConvertOptions::default()).unwrap()
}

/// The configuration as the filter reads it; `None` where it would not start.
fn config(conversion: &Conversion) -> Option<Config> {
    let documents = crate::documents("a.yaml", &conversion.document).unwrap();
    let plugins = plugin::find(&documents);
    let bytes = &plugins[0].settings.as_ref().unwrap().bytes;
    Config::parse(bytes, &variables).ok()
}

fn ruled(config: &Config, method: &str, path: &str, client: &str) -> RuledRequest {
    let lines = [(":method", method), (":authority", "app.example.com"), (":path", path)];
    let request = Request::new(lines.map(|(name, value)| (name, value.as_bytes())));
    let client: IpAddr = client.parse().unwrap();
    config.rules.evaluate(request, &|| Some(client)).unwrap()
}

fn are_admitted(config: &Config, conditions: Option<&Conditions>, users: &Value) -> Vec<String> {
    let is_admitted = |user: &Value| {
        let ruled = ruled(config, "GET", "/", "192.0.2.1");
        assert!(!ruled.verdict().is_open(), "the app is open to everyone");
        ruled.admit(User(claims(user)), conditions, |now| now).is_ok()
    };
    let admitted = users.as_object().unwrap().iter().filter(|(_, user)| is_admitted(user));
    let mut names: Vec<_> = admitted.map(|(name, _)| name.clone()).collect();
    names.sort();
    names
}

fn sorted(names: &str) -> Vec<String> {
    let mut names: Vec<_> = names.split_whitespace().map(str::to_owned).collect();
    names.sort();
    names
}

/// Each line: options, `|`, the users whom oauth2-proxy admits, `|`, the users whom the filter admits: `=` where they are the same,
/// `closed` where the last rule denies.
fn each_row(provider: &str, table: &str, users: &Value, conditions: fn(&Config) -> Option<&Conditions>) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let [options, there, here] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else { panic!("{row}") };
        let options = options.replace("ANY;", "email_domains = ['*'];").replace(';', "\n");
        let conversion = conversion(provider, &options);
        let Conversion { document, notes, is_complete } = &conversion;
        let is_closed = document.ends_with("\n- {access: deny}\n");
        let seen = config(&conversion).map(|config| are_admitted(&config, conditions(&config), users));
        let seen = seen.unwrap_or_else(|| panic!("{provider}: {row}\n{document}{notes}"));
        let there = sorted(there);
        let here = match here {
            "=" => there.clone(),
            "closed" => Vec::new(),
            names => sorted(names),
        };
        assert_eq!(seen, here, "{provider}: {row}\n{document}{notes}");
        assert!(seen.iter().all(|name| there.contains(name)), "{provider}: {row}\n{document}");
        assert_eq!(is_closed, row.ends_with("closed"), "{provider}: {row}\n{document}{notes}");
        assert!(!is_closed || !is_complete, "{provider}: {row}");
    }
}

fn of_provider(config: &Config) -> Option<&Conditions> {
    config.providers[0].allow.as_ref()
}

/// `providers/github.go`: `checkRestrictions` lets a listed user skip the organisation and the team, and refuses others where no
/// organisation and no repository is given; `Authorize` asks for `allowed_groups` in any case.
#[test]
fn a_converted_github_configuration_admits_no_additional_users() {
    let table = "
        ANY;                                                                        | admin member listed stranger | =
        email_domains = ['other.example']                                           | listed                       | =
        ANY; oidc_email_claim = 'sub'                                               | admin member listed stranger | =
        ANY; github_org = 'acme'                                                    | admin member                 | =
        ANY; github_org = 'acme'; github_team = 'admins'                            | admin                        | =
        ANY; github_org = 'acme'; github_team = 'admins'; github_users = ['cat']    | admin listed                 | =
        ANY; github_org = 'acme'; github_team = 'other:admins'                      |                              | closed
        ANY; github_team = 'acme:admins'                                            | admin                        | =
        ANY; github_team = 'acme/admins'                                            |                              | closed
        ANY; github_team = 'admins'                                                 |                              | closed
        ANY; github_users = ['cat']                                                 | listed                       | =
        ANY; github_users = ['cat']; github_team = 'acme:admins'                    | listed                       | =
        ANY; github_users = ['cat']; github_org = 'acme'                            | admin member listed          | =
        ANY; allowed_groups = ['acme']                                              | admin member                 | =
        ANY; allowed_groups = ['acme:admins', 'other']                              | admin stranger               | =
        ANY; allowed_groups = ['acme:admins']; github_org = 'acme'                  | admin                        | =
        ANY; allowed_groups = ['acme:admins']; github_org = 'acme'; github_users = ['cat'] | admin                 | =
        ANY; allowed_groups = ['acme']; github_users = ['ann', 'cat']               | admin                        | =
        email_domains = ['other.example']; github_org = 'acme'                      |                              | =
        ANY; github_repo = 'acme/app'                                               |                              | closed
        ANY; github_repo = 'acme/app'; github_org = 'acme'                          | admin member                 | closed
        ANY; github_repo = 'acme/app'; github_users = ['cat']                       | listed                       | closed
        ANY; allowed_roles = ['x']                                                  | admin member listed stranger |
        ANY; keycloak_groups = ['acme']                                             | admin member listed stranger |
        ANY; gitlab_groups = ['acme']                                               | admin member listed stranger | closed
    ";
    each_row("github", table, &of_github(), of_provider);
}

/// `providers/oidc.go` refuses users without an address, and those whose address is said not to be verified;
/// `providers/provider_data.go`: `user_id_claim` is a name of `oidc_email_claim`; `allowed_roles` is for keycloak-oidc.
#[test]
fn a_converted_oidc_configuration_admits_no_additional_users() {
    let table = "
        ANY;                              | staff editor client below foreign mapped unsaid | staff editor client below foreign mapped
        ANY; insecure_oidc_allow_unverified_email = true | staff editor client below foreign mapped unsaid unverified | staff editor client below foreign mapped
        ANY; oidc_email_claim = 'sub'     | staff editor client below foreign mapped unsaid unverified nameless | =
        ANY; oidc_email_claim = 'upn'     | mapped | closed
        ANY; user_id_claim = 'upn'        | mapped | closed
        email_domains = ['example.com']   | staff editor client unsaid | staff editor client
        email_domains = ['EXAMPLE.com']   | staff editor client unsaid | staff editor client
        email_domains = ['.example.com']  | below | =
        email_domains = ['*.example.com', 'other.example'] | below foreign mapped | =
        email_domains = ['*example.com', '.e+.com'] | | =
        email_domains = ['example.com']; user_id_claim = 'upn'    | mapped | closed
        email_domains = ['example.com']; oidc_email_claim = 'upn' | mapped | closed
        email_domains = ['example.com']; authenticated_emails_file = '/etc/a' | staff editor client unsaid | staff editor client
        authenticated_emails_file = '/etc/a' | | closed
        cookie_secure = true              | | closed
        htpasswd_file = '/etc/a'          | | closed
        email_domains = ['example.com']; htpasswd_file = '/etc/a'; htpasswd_user_groups = ['staff'] | staff editor client unsaid | staff editor client
        ANY; allowed_groups = ['staff']   | staff below foreign unsaid | staff below foreign
        ANY; allowed_groups = ['staff']; oidc_groups_claim = 'team' | mapped | =
        ANY; allowed_groups = ['staff']; allowed_roles = ['editor'] | staff below foreign unsaid |
        ANY; allowed_groups = ['staff']; keycloak_groups = ['other'] | staff below foreign unsaid |
        ANY; allowed_roles = ['editor']   | staff editor client below foreign mapped unsaid | editor
        ANY; entra_id_allowed_tenants = ['t'] | staff editor client below foreign mapped unsaid | staff
        email_domains = ['example.com']; allowed_groups = ['staff'] | staff unsaid | staff
        ANY; github_org = 'acme'          | staff editor client below foreign mapped unsaid | closed
        ANY; gitlab_groups = ['staff']    | staff editor client below foreign mapped unsaid | closed
        ANY; google_groups = ['staff']    | staff editor client below foreign mapped unsaid | closed
        ANY; bitbucket_team = 'a'         | staff editor client below foreign mapped unsaid | closed
        ANY; oidc_audience_claims = ['azp'] | | closed
        ANY; oidc_enabled_signing_algs = ['RS256'] | staff editor client below foreign mapped unsaid | closed
        ANY; force_json_errors = true; api_routes = ['^/api']; skip_auth_preflight = true; whitelist_domains = ['.example.com'] | staff editor client below foreign mapped unsaid | staff editor client below foreign mapped
        ANY; skip_jwt_bearer_tokens = true; extra_jwt_issuers = ['https://machines.example.com=api']; bearer_token_login_fallback = false | staff editor client below foreign mapped unsaid | staff editor client below foreign mapped
    ";
    each_row("oidc", table, &of_openid(), of_provider);
}

/// `providers/keycloak_oidc.go`: a group or a role is enough, and `keycloak_groups` are not asked for; `providers/keycloak.go`:
/// `keycloak_groups` take the place of `allowed_groups`.
#[test]
fn a_converted_keycloak_configuration_admits_no_additional_users() {
    let table = "
        ANY; allowed_groups = ['staff']; allowed_roles = ['editor'] | staff editor below foreign unsaid | staff editor below foreign
        ANY; allowed_groups = ['role:editor']                       | editor | =
        ANY; allowed_roles = ['editor', 'app:editor']               | editor client | =
        ANY; allowed_roles = ['other:editor']                       | | =
        email_domains = ['example.com']; allowed_groups = ['staff']; allowed_roles = ['app:editor'] | staff client unsaid | staff client
        ANY; allowed_groups = ['staff']; keycloak_groups = ['other'] | staff below foreign unsaid |
        ANY; keycloak_groups = ['staff'] | staff editor client below foreign mapped unsaid | staff below foreign
    ";
    each_row("keycloak-oidc", table, &of_openid(), of_provider);
    let table = "
        ANY; keycloak_groups = ['staff']                             | staff below foreign unsaid unverified | staff below foreign
        ANY; keycloak_groups = ['staff']; allowed_groups = ['other'] | staff below foreign unsaid unverified |
        ANY; keycloak_groups = ['staff']; allowed_roles = ['editor'] | staff below foreign unsaid unverified |
        ANY; oidc_email_claim = 'sub'; keycloak_groups = ['staff']   | staff below foreign unsaid unverified | closed
    ";
    each_row("keycloak", table, &of_openid(), of_provider);
}

/// `providers/gitlab.go` asks for a verified address; `gitlab_groups` and `gitlab_projects` take the place of `allowed_groups`.
#[test]
fn converted_gitlab_and_google_configurations_admit_no_additional_users() {
    let table = "
        ANY;                                                        | staff editor client below foreign mapped | =
        ANY; gitlab_groups = ['staff']                              | staff below foreign                      | =
        ANY; gitlab_groups = ['staff']; oidc_groups_claim = 'team'  | staff below foreign                      | =
        ANY; gitlab_groups = ['staff']; allowed_groups = ['other']  | staff below foreign                      |
        ANY; allowed_groups = ['staff']                             | staff editor client below foreign mapped | staff below foreign
        ANY; gitlab_groups = ['staff']; allowed_roles = ['editor']  | staff below foreign                      |
        ANY; gitlab_projects = ['a/b']                              |                                          | closed
        ANY; gitlab_projects = ['a/b']; allowed_groups = ['staff']  |                                          | closed
        ANY; gitlab_projects = ['a/b']; gitlab_groups = ['staff']   | staff below foreign                      | =
        email_domains = ['example.com']; gitlab_groups = ['staff']  | staff                                    | =
    ";
    each_row("gitlab", table, &of_openid(), of_provider);
    let table = "
        ANY;                              | staff editor client below foreign mapped | =
        ANY; oidc_email_claim = 'sub'     | staff editor client below foreign mapped | =
        email_domains = ['example.com']   | staff editor client | =
        ANY; google_groups = ['staff']    | staff editor client below foreign mapped | closed
        ANY; google_group = ['staff']     | staff editor client below foreign mapped | closed
        ANY; allowed_groups = ['staff']   | | closed
    ";
    each_row("google", table, &of_openid(), of_provider);
}

/// `providers/ms_entra_id.go`: the tenant, beside groups and the address.
#[test]
fn converted_entra_and_facebook_configurations_admit_no_additional_users() {
    let table = "
        ANY;                                                              | staff editor client below foreign mapped unsaid | closed
        email_domains = ['example.com']; entra_id_allowed_tenants = ['t'] | staff | =
        ANY; oidc_email_claim = 'sub'; entra_id_allowed_tenants = ['t']   | staff | =
        ANY; oidc_email_claim = 'sub'; entra_id_allowed_tenants = ['t']; allowed_groups = ['other'] | | =
        ANY; oidc_email_claim = 'preferred_username'                      | | closed
    ";
    each_row("entra-id", table, &of_openid(), of_provider);
    let table = "
        ANY;                            | staff editor client below foreign mapped unsaid | closed
        email_domains = ['example.com']; allowed_groups = ['staff'] | | closed
    ";
    each_row("facebook", table, &of_openid(), of_provider);
    let of_tenant = convert(
        &[(
            "a.cfg",
            "provider = 'azure'\nazure_tenant = 'aaaaaaaa-0000-0000-0000-000000000000'\nclient_id = 'a'\nclient_secret = 'b'\n\
           oidc_issuer_url = 'https://login.microsoftonline.com/common/v2.0'\nemail_domains = ['*']",
        )],
        &ConvertOptions::default(),
    );
    assert!(of_tenant.unwrap().document.contains("with: {tenant: aaaaaaaa-0000-0000-0000-000000000000}"));
}

/// `pkg/apis/middleware/session.go`: a token of a further issuer has its `groups` and `email`, or `sub` in its place, and is refused where
/// `email_verified` is false. Nothing of the provider is asked.
#[test]
fn a_converted_configuration_accepts_no_additional_bearer_tokens() {
    let with = "skip_jwt_bearer_tokens = true; extra_jwt_issuers = ['https://machines.example.com=api'];";
    let rows = |table: &str| table.replace("TOKENS", with);
    let table = "
        TOKENS ANY;                                          | staff editor client below foreign mapped unsaid nameless | =
        TOKENS ANY; oidc_email_claim = 'sub'                 | staff editor client below foreign mapped unsaid nameless | =
        TOKENS email_domains = ['example.com']               | staff editor client unsaid | staff editor client
        TOKENS ANY; allowed_groups = ['staff']               | staff below foreign unsaid nameless | =
        TOKENS ANY; allowed_groups = ['staff']; oidc_groups_claim = 'team' | staff below foreign unsaid nameless | =
    ";
    each_row("oidc", &rows(table), &of_openid(), of_machines);
    let table = "
        TOKENS ANY; allowed_groups = ['staff']; allowed_roles = ['editor'] | staff below foreign unsaid nameless | =
        TOKENS ANY; allowed_roles = ['editor']                             | | =
    ";
    each_row("keycloak-oidc", &rows(table), &of_openid(), of_machines);
    let table = "
        TOKENS ANY; gitlab_groups = ['staff']; allowed_groups = ['other'] | staff below foreign unsaid nameless |
        TOKENS ANY; gitlab_groups = ['staff']                             | staff below foreign unsaid nameless | =
    ";
    each_row("gitlab", &rows(table), &of_openid(), of_machines);
    let table = "
        TOKENS ANY; allowed_groups = ['staff']; github_users = ['cat'] | staff below foreign unsaid nameless | =
        TOKENS ANY; allowed_groups = ['acme:admins']                   | | =
    ";
    each_row("github", &rows(table), &of_openid(), of_machines);
}

fn of_machines(config: &Config) -> Option<&Conditions> {
    config.token_issuers.iter().find(|issuer| issuer.issuer == "https://machines.example.com").unwrap().allow.as_ref()
}

/// An audience of the provider itself is taken where oauth2-proxy asks its tokens for the same, and of the right provider.
#[test]
fn extra_jwt_issuers_add_audiences_only_to_the_provider_they_name() {
    let tokens = |issuer: &str| {
        format!("email_domains = ['*']\nskip_jwt_bearer_tokens = true\nextra_jwt_issuers = ['{issuer}=api=1']\n")
    };
    let google = tokens("https://accounts.google.com");
    for (provider, options, own) in [
        ("google", google.clone(), true),
        ("github", google.clone(), false),
        ("gitlab", google.clone(), false),
        ("entra-id", format!("{google}oidc_email_claim = 'sub'\nentra_id_allowed_tenants = ['t']\n"), false),
        ("oidc", google, false),
        ("gitlab", tokens("https://gitlab.com"), true),
        ("oidc", tokens("https://login.example.com"), true),
    ] {
        let Conversion { document, notes, .. } = conversion(provider, &options);
        assert_eq!(document.contains("access_token_audiences: [\"api=1\"]"), own, "{provider}: {document}{notes}");
        assert_eq!(document.contains("token_issuers:"), !own, "{provider}: {document}{notes}");
    }
    for option in ["oidc_groups_claim = 'team'\nallowed_groups = ['a']", "oidc_email_claim = 'sub'"] {
        let Conversion { document, is_complete, .. } =
            conversion("oidc", &format!("{}{option}\n", tokens("https://login.example.com")));
        assert!(!document.contains("audiences") && !is_complete, "{document}");
    }
}

/// `oauthproxy.go`, `IsAllowedRequest`: what passes without a sign-in.
#[test]
fn a_converted_configuration_opens_no_additional_paths() {
    for (options, request, there, here) in [
        ("skip_auth_routes = ['GET=^/public/']", "GET /public/a", true, true),
        ("skip_auth_routes = ['GET=^/public/']", "POST /public/a", false, false),
        ("skip_auth_routes = ['get=^/public/']", "GET /a/public/", false, false),
        ("skip_auth_routes = ['^/public/']", "POST /public/a", true, true),
        ("skip_auth_routes = ['!=^/admin']", "GET /a", true, false),
        ("skip_auth_routes = ['GET!=^/admin']", "GET /admin", false, false),
        ("skip_auth_routes = ['GET=^/a!=b']", "GET /a!=b", false, false),
        ("skip_auth_regex = ['^/a$|^/b']", "GET /b/c", true, true),
        ("skip_auth_regex = ['^/a$|^/b']", "GET /a/c", false, false),
        ("skip_auth_regex = ['^/[]|]x$']", "GET /x]x", false, false),
        ("skip_auth_regex = ['^/[[:alpha:]|]x$']", "GET /y/]x", false, false),
        (r"skip_auth_regex = ['^/\Qa|/secret|b\E$']", "GET /secret", false, false),
        ("skip_auth_regex = ['(?i)^/A$']", "GET /a", true, true),
        ("skip_auth_regex = ['(?i)^/A$']", "GET /a/b", false, false),
        ("skip_auth_regex = ['^/a', '^/(']", "GET /b", false, false),
        ("api_routes = ['^/api/']", "GET /api/a", false, false),
        ("force_json_errors = true", "GET /a", false, false),
        ("trusted_ips = ['192.0.2.1']", "GET /a", true, true),
        ("trusted_ips = ['192.0.2.77/24']", "GET /a", true, true),
        ("trusted_ips = ['192.0.2.77/32', '198.51.100.0/24']", "GET /a", false, false),
        ("trusted_ips = ['nonsense/4']", "GET /a", false, false),
        ("skip_auth_preflight = true", "GET /a", false, false),
    ] {
        let conversion = conversion("oidc", &format!("email_domains = ['*']\n{options}"));
        let config = config(&conversion).unwrap();
        let (method, path) = request.split_once(' ').unwrap();
        let is_open = ruled(&config, method, path, "192.0.2.1").admit_public().is_ok();
        assert_eq!(is_open, here, "{options}: {}{}", conversion.document, conversion.notes);
        assert!(there || !here, "{options}");
    }
}

/// A preflight has no credentials, so oauth2-proxy refuses it without `skip_auth_preflight`.
#[test]
fn a_conversion_admits_preflights_only_with_skip_auth_preflight() {
    for (option, here) in [("", false), ("skip_auth_preflight = false", false), ("skip_auth_preflight = true", true)] {
        let config = config(&conversion("oidc", &format!("email_domains = ['*']\n{option}"))).unwrap();
        let lines = [
            (":method", "OPTIONS"),
            (":authority", "app.example.com"),
            (":path", "/"),
            ("access-control-request-method", "PUT"),
        ];
        let request = Request::new(lines.map(|(name, value)| (name, value.as_bytes())));
        let ruled = config.rules.evaluate(request, &|| None).unwrap();
        assert_eq!(ruled.admit_preflight(|_| true).is_ok(), here, "{option}");
    }
}

/// Options that are not in the files that were read, or are there twice.
#[test]
fn options_outside_of_the_given_files_close_the_app() {
    let cfg = conversion_text("email_domains = ['*']");
    let pod = |containers: &str| format!("kind: Pod\nspec:\n  containers:\n{containers}");
    let twice = "  - {args: [--allowed-group=a]}\n  - {args: [--allowed-group=b]}\n";
    let names = "  - env: [{name: OAUTH2_PROXY_ALLOWED_GROUPS, value: a}]\n  - env: [{name: OAUTH2_PROXY_ALLOWED_GROUPS, value: b}]\n";
    for (file, reason) in [
        (pod(twice), "a second container"),
        (pod(names), "allowed_groups: given twice"),
        (
            pod("  - {args: [--skip-provider-button], envFrom: [{configMapRef: {name: a}}]}\n"),
            "envFrom: options elsewhere",
        ),
        (
            "extraArgs: {skip-provider-button: true}\nconfig: {existingConfig: a}\n".to_owned(),
            "existingConfig: options",
        ),
        ("extraArgs: {skip-provider-button: true}\nalphaConfig: {enabled: true}\n".to_owned(), "alphaConfig: options"),
    ] {
        let conversion = convert(&[("a.yaml", &file), ("a.cfg", &cfg)], &ConvertOptions::default()).unwrap();
        assert!(conversion.document.ends_with("- {access: deny}\n"), "{file}: {}", conversion.document);
        assert!(!conversion.is_complete && conversion.notes.contains(reason), "{file}: {}", conversion.notes);
    }
    let map = "kind: ConfigMap\ndata: {OAUTH2_PROXY_ALLOWED_GROUPS: a}\n";
    let conversion = convert(&[("a.yaml", map), ("a.cfg", &cfg)], &ConvertOptions::default()).unwrap();
    assert!(conversion.document.contains("groups: [a]"), "{}", conversion.document);
    let chart =
        "extraArgs: {skip-provider-button: true}\nalphaConfig: {enabled: false, configData: {}, existingConfig: ~}\n";
    let conversion = convert(&[("a.yaml", chart), ("a.cfg", &cfg)], &ConvertOptions::default()).unwrap();
    assert!(conversion.is_complete, "{}", conversion.notes);
}

/// The restriction may be what the filter does not take.
#[test]
fn a_restriction_that_the_filter_cannot_express_closes_the_app() {
    for option in ["email_domains = ['*example.com']", "email_domains = ['*']\nallowed_groups = ['a*']"] {
        let Conversion { document, is_complete, .. } = conversion("oidc", option);
        assert!(!is_complete && document.starts_with("# NOT COMPLETE"), "{document}");
        assert!(document.ends_with("\n- {access: deny}\n") && !document.contains("access: required"), "{document}");
    }
}

fn conversion_text(options: &str) -> String {
    format!(
        "provider = 'oidc'\noidc_issuer_url = 'https://login.example.com'\nclient_id = 'app'\nclient_secret = 'hidden'\n\
         cookie_secret = 'hidden'\nredirect_url = 'https://app.example.com/oauth2/callback'\n{options}\n"
    )
}
