//! Envoy Gateway without Kubernetes: resources in a folder, Envoy as its child process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::{Apply, Parties, Plane, Resources, certificate, secrets};
use crate::{
    process::{Running, Scratch, read_text},
    tools,
};

const GATEWAY: &str = "gateway.envoyproxy.io/v1alpha1";
/// The folder of our Envoy among those that Envoy Gateway would otherwise fetch.
const ENVOY_VERSION: &str = "1.40.0";
/// Where Envoy Gateway serves the modules that it has pulled.
const MODULES: (&str, u16) = ("127.0.0.1", 18002);

/// Replaces the resources that exist only in Kubernetes.
pub(super) fn resources(resources: &mut Resources, parties: &Parties) {
    resources.put(
        "    protocol: HTTPS\n    port: 443\n    tls: {mode: Terminate, certificateRefs: [{name: web-tls}]}\n",
        &format!("    protocol: HTTP\n    port: {}\n", parties.port),
    );
    resources.put("hostnames: [web.example.com]", &format!("hostnames: [{}]", super::HOST));
    resources.put(
        "backendRefs: [{name: web, port: 80}]",
        "backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: app}]",
    );
    let (proxy, others) = resources.0.split_once("---\n").expect("the end of EnvoyProxy");
    let (common, pod) = proxy.split_once("    type: Kubernetes\n").expect("the environment of Envoy");
    assert!(secrets().iter().all(|(name, _)| pod.contains(&format!("- name: {name}\n"))), "no secrets in:\n{pod}");
    let host = format!("    type: Host\n    host: {{envoyVersion: {ENVOY_VERSION}}}\n");
    resources.0 = format!("{common}{host}---\n{others}");
    resources.put("kind: Backend, name: idp, port: 443", &format!("kind: Backend, name: idp, port: {}", parties.tls));
    resources.put(
        "{fqdn: {hostname: idp.example.com, port: 443}}",
        &format!("{{ip: {{address: 127.0.0.1, port: {}}}}}", parties.tls),
    );
    resources.put(
        "{sni: idp.example.com, wellKnownCACertificates: System}",
        "{sni: localhost, caCertificateRefs: [{group: '', kind: ConfigMap, name: tests-ca}]}",
    );
    resources.add(
        ("gateway.networking.k8s.io/v1", "GatewayClass"),
        ("", "eg"),
        json!({
            "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
        }),
    );
    resources.add(
        (GATEWAY, "Backend"),
        ("shop", "app"),
        json!({
            "spec": {"endpoints": [{"ip": {"address": "127.0.0.1", "port": parties.app}}]},
        }),
    );
    resources.add(("v1", "ConfigMap"), ("shop", "tests-ca"), json!({"data": {"ca.crt": certificate()}}));
}

/// Starts it with these resources, and Envoy with it.
pub(super) fn start(resources: &str) -> Plane {
    let program = tools::envoy_gateway();
    let scratch = Scratch::new("envoy-gateway");
    let folder =
        Folder { resources: scratch.file("resources"), certificates: scratch.file("config/certs/envoy"), scratch };
    let envoys = folder.scratch.file(&format!("data/envoy-versions/{ENVOY_VERSION}/bin"));
    for folder in [&folder.resources, &envoys] {
        fs::create_dir_all(folder).expect("the target folder can be written");
    }
    std::os::unix::fs::symlink(tools::envoy(), envoys.join("envoy")).expect("the target folder can be written");
    let home = folder.scratch.file("");
    let settings = folder.scratch.file("settings.json");
    fs::write(&settings, configuration(&folder).to_string()).expect("the target folder can be written");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).env("HOME", &home).envs(secrets());
        command
    };
    let config_home = folder.scratch.file("config").display().to_string();
    let made = run(&["certgen", "--local", "--config-home", &config_home]).output().expect("Envoy Gateway runs");
    assert!(made.status.success(), "{made:?}");
    folder.apply(resources);
    let command = run(&["server", "--config-path", &settings.display().to_string()]);
    let mut envoys = Running::start(&command, &folder.scratch.file("log"));
    let state = folder.scratch.file("");
    let admin_port = envoys.until("admin port of Envoy", || {
        let address = read_text(&find(&state, "admin-address.txt")?);
        address.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok())
    });
    let admin_port = admin_port.unwrap_or_else(|reason| panic!("Envoy Gateway {reason}"));
    Plane { envoys, admin_port, apply: Box::new(folder) }
}

/// The first file of this name below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries
        .iter()
        .find(|path| path.is_file() && path.ends_with(name))
        .cloned()
        .or_else(|| entries.iter().filter(|path| path.is_dir() && !path.is_symlink()).find_map(|path| find(path, name)))
}

#[derive(Debug)]
struct Folder {
    resources: PathBuf,
    certificates: PathBuf,
    scratch: Scratch,
}

impl Apply for Folder {
    fn apply(&self, resources: &str) {
        // Envoy Gateway takes a file that is half written for a deletion of the rest, so it is moved into place.
        let next = self.scratch.file("next.yaml");
        let text = format!("{resources}---\n{}\n", module_server(&self.certificates));
        fs::write(&next, text).expect("the target folder can be written");
        fs::rename(next, self.resources.join("all.yaml")).expect("the target folder can be written");
    }
}

fn configuration(folder: &Folder) -> Value {
    let file = |name: &str| folder.scratch.file(name).display().to_string();
    json!({
        "apiVersion": GATEWAY,
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
        "provider": {"type": "Custom", "custom": {
            "resource": {"type": "File", "file": {"paths": [folder.resources]}},
            "infrastructure": {"type": "Host", "host": {
                "configHome": file("config"), "dataHome": file("data"), "stateHome": file("state"), "runtimeDir": file("run"),
            }},
        }},
        "logging": {"level": {"default": "info"}},
        "extensionApis": {"enableBackend": true, "enableEnvoyPatchPolicy": true},
    })
}

/// In a pod, Envoy reaches Envoy Gateway's modules by a name of the cluster and with certificates in `/certs`.
fn module_server(certificates: &Path) -> Value {
    let file = |name: &str| json!({"filename": certificates.join(name)});
    let (address, port) = MODULES;
    let socket = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {
                "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
                "tls_certificates": [{"certificate_chain": file("tls.crt"), "private_key": file("tls.key")}],
                "validation_context": {"trusted_ca": file("ca.crt")},
            },
        },
    });
    let patch = |path: &str, value: Value| {
        json!({
            "type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "wasm_cluster",
            "operation": {"op": "replace", "path": path, "value": value},
        })
    };
    json!({
        "apiVersion": GATEWAY,
        "kind": "EnvoyPatchPolicy",
        "metadata": {"namespace": "shop", "name": "module-server"},
        "spec": {
            "targetRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"},
            "type": "JSONPatch",
            "jsonPatches": [
                patch("/transport_socket", socket),
                patch("/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address", json!({"address": address, "port_value": port})),
            ],
        },
    })
}
