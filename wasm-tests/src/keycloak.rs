//! Keycloak as a child process, with one realm for all scenarios of a test process: it needs half a minute to start. Each
//! scenario adds a client of its own.

use std::{fs, process::Command, sync::OnceLock};

use serde_json::{Value, json};

use crate::{
    envoy::get,
    html::Form,
    http1::Response,
    ports,
    process::{PATIENCE, Running, Scratch},
    tools,
    user_agent::UserAgent,
};

/// The secret of every client; no log may hold it.
pub const CLIENT_SECRET: &str = "canary-secret-at-keycloak";
/// The password of every user.
pub(crate) const PASSWORD: &str = "canary-password-at-keycloak";
/// The realm.
const REALM: &str = "tests";
/// The life of an access token, in seconds.
pub const ACCESS_TOKEN_LIFESPAN: i64 = 60;

/// What the realm calls the levels of authentication 1 and 2 (`acr`).
pub const LEVELS: [&str; 2] = ["silver", "gold"];

/// A running Keycloak.
#[derive(Debug)]
pub struct Keycloak {
    running: Running,
    url: String,
    _scratch: Scratch,
}

impl Keycloak {
    /// The Keycloak of this process, started by the first caller. It ends with the process.
    ///
    /// # Panics
    /// If it does not come up or does not take the realm, with its log.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Keycloak> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let installed = tools::keycloak();
        let scratch = Scratch::new("keycloak");
        let port = ports::free();
        let url = format!("http://127.0.0.1:{port}");
        let (hosts, database) = (scratch.file("hosts"), scratch.file("keycloakdb"));
        fs::write(&hosts, "127.0.0.1 app.localhost\n").expect("the target folder can be written");
        fs::copy(installed.join(tools::KEYCLOAK_DATABASE), database.with_extension("mv.db"))
            .expect("the database of the installation can be copied");
        // Not by `kc.sh`: its Java process would outlive it.
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"]);
        for package in ["util", "util.concurrent", "security", "lang"] {
            command.arg(format!("--add-opens=java.base/java.{package}=ALL-UNNAMED"));
        }
        command.arg(format!("-Dkc.home.dir={}", installed.display()));
        command.arg(format!("-Djboss.server.config.dir={}", installed.join("conf").display()));
        command.arg("-Djava.util.logging.manager=org.jboss.logmanager.LogManager");
        // The C library, which Java asks, does not know the names that browsers resolve to this machine.
        command.arg(format!("-Djdk.net.hosts.file={}", hosts.display()));
        command.arg("-cp").arg(installed.join("lib/quarkus-run.jar"));
        command.args(["io.quarkus.bootstrap.runner.QuarkusEntryPoint", "start", "--optimized", "--http-enabled=true"]);
        command.arg(format!("--http-port={port}")).arg(format!("--hostname={url}")).arg("--http-host=127.0.0.1");
        command.arg(format!("--db-url=jdbc:h2:file:{};NON_KEYWORDS=VALUE", database.display()));
        tools::progress("starting Keycloak");
        let mut running = Running::start(&command, &scratch.file("log"));
        let ready =
            running.until("ready Keycloak", || get(port, "/realms/master").filter(|(status, _)| *status == 200));
        ready.unwrap_or_else(|reason| panic!("Keycloak {reason}"));
        let keycloak = Self { running, url, _scratch: scratch };
        keycloak.ask("POST", "/admin/realms", &realm());
        keycloak
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("{}/realms/{REALM}", self.url)
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }

    /// Adds a client with this ID for the app at this origin, with changes to its representation. Returns the filter's
    /// configuration of it: an element of `providers`.
    ///
    /// # Panics
    /// If Keycloak does not take it.
    #[must_use]
    pub fn add_client(&self, id: &str, origin: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut client = client(id, origin);
        change(&mut client);
        self.admin("POST", "/clients", &client);
        json!({
            "preset": "keycloak", "with": {"url": self.url, "realm": REALM},
            "client_id": id, "client_secret": CLIENT_SECRET, "timeout_ms": 10_000,
        })
    }

    /// Calls the admin API of the realm. Returns the answer's JSON, or null.
    ///
    /// # Panics
    /// If the answer is no success.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(method, &format!("/admin/realms/{REALM}{path}"), body)
    }

    /// Adds a browser flow with two levels of authentication: a password, and a password once more in place of a second factor.
    /// Returns its ID. The realm calls the levels [`LEVELS`].
    ///
    /// # Panics
    /// If Keycloak does not take it.
    #[must_use]
    pub fn add_flow_with_levels(&self) -> String {
        let post = |path: &str, body: Value| self.admin("POST", &format!("/authentication/{path}"), &body);
        let add = |flow: &str, provider: &str| {
            post(&format!("flows/{flow}/executions/execution"), json!({"provider": provider}))
        };
        let add_flow = |flow: &str, alias: &str| {
            post(
                &format!("flows/{flow}/executions/flow"),
                json!({"alias": alias, "type": "basic-flow", "provider": ""}),
            )
        };
        post("flows", json!({"alias": "levels", "providerId": "basic-flow", "topLevel": true, "builtIn": false}));
        add("levels", "auth-cookie");
        add_flow("levels", "levels-forms");
        for (alias, form) in [("level-1", "auth-username-password-form"), ("level-2", "auth-password-form")] {
            add_flow("levels-forms", alias);
            add(alias, "conditional-level-of-authentication");
            add(alias, form);
        }
        let executions = self.admin("GET", "/authentication/flows/levels/executions", &Value::Null);
        let mut level = 0;
        for execution in executions.as_array().expect("a list") {
            let mut execution = execution.clone();
            let text = |name: &str| execution[name].as_str().unwrap_or_default().to_owned();
            let (name, provider, id) = (text("displayName"), text("providerId"), text("id"));
            let requirement = match (name.as_str(), provider.as_str()) {
                ("levels-forms", _) | (_, "auth-cookie") => "ALTERNATIVE",
                ("level-1" | "level-2", _) => "CONDITIONAL",
                _ => "REQUIRED",
            };
            execution["requirement"] = json!(requirement);
            self.admin("PUT", "/authentication/flows/levels/executions", &execution);
            if provider == "conditional-level-of-authentication" {
                level += 1;
                // Level 2 is requested at each sign-in (maximum age 0).
                let age = if level == 1 { "36000" } else { "0" };
                let config = json!({"loa-condition-level": level.to_string(), "loa-max-age": age});
                post(&format!("executions/{id}/config"), json!({"alias": format!("level-{level}"), "config": config}));
            }
        }
        let flows = self.admin("GET", "/authentication/flows", &Value::Null);
        let flow = flows.as_array().and_then(|flows| flows.iter().find(|flow| flow["alias"] == "levels"));
        flow.and_then(|flow| flow["id"].as_str()).expect("the flow").to_owned()
    }

    /// The ID of a user.
    ///
    /// # Panics
    /// If there is none of this name.
    #[must_use]
    pub fn user_id(&self, name: &str) -> String {
        let found = self.admin("GET", &format!("/users?exact=true&username={name}"), &Value::Null);
        found[0]["id"].as_str().unwrap_or_else(|| panic!("no user {name}: {found}")).to_owned()
    }

    /// The answer of the token endpoint to this client.
    ///
    /// # Panics
    /// If it is no success.
    #[must_use]
    pub fn tokens(&self, client_id: &str, grant: &[(&str, &str)]) -> Value {
        let own = [("client_id", client_id), ("client_secret", CLIENT_SECRET)];
        self.token_endpoint(REALM, &[&own, grant].concat())
    }

    /// Signs a user in by the form on the page where this URL ends. Returns the answer to the form, which leads to the
    /// callback.
    ///
    /// # Panics
    /// If there is no form.
    #[must_use]
    pub fn sign_in(&self, browser: &UserAgent, url: &str, user: &str) -> Response {
        let (at, page) = browser.follow(url).pop().expect("at least one step");
        self.post_form(browser, &at, &page.text(), user)
    }

    /// Fills in and posts the sign-in form of the page at this URL.
    ///
    /// # Panics
    /// If there is no form.
    #[must_use]
    pub fn post_form(&self, browser: &UserAgent, at: &str, html: &str, user: &str) -> Response {
        let form = Form::first(html).filter(|form| form.field("password").is_some());
        let mut form = form.unwrap_or_else(|| panic!("no sign-in form at {at}: {html}\n{}", self.log()));
        for (name, value) in &mut form.fields {
            match name.as_str() {
                "username" => user.clone_into(value),
                "password" => PASSWORD.clone_into(value),
                _ => {}
            }
        }
        let (to, send) = form.post(at);
        browser.visit(&to, send)
    }

    fn token_endpoint(&self, realm: &str, fields: &[(&str, &str)]) -> Value {
        let answer = minreq::post(format!("{}/realms/{realm}/protocol/openid-connect/token", self.url))
            .with_header("content-type", "application/x-www-form-urlencoded")
            .with_body(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish());
        self.succeeded("the token endpoint", answer)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let admin = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", tools::KEYCLOAK_ADMIN),
            ("password", tools::KEYCLOAK_ADMIN),
        ];
        let token = self.token_endpoint("master", &admin);
        let token = token["access_token"].as_str().expect("an access token");
        let method = match method {
            "DELETE" => minreq::Method::Delete,
            "GET" => minreq::Method::Get,
            "POST" => minreq::Method::Post,
            "PUT" => minreq::Method::Put,
            _ => panic!("{method} is not among these"),
        };
        let mut send = minreq::Request::new(method, format!("{}{path}", self.url))
            .with_header("authorization", format!("Bearer {token}"));
        if !body.is_null() {
            send = send.with_header("content-type", "application/json").with_body(body.to_string());
        }
        self.succeeded(path, send)
    }

    fn succeeded(&self, what: &str, send: minreq::Request) -> Value {
        let answer = send.with_timeout(PATIENCE.as_secs()).send();
        let answer = answer.unwrap_or_else(|error| panic!("no answer from {what}: {error}\n{}", self.log()));
        let text = String::from_utf8_lossy(answer.as_bytes());
        assert!((200..300).contains(&answer.status_code), "{what}: {} {text}", answer.status_code);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }
}

/// A role `editor`, a group `staff`, and three users in it.
fn realm() -> Value {
    let user = |name: &str, roles: &[&str]| {
        json!({
            "username": name, "enabled": true, "email": format!("{name}@example.com"), "emailVerified": true,
            "firstName": "Zo\u{eb}", "lastName": "M\u{f6}ller", "groups": ["staff"], "realmRoles": roles,
            "credentials": [{"type": "password", "value": PASSWORD}],
        })
    };
    json!({
        "realm": REALM, "enabled": true, "accessTokenLifespan": ACCESS_TOKEN_LIFESPAN,
        "attributes": {"acr.loa.map": json!({LEVELS[0]: 1, LEVELS[1]: 2}).to_string()},
        "roles": {"realm": [{"name": "editor"}]},
        "groups": [{"name": "staff"}],
        "users": [user("alice", &["editor"]), user("bob", &[]), user("carol", &[])],
    })
}

fn client(id: &str, origin: &str) -> Value {
    json!({
        "clientId": id, "secret": CLIENT_SECRET,
        "redirectUris": [format!("{origin}/oauth2/callback")],
        "attributes": {
            "post.logout.redirect.uris": format!("{origin}/oauth2/signed_out"),
            "pkce.code.challenge.method": "S256",
        },
        "protocolMappers": [{
            "name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper",
            "config": {"claim.name": "groups", "full.path": "false", "id.token.claim": "true"},
        }],
    })
}

/// The mapper that puts the realm's roles into ID tokens; as installed they are in access tokens alone.
#[must_use]
pub fn roles_in_id_tokens() -> Value {
    json!({
        "name": "roles", "protocol": "openid-connect", "protocolMapper": "oidc-usermodel-realm-role-mapper",
        "config": {"claim.name": "realm_access.roles", "multivalued": "true", "id.token.claim": "true"},
    })
}

/// The mapper that puts these groups into the ID tokens of all users.
#[must_use]
pub fn groups(names: &[String]) -> Value {
    json!({
        "name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-hardcoded-claim-mapper",
        "config": {
            "claim.name": "groups", "claim.value": json!(names).to_string(), "jsonType.label": "JSON", "id.token.claim": "true",
        },
    })
}

/// The mapper that makes access tokens good for this audience.
#[must_use]
pub fn audience(audience: &str) -> Value {
    json!({
        "name": "audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": audience, "access.token.claim": "true"},
    })
}

/// The mapper that makes access tokens good for this client, which is a service then.
#[must_use]
pub fn audience_of_client(client_id: &str) -> Value {
    json!({
        "name": client_id, "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
        "config": {"included.client.audience": client_id, "access.token.claim": "true"},
    })
}
