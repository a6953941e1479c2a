//! The Envoys: each with another filter before the same direct response.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Value, json};

use wasm_tests::{
    envoy::{Envoy, Setup},
    issuer::Issuer,
    ports,
    process::Scratch,
    tools, usage,
};

use crate::{
    filters::{self, Tokens, Vestibule},
    floor::Floor,
    peers::{self, Oauth2Proxy},
};

/// The filter of an Envoy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// None at all.
    Alone,
    /// One written by hand.
    Floor(Floor),
    /// `jwt_authn`
    JwtAuthn { is_cached: bool },
    /// One that does nothing, written with the SDK.
    Noop,
    /// `oauth2`
    Oauth2,
    /// `ext_authz` with oauth2-proxy
    Oauth2Proxy,
    /// `oauth2` and `jwt_authn`
    Pair,
    /// Vestibule.
    Vestibule(Vestibule),
}

impl Filter {
    /// Whether it runs in a VM.
    pub const fn is_module(&self) -> bool {
        matches!(self, Self::Floor(_) | Self::Noop | Self::Vestibule(_))
    }
}

/// A place for an Envoy. It has the same port each time, so that a session is good after another start.
#[derive(Debug, Clone)]
pub struct Site {
    pub filter: Filter,
    pub port: u16,
}

impl Site {
    pub fn new(filter: Filter) -> Self {
        Self { filter, port: ports::free() }
    }

    /// Vestibule of this build, as usual.
    pub fn vestibule() -> Self {
        Self::new(Filter::Vestibule(Vestibule::default()))
    }
}

/// What every Envoy needs.
pub struct World {
    pub issuer: Issuer,
    /// The binary, or why there is none.
    pub oauth2_proxy: Result<PathBuf, String>,
    noop: PathBuf,
    scratch: Scratch,
}

impl World {
    /// Everything is installed and built.
    pub fn prepare() -> Self {
        let issuer = Issuer::start();
        // Nothing may expire while it is measured.
        issuer.terms(|terms| {
            terms.id_token_seconds = 24 * 3600;
            terms.expires_in = Some(json!(24 * 3600));
        });
        let _ = tools::envoy();
        let _ = tools::module();
        Self { issuer, oauth2_proxy: peers::install(), noop: tools::noop(), scratch: Scratch::new("bench") }
    }

    /// An access token that the issuer has signed for our API.
    pub fn access_token(&self) -> Vec<u8> {
        let token = self.issuer.access_token(filters::API, |token| token.set("exp", token.issued_at() + 24 * 3600));
        format!("authorization: Bearer {token}").into_bytes()
    }

    /// The Envoy's set-up.
    pub fn setup(&self, site: &Site, workers: u32) -> Setup {
        let setup = Setup { port: site.port, ..Setup::new(1) }.workers(workers);
        let of_module = |module, document| Setup { module, ..setup.clone() }.configuration(document);
        let own = |filters: Vec<Value>| {
            let filters: Vec<_> = filters.into_iter().chain([filters::router()]).collect();
            let setup = setup.clone().connection_manager("http_filters", json!(filters));
            setup.cluster(filters::ISSUER_CLUSTER, self.issuer.port())
        };
        let oauth2 = || filters::oauth2(&self.issuer, site.port, &self.scratch);
        let jwt_authn = |tokens, is_cached| filters::jwt_authn(&self.issuer, tokens, is_cached);
        let setup = match &site.filter {
            Filter::Alone | Filter::Oauth2Proxy => setup,
            Filter::Floor(floor) => of_module(Some(floor.assemble(&self.scratch)), json!({})),
            Filter::JwtAuthn { is_cached } => own(vec![jwt_authn(Tokens::OfClients, *is_cached)]),
            Filter::Noop => of_module(Some(self.noop.clone()), json!({})),
            Filter::Oauth2 => own(vec![oauth2()]),
            Filter::Pair => own(vec![oauth2(), jwt_authn(Tokens::OfSessions, true)]),
            Filter::Vestibule(vestibule) => {
                of_module(vestibule.build.clone(), filters::vestibule(&self.issuer, site.port, vestibule))
            }
        };
        with_page(setup)
    }

    /// Starts the Envoy and what it asks.
    pub fn start(&self, site: &Site, workers: u32) -> Server {
        let mut setup = self.setup(site, workers);
        let peer = (site.filter == Filter::Oauth2Proxy).then(|| {
            let binary = self.oauth2_proxy.as_ref().expect("a site only where there is the binary");
            Oauth2Proxy::start(binary, &self.issuer, site.port)
        });
        if let Some(peer) = &peer {
            let filters = json!([filters::ext_authz(peer.port), filters::router()]);
            setup = setup.connection_manager("http_filters", filters).cluster(filters::PEER_CLUSTER, peer.port);
        }
        let envoy = Envoy::start(setup);
        let pid = envoy.pid();
        Server { envoy, pid, peer }
    }
}

/// One Envoy of one worker at each of these places, by its port.
pub fn start_all<'a>(world: &World, sites: impl Iterator<Item = &'a Site>) -> BTreeMap<u16, Server> {
    let mut servers = BTreeMap::new();
    for site in sites {
        servers.entry(site.port).or_insert_with(|| world.start(site, 1));
    }
    servers
}

/// The same page for every request, and metadata of its route. There is no access log.
fn with_page(setup: Setup) -> Setup {
    setup.connection_manager("access_log", json!([])).connection_manager(
        "route_config",
        json!({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{
            "match": {"prefix": "/"},
            "metadata": {"filter_metadata": {"vestibule": {"policy": "none"}}},
            "direct_response": {"status": 200, "body": {"inline_string": "hello\n"}},
        }]}]}),
    )
}

/// A running Envoy, with what it asks.
pub struct Server {
    pub envoy: Envoy,
    pid: u32,
    peer: Option<Oauth2Proxy>,
}

impl Server {
    /// The CPU time so far, in microseconds.
    pub fn spent(&self) -> f64 {
        let spent = |pid| usage::cpu(pid).expect("the process runs").as_secs_f64() * 1e6;
        self.pids().map(spent).sum()
    }

    /// The resident memory, in MB.
    pub fn resident(&self) -> f64 {
        let resident = |pid| usage::resident(pid).expect("the process runs") as f64 / 1e6;
        self.pids().map(resident).sum()
    }

    fn pids(&self) -> impl Iterator<Item = u32> {
        [self.pid].into_iter().chain(self.peer.as_ref().map(|peer| peer.pid))
    }

    pub const fn port(&self) -> u16 {
        self.envoy.port()
    }
}
