//! Envoy's bootstrap for a test: one listener with the filter, the app behind it, the way to the providers.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{browser::Browser, clock::Clock, ports, sample::Sample, tools};

/// In which of its two forms the filter's configuration is handed to Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigurationAs {
    /// JSON in a `StringValue`, as Istio and Envoy Gateway do.
    Json,
    /// A `Struct`, as plain YAML in an Envoy file becomes.
    Struct,
}

/// Envoy's set-up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The listener's port.
    pub port: u16,
    /// The app's port on 127.0.0.1.
    pub app: u16,
    /// The filter's configuration document; null means no filter at all.
    pub configuration: Value,
    /// The form in which it is handed over.
    pub configuration_as: ConfigurationAs,
    /// The module; the built filter unless a test brings its own.
    pub module: Option<PathBuf>,
    /// Environment variables of the filter's VM.
    pub variables: Vec<(String, String)>,
    /// Further clusters: name and port on 127.0.0.1.
    pub clusters: Vec<(String, u16)>,
    /// Further clusters with all that they say.
    pub whole_clusters: Vec<Value>,
    /// Flags of Envoy's runtime, in place of its defaults.
    pub runtime: Value,
    /// Fields of the HTTP connection manager, added to or put in place of ours.
    pub connection_manager: Map<String, Value>,
    /// Further HTTP filters before ours.
    pub filters_before: Vec<Value>,
    /// Further HTTP filters between ours and the router.
    pub filters_behind: Vec<Value>,
    /// The number of worker threads.
    pub workers: u32,
    /// Whether Envoy hands over a request's body while its headers are held (`allow_on_headers_stop_iteration`).
    pub bodies_while_headers_are_held: bool,
    /// The clock that Envoy goes by; the machine's if there is none.
    pub clock: Option<Clock>,
    /// Whether the listener comes from a file of its own, which Envoy watches: see [`super::Envoy::reload`].
    pub reloads: bool,
    /// How many bytes of a body Envoy keeps at most while a filter has it wait.
    pub buffer_limit: u32,
    /// For how many seconds requests go on under a configuration that was replaced.
    pub drain_seconds: u32,
    /// The file that configures all of this in our place, except the ports, the workers and the clock.
    pub sample: Option<Sample>,
}

impl Setup {
    /// Before the app on this port: the filter's listener on a free one, no configuration yet, two workers.
    #[must_use]
    pub fn new(app: u16) -> Self {
        Self {
            port: ports::free(),
            app,
            configuration: Value::Null,
            configuration_as: ConfigurationAs::Json,
            module: None,
            variables: Vec::new(),
            clusters: Vec::new(),
            whole_clusters: Vec::new(),
            runtime: json!({}),
            connection_manager: Map::new(),
            filters_before: Vec::new(),
            filters_behind: Vec::new(),
            workers: 2,
            bodies_while_headers_are_held: false,
            clock: None,
            reloads: false,
            buffer_limit: 1 << 20,
            drain_seconds: 1,
            sample: None,
        }
    }

    /// The origin under which a browser reaches the listener. Every browser resolves it to this machine, and treats it
    /// as another site than 127.0.0.1.
    #[must_use]
    pub fn external_url(&self) -> String {
        format!("{}://app.localhost:{}", Browser::chosen().scheme(), self.port)
    }

    /// With this configuration document for the filter.
    #[must_use]
    pub fn configuration(self, configuration: Value) -> Self {
        Self { configuration, ..self }
    }

    /// With the configuration handed over in this form.
    #[must_use]
    pub fn configuration_as(self, configuration_as: ConfigurationAs) -> Self {
        Self { configuration_as, ..self }
    }

    /// With an environment variable in the filter's VM.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With one more cluster, which reaches a port on 127.0.0.1.
    #[must_use]
    pub fn cluster(mut self, name: &str, port: u16) -> Self {
        self.clusters.push((name.to_owned(), port));
        self
    }

    /// With a field of the HTTP connection manager, such as `path_with_escaped_slashes_action`.
    #[must_use]
    pub fn connection_manager(mut self, field: &str, value: Value) -> Self {
        self.connection_manager.insert(field.to_owned(), value);
        self
    }

    /// With this number of worker threads.
    #[must_use]
    pub fn workers(self, workers: u32) -> Self {
        Self { workers, ..self }
    }

    /// With this clock for Envoy and the filter.
    #[must_use]
    pub fn clock(self, clock: &Clock) -> Self {
        Self { clock: Some(clock.clone()), ..self }
    }

    /// The whole bootstrap; where the listener has a file of its own, without it.
    pub(super) fn bootstrap(&self, access_log: &Path, listeners: &Path) -> Value {
        let mut clusters = vec![app_cluster(self.app), provider_cluster()];
        clusters.extend(self.clusters.iter().map(|(name, port)| static_cluster(name, *port)));
        clusters.extend(self.whole_clusters.iter().cloned());
        let mut bootstrap = json!({
            "admin": {"address": address(0)},
            "node": {"id": "test", "cluster": "tests"},
            "static_resources": {"clusters": clusters},
            "layered_runtime": {"layers": [{"name": "tests", "static_layer": self.runtime}]},
        });
        if self.reloads {
            let source = json!({"path_config_source": {"path": listeners}, "resource_api_version": "V3"});
            bootstrap["dynamic_resources"] = json!({"lds_config": source});
        } else {
            bootstrap["static_resources"]["listeners"] = json!([self.listener(access_log)]);
        }
        bootstrap
    }

    /// The content of the listener's own file.
    pub(super) fn listeners(&self, access_log: &Path) -> Value {
        let mut listener = self.listener(access_log);
        listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
        json!({"resources": [listener]})
    }

    fn listener(&self, access_log: &Path) -> Value {
        json!({
            "name": "front",
            "address": address(self.port),
            "per_connection_buffer_limit_bytes": self.buffer_limit,
            "filter_chains": [{"filters": [self.http_connection_manager(access_log)]}],
        })
    }

    fn http_connection_manager(&self, access_log: &Path) -> Value {
        let mut filters = self.filters_before.clone();
        if !self.configuration.is_null() {
            filters.push(self.filter());
        }
        filters.extend(self.filters_behind.iter().cloned());
        filters.push(json!({
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }));
        let mut manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "front",
            "normalize_path": true,
            "merge_slashes": true,
            "path_with_escaped_slashes_action": "REJECT_REQUEST",
            "use_remote_address": true,
            "stream_idle_timeout": "300s",
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "access_log": [access_log_to(access_log)],
            "http_filters": filters,
            "route_config": {"virtual_hosts": [
                {"name": "app", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]},
            ]},
        });
        for (field, value) in &self.connection_manager {
            manager[field] = value.clone();
        }
        json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager})
    }

    fn filter(&self) -> Value {
        let module = self.module.clone().unwrap_or_else(tools::module);
        let variables: Map<String, Value> =
            self.variables.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let configuration = match self.configuration_as {
            ConfigurationAs::Json => json!({
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": self.configuration.to_string(),
            }),
            ConfigurationAs::Struct => json!({
                "@type": "type.googleapis.com/google.protobuf.Struct",
                "value": self.configuration,
            }),
        };
        json!({
            "name": "vestibule",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": "vestibule",
                    "root_id": "vestibule",
                    "failure_policy": "FAIL_RELOAD",
                    "reload_config": {"backoff": {"base_interval": "0.05s", "max_interval": "1s"}},
                    "allow_on_headers_stop_iteration": self.bodies_while_headers_are_held,
                    "configuration": configuration,
                    "vm_config": {
                        "vm_id": "vestibule",
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": module}},
                        "environment_variables": {"key_values": variables},
                    },
                },
            },
        })
    }
}

fn access_log_to(file: &Path) -> Value {
    let line = "%REQUEST_HEADER(:method)% %PATH(NQ)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% \
                %FILTER_STATE(wasm.vestibule_user:PLAIN)%\n";
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": file,
            "log_format": {"text_format_source": {"inline_string": line}},
        },
    })
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

/// The app takes trailers.
fn app_cluster(port: u16) -> Value {
    let mut cluster = static_cluster("app", port);
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
        },
    });
    cluster
}

fn static_cluster(name: &str, port: u16) -> Value {
    json!({
        "name": name,
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    })
}

/// One cluster for every provider: it resolves the host that the request names.
fn provider_cluster() -> Value {
    json!({
        "name": "idp",
        "connect_timeout": "2s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.dynamic_forward_proxy",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
                "dns_cache_config": {"name": "idp", "dns_lookup_family": "V4_PREFERRED"},
            },
        },
        // Shorter than a provider keeps an idle connection: a request on a connection that the provider closes would
        // get 503.
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"idle_timeout": "2s"},
            "upstream_http_protocol_options": {"auto_sni": true, "auto_san_validation": true},
            "explicit_http_config": {"http_protocol_options": {}},
        }},
    })
}
