//! The certified `oidc-provider` as a child process: a real OpenID provider with a few users.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::process::{Running, Scratch, said_in_json};
use crate::sample::{Sample, tls_key};
use crate::{ports, tools};

/// The PKCE verifier of RFC 7636, appendix B.
const CODE_VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The challenge of that verifier.
pub const CODE_CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A running provider. Dropping it ends it.
#[derive(Debug)]
pub struct Provider {
    running: Running,
    issuer: String,
    control: String,
    _scratch: Scratch,
}

impl Provider {
    /// Starts the provider on a free port, with these clients (see [`client`]) and the users of [`users`].
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn start(clients: &[Value]) -> Self {
        Self::start_on(0, clients)
    }

    /// Like [`Self::start`], on this port.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn start_on(port: u16, clients: &[Value]) -> Self {
        Self::with(&Settings { port, clients: clients.to_vec(), ..Settings::default() })
    }

    /// Starts the provider with these settings.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn with(given: &Settings) -> Self {
        let scratch = Scratch::new("provider");
        let settings = scratch.file("settings.json");
        // One of our own: the kernel would give away its port while it is down.
        let port = if given.port == 0 { ports::free() } else { given.port };
        let given = Settings { port, ..given.clone() };
        fs::write(&settings, given.json().to_string()).expect("the target folder can be written");
        let mut command = Command::new("node");
        command.arg(tools::provider().join("provider.mjs")).arg(settings);
        let mut running = Running::start(&command, &scratch.file("log"));
        let log = scratch.file("log");
        let ready = running.until("ready provider", || said_in_json(&log));
        let ready = ready.unwrap_or_else(|reason| panic!("the provider {reason}"));
        let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        Self { running, issuer: text("issuer"), control: text("control"), _scratch: scratch }
    }

    /// The issuer, which is also where it listens: `http://HOST:PORT`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Everything the provider has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }

    /// New keys at once; the old ones are no longer published.
    pub fn rotate_keys(&self) {
        self.control("/rotate");
    }

    /// New keys that sign from now on; the old ones stay published.
    pub fn add_keys(&self) {
        self.control("/add-key");
    }

    /// Publishes only the newest keys.
    pub fn retire_keys(&self) {
        self.control("/retire-keys");
    }

    /// Invalidates every token that was issued. Sessions at the provider stay.
    pub fn revoke_grants(&self) {
        self.control("/revoke-grants");
    }

    /// Ends every session at the provider, and every token with it.
    pub fn forget_everybody(&self) {
        self.control("/forget");
    }

    /// Closes the port: connections are refused from now on. The provider keeps its state.
    pub fn down(&self) {
        self.control("/down");
    }

    /// Opens the port again.
    pub fn up(&self) {
        self.control("/up");
    }

    /// The number of requests for this path, or of these events: `backchannel.success`, `backchannel.error`,
    /// `end_session.success`, `refresh_token.saved`.
    #[must_use]
    pub fn seen(&self, path: &str) -> u64 {
        self.control("/seen")[path].as_u64().unwrap_or(0)
    }

    /// An opaque access token by the client credentials grant (RFC 6749, 4.4), for a client with `client_secret_post`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn client_credentials_token(&self, id: &str, secret: &str, scope: &str) -> String {
        let answer = minreq::post(format!("{}/token", self.issuer))
            .with_header("content-type", "application/x-www-form-urlencoded")
            .with_body(format!("grant_type=client_credentials&scope={scope}&client_id={id}&client_secret={secret}"))
            .send()
            .expect("an answer");
        let body: Value = serde_json::from_slice(answer.as_bytes()).expect("JSON");
        body["access_token"].as_str().unwrap_or_else(|| panic!("{body}\n{}", self.log())).to_owned()
    }

    fn control(&self, action: &str) -> Value {
        let answer = minreq::post(format!("{}{action}", self.control)).with_timeout(10).send();
        let answer = answer.unwrap_or_else(|error| panic!("no provider any more: {error}\n{}", self.log()));
        serde_json::from_slice(answer.as_bytes()).expect("the control port answers in JSON")
    }
}

/// The form of a token request for a code (RFC 6749, 4.1.3) that was asked for with [`CODE_CHALLENGE`].
#[must_use]
pub const fn code_grant<'a>(code: &'a str, redirect_uri: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", CODE_VERIFIER),
    ]
}

/// The settings of a provider.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The host in its URLs, which leads to this machine. Browsers keep cookies by host, so two providers need two.
    pub host: &'static str,
    /// The port; 0 for a free one.
    pub port: u16,
    /// The port where it listens, if something else is on the one in its URLs and passes connections on.
    pub listen: Option<u16>,
    /// Further scopes that clients may be given.
    pub scopes: &'static [&'static str],
    /// The clients, see [`client`].
    pub clients: Vec<Value>,
    /// The users, see [`users`].
    pub users: Value,
    /// Lifetimes in seconds, in place of the usual ones: `{"AccessToken": 3600, "IdToken": .., "RefreshToken": ..,
    /// "Session": ..}`.
    pub ttl: Value,
    /// Whether a refresh token is used up by its use.
    pub rotate_refresh_tokens: bool,
    /// Whether `sub` is the only claim of the user in the ID token, and the userinfo endpoint has all others.
    pub claims_at_userinfo: bool,
    /// The port at which its token endpoint is by TLS too, and asks clients for a certificate.
    pub tls: Option<u16>,
    /// The port at which all of it is by TLS, as behind a proxy that ends TLS.
    pub door: Option<u16>,
    /// Whether DPoP proofs must carry a nonce of the server (RFC 9449, 8 and 9).
    pub proof_nonces: bool,
    /// The authentication context classes that it knows; it ignores others that are asked for.
    pub acr_values: &'static [&'static str],
    /// How many seconds ago a user who signs in without `max_age` has authenticated.
    pub signed_in_ago: u32,
    /// Whether there is a refresh token without `offline_access`, which this provider only grants with `prompt=consent`.
    pub always_refresh_tokens: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1",
            port: 0,
            listen: None,
            scopes: &[],
            clients: Vec::new(),
            users: users(),
            ttl: json!({}),
            rotate_refresh_tokens: true,
            claims_at_userinfo: false,
            tls: None,
            door: None,
            proof_nonces: false,
            acr_values: &[],
            signed_in_ago: 0,
            always_refresh_tokens: false,
        }
    }
}

impl Settings {
    fn json(&self) -> Value {
        json!({
            "host": self.host,
            "port": self.port,
            "listen": self.listen,
            "scopes": self.scopes,
            "clients": self.clients,
            "users": self.users,
            "ttl": self.ttl,
            "rotate_refresh_tokens": self.rotate_refresh_tokens,
            "tls": self.tls.map(by_tls),
            "door": self.door.map(by_tls),
            "claims_at_userinfo": self.claims_at_userinfo,
            "proof_nonces": self.proof_nonces,
            "acr_values": self.acr_values,
            "signed_in_ago": self.signed_in_ago,
            "always_refresh_tokens": self.always_refresh_tokens,
        })
    }
}

/// A port with the harness's certificate.
fn by_tls(port: u16) -> Value {
    json!({"port": port, "key": tls_key(), "certificate": Sample::certificate()})
}

/// A confidential client of the app at this origin, with `client_secret_basic`. Change its fields for other kinds:
/// `token_endpoint_auth_method`, `id_token_signed_response_alg`, `post_logout_redirect_uris`, `backchannel_logout_uri`, ...
#[must_use]
pub fn client(id: &str, secret: &str, external_url: &str) -> Value {
    json!({
        "client_id": id,
        "client_secret": secret,
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": [format!("{external_url}/oauth2/callback")],
        "post_logout_redirect_uris": [format!("{external_url}/oauth2/signed_out")],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    })
}

/// The users: alice with `alice-password`, bob with `bob-password`, and big with `big-password`, who is in
/// 400 groups with names such as directories give them.
#[must_use]
pub fn users() -> Value {
    json!({
        "alice": {"password": "alice-password", "claims": {
            "name": "Alice Example", "email": "alice@example.com", "email_verified": true, "groups": ["admins", "staff"],
        }},
        "bob": {"password": "bob-password", "claims": {
            "name": "Bob Example", "email": "bob@example.org", "email_verified": false, "groups": ["staff"],
        }},
        "big": {"password": "big-password", "claims": {
            "name": "Big Example", "email": "big@example.com", "email_verified": true, "groups": many_groups(),
        }},
    })
}

/// The names of 400 groups, of 36 characters each.
#[must_use]
pub fn many_groups() -> Vec<String> {
    let name = |at: u32| {
        let scrambled = at.wrapping_mul(0x9e37_79b9);
        format!("{scrambled:08x}-{:04x}-4{:03x}-a{at:03x}-{:012x}", at % 0x7fff, at * 7, u64::from(scrambled) << 12)
    };
    (1..=400).map(name).collect()
}
