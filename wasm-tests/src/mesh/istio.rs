//! Istio without Kubernetes: istiod with resources in a folder, and the agent of a sidecar or of an ingress gateway with Envoy as
//! its child process. Instead of taking in every connection of a pod, which takes iptables, the sidecar has a listener of its own
//! for the app.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::{Value, json};

use super::{Apply, HOST, Parties, Plane, Resources, secrets};
use crate::{
    ports,
    process::{Running, Scratch},
    sample::Sample,
    tools,
};

const NETWORKING: &str = "networking.istio.io/v1";
/// The address of the pod. Nobody connects to it.
const POD: &str = "10.1.1.1";

/// The agent would leave Envoy behind where it is killed.
const ENVOY: &str = r#"#!/bin/sh
agent=$PPID
envoy "$@" & envoy=$!
trap 'kill $envoy' INT TERM
while kill -0 $agent && kill -0 $envoy; do sleep 0.2; done 2>/dev/null
kill -9 $envoy 2>/dev/null
wait $envoy
"#;

/// The Envoy of a pod.
#[derive(Clone, Copy)]
enum Proxy {
    /// The ingress gateway, with the labels of the one that Istio installs.
    Gateway,
    /// The one beside the app.
    Sidecar,
}

impl Proxy {
    /// The role's name on the agent's command line.
    const fn role(self) -> &'static str {
        match self {
            Self::Gateway => "router",
            Self::Sidecar => "sidecar",
        }
    }

    fn labels(self) -> Value {
        match self {
            Self::Gateway => json!({"istio": "ingressgateway"}),
            Self::Sidecar => json!({"app": "web"}),
        }
    }
}

/// The provider's address, and the authority of its certificate.
fn provider(resources: &mut Resources, parties: &Parties) {
    resources.put(
        "  resolution: DNS\n",
        &format!("  resolution: DNS\n  endpoints: [{{address: 127.0.0.1, ports: {{https: {}}}}}]\n", parties.tls),
    );
    resources.put("tls: {mode: SIMPLE}", &format!("tls: {{mode: SIMPLE, caCertificates: {}}}", Sample::certificate()));
}

/// The changes for an ingress gateway from the page on Istio, a Gateway with the app behind it, and the app's address.
pub(super) fn gateway_resources(resources: &mut Resources, parties: &Parties) {
    provider(resources, parties);
    resources.put("matchLabels: {app: web}", "matchLabels: {istio: ingressgateway}");
    resources.put("  match:\n  - mode: SERVER\n", "");
    let host = "web.shop.svc.cluster.local";
    resources.add(
        (NETWORKING, "ServiceEntry"),
        ("shop", "web"),
        json!({"spec": {
            "hosts": [host],
            "addresses": ["10.2.2.2"],
            // With another location the gateway speaks mTLS to it, and there is no authority of the mesh.
            "location": "MESH_EXTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{"address": "127.0.0.1", "ports": {"http": parties.app}}],
        }}),
    );
    let server = json!({
        "port": {"number": parties.port, "name": "http", "protocol": "HTTP"},
        "bind": "127.0.0.1",
        "hosts": [HOST],
    });
    resources.add(
        (NETWORKING, "Gateway"),
        ("shop", "web"),
        json!({"spec": {"selector": Proxy::Gateway.labels(), "servers": [server]}}),
    );
    resources.add(
        (NETWORKING, "VirtualService"),
        ("shop", "web"),
        json!({"spec": {
            "hosts": [HOST],
            "gateways": ["web"],
            "http": [{"route": [{"destination": {"host": host, "port": {"number": 80}}}]}],
        }}),
    );
}

/// The resources that exist only in Kubernetes: the pod, its service, the listener in place of iptables.
pub(super) fn resources(resources: &mut Resources, parties: &Parties) {
    provider(resources, parties);
    let labels = Proxy::Sidecar.labels();
    resources.add(
        (NETWORKING, "ServiceEntry"),
        ("shop", "web"),
        json!({"spec": {
            "hosts": ["web.shop.svc.cluster.local"],
            "addresses": ["10.2.2.2"],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": parties.app}],
            "workloadSelector": {"labels": labels},
        }}),
    );
    resources.add(
        (NETWORKING, "WorkloadEntry"),
        ("shop", "web"),
        json!({
            "spec": {"address": POD, "labels": labels},
        }),
    );
    resources.add(
        (NETWORKING, "Sidecar"),
        ("shop", "web"),
        json!({"spec": {
            "workloadSelector": {"labels": labels},
            "ingress": [{
                "port": {"number": parties.port, "name": "http", "protocol": "HTTP"},
                "bind": "127.0.0.1",
                "captureMode": "NONE",
                "defaultEndpoint": format!("127.0.0.1:{}", parties.app),
            }],
            "egress": [{"hosts": ["./*"], "captureMode": "NONE"}],
        }}),
    );
    resources.add(
        ("security.istio.io/v1", "PeerAuthentication"),
        ("shop", "default"),
        json!({
            "spec": {"mtls": {"mode": "DISABLE"}},
        }),
    );
}

/// Starts istiod with these resources, and a sidecar.
pub(super) fn start(resources: &str) -> Plane {
    start_with(Proxy::Sidecar, resources)
}

/// Starts istiod with these resources, and an ingress gateway.
pub(super) fn start_gateway(resources: &str) -> Plane {
    start_with(Proxy::Gateway, resources)
}

fn start_with(kind: Proxy, resources: &str) -> Plane {
    let tools::Istio { pilot_discovery, pilot_agent, bootstrap } = tools::istio();
    let scratch = Scratch::new("istio");
    let (home, folder) = (scratch.file("home"), scratch.file("resources"));
    for folder in [&home, &folder] {
        fs::create_dir_all(folder).expect("the target folder can be written");
    }
    write(&scratch, resources);
    let [xds, monitoring, status, health, statistics, admin_port] = std::array::from_fn(|_| ports::free());
    let discovery = format!("127.0.0.1:{xds}");
    let mesh = json!({
        "enablePrometheusMerge": false,
        "defaultConfig": {"discoveryAddress": discovery},
        "pathNormalization": {"normalization": "MERGE_SLASHES"},
    });
    fs::write(scratch.file("mesh.json"), mesh.to_string()).expect("the target folder can be written");
    let mut command = Command::new(pilot_discovery);
    command.args(["discovery", "--registries=", "--httpsAddr=", "--secureGRPCAddr=", "--httpAddr=", "--ctrlz_port=0"]);
    command.arg(format!("--grpcAddr={discovery}")).arg(format!("--monitoringAddr=127.0.0.1:{monitoring}"));
    command.arg("--configDir").arg(&folder).arg("--meshConfig").arg(scratch.file("mesh.json"));
    command.arg("--networksConfig").arg(scratch.file("networks.json"));
    command.current_dir(&home).env("HOME", &home).env("POD_NAME", "istiod").env("POD_NAMESPACE", "istio-system");
    // Filters that are in Istio's own Envoy alone, and certificates of a cluster.
    for name in ["PILOT_ENABLE_METADATA_EXCHANGE", "PILOT_ENABLE_ALPN_FILTER", "ENABLE_CA_SERVER"] {
        command.env(name, "false");
    }
    command.env("PILOT_CERT_PROVIDER", "none");
    let istiod = Running::start(&command, &scratch.file("istiod.log"));

    let proxy = scratch.file("proxy");
    fs::create_dir_all(proxy.join("var/lib/istio/data")).expect("the target folder can be written");
    let script = ENVOY.replacen("envoy \"$@\"", &format!("'{}' \"$@\"", tools::envoy().display()), 1);
    let envoy = proxy.join("envoy");
    fs::write(&envoy, script).expect("the target folder can be written");
    fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755)).expect("the target folder can be written");
    let settings = json!({
        "binaryPath": envoy, "configPath": proxy.join("etc"), "proxyBootstrapTemplatePath": bootstrap,
        "discoveryAddress": discovery, "controlPlaneAuthPolicy": "NONE", "statusPort": status,
        "proxyAdminPort": admin_port, "terminationDrainDuration": "1s", "concurrency": 2,
    });
    let mut command = Command::new(pilot_agent);
    command.args(["proxy", kind.role(), "--domain", "shop.svc.cluster.local", "--log_output_level=default:info"]);
    command.args(["--proxyLogLevel=warning", "--proxyComponentLogLevel=misc:error,wasm:info"]);
    command.current_dir(&proxy).env("HOME", &proxy).envs(secrets()).envs([
        ("PROXY_CONFIG", settings.to_string()),
        ("POD_NAME", "web-1".to_owned()),
        ("POD_NAMESPACE", "shop".to_owned()),
        ("INSTANCE_IP", POD.to_owned()),
        ("SERVICE_ACCOUNT", "default".to_owned()),
        ("JWT_POLICY", "none".to_owned()),
        // There is no authority of the mesh, and the agent does not start without its certificate.
        ("CA_ROOT_CA", "SYSTEM".to_owned()),
        ("ISTIO_META_CLUSTER_ID", "Kubernetes".to_owned()),
        ("ISTIO_METAJSON_LABELS", kind.labels().to_string()),
        ("ISTIO_META_WORKLOAD_NAME", "web".to_owned()),
        ("ISTIO_META_INTERCEPTION_MODE", "NONE".to_owned()),
        ("ENVOY_STATUS_PORT", health.to_string()),
        ("ENVOY_PROMETHEUS_PORT", statistics.to_string()),
    ]);
    let envoys = Running::start(&command, &scratch.file("log"));
    Plane { envoys, admin_port, apply: Box::new(Istiod { running: istiod, scratch }) }
}

#[derive(Debug)]
struct Istiod {
    running: Running,
    scratch: Scratch,
}

impl Apply for Istiod {
    fn apply(&self, resources: &str) {
        write(&self.scratch, resources);
    }

    fn log(&self) -> String {
        self.running.log()
    }
}

fn write(scratch: &Scratch, resources: &str) {
    let next: &Path = &scratch.file("next.yaml");
    fs::write(next, resources).expect("the target folder can be written");
    fs::rename(next, scratch.file("resources/all.yaml")).expect("the target folder can be written");
}
