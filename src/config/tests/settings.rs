use std::time::Duration;

use serde_json::{Value, json};

use super::{KEY, as_struct, example, example_with, parse_bytes, settings};
use crate::{
    claims::{ClaimPath, Encoding, Template, TooLong},
    config::{Config, FilterState},
    http::Request,
    jose::Algorithm,
    oidc::{Endpoint, OpenIdProvider, PlainHttp, client::ClientAuthentication},
    provider::{Protocol, Provider},
    provisioning::Registration,
    rules::Authorization,
    session::app_tokens::ForwardedTokens,
    time::UnixTime,
    wire::{
        self,
        Value::{Bytes, Number},
    },
};

/// All settings with `Debug`.
fn printed(config: &Config) -> String {
    let session = &config.session;
    format!(
        "{:#?}",
        (
            (&config.origins, &config.prefix, &config.providers, &config.token_issuers),
            (&config.rules, &config.identity_headers),
            (&config.static_tokens, &config.filter_state, config.authorization),
            (
                config.leeway,
                &config.warnings,
                &config.fingerprint,
                config.sign_in.clone(),
                &config.sign_out,
                &config.kept_claims
            ),
            (session.lifetimes, session.sign_in_timeout, session.cookies.name()),
        )
    )
}

fn openid(provider: &Provider) -> &OpenIdProvider {
    let Protocol::Oidc(settings) = &provider.protocol else { panic!("{:?}", provider.protocol) };
    settings
}

#[test]
fn ten_lines_are_a_complete_configuration() {
    let config = settings(&example());
    let [provider] = config.providers.as_slice() else { panic!("one provider") };
    assert_eq!(config.origins.home().origin().as_str(), "https://app.example.com");
    assert_eq!(config.prefix, "/oauth2");
    assert_eq!(provider.issuer().as_str(), "https://accounts.google.com");
    assert_eq!(provider.relying_party.client_id, "my-client");
    let ClientAuthentication::Unspecified(secret) = &provider.relying_party.authentication else {
        panic!("{:?}", provider.relying_party.authentication)
    };
    assert_eq!(secret.expose(), "client-secret");
    assert_eq!(provider.relying_party.scopes, ["openid", "email", "profile"]);
    assert_eq!(provider.relying_party.authorization_params, []);
    assert_eq!(openid(provider).algorithms.len(), 10);
    assert_eq!(openid(provider).trusted_audiences, [""; 0]);
    assert_eq!(provider.timeout(), Duration::from_secs(5));
    assert_eq!(provider.relying_party.plain_http, PlainHttp::LoopbackOnly);
    assert_eq!(provider.relying_party.clusters.reaching(provider.issuer().discovery()).as_str(), "idp");
    assert_eq!(config.session.lifetimes.absolute, Duration::from_secs(28_800));
    assert_eq!(config.session.sign_in_timeout, Duration::from_secs(1800));
    assert_eq!(config.session.cookies.name(), "__Host-vestibule");
    assert_eq!(config.session.pending_prefix, "__Host-vestibule-p-");
    assert_eq!(config.leeway.span(), Duration::from_secs(60));
    assert_eq!(config.warnings, [""; 0]);
    let mut headers = Vec::new();
    for header in &config.identity_headers {
        header.value.each_path(&mut |path| headers.push((header.name.clone(), path.name().to_owned())));
    }
    let headers: Vec<_> = headers.iter().map(|(name, claim)| (name.as_str(), claim.as_str())).collect();
    assert_eq!((config.authorization, config.forwarded_tokens), (Authorization::Keep, ForwardedTokens::default()));
    assert_eq!(config.filter_state, FilterState::default());
    assert_eq!(
        headers,
        [
            ("x-forwarded-user", "sub"),
            ("x-forwarded-email", "email"),
            ("x-forwarded-preferred-username", "preferred_username"),
            ("x-forwarded-groups", "groups"),
        ]
    );
}

/// `printf %s token | sha256sum`
const DIGEST: &str = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";

/// A document that uses every field.
fn full() -> Value {
    json!({
        "external_url": "http://app.localhost:10000/",
        "cluster": "idp",
        "clusters": {"Keys.example.com:443": "keys", "idp.example.com:8443": "outbound|8443||idp.example.com"},
        "providers": [{
            "issuer": "http://idp.example.com/realm/",
            "client_id": "my client",
            "client_secret": "inline secret",
            "token_endpoint_auth_method": "client_secret_post",
            "scopes": ["email", "openid", "email", "api://x/.default"],
            "authorization_params": {"hd": "example.com", "prompt": "login"},
            "authorization_endpoint": "https://idp.example.com:8443/authorize?tenant=a",
            "token_endpoint": "https://idp.example.com/token",
            "jwks_uri": "https://keys.example.com/jwks",
            "userinfo": true,
            "userinfo_endpoint": "https://idp.example.com/userinfo",
            "id_token_signing_algs": ["ES256", "EdDSA"],
            "trusted_audiences": ["other"],
            "access_token_audiences": ["https://api.example.com", "api"],
            "timeout_ms": 30_000,
            "allow": {"allowed_domains": ["example.com"]},
        }],
        "session": {
            "keys": [KEY, {"env": "VESTIBULE_KEY"}],
            "lifetime_seconds": 60,
            "sign_in_timeout_seconds": 86_400,
            "cookie_name": "shop",
        },
        "rules": [
            {"name": "api", "prefix": "/api", "methods": ["GET", "HEAD"], "hosts": ["api.example.com"], "access": "public"},
            {"regex": "/v[0-9]+", "access": "public"},
            {"prefix": "/internal", "headers": {"X-Debug": "*", "x-level": "1"}, "access": "deny"},
            {"path": "/", "access": "optional"},
            {"path": "/admin/*", "access": "required", "unauthenticated": 401, "allow": {
                "emails": ["alice@example.com"],
                "email_matches": [".*@example\\.com"],
                "groups": ["admins"],
                "roles": ["admin"],
                "claims": {"/realm_access/roles": ["r"], "level": [3, true, "x"]},
                "all": [{"groups": ["a"]}],
                "any": [{"groups": ["b"]}, {"groups": ["c"]}],
                "not": {"groups": ["d"]},
            }},

            {"path": "/write", "access": "bearer", "scopes": ["read", "api://x/.write"], "authorization": "strip"},
            {"access": "required"},
        ],
        "static_tokens": [
            {"name": "ci", "sha256": DIGEST, "claims": {"groups": ["machines"], "level": [1, 0.5, true]}},
            {"name": "ci", "sha256": "AB".repeat(32), "expires_at": 1_900_000_000},
        ],
        "identity_headers": {
            "X-Email": "email",
            "X-Teams": {"claim": "/teams/all", "separator": "|", "too_long": "cut"},
            "X-User": {"template": "{sub}@{/org/id}", "encoding": "percent"},
        },
        "verified_email_only": true,
        "authorization": "id_token",
        "filter_state": {"claims": {"job": {"claim": "job", "encoding": "base64url"}, "tenant": "/org/id"}, "rule": true},
        "prefix": "/-/sign.in",
        "clock_leeway_seconds": 0,
        "danger": {"plain_http_providers": true},
    })
}

#[test]
fn every_field_is_resolved() {
    let config = settings(&full());
    let [provider] = config.providers.as_slice() else { panic!("one provider") };
    let reached = |url| {
        provider.relying_party.clusters.reaching(&Endpoint::parse(url, PlainHttp::LoopbackOnly).unwrap()).as_str()
    };
    assert_eq!(config.origins.home().origin().as_str(), "http://app.localhost:10000");
    assert_eq!(config.prefix, "/-/sign.in");
    assert_eq!(reached("https://keys.example.com/jwks"), "keys");
    assert_eq!(reached("https://idp.example.com:8443/"), "outbound|8443||idp.example.com");
    assert_eq!(reached("https://idp.example.com/"), "idp");
    assert_eq!(provider.issuer().as_str(), "http://idp.example.com/realm/");
    assert!(
        matches!(&provider.relying_party.authentication, ClientAuthentication::Post(secret) if secret.expose() == "inline secret")
    );
    assert_eq!(provider.relying_party.scopes, ["openid", "email", "api://x/.default"]);
    assert_eq!(
        provider.relying_party.authorization_params,
        [("hd".to_owned(), "example.com".to_owned()), ("prompt".to_owned(), "login".to_owned())]
    );
    let authorization = openid(provider).endpoints.authorization.as_ref().unwrap();
    assert_eq!(authorization.url().as_str(), "https://idp.example.com:8443/authorize?tenant=a");
    assert_eq!(openid(provider).endpoints.token.as_ref().unwrap().url().as_str(), "https://idp.example.com/token");
    assert_eq!(openid(provider).endpoints.jwks.as_ref().unwrap().url().as_str(), "https://keys.example.com/jwks");
    assert_eq!(
        openid(provider).endpoints.userinfo.as_ref().unwrap().url().as_str(),
        "https://idp.example.com/userinfo"
    );
    assert!(openid(provider).userinfo && !openid(&settings(&example()).providers[0]).userinfo);
    assert_eq!(openid(provider).algorithms, [Algorithm::Es256, Algorithm::EdDsa]);
    assert_eq!(openid(provider).trusted_audiences, ["other"]);
    let [tokens] = config.token_issuers.as_slice() else { panic!("its tokens are taken") };
    assert_eq!(tokens.audiences, ["https://api.example.com", "api"]);
    assert!(tokens.id == provider.id && settings(&example()).token_issuers.is_empty());
    assert_eq!(provider.timeout(), Duration::from_secs(30));
    assert_eq!(provider.relying_party.plain_http, PlainHttp::Allowed);
    // Claims in conditions of rules and providers are kept.
    assert_eq!(
        config.kept_claims,
        [
            "email_verified",
            "email",
            "teams",
            "sub",
            "org",
            "job",
            "groups",
            "_claim_names",
            "hasgroups",
            "roles",
            "realm_access",
            "level"
        ]
    );
    assert_eq!(config.session.lifetimes.absolute, Duration::from_secs(60));
    assert_eq!(config.session.sign_in_timeout, Duration::from_secs(86_400));
    assert_eq!(config.session.cookies.name(), "__Host-shop");
    assert_eq!(config.leeway.span(), Duration::ZERO);
    assert_eq!(
        config.identity_headers.iter().map(|header| header.name.as_str()).collect::<Vec<_>>(),
        ["x-email", "x-teams", "x-user"]
    );
    let written = |text: &str, separator, encoding| Template::parse(text).unwrap().with_format(separator, encoding);
    let claim =
        |path, separator, encoding| Template::of(ClaimPath::parse(path).unwrap()).with_format(separator, encoding);
    assert_eq!(config.identity_headers[2].value, written("{sub}@{/org/id}", ',', Encoding::Percent));
    let teams = claim("/teams/all", '|', Encoding::Utf8).with_too_long(TooLong::Cut);
    assert_eq!(config.identity_headers[1].value, teams);
    assert_eq!(config.identity_headers[0].value, claim("email", ',', Encoding::Utf8).verified_only());
    // Scripts receive the claims that the app receives whole.
    assert_eq!(config.userinfo_claims, ["email", "sub"]);
    let [job, tenant] = config.filter_state.claims.as_slice() else { panic!("{:?}", config.filter_state) };
    assert_eq!((tenant.name.as_str(), &tenant.value), ("tenant", &claim("/org/id", ',', Encoding::Utf8)));
    assert_eq!((job.name.as_str(), &job.value), ("job", &claim("job", ',', Encoding::Base64Url)));
    assert!(config.filter_state.rule);
    assert_eq!(config.authorization, Authorization::IdToken);
    assert_eq!(config.forwarded_tokens, ForwardedTokens { access_token: false, id_token: true });
    assert!(
        config.rules.have_authorization(Authorization::IdToken)
            && config.rules.have_authorization(Authorization::Strip)
    );
    assert!(!config.rules.have_authorization(Authorization::Keep));
    assert_eq!(
        config.warnings,
        [
            "danger.plain_http_providers: an attacker between Envoy and the provider can read secrets and sign in as any user",
            "session.keys[1]: repeats an earlier key and has no effect",
        ]
    );
}

#[test]
fn static_tokens_and_scopes_are_resolved() {
    let config = settings(&full());
    let [first, second] = &config.static_tokens[..] else { panic!("two tokens") };
    assert_eq!((first.name.as_str(), first.expires_at, first.digest[..2].to_vec()), ("ci", None, vec![0x3c, 0x46]));
    let claims = json!({"groups": ["machines"], "level": [1, 0.5, true]});
    assert_eq!(serde_json::Value::Object(first.claims.clone()).to_string(), claims.to_string());
    assert_eq!((second.digest, second.expires_at), ([0xab; 32], Some(UnixTime::from_secs(1_900_000_000))));
    assert!(second.claims.is_empty());
    let request = Request::new([(":method", b"GET".as_slice()), (":path", b"/write")]);
    let ruled = config.rules.evaluate(request, &|| None).unwrap();
    let verdict = ruled.verdict();
    assert!(!verdict.takes_sessions());
    assert_eq!(verdict.scopes().collect::<Vec<_>>(), ["read", "api://x/.write"]);
    assert_eq!(settings(&example()).static_tokens.len(), 0);
}

#[test]
fn github_needs_neither_issuer_nor_scopes() {
    let github = json!({"type": "github", "client_id": "a", "client_secret": "b"});
    let mut document = example_with("/providers/0", Some(github));
    let provider = |document: &Value| settings(document).providers.remove(0);
    let known = provider(&document);
    let Protocol::GitHub(github) = &known.protocol else { panic!("{:?}", known.protocol) };
    assert_eq!((known.issuer().as_str(), github.api.url().as_str()), ("https://github.com", "https://api.github.com/"));
    assert_eq!(known.relying_party.scopes, ["user:email"]);
    document["rules"][0] = json!({"access": "required", "allow": {"claims": {"/teams": ["a/b"], "orgs": ["a"]}}});
    assert_eq!(provider(&document).relying_party.scopes, ["user:email", "read:org"]);
    document["identity_headers"] = json!({});
    assert_eq!(provider(&document).relying_party.scopes, ["read:org"]);
    document["providers"][0]["github_url"] = json!("https://git.example.com/");
    let Protocol::GitHub(github) = provider(&document).protocol else { panic!("another protocol") };
    assert_eq!(github.api.url().as_str(), "https://git.example.com/api/v3");
    assert_eq!(github.metadata.token_endpoint.url().as_str(), "https://git.example.com/login/oauth/access_token");
    document["sign_out"] = json!({"front_channel": true});
    assert_eq!(
        super::faults(&document),
        "sign_out.front_channel: expected false, because it needs a provider of `type: oidc`, and there is none"
    );
}

/// A condition with `not` would hold for everybody where nothing can be found.
#[test]
fn conditions_and_headers_cannot_read_below_an_object_keys_claim() {
    let fault = |rule: Value| {
        let mut document = example();
        document["providers"][0]["object_keys"] = json!(["/app/roles"]);
        document["rules"] = json!([{"prefix": "/", "access": "required", "allow": rule}]);
        super::faults(&document).to_string()
    };
    let told = "providers[0].object_keys: expected no claim that a condition or a header looks into, as /app/roles/blocked does";
    assert!(fault(json!({"not": {"claims": {"/app/roles/blocked": [true]}}})).contains(told));
    assert!(fault(json!({"any": [{"groups": ["a"]}, {"claims": {"/app/roles/blocked": [true]}}]})).contains(told));
    let mut document = example();
    document["providers"][0]["object_keys"] = json!(["/app/roles"]);
    document["providers"][0]["allow"] = json!({"claims": {"/app/roles": ["admin"], "/app/name": ["x"]}});
    assert_eq!(settings(&document).warnings, [""; 0]);
    document["identity_headers"] = json!({"X-Role": "/app/roles/admin"});
    assert!(super::faults(&document).to_string().contains("as /app/roles/admin does"));
}

#[test]
fn warns_of_unrestricted_tenants_domains_and_injected_secrets() {
    let warnings = |provider: Value| {
        let mut document = example();
        let mut provider = provider;
        provider["client_id"] = json!("client");
        if provider["token_endpoint_auth_method"].is_null() {
            provider["client_secret"] = json!("a-secret-of-the-provider");
        }
        provider.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        document["providers"][0] = provider;
        settings(&document).warnings.concat()
    };
    let tenants = json!({"preset": "microsoft", "with": {"tenant": "common"}});
    assert!(warnings(tenants.clone()).contains("\"Microsoft\" signs in users of every tenant"));
    let mut limited = tenants;
    limited["allow"] = json!({"claims": {"tid": ["00000000-0000-0000-0000-000000000000"]}});
    assert_eq!(warnings(limited), "");
    let hinted = json!({"preset": "google", "authorization_params": {"hd": "example.com"}});
    assert!(warnings(hinted).contains("the parameter `hd` is a hint that the browser can take out"));
    assert_eq!(warnings(json!({"preset": "google", "with": {"hd": "example.com"}})), "");

    let mut document = example();
    let other = json!({"name": "b", "issuer": "https://b.example", "client_id": "b", "client_secret": "a-secret-of-b"});
    document["providers"] = json!([
        {"issuer": "https://a.example", "client_id": "a", "token_endpoint_auth_method": "injected"}, other,
    ]);
    document["identity_headers"] = json!({"X-User": "sub", "X-Issuer": "iss"});
    let told = "the cluster of \"a.example\" injects its secret, and other providers are called by the same cluster";
    assert!(settings(&document).warnings.concat().contains(told));
    document["clusters"] = json!({"a.example": "a"});
    assert_eq!(settings(&document).warnings, [""; 0]);
}

#[test]
fn warns_of_a_secret_too_short_to_sign_with() {
    let warnings = |secret: &str, method: &str| {
        let mut document = example();
        document["providers"][0]["client_secret"] = json!(secret);
        document["providers"][0]["token_endpoint_auth_method"] = json!(method);
        settings(&document).warnings
    };
    let warning = "providers[0].client_secret: shorter than 32 bytes, which client_secret_jwt needs (RFC 7518, 3.2): an attacker who sees an assertion can guess the secret";
    assert_eq!(warnings(&"s".repeat(31), "client_secret_jwt"), [warning]);
    assert_eq!(warnings(&"s".repeat(32), "client_secret_jwt"), [""; 0]);
    assert_eq!(warnings("short", "client_secret_basic"), [""; 0]);
}

#[test]
fn warns_of_provider_choice_settings_with_a_single_provider() {
    let warning = "providers: `logo`, `css_class` and `email_domains` have no effect where there is one provider";
    let svg = "<svg xmlns='http://www.w3.org/2000/svg'></svg>";
    for (name, value) in [("css_class", json!("a")), ("email_domains", json!(["example.com"])), ("logo", json!(svg))] {
        let mut document = example_with(&format!("/providers/0/{name}"), Some(value));
        assert_eq!(settings(&document).warnings, [warning], "{name}");
        let other = json!({"name": "b", "issuer": "https://b.example.com", "client_id": "b"});
        document["providers"].as_array_mut().unwrap().push(other);
        let warnings = settings(&document).warnings;
        assert!(!warnings.contains(&warning.to_owned()), "{name}: {warnings:?}");
    }
}

#[test]
fn warns_of_a_bearer_rule_without_accepted_tokens() {
    let mut document = example_with("/rules/0", Some(json!({"path": "/api/*", "access": "bearer"})));
    let warnings = settings(&document).warnings;
    assert_eq!(
        warnings,
        [
            "rules: `access: bearer` refuses every request: without static_tokens, token_issuers or access_token_audiences no tokens are accepted"
        ]
    );
    document["static_tokens"] = json!([{"name": "ci", "sha256": DIGEST}]);
    assert_eq!(settings(&document).warnings, [""; 0]);
}

#[test]
fn warns_of_unusable_configured_keys() {
    let good = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let encryption = json!({"kty": "RSA", "use": "enc", "n": "AQ", "e": "AQAB"});
    let jwks = |keys: &[&Value]| {
        let issuer = json!({"issuer": "ci", "audiences": ["api"], "jwks": json!({ "keys": keys }).to_string()});
        settings(&example_with("/token_issuers", Some(json!([issuer])))).warnings
    };
    assert_eq!(jwks(&[&good, &encryption]), [""; 0]);
    for (key, why) in [
        (json!({"kty": "RSA", "kid": "b", "n": "AQ", "e": "AQAB"}), "its modulus must be odd and"),
        (json!({"kty": "EC", "crv": "P-256", "kid": "b", "x": "AQ"}), "its y is missing or malformed"),
        (json!({"kty": "OKP", "crv": "Ed25519", "kid": "b", "x": "AQ"}), "its coordinates are no usable point"),
    ] {
        let warnings = jwks(&[&good, &key]);
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.starts_with("the key \"b\" (") && warning.contains(why), "{warning}");
        assert!(warning.contains("is left out of the configured keys of ci: "), "{warning}");
    }
}

#[test]
fn warns_of_headers_with_unverified_addresses() {
    let warns = |rules: Value, setting: Option<bool>, headers: Option<Value>, provider: Value| {
        let mut document = example_with("/rules", Some(rules));
        document.as_object_mut().unwrap().extend(setting.map(|on| ("verified_email_only".to_owned(), json!(on))));
        document.as_object_mut().unwrap().extend(headers.map(|headers| ("identity_headers".to_owned(), headers)));
        document["providers"][0].as_object_mut().unwrap().extend(provider.as_object().unwrap().clone());
        let warnings = settings(&document).warnings;
        let is_about_it = |said: &String| said.contains("email_verified") || said.contains("verified_email_only");
        assert!(warnings.iter().all(is_about_it), "{warnings:?}");
        !warnings.is_empty()
    };
    let by = |allow: Value| json!([{"access": "required", "allow": allow}]);
    let domain = || json!({"allowed_domains": ["example.com"]});
    let none = || json!({});
    assert!(warns(by(domain()), None, None, none()));
    assert!(warns(by(json!({"any": [{"groups": ["a"]}, {"not": {"email_matches": ["a@.*"]}}]})), None, None, none()));
    assert!(warns(json!([]), None, None, json!({"allow": {"emails": ["a@example.com"]}})));
    assert!(warns(by(domain()), None, Some(json!({"X-Name": {"template": "{name} <{email}>"}})), none()));
    assert!(warns(json!([]), Some(true), Some(json!({"X-User": "sub"})), none()), "it has no effect");
    // No warning: the setting is present, no header carries the address, or no condition reads it.
    assert!(!warns(by(domain()), Some(true), None, none()) && !warns(by(domain()), Some(false), None, none()));
    assert!(!warns(by(domain()), None, Some(json!({"X-User": "sub"})), none()));
    assert!(!warns(by(json!({"groups": ["a"]})), None, None, none()));
}

#[test]
fn warns_of_audiences_of_other_services() {
    let warnings = |audience: &str| {
        let mut document = example_with("/providers/0/access_token_audiences", Some(json!([audience])));
        let issuer = document["providers"][0]["issuer"].as_str().unwrap().to_owned();
        let machines = json!({"issuer": "https://machines.example.com/", "audiences": [audience.replace(&issuer, "https://machines.example.com")]});
        document["token_issuers"] = json!([machines]);
        settings(&document).warnings
    };
    let issuer = example()["providers"][0]["issuer"].as_str().unwrap().to_owned();
    let common = ["account", "api://default", "00000003-0000-0000-c000-000000000000", "https://kubernetes.default.svc"];
    let below =
        ["", "/", "/userinfo", "/api/v2/", "/resources"].map(|path| issuer.trim_end_matches('/').to_owned() + path);
    for audience in common.into_iter().chain(below.iter().map(String::as_str)) {
        let found = warnings(audience);
        assert_eq!(found.len(), 2, "{audience} {found:?}");
        assert!(found[0].contains("is also in access tokens of") && found[1].contains("machines"), "{found:?}");
    }
    for audience in
        ["https://api.example.com", "accounts", "api://app", "https://machines.example.com.evil.example/userinfo"]
    {
        assert_eq!(warnings(audience), [""; 0], "{audience}");
    }
}

#[test]
fn warns_of_several_providers_without_an_issuer_header() {
    let mut document = example();
    assert_eq!(settings(&document).warnings, [""; 0]);
    let other = json!({"name": "other", "issuer": "https://other.example.com", "client_id": "x"});
    document["providers"].as_array_mut().unwrap().push(other);
    assert_eq!(
        settings(&document).warnings,
        [
            "identity_headers: no header carries `iss`, so the app cannot tell apart users of different providers with the same sub or email"
        ]
    );
    for headers in
        [json!({"x-user": "sub", "x-issuer": "iss"}), json!({"x-user": {"template": "{iss} {sub}"}}), json!({})]
    {
        document["identity_headers"] = headers;
        assert_eq!(settings(&document).warnings, [""; 0]);
    }
}

#[test]
fn warns_of_ineffective_settings() {
    let mut document =
        example_with("/rules/0", Some(json!({"path": "/a/*", "access": "required", "scopes": ["read"]})));
    document["token_cookie"] = json!("jwt");
    document["filter_state"] = json!({"rule": true});
    assert_eq!(
        settings(&document).warnings,
        [
            "rules: `scopes` have no effect: they apply to tokens, and no tokens are accepted",
            "token_cookie: has no effect, because no tokens are accepted",
            "filter_state.rule: no rule has a name",
        ]
    );
    document["static_tokens"] = json!([{"name": "ci", "sha256": DIGEST}]);
    document["rules"][0]["name"] = json!("a");
    assert_eq!(settings(&document).warnings, [""; 0]);
    document["providers"][0] = json!({"type": "github", "client_id": "a", "client_secret": "b"});
    document["rules"][0]["allow"] = json!({"groups": ["my-org"]});
    document["authorization"] = json!("id_token");
    assert_eq!(
        settings(&document).warnings,
        [
            "authorization: no provider has ID tokens, so `id_token` forwards nothing",
            "allow: GitHub has no `groups`; its claims are `orgs` and `teams`",
        ]
    );
}

#[test]
fn warns_of_bearer_tokens_that_no_rule_reads() {
    let mut document = example();
    document["static_tokens"] = json!([{"name": "ci", "sha256": DIGEST}]);
    document["authorization"] = json!("app");
    document["rules"] = json!([{"path": "/public/*", "access": "public"}]);
    let warnings = settings(&document).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("authorization: with `app` in every rule no token is read"), "{warnings:?}");
    // One rule that reads tokens is enough, or a token cookie.
    document["rules"] = json!([{"path": "/api/*", "access": "bearer", "authorization": "keep"}]);
    assert_eq!(settings(&document).warnings, [""; 0]);
    document["rules"] = json!([]);
    document["token_cookie"] = json!("token");
    assert_eq!(settings(&document).warnings, [""; 0]);
}

#[test]
fn a_struct_has_the_same_settings_as_json() {
    for document in [example(), full()] {
        let from_struct = parse_bytes(&as_struct(&document)).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(printed(&from_struct), printed(&settings(&document)));
    }
}

#[test]
fn a_struct_has_the_same_faults_as_json() {
    let mut document = full();
    document["providers"][0]["timeout_ms"] = json!(1.5);
    document["session"]["lifetime_seconds"] = json!(null);
    document["rules"][0]["access"] = json!("nobody");
    assert_eq!(parse_bytes(&as_struct(&document)).err().unwrap(), super::faults(&document));
}

#[test]
fn refuses_a_struct_with_endless_nesting_or_two_kinds() {
    let nested =
        |bytes: Vec<u8>, _| wire::write(&[Bytes(&wire::write(&[Bytes(b"a"), Bytes(&object_of(&bytes))]))]).to_vec();
    let text = wire::write(&[Number(0), Number(0), Bytes(b"idp")]);
    let entry = |value: &[u8]| wire::write(&[Bytes(&wire::write(&[Bytes(b"cluster"), Bytes(value)]))]).to_vec();
    let both = wire::write(&[Number(0), Number(0), Bytes(b"idp"), Number(1)]);
    let faults = |bytes: &[u8]| parse_bytes(bytes).err().unwrap();
    assert!(!faults(&entry(&text)).contains("google.protobuf.Struct"));
    assert!(faults(&entry(&both)).contains("google.protobuf.Struct"));
    let shallow = (0..60).fold(entry(&text), nested);
    assert!(!faults(&shallow).contains("google.protobuf.Struct"));
    let deep = (0..1_000).fold(entry(&text), nested);
    assert!(faults(&deep).contains("google.protobuf.Struct"));
}

/// A `Value` that is this `Struct`.
fn object_of(bytes: &[u8]) -> Vec<u8> {
    wire::write(&[Number(0), Number(0), Number(0), Number(0), Bytes(bytes)]).to_vec()
}

#[test]
fn client_authentication_follows_the_configured_method_and_secret() {
    let provider = |method: Option<&str>, secret: bool| {
        let mut document = example();
        if let Some(method) = method {
            document["providers"][0]["token_endpoint_auth_method"] = json!(method);
        }
        if !secret {
            document["providers"][0].as_object_mut().unwrap().remove("client_secret");
        }
        settings(&document).providers.remove(0).relying_party.authentication
    };
    assert!(matches!(provider(None, true), ClientAuthentication::Unspecified(_)));
    assert!(matches!(provider(None, false), ClientAuthentication::None));
    assert!(matches!(provider(Some("none"), false), ClientAuthentication::None));
    assert!(matches!(provider(Some("client_secret_basic"), true), ClientAuthentication::Basic(_)));
    assert!(matches!(provider(Some("client_secret_post"), true), ClientAuthentication::Post(_)));
}

#[test]
fn everything_is_public_only_by_an_explicit_pattern() {
    for rule in [
        json!({"path": "/**", "access": "public"}),
        json!({"methods": ["GET"], "access": "public"}),
        json!({"hosts": ["www.example.com"], "access": "public"}),
    ] {
        settings(&example_with("/rules/0", Some(rule)));
    }
}

#[test]
fn unauthenticated_401_may_be_a_number_or_a_string() {
    let with = |answer: Value| {
        let rule = json!({"path": "/a", "access": "required", "unauthenticated": answer});
        printed(&settings(&example_with("/rules/0", Some(rule))))
    };
    assert_eq!(with(json!(401)), with(json!("401")));
    assert_eq!(with(json!(401.0)), with(json!("401")));
    assert!(with(json!(401)).contains("unauthenticated: Unauthorized"));
}

#[test]
fn warnings_name_rules_without_effect() {
    let warnings = |rules: Value| settings(&example_with("/rules", Some(rules))).warnings;
    let found = warnings(json!([
        {"name": "mine", "path": "/oauth2/*", "access": "public"},
        {"path": "/a/*", "access": "deny"},
        {"name": "late", "path": "/a/b", "access": "public"},
        {"headers": {"x-probe": "*"}, "access": "public"},
        {"path": "/**", "access": "public"},
        {"path": "/c", "access": "required"},
        {"regex": ".*", "access": "public"},
    ]));
    assert_eq!(
        found,
        [
            "rules[0] (mine) can never match: /oauth2 is this filter's own, and rules do not apply there",
            "rules[2] (late) can never match: rules[1] comes first and matches all that it does",
            "rules[3] makes everything public to any client that sends these headers",
            "rules[4] makes everything public",
            "rules[5] can never match: rules[4] comes first and matches all that it does",
            "rules[6] can never match: rules[4] comes first and matches all that it does",
        ]
    );
    assert_eq!(warnings(json!([{"regex": ".*", "access": "public"}])), ["rules[0] makes everything public"]);
    let calm =
        json!([{"path": "/a/*", "access": "public"}, {"path": "/b/*", "access": "optional"}, {"access": "deny"}]);
    assert_eq!(warnings(calm), [""; 0]);
}

#[test]
fn identity_headers_may_be_empty() {
    assert_eq!(settings(&example_with("/identity_headers", Some(json!({})))).identity_headers, []);
}

#[test]
fn shared_data_is_named_after_the_app_or_after_issuer_client_and_endpoints() {
    let app = |pointer: &str, value: Value| settings(&example_with(pointer, Some(value))).fingerprint;
    let base = settings(&example()).fingerprint;
    assert!(base.len() == 32 && base.bytes().all(|byte| byte.is_ascii_hexdigit()), "{base}");
    assert_eq!(app("/providers/0/issuer", json!("https://other.example.com")), base);
    assert_ne!(app("/external_url", json!("https://other.example.com")), base);
    assert_ne!(app("/session/cookie_name", json!("other")), base);

    let fingerprint =
        |pointer: &str, value: Value| settings(&example_with(pointer, Some(value))).providers[0].fingerprint();
    let base = settings(&example()).providers[0].fingerprint();
    assert_eq!(fingerprint("/prefix", json!("/other")), base);
    assert_eq!(fingerprint("/providers/0/client_secret", json!("other")), base);
    let url = "https://idp.example.com/x";
    let mut others = vec![
        base,
        fingerprint("/providers/0/issuer", json!("https://accounts.google.com/")),
        fingerprint("/providers/0/client_id", json!("my-client2")),
        fingerprint("/providers/0/authorization_endpoint", json!(url)),
        fingerprint("/providers/0/token_endpoint", json!(url)),
        fingerprint("/providers/0/jwks_uri", json!(url)),
    ];
    others.sort();
    others.dedup();
    assert_eq!(others.len(), 6);
}

#[test]
fn a_rule_that_names_a_policy_behaves_like_the_policy() {
    let with = |policies: Value, rules: Value| {
        let mut document = example_with("/rules", Some(rules));
        document["policies"] = policies;
        document
    };
    let policies = json!({
        "open": {"access": "public"},
        "admins": {"access": "required", "unauthenticated": 401, "allow": {"claims": {"tier": ["gold"]}}},
    });
    let by_policy = settings(&with(policies.clone(), json!([{"path": "/a", "policy": "admins"}])));
    let itself = json!([
        {"path": "/a", "access": "required", "unauthenticated": 401, "allow": {"claims": {"tier": ["gold"]}}},
    ]);
    let itself = settings(&example_with("/rules", Some(itself)));
    assert_eq!(format!("{:?}", by_policy.rules), format!("{:?}", itself.rules));
    assert_eq!(by_policy.kept_claims, itself.kept_claims);
    assert_eq!(by_policy.warnings, ["policies.open is named by no rule, and `route_metadata` is off"]);

    let mut asking = with(policies.clone(), json!([]));
    asking["route_metadata"] = json!(true);
    let config = settings(&asking);
    assert!(config.rules.have_policies() && !by_policy.rules.have_policies());
    assert_eq!(config.warnings, [""; 0]);
    assert!(config.kept_claims.contains(&"tier".to_owned()), "{:?}", config.kept_claims);
    let tokens = with(json!({"machines": {"access": "bearer"}}), json!([{"path": "/a", "policy": "machines"}]));
    assert!(settings(&tokens).warnings.join(" ").contains("`access: bearer` refuses every request"));

    for (rules, expected) in [
        (
            json!([{"path": "/a", "policy": "amdins"}]),
            r#"rules[0].policy: expected the name of one of the `policies`, got "amdins""#,
        ),
        (
            json!([{"policy": "open"}]),
            "rules[0]: expected a condition: this would make everything public; write path: /** if that is intended",
        ),
        (
            json!([{"path": "/a", "policy": "open", "locked": true}, {"path": "/b", "access": "optional", "locked": true}]),
            "rules[0].locked: expected nothing; it applies only to rules that do not admit every request\n\
             rules[1].locked: expected nothing; it applies only to rules that do not admit every request",
        ),
    ] {
        let mut document = with(policies.clone(), rules);
        document["route_metadata"] = json!(true);
        assert_eq!(super::faults(&document), expected);
    }
}

#[test]
fn provisioning_is_off_by_default_and_each_provider_may_differ() {
    assert!(settings(&example()).providers[0].provisioning.is_none());
    let url = "http://app.internal:8080/users";
    let mut document = example_with("/provisioning", Some(json!({ "endpoint": url })));
    document["clusters"] = json!({ "app.internal:8080": "app" });
    document["rules"] =
        json!([{ "path": "/*", "access": "required", "allow": { "claims": { "/attributes/plan": ["pro"] } } }]);
    let config = settings(&document);
    let provisioning = config.providers[0].provisioning.clone().unwrap();
    let endpoint = &provisioning.endpoint;
    assert_eq!((endpoint.url.url().as_str(), endpoint.cluster.as_str()), (url, "app"));
    assert_eq!((endpoint.timeout.as_secs(), endpoint.at_renewal, provisioning.is_asked), (5, true, true));
    assert_eq!(provisioning.registration, Registration::Allowed);
    assert!(config.keeps_attributes && !config.kept_claims.iter().any(|name| name == "attributes"));
    assert!(config.kept_claims.iter().any(|name| name == "name"), "{:?}", config.kept_claims);
    assert_eq!(config.warnings, ["provisioning: without `secret`, the app cannot tell who asks"]);

    document["provisioning"]["secret"] = json!("hush");
    document["provisioning"]["registration"] = json!("refused");
    document["providers"][0]["provisioning"] = json!(false);
    document["rules"] = json!([]);
    let config = settings(&document);
    let provisioning = config.providers[0].provisioning.clone().unwrap();
    assert_eq!((provisioning.is_asked, provisioning.registration), (false, Registration::Refused));
    assert!(!config.keeps_attributes && config.warnings.is_empty(), "{:?}", config.warnings);
    document["providers"][0]["registration"] = json!("allowed");
    assert_eq!(settings(&document).providers[0].provisioning.clone().unwrap().registration, Registration::Allowed);
}
