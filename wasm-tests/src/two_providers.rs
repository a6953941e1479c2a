//! A world with two providers, staff and partners, for the scenarios about several providers.

use serde_json::{Value, json};

use crate::{
    http1::Response,
    issuer::{CLIENT_ID, CLIENT_SECRET, Issuer},
    upstream::MARK,
    user_agent::UserAgent,
    world::{SignIn, World, assert_sign_in_at, assert_signed_in},
};

/// The callback path of the provider `default`.
pub const CALLBACK: &str = "/oauth2/callback";
/// The callback path of the provider `partners`.
pub const CALLBACK_OF_PARTNERS: &str = "/oauth2/callback/partners";

/// One of the two providers.
#[derive(Clone, Copy)]
pub enum ProviderName {
    /// The first one, which the configuration names `default`.
    Staff,
    /// The second one, `partners`.
    Partners,
}

impl ProviderName {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Staff, Self::Partners];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Staff => "default",
            Self::Partners => "partners",
        }
    }

    /// Its callback path.
    pub const fn callback(self) -> &'static str {
        match self {
            Self::Staff => CALLBACK,
            Self::Partners => CALLBACK_OF_PARTNERS,
        }
    }

    /// Its issuer in this world.
    pub const fn issuer(self, world: &World) -> &Issuer {
        match self {
            Self::Staff => &world.issuer,
            Self::Partners => &world.partners,
        }
    }

    /// The other one of the two.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Staff => Self::Partners,
            Self::Partners => Self::Staff,
        }
    }
}

/// A world with both providers.
pub fn world() -> World {
    world_with(|_| {})
}

/// A world with both providers and a changed configuration.
pub fn world_with(change: impl FnOnce(&mut Value)) -> World {
    let partners = Issuer::another();
    let url = partners.url();
    World::among(Issuer::start(), partners, |setup| {
        setup.bodies_while_headers_are_held = true;
        setup.reloads = true;
        configure(&mut setup.configuration, &url);
        change(&mut setup.configuration);
    })
}

/// Configures both providers, identity headers with the issuer, and rules that name one of them.
pub fn configure(document: &mut Value, partners: &str) {
    document["providers"][0]["title"] = json!("Staff");
    add_partners(document, partners);
    document["identity_headers"] = json!({"x-forwarded-user": "sub", "x-issuer": "iss"});
    document["rules"] = json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/admin", "access": "required", "providers": ["default"], "name": "staff alone"},
        {"prefix": "/partners", "access": "required", "providers": ["partners"]},
        {"prefix": "/api", "access": "required", "unauthenticated": "401", "providers": ["partners"]},
    ]);
}

/// Adds the provider `partners` to a configuration.
///
/// # Panics
/// When the configuration has no list of providers.
pub fn add_partners(document: &mut Value, issuer: &str) {
    let partners = json!({
        "name": "partners", "title": "Partners & friends",
        "issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "timeout_ms": 10_000,
    });
    document["providers"].as_array_mut().expect("providers").push(partners);
}

/// A new browser with a session of this provider.
pub fn signed_in(world: &World, at: ProviderName) -> UserAgent {
    let browser = world.browser();
    sign_in(world, &browser, at, "/");
    browser
}

/// Signs in at this provider and comes back to this path.
#[track_caller]
pub fn sign_in(world: &World, browser: &UserAgent, at: ProviderName, path: &str) {
    let begun = begin(world, browser, at, path);
    assert_signed_in(&browser.get(&world.answer(browser, &begun)), &world.url(path));
}

/// Begins a sign-in by the link for this provider.
#[track_caller]
pub fn begin(world: &World, browser: &UserAgent, at: ProviderName, path: &str) -> SignIn {
    let start = world.url(&format!("/oauth2/start?rd={path}&provider={}", at.name()));
    assert_sign_in_at(&browser.get(&start), world, at.issuer(world), at.callback())
}

/// Checks that both workers let this browser pass, and name this provider as the issuer.
///
/// # Panics
/// When one of them does not.
#[track_caller]
pub fn assert_passes(world: &World, browser: &UserAgent, path: &str, at: ProviderName) {
    for _ in 0..6 {
        let response = browser.get(&world.url(path));
        assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", world.log());
        assert_eq!(world.upstream.last().headers.text("x-issuer"), Some(at.issuer(world).url()));
    }
}

/// The links of a page.
///
/// # Panics
/// When a link has no end.
pub fn links(page: &Response) -> Vec<String> {
    page.text()
        .split("href=\"")
        .skip(1)
        .map(|rest| rest[..rest.find('"').expect("its end")].replace("&#38;", "&"))
        .collect()
}

/// The number of token requests at each provider: staff, partners.
pub fn token_requests(world: &World) -> [usize; 2] {
    ProviderName::BOTH.map(|at| at.issuer(world).token_requests())
}
