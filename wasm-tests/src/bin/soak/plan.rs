//! The settings of a run: its length, its load, its randomness, and the two configurations that take turns.

use std::time::Duration;

use serde_json::{Value, json};
use wasm_tests::{
    envoy::Setup,
    issuer::{Issuer, RefreshTokens, Rotation},
    world::document,
};

/// The audience of the access tokens of API clients.
pub const API: &str = "https://api.example.com";
/// The absolute lifetime of a session.
pub const LIFETIME: Duration = Duration::from_secs(180);
/// The lifetime of an access token, which is renewed in its last fifth.
pub const TOKEN_SECONDS: u64 = 20;
/// How long requests go on under a configuration that was replaced.
pub const DRAIN: Duration = Duration::from_secs(10);
/// Sessions in use at once.
pub const SESSIONS: usize = 120;

/// The arguments of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Its length.
    pub minutes: f64,
    /// Requests, or flows of several requests, that begin each second.
    pub rate: u32,
    /// The seed of all choices.
    pub seed: u64,
}

/// The rules in force: the two valid configurations differ in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// `/flip` needs a session, as everything else does.
    Closed,
    /// `/flip` is public.
    Open,
}

impl Plan {
    /// Reads `[MINUTES [RATE [SEED]]]`.
    ///
    /// # Errors
    /// One line: what is wrong.
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut next = |name, default: &str| {
            let text = arguments.next().unwrap_or_else(|| default.to_owned());
            text.parse::<f64>()
                .ok()
                .filter(|number| number.is_finite() && *number > 0.0)
                .ok_or(format!("{name} is a number above 0, not {text:?}"))
        };
        let (minutes, rate) = (next("MINUTES", "10")?, next("RATE", "400")?);
        if rate < 1.0 {
            return Err(format!("RATE is at least 1 a second, not {rate}"));
        }
        let seed = match arguments.next() {
            Some(text) => text.parse().map_err(|_| format!("SEED is a whole number, not {text:?}"))?,
            None => std::process::id().into(),
        };
        Ok(Self { minutes, rate: rate as u32, seed })
    }

    /// Its length.
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}

/// Refresh tokens that are good once, and access tokens that are soon due.
pub fn set_terms(issuer: &Issuer) {
    issuer.terms(|terms| {
        terms.refresh_tokens = RefreshTokens::Always;
        terms.rotation = Rotation::Rotating;
        terms.expires_in = Some(json!(TOKEN_SECONDS));
        terms.refresh_expires_in = Some(json!(TOKEN_SECONDS));
    });
}

/// Envoy's set-up before this app, with the first of the two configurations.
pub fn setup(app: u16, issuer: &Issuer) -> Setup {
    let mut setup = Setup::new(app).connection_manager("access_log", json!([]));
    setup.reloads = true;
    setup.drain_seconds = DRAIN.as_secs() as u32;
    setup.bodies_while_headers_are_held = true;
    let configuration = configuration(&setup, issuer);
    setup.configuration(configuration)
}

fn configuration(setup: &Setup, issuer: &Issuer) -> Value {
    let mut document = document(setup.port, &issuer.url());
    document["allow_on_headers_stop_iteration"] = json!(true);
    document["session"]["lifetime_seconds"] = json!(LIFETIME.as_secs());
    document["sign_in"] = json!({"keep_forms": true});
    document["sign_out"] = json!({"back_channel": true, "revoke": true});
    document["providers"][0]["timeout_ms"] = json!(3000);
    document["providers"][0]["access_token_audiences"] = json!([API]);
    document["rules"] = rules(Rules::Closed);
    document
}

/// The rules of one of the two configurations.
pub fn rules(which: Rules) -> Value {
    let mut rules = vec![
        json!({"prefix": "/public", "access": "public"}),
        json!({"prefix": "/api", "access": "bearer"}),
        json!({"path": "/closed/*", "access": "deny"}),
    ];
    if which == Rules::Open {
        rules.push(json!({"prefix": "/flip", "access": "public"}));
    }
    json!(rules)
}

/// Rules that Envoy must refuse.
pub fn invalid_rules() -> Value {
    json!([{"prefix": "/", "access": "everybody"}])
}
