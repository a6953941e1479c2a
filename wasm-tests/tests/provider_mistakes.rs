//! Mistakes in the settings of each provider of the matrix. The log says what to change; the app sees nothing, and the worker goes
//! on.

use serde_json::{Value, json};
use wasm_tests::matrix::{MAIL, Mistakes, ROWS};

/// The page that is opened, where the mistake does not show on a page for users with an address.
const PAGE: &str = "/page";
/// The answer while the metadata are not known.
const NOT_READY: Ends = Ends::Page(503, "provider_not_ready");
/// The answer where the provider does not take the client.
const CLIENT_REFUSED: Ends = Ends::Page(502, "token_endpoint_refused");

/// Where a mistake shows.
#[derive(Clone, Copy)]
enum Ends {
    /// On a page of the provider, from which the browser does not come back.
    AtProvider,
    /// At the app's door: with this status and this code.
    Page(u16, &'static str),
    /// When Envoy reads the configuration, which it refuses.
    Refused,
}

/// A mistake.
struct Case {
    mistake: &'static str,
    change: fn(&mut Value),
    page: &'static str,
    ends: Ends,
    /// Texts that the log must contain: the mistake and the remedy.
    told: &'static [&'static str],
}

const fn case(mistake: &'static str, change: fn(&mut Value), ends: Ends, told: &'static [&'static str]) -> Case {
    Case { mistake, change, page: PAGE, ends, told }
}

/// A mistake that leaves a user without an address.
const fn without_address(mistake: &'static str, change: fn(&mut Value), told: &'static [&'static str]) -> Case {
    Case { mistake, change, page: MAIL, ends: Ends::Page(403, "not_allowed"), told }
}

/// Tries each mistake at this provider.
fn each(provider: &str, cases: &[Case]) {
    let mistakes = Mistakes::at(provider);
    for Case { mistake, change, page, ends, told } in cases {
        let said = match *ends {
            Ends::Refused => mistakes.refused(change),
            Ends::AtProvider => {
                let outcome = mistakes.open(page, change);
                // Each page of ours has a code.
                assert_eq!(outcome.page.code(), None, "{provider}, {mistake}: {outcome:#?}");
                outcome.log
            }
            Ends::Page(status, code) => {
                let outcome = mistakes.open(page, change);
                let shown = (outcome.page.status, outcome.page.code());
                assert_eq!(shown, (status, Some(code.to_owned())), "{provider}, {mistake}: {outcome:#?}");
                outcome.log
            }
        };
        for told in *told {
            assert!(said.contains(told), "{provider}, {mistake}: {told:?} does not bed in:\n{said}");
        }
    }
}

fn members(provider: &mut Value) -> &mut serde_json::Map<String, Value> {
    provider.as_object_mut().expect("an object")
}

/// Appends this to the text of this setting.
fn append(provider: &mut Value, setting: &str, end: &str) {
    let text = provider[setting].as_str().expect("a text").to_owned();
    provider[setting] = json!(text + end);
}

const SLASH: Case = case(
    "a slash at the end of the issuer",
    |provider| append(provider, "issuer", "/"),
    NOT_READY,
    &["the provider calls itself \"http://", "\"; write exactly that as issuer, if it is the one you mean"],
);
const WRONG_PATH: Case = case(
    "an issuer of another path, as of another tenant, realm or server",
    |provider| append(provider, "issuer", "-of-another"),
    NOT_READY,
    &[
        "the provider answered 404",
        ": no document is at \"http://",
        "-of-another/.well-known/openid-configuration\"; compare issuer (server, path, tenant, realm), or metadata_url",
    ],
);
const WRONG_SECRET: Case = case(
    "another client's secret",
    |provider| provider["client_secret"] = json!("the-secret-of-another-client-there"),
    CLIENT_REFUSED,
    &[
        "the provider refused: ",
        "_client",
        "; compare client_id and client_secret with the registration of the client; issuer ",
    ],
);
const NO_SECRET: Case = case(
    "no secret",
    |provider| drop(members(provider).remove("client_secret")),
    CLIENT_REFUSED,
    &[
        "the provider refused: ",
        "_client",
        "; no client_secret is configured; compare client_id and the kind of client with its registration; issuer ",
    ],
);
/// Where the preset knows that the provider takes no client without a secret.
const NO_SECRET_IN_PRESET: Case = case(
    "no secret",
    |provider| drop(members(provider).remove("client_secret")),
    Ends::Refused,
    &["providers[0].client_secret: missing; expected the client secret that "],
);
/// The provider says so itself: it does not send the browser to a redirect URI that it does not know (RFC 6749, 4.1.2.1).
const WRONG_CLIENT: Case =
    case("another client ID", |provider| provider["client_id"] = json!("another-client"), Ends::AtProvider, &[]);
const ONLY_OPENID: Case = without_address(
    "no scope for the address",
    |provider| provider["scopes"] = json!(["openid"]),
    &[
        "brought no `email`, which identity_headers, filter_state or conditions ask for; add the scope that brings it to `scopes`, or set `userinfo: true`",
    ],
);

/// One test for each row.
macro_rules! rows {
    ($($(#[$needs:meta])? $test:ident: $provider:literal, [$($case:expr),* $(,)?];)*) => {
        $(
            #[test]
            $(#[$needs])?
            fn $test() {
                each($provider, &[$($case),*]);
            }
        )*

        const TRIED: &[&str] = &[$($provider),*];
    };
}

rows! {
    #[cfg_attr(not(feature = "providers"), ignore = "needs a JDK and Maven: make providers")]
    keycloak: "Keycloak", [
        Case {
            change: |provider| {
                let [url, realm] = ["url", "realm"].map(|name| provider["with"][name].as_str().unwrap_or_default());
                provider["issuer"] = json!(format!("{url}/realms/{realm}/"));
            },
            ..SLASH
        },
        case(
            "another realm",
            |provider| append(&mut provider["with"], "realm", "-of-another"),
            NOT_READY,
            &[
                "the provider answered 404",
                "-of-another/.well-known/openid-configuration\"; compare issuer (server, path, tenant, realm), or metadata_url",
            ],
        ),
        WRONG_SECRET,
        NO_SECRET,
        WRONG_CLIENT,
    ];

    microsoft: "Microsoft Entra ID", [
        SLASH,
        WRONG_PATH,
        WRONG_SECRET,
        NO_SECRET,
        WRONG_CLIENT,
        case(
            "the name of the tenant in place of its ID",
            |provider| provider["with"]["tenant"] = json!("example.onmicrosoft.com"),
            Ends::Refused,
            &["providers[0].with.tenant: expected the ID of your tenant, a GUID, or common or organizations for every tenant"],
        ),
    ];

    google: "Google", [SLASH, WRONG_SECRET, NO_SECRET_IN_PRESET, WRONG_CLIENT];

    apple: "Apple", [
        SLASH,
        WRONG_CLIENT,
        case(
            "no key",
            |provider| drop(members(provider).remove("client_key")),
            Ends::Refused,
            &["providers[0].client_key.private_key: missing; expected the private key, whose public half is registered at the provider"],
        ),
        case(
            "a client secret, as other providers have",
            |provider| provider["client_secret"] = json!("s3cret"),
            Ends::Refused,
            &["providers[0].client_secret: expected nothing, because private_key_jwt has no use for it"],
        ),
        case(
            "no team",
            |provider| drop(provider["with"].as_object_mut().expect("an object").remove("team_id")),
            Ends::Refused,
            &["providers[0].with.team_id: missing; expected the ID of your team at Apple, such as 1A2B3C4D5E"],
        ),
    ];

    okta: "Okta", [SLASH, WRONG_PATH, WRONG_SECRET, NO_SECRET, WRONG_CLIENT];

    gitlab: "GitLab", [
        WRONG_SECRET,
        NO_SECRET,
        WRONG_CLIENT,
        case(
            "a path that GitLab does not have",
            |provider| append(&mut provider["with"], "url", "/gitlab"),
            NOT_READY,
            &["/gitlab/.well-known/openid-configuration\"; compare issuer (server, path, tenant, realm), or metadata_url"],
        ),
        without_address(
            "no scope for the address",
            |provider| provider["scopes"] = json!(["openid"]),
            &["brought no `email`, ", "; add the scope that brings it to `scopes`, or have the provider send it"],
        ),
    ];

    facebook: "Facebook", [
        Case {
            told: &["the provider refused: invalid_client; compare client_id, client_secret and token_endpoint_auth_method with the registration of the client"],
            ..WRONG_SECRET
        },
        NO_SECRET_IN_PRESET,
        WRONG_CLIENT,
        without_address(
            "no scope for the address",
            |provider| provider["scopes"] = json!(["public_profile"]),
            &["brought no `email`, ", "; add the scope that brings it to `scopes`, or name its place in `claims`"],
        ),
        case(
            "a token endpoint that is not there",
            |provider| append(provider, "token_endpoint", "s"),
            Ends::Page(502, "token_endpoint_malformed"),
            &["the token endpoint answered 404: nothing is at its URL"],
        ),
    ];

    simplelogin: "SimpleLogin", [
        WRONG_SECRET,
        NO_SECRET_IN_PRESET,
        WRONG_CLIENT,
        case(
            "a path that SimpleLogin does not have",
            |provider| append(&mut provider["with"], "url", "/simplelogin"),
            Ends::AtProvider,
            &[],
        ),
    ];

    #[cfg_attr(not(feature = "providers"), ignore = "needs Go: make providers")]
    dex: "Dex", [
        SLASH,
        WRONG_PATH,
        WRONG_SECRET,
        NO_SECRET,
        WRONG_CLIENT,
        ONLY_OPENID,
        case(
            "a scope that the provider does not know",
            |provider| provider["scopes"] = json!(["openid", "email", "everything"]),
            Ends::Page(400, "provider_refused"),
            &["says invalid_scope", "; compare `scopes` with those that the client may ask for; issuer "],
        ),
    ];

    glewlwyd: "Glewlwyd", [SLASH, WRONG_PATH, WRONG_SECRET, NO_SECRET, ONLY_OPENID];

    canaille: "Canaille", [SLASH, WRONG_SECRET, NO_SECRET, ONLY_OPENID];

    django: "Django OAuth Toolkit", [SLASH, WRONG_SECRET, NO_SECRET];

    oidc_provider: "oidc-provider (node)", [
        SLASH,
        case(
            "an issuer with a path",
            |provider| append(provider, "issuer", "/realms/a"),
            NOT_READY,
            &[": no document is at \"http://", "/realms/a/.well-known/openid-configuration\"; compare issuer"],
        ),
        WRONG_SECRET,
        NO_SECRET,
        WRONG_CLIENT,
        ONLY_OPENID,
    ];

    oauth2: "A server with OAuth 2.0 alone", [
        WRONG_SECRET,
        NO_SECRET,
        WRONG_CLIENT,
        case(
            "a userinfo endpoint that is not there",
            |provider| append(provider, "userinfo_endpoint", "s"),
            Ends::Page(502, "userinfo_endpoint_malformed"),
            &["the userinfo endpoint answered 404: nothing is at its URL"],
        ),
        case(
            "no identifier of the user at this place",
            |provider| provider["claims"]["sub"] = json!("/data/uid"),
            Ends::Page(502, "userinfo_endpoint_malformed"),
            &["has no text or whole number at /data/uid, which was to be the subject; say under `claims` where it is"],
        ),
        without_address(
            "no question for the address",
            |provider| drop(members(provider).remove("further_userinfo")),
            &["brought no `email`, ", "; add the scope that brings it to `scopes`, or name its place in `claims`"],
        ),
    ];

    github: "GitHub", [
        WRONG_SECRET,
        NO_SECRET_IN_PRESET,
        WRONG_CLIENT,
        case(
            "a path that the API does not have",
            |provider| append(provider, "github_api_url", "/api/v2"),
            Ends::Page(502, "userinfo_endpoint_malformed"),
            &["answered 404: nothing is at its URL"],
        ),
    ];
}

#[test]
fn every_provider_of_the_matrix_is_tried_with_mistakes() {
    assert_eq!(ROWS.each_ref().map(|row| row.provider), TRIED);
}
