//! The files of `envoy/` with addresses and secrets put in, and nothing else changed: their TLS settings are in force.

mod in_use;

use std::fs;

use serde_json::{Value, json};

use crate::{envoy::Setup, ports, tools, world::SESSION_KEY};
pub use in_use::{InUse, add_user, assert_passes};

/// Where the files expect the module.
const MODULE: &str = "/etc/envoy/vestibule.wasm";
/// The CAs that they trust.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A file of `envoy/`, with what has been put into it.
#[derive(Debug, Clone)]
pub struct Sample {
    text: String,
    variables: Vec<(String, String)>,
    doors: Vec<(u16, u16)>,
}

impl Sample {
    /// The file of this name, for the listener, the app and the external URL of this setup.
    ///
    /// # Panics
    /// If there is none, or if it lacks a text that all of them have.
    #[must_use]
    pub fn of(file: &str, setup: &Setup) -> Self {
        let text = fs::read_to_string(tools::root().join("envoy").join(file)).expect("a file of the repository");
        let mut sample = Self { text, variables: Vec::new(), doors: Vec::new() };
        let address = |host: &str, port: u16| format!("{{address: {host}, port_value: {port}}}");
        sample.put(&address("0.0.0.0", 10000), &address("127.0.0.1", setup.port));
        sample.put(&address("127.0.0.1", 3000), &address("127.0.0.1", setup.app));
        sample.put("https://app.example.com", &setup.external_url());
        sample.put(MODULE, tools::module().to_str().expect("a path in UTF-8"));
        sample.secret("VESTIBULE_KEY", SESSION_KEY);
        sample
    }

    /// Replaces the text `there` by `here`.
    ///
    /// # Panics
    /// If the file does not have the text.
    #[track_caller]
    pub fn put(&mut self, there: &str, here: &str) {
        assert!(self.text.contains(there), "{there:?} does not stand in:\n{}", self.text);
        self.text = self.text.replace(there, here);
    }

    /// Whether the file takes this variable of Envoy's environment.
    #[must_use]
    pub fn names(&self, variable: &str) -> bool {
        self.text.contains(&format!("{{env: {variable}}}"))
    }

    /// Sets a variable of Envoy's environment, which the file has to name.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn secret(&mut self, name: &str, value: &str) {
        assert!(self.names(name), "{name} does not stand in:\n{}", self.text);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Trusts the certificate of the providers' doors, in place of the public CAs.
    pub fn trust_the_doors(&mut self) {
        self.put(TRUSTED, &Self::certificate());
    }

    /// The file with their certificate.
    #[must_use]
    pub fn certificate() -> String {
        key("tls.pub.pem")
    }

    /// The port of a new door before the provider that listens on this port. The door speaks TLS with Envoy, as the
    /// file configures it, and plain HTTP with browsers, which would not trust its certificate.
    pub fn door(&mut self, provider: u16) -> u16 {
        let port = ports::free();
        self.doors.push((port, provider));
        port
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// Envoy's bootstrap beside the file: its admin port, and the doors.
    pub(crate) fn beside(&self) -> Value {
        json!({
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "static_resources": {
                "listeners": self.doors.iter().map(|(port, provider)| listener(*port, *provider)).collect::<Vec<_>>(),
                "clusters": self.doors.iter().map(|(_, provider)| cluster(*provider)).collect::<Vec<_>>(),
            },
        })
    }
}

fn key(file: &str) -> String {
    tools::root().join("wasm-tests/keys").join(file).display().to_string()
}

fn behind(provider: u16) -> String {
    format!("behind the door to {provider}")
}

fn cluster(provider: u16) -> Value {
    let name = behind(provider);
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": provider}});
    let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": address}}]}]);
    json!({"name": name, "connect_timeout": "2s", "load_assignment": {"cluster_name": name, "endpoints": endpoints}})
}

fn listener(port: u16, provider: u16) -> Value {
    let typed = |name: &str, message: &str| json!({"name": format!("envoy.{name}"), "typed_config": {"@type": format!("type.googleapis.com/envoy.extensions.{message}")}});
    let mut proxy = typed("filters.network.tcp_proxy", "filters.network.tcp_proxy.v3.TcpProxy");
    proxy["typed_config"]["stat_prefix"] = json!("door");
    proxy["typed_config"]["cluster"] = json!(behind(provider));
    let mut tls = typed("transport_sockets.tls", "transport_sockets.tls.v3.DownstreamTlsContext");
    tls["typed_config"]["common_tls_context"]["tls_certificates"] = json!([{
        "certificate_chain": {"filename": key("tls.pub.pem")}, "private_key": {"filename": key("tls.pem")},
    }]);
    json!({
        "name": format!("door on {port}"),
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "listener_filters": [
            typed("filters.listener.tls_inspector", "filters.listener.tls_inspector.v3.TlsInspector"),
        ],
        "filter_chains": [
            {"filter_chain_match": {"transport_protocol": "tls"}, "filters": [proxy], "transport_socket": tls},
            {"filter_chain_match": {"transport_protocol": "raw_buffer"}, "filters": [proxy]},
        ],
    })
}
