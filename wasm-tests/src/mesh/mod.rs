//! Control planes without Kubernetes, which hand a real Envoy the filter from their file in `envoy/`. The file stays as it is
//! but for what belongs to a cluster: the app, the addresses of the provider and of the registry.

mod envoy_gateway;
mod istio;
mod registry;

use std::{
    fmt::{Debug, Write as _},
    fs, thread,
};

use serde_json::{Value, json};

use crate::{
    envoy::{READY, get},
    http1::Response,
    ports,
    process::Running,
    provider::{Provider, Settings, client},
    sample::{Sample, add_user},
    site::{CLIENT_SECRET, sign_in},
    tools,
    upstream::{MARK, Upstream},
    user_agent::{Outgoing, UserAgent},
    world::SESSION_KEY,
};
use registry::Registry;

/// What the files call the provider, the app and the module.
const ISSUER: &str = "https://idp.example.com";
const APP: &str = "https://web.example.com";
const MODULE: &str = "registry.example.com/vestibule:0.1.0";
/// The public path of the files.
pub const PUBLIC: &str = "/evaluate/v1/x";
/// The cluster that no control plane makes.
pub const NO_CLUSTER: &str = "no-such-cluster";
/// More requests than a worker is passed over by.
const EVERY_WORKER: usize = 16;
/// Which host of this machine the browser takes for the app.
const HOST: &str = "web.localhost";

/// The programs between the browser and the app: a control plane and its Envoy.
#[derive(Debug)]
struct Plane {
    /// The control plane, or all of it that writes Envoy's log.
    envoys: Running,
    /// Where Envoy's admin interface is.
    admin_port: u16,
    /// Hands over another version of the file.
    apply: Box<dyn Apply>,
}

/// How a control plane takes a file with resources.
trait Apply: Debug {
    fn apply(&self, resources: &str);

    /// The log of the control plane, without that of Envoy.
    fn log(&self) -> String {
        String::new()
    }
}

/// A control plane, Envoy with the filter, a real provider, the app. Dropping it ends all of them.
pub struct Mesh {
    /// The provider. Browsers reach it in plain text, Envoy by TLS.
    pub provider: Provider,
    /// The app.
    pub app: Upstream,
    plane: Plane,
    resources: Resources,
    parties: Parties,
}

/// Where the parties are.
struct Parties {
    /// The port at which Envoy takes the browser's requests.
    port: u16,
    app: u16,
    issuer: String,
    /// The provider's port for TLS.
    tls: u16,
    registry: Registry,
}

impl Parties {
    fn origin(&self) -> String {
        format!("http://{HOST}:{}", self.port)
    }
}

impl Mesh {
    /// Envoy Gateway with `envoy/envoy-gateway.yaml`.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn envoy_gateway() -> Self {
        Self::start(Resources::of("envoy-gateway.yaml"), envoy_gateway::resources, envoy_gateway::start)
    }

    /// Istio with `envoy/istio.yaml`, before the sidecar's app.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn istio() -> Self {
        Self::start(Resources::of("istio.yaml"), istio::resources, istio::start)
    }

    /// Istio with `envoy/istio.yaml` as the page on Istio says for an ingress gateway.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn istio_gateway() -> Self {
        Self::start(Resources::of("istio.yaml"), istio::gateway_resources, istio::start_gateway)
    }

    /// Istio with `envoy/istio-envoyfilter.yaml` in place of the `WasmPlugin`.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    #[must_use]
    pub fn istio_with_envoy_filter() -> Self {
        let (filter, all) = (Resources::of("istio-envoyfilter.yaml"), Resources::of("istio.yaml"));
        let (plugin, others) = all.0.split_once("---\n").expect("the end of the WasmPlugin");
        assert!(plugin.contains("kind: WasmPlugin"), "the first part is no WasmPlugin:\n{plugin}");
        Self::start(Resources(format!("{}---\n{others}", filter.0)), istio::resources, istio::start)
    }

    /// Starts it with [`NO_CLUSTER`] in the file in place of the provider's cluster.
    fn start(mut resources: Resources, stand_in: fn(&mut Resources, &Parties), start: fn(&str) -> Plane) -> Self {
        let (app, port, tls) = (Upstream::start(), ports::free(), ports::free());
        let mut given = Settings {
            host: "localhost",
            door: Some(tls),
            clients: vec![client("web", CLIENT_SECRET, &format!("http://{HOST}:{port}"))],
            ..Settings::default()
        };
        add_user(&mut given.users, CAROL, &["guests"]);
        let provider = Provider::with(&given);
        let issuer = provider.issuer().to_owned();
        let parties = Parties { port, app: app.port(), issuer, tls, registry: Registry::start(&tools::module()) };
        resources.put(ISSUER, &parties.issuer);
        resources.put(APP, &parties.origin());
        resources.put(MODULE, &parties.registry.image());
        stand_in(&mut resources, &parties);
        let plane = start(&resources.with_cluster(NO_CLUSTER));
        let mut mesh = Self { provider, app, plane, resources, parties };
        mesh.until("public page", PUBLIC, |answer| answer.headers.has(MARK));
        mesh
    }

    /// Hands the control plane the file with the provider's cluster in it, and waits until the filter knows the provider.
    pub fn name_the_cluster(&mut self) {
        self.plane.apply.apply(&self.resources.0);
        self.until("filter that knows its provider", "/oauth2/health", |answer| answer.text().contains(READY));
    }

    fn until(&mut self, what: &str, path: &str, holds: fn(&Response) -> bool) {
        let (url, send) = (self.url(path), Outgoing::fetch(path));
        let found = self.plane.envoys.until(what, || {
            // Every worker takes some of them.
            let holds = || UserAgent::default().send(&url, &send).is_ok_and(|answer| holds(&answer));
            (0..EVERY_WORKER).all(|_| holds()).then_some(())
        });
        found.unwrap_or_else(|reason| panic!("the control plane {reason}\n{}", self.plane.apply.log()));
    }

    /// The URL of a path of the app.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.parties.origin())
    }

    /// Signs this user in with the provider's form on the way to this page. Returns the browser and what came then.
    #[must_use]
    pub fn sign_in(&self, user: (&str, &str), path: &str) -> (UserAgent, Response) {
        let browser = UserAgent::default();
        let (_, page) = sign_in(&browser, &self.url(path), user, &|| self.log());
        (browser, page)
    }

    /// Checks that a request reaches the app.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn assert_passes(&self, response: &Response) {
        assert_eq!((response.status, response.headers.has(MARK)), (200, true), "{response:?}\n{}", self.log());
    }

    /// Checks that a request is refused, by the filter with this code or by Envoy without one, and that the app sees
    /// nothing of it and then serves a public page.
    ///
    /// # Panics
    /// When it is not so.
    #[track_caller]
    pub fn assert_refused(&self, browser: &UserAgent, send: Outgoing, expected: (u16, Option<&str>)) -> Response {
        let what = String::from_utf8_lossy(&send.target).into_owned();
        let before = self.app.count();
        let response = browser.visit(&self.url(&what), send);
        assert_eq!((response.status, response.code().as_deref()), expected, "{what}: {response:?}\n{}", self.log());
        self.app.assert_saw_nothing_since(before, &what);
        self.assert_passes(&UserAgent::default().fetch(&self.url(PUBLIC)));
        response
    }

    /// What the control plane and Envoy have logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.plane.envoys.log()
    }

    /// Envoy's configuration.
    ///
    /// # Panics
    /// When its admin interface is gone.
    #[must_use]
    pub fn configuration(&self) -> String {
        get(self.plane.admin_port, "/config_dump?include_eds").expect("Envoy's admin interface").1
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let log = self.log();
        for word in ["panicked", "Function: proxy_on", CLIENT_SECRET, SESSION_KEY] {
            assert!(!log.contains(word), "{word:?} stands in Envoy's log:\n{log}");
        }
    }
}

/// A user in no group that the files let in.
pub const CAROL: (&str, &str) = ("carol", "carol-password");

/// The file of a control plane.
struct Resources(String);

impl Resources {
    fn of(file: &str) -> Self {
        Self(fs::read_to_string(tools::root().join("envoy").join(file)).expect("a file of the repository"))
    }

    /// Replaces `there`, which must occur in the file, by `here`.
    #[track_caller]
    fn put(&mut self, there: &str, here: &str) {
        assert!(self.0.contains(there), "{there:?} does not stand in:\n{}", self.0);
        self.0 = self.0.replace(there, here);
    }

    /// With this one in place of the provider's cluster.
    fn with_cluster(&self, cluster: &str) -> String {
        let named = self.0.split_once("cluster: ").and_then(|(_, rest)| rest.split([' ', '\n']).next());
        let named = named.expect("the provider's cluster");
        self.0.replacen(&format!("cluster: {named}"), &format!("cluster: {cluster}"), 1)
    }

    /// Adds a resource.
    fn add(&mut self, kind: (&str, &str), (namespace, name): (&str, &str), body: Value) {
        let mut resource = json!({
            "apiVersion": kind.0, "kind": kind.1, "metadata": {"namespace": namespace, "name": name},
        });
        for (field, value) in body.as_object().expect("fields") {
            resource[field] = value.clone();
        }
        let _ = write!(self.0, "---\n{resource}\n");
    }
}

/// The variables of Envoy's environment that the files name.
fn secrets() -> [(&'static str, &'static str); 2] {
    [("OIDC_CLIENT_SECRET", CLIENT_SECRET), ("VESTIBULE_KEY", SESSION_KEY)]
}

/// The certificate that the provider shows Envoy.
fn certificate() -> String {
    fs::read_to_string(Sample::certificate()).expect("a file of the repository")
}
