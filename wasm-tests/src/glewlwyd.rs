//! Glewlwyd as a child process: a real OpenID provider of another make. Its refreshes answer with neither an ID token nor a
//! new refresh token, it gives refresh tokens without `offline_access`, its issuer has a path, its token type is in lower
//! case, and `auth_time` is 0.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    envoy::get,
    http1::Response,
    ports,
    process::{Running, Scratch},
    tools,
    user_agent::{Outgoing, UserAgent},
};

const CLIENT_ID: &str = "app";
const CLIENT_SECRET: &str = "canary-secret-at-glewlwyd";
/// The user: name and password.
const ALICE: (&str, &str) = ("alice", "alice-password");
/// The administrator in the database that Debian ships.
const ADMIN: (&str, &str) = ("admin", "password");
const SCOPES: [&str; 4] = ["openid", "email", "profile", "groups"];

/// Makes the database from what Debian ships.
const NEW_DATABASE: &str = "import gzip, sqlite3, sys
with gzip.open('/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz', 'rt') as script:
    sqlite3.connect(sys.argv[1]).executescript(script.read())";

/// A running Glewlwyd. Dropping it ends it.
#[derive(Debug)]
pub struct Glewlwyd {
    running: Running,
    url: String,
    _scratch: Scratch,
}

impl Glewlwyd {
    /// Starts on a free port, with the app at this origin as its client and Alice as its user.
    ///
    /// # Panics
    /// If it does not come up or does not take its settings, with its log.
    #[must_use]
    pub fn start(origin: &str) -> Self {
        let program = tools::glewlwyd();
        let scratch = Scratch::new("glewlwyd");
        let port = ports::free();
        let (settings, database, pages) = (scratch.file("conf"), scratch.file("db"), scratch.file("webapp"));
        let run = |command: &mut Command| {
            assert!(command.status().is_ok_and(|status| status.success()), "failed: {command:?}");
        };
        run(Command::new("python3").args(["-c", NEW_DATABASE]).arg(&database));
        run(Command::new("cp").args(["-r", "/usr/share/glewlwyd/webapp"]).arg(&pages));
        // Debian's is a link to a folder.
        let _ = fs::remove_file(pages.join("config.json"));
        run(Command::new("cp").arg("/usr/share/glewlwyd/templates/config.json").arg(&pages));
        fs::write(&settings, configuration(port, &database, &pages)).expect("the target folder can be written");
        let mut command = Command::new(program);
        command.arg("--config-file").arg(settings);
        let mut running = Running::start(&command, &scratch.file("log"));
        let ready = running.until("ready Glewlwyd", || get(port, "/config").filter(|(status, _)| *status == 200));
        ready.unwrap_or_else(|reason| panic!("Glewlwyd {reason}"));
        let glewlwyd = Self { running, url: format!("http://127.0.0.1:{port}"), _scratch: scratch };
        glewlwyd.set_up(origin);
        glewlwyd
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("{}/api/oidc", self.url)
    }

    /// Its element of `providers` in the filter's configuration.
    #[must_use]
    pub fn provider(&self) -> Value {
        json!({"issuer": self.issuer(), "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "scopes": SCOPES})
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }

    /// Signs Alice in and lets the app have what it asks for, as the pages would. Returns the callback URL that the
    /// browser, which was sent to this authorization request, is sent to then.
    ///
    /// # Panics
    /// If it does not take one of the steps.
    #[must_use]
    pub fn sign_in(&self, browser: &UserAgent, authorization: &str) -> String {
        let (username, password) = ALICE;
        self.ask(browser, "POST", "/api/auth/", &json!({"username": username, "password": password}));
        let grant = format!("/api/auth/grant/{CLIENT_ID}/");
        self.ask(browser, "PUT", &grant, &json!({"scope": SCOPES.join(" ")}));
        let answer = browser.get(&format!("{authorization}&g_continue"));
        answer.location().unwrap_or_else(|| panic!("no way back: {answer:?}\n{}", self.log()))
    }

    fn set_up(&self, origin: &str) {
        let admin = UserAgent::default();
        let ask = |method, path: &str, body: Value| self.ask(&admin, method, path, &body);
        let (username, password) = ADMIN;
        ask("POST", "/api/auth/", json!({"username": username, "password": password}));
        for scope in SCOPES {
            let settings = json!({"display_name": scope, "password_required": true, "password_max_age": 0});
            if scope == "openid" {
                ask("PUT", "/api/scope/openid", settings);
            } else {
                let mut named = settings;
                named["name"] = json!(scope);
                ask("POST", "/api/scope/", named);
            }
        }
        let (username, password) = ALICE;
        let scopes = [&SCOPES[..], &["g_profile"]].concat();
        ask(
            "POST",
            "/api/user/",
            json!({
                "username": username, "password": password, "name": "Alice Example", "email": "alice@example.com",
                "scope": scopes, "enabled": true,
            }),
        );
        ask(
            "POST",
            "/api/mod/plugin/",
            json!({
                "module": "oidc", "name": "oidc", "display_name": "OIDC", "readonly": false, "order_rank": 0,
                "parameters": self.plugin(),
            }),
        );
        ask(
            "POST",
            "/api/client/",
            json!({
                "client_id": CLIENT_ID, "name": CLIENT_ID, "confidential": true, "enabled": true, "scope": [],
                "client_secret": CLIENT_SECRET, "password": CLIENT_SECRET,
                "redirect_uri": [format!("{origin}/oauth2/callback")],
                "post_logout_redirect_uri": format!("{origin}/oauth2/signed_out"),
                "authorization_type": ["code", "refresh_token"],
                "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
            }),
        );
    }

    fn plugin(&self) -> Value {
        json!({
            "iss": self.issuer(),
            "jwt-type": "rsa", "jwt-key-size": "256",
            "key": include_str!("../keys/rsa-1.pem"), "cert": include_str!("../keys/rsa-1.pub.pem"), "jwks-show": true,
            "access-token-duration": 3600, "refresh-token-duration": 1_209_600, "code-duration": 600,
            "refresh-token-rolling": true, "auth-type-refresh-enabled": true,
            "allow-non-oidc": false, "auth-type-code-enabled": true, "auth-type-code-revoke-replayed": true,
            "pkce-allowed": true, "pkce-required": false, "subject-type": "public",
            "introspection-revocation-allowed": true, "introspection-revocation-auth-scope": [],
            "introspection-revocation-allow-target-client": true,
            "session-management-allowed": true, "session-cookie-name": "GLEWLWYD2_OIDC_SESSION",
            "session-cookie-expiration": 2_419_200, "back-channel-logout-allowed": true,
            "front-channel-logout-allowed": true,
            "client-post_logout_redirect_uri-parameter": "post_logout_redirect_uri",
            "client-backchannel_logout_uri-parameter": "backchannel_logout_uri",
            "client-backchannel_logout_session_required-parameter": "backchannel_logout_session_required",
            "name-claim": "on-demand", "name-claim-scope": ["profile"],
            "email-claim": "on-demand", "email-claim-scope": ["email"], "scope-claim": "no",
        })
    }

    fn ask(&self, browser: &UserAgent, method: &str, path: &str, body: &Value) -> Response {
        let send = Outgoing::new(method, path).header("content-type", "application/json").body(body.to_string());
        let answer = browser.visit(&format!("{}{path}", self.url), send);
        assert!(answer.status < 300, "{method} {path}: {answer:?}\n{}", self.log());
        answer
    }
}

fn configuration(port: u16, database: &Path, pages: &Path) -> String {
    format!(
        r#"port={port}
bind_address="127.0.0.1"
external_url="http://127.0.0.1:{port}"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="INFO"
cookie_secure=0
cookie_same_site="empty"
session_expiration=2419200
session_key="GLEWLWYD2_SESSION_ID"
admin_session_authentication="cookie"
profile_session_authentication="cookie"
login_api_enabled=true
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
database={{ type="sqlite3"; path="{}"; }}
static_files_path="{}/"
static_files_mime_types=(
  {{ extension=".html"; mime_type="text/html"; }},
  {{ extension=".css"; mime_type="text/css"; }},
  {{ extension=".js"; mime_type="application/javascript"; }},
  {{ extension=".json"; mime_type="application/json"; }}
)
"#,
        database.display(),
        pages.display()
    )
}
