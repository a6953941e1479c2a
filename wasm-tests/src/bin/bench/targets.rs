//! Targets of a measurement: a filter, and the requests that it is measured with.

use std::cell::OnceCell;

use wasm_tests::tools::progress;

use crate::{
    arguments::Arguments,
    browser,
    envoys::{Filter, Server, Site, World},
    load::{self, Requests},
    peers,
};

/// Different tokens in turn: ten and more for each place of any cache, so that no token is found there again.
const TOKENS: usize = 8_000;

/// VMs of a filter, and outcomes of starting one again, in Envoy's statistics.
const RUNNING: &str = "wasm.envoy.wasm.runtime.v8.active";
const RELOADED: [&str; 3] = ["success", "backoff", "failure"];

/// A filter and its requests.
#[derive(Debug, Clone)]
pub struct Target {
    pub name: String,
    pub site: Site,
    pub requests: Requests,
    /// Whether the filter has to refuse the same page without credentials.
    is_guarded: bool,
}

impl Target {
    /// A page for everybody.
    pub fn public(name: &str, site: &Site) -> Self {
        Self { name: name.to_owned(), site: site.clone(), requests: Requests::public(), is_guarded: false }
    }

    /// A page that wants one of these credentials.
    pub fn guarded(name: &str, site: &Site, credentials: &[Vec<u8>]) -> Self {
        Self { name: name.to_owned(), site: site.clone(), requests: Requests::with(credentials), is_guarded: true }
    }

    /// A page that wants a session, and one session.
    pub fn session(name: &str, world: &World, filter: Filter) -> Self {
        let site = Site::new(filter);
        let cookies = browser::sign_in(world, &world.start(&site, 1), 1, |_| {});
        Self::guarded(name, &site, &cookies)
    }

    /// The same requests to Envoy alone.
    pub fn alone(&self) -> Self {
        let site = Site::new(Filter::Alone);
        Self { name: "Envoy alone".to_owned(), site, requests: self.requests.clone(), is_guarded: false }
    }

    /// The page is shown, and not without credentials; a module runs. A filter that lets everything through would be measured for
    /// nothing.
    pub fn check(&self, server: &Server) {
        let name = &self.name;
        let status = load::status(server.port(), &self.requests);
        assert!(status == Some(200), "{name}: the request is answered with {status:?}");
        if self.is_guarded {
            let status = load::status(server.port(), &self.requests.without_credentials());
            let is_refused = matches!(status, Some(302 | 303 | 401 | 403));
            assert!(is_refused, "{name}: without credentials, the request is answered with {status:?}");
        }
        if self.site.filter.is_module() {
            let of_reloads = |outcome| server.envoy.stats(&format!("wasm.vestibule.vm_reload_{outcome}"));
            let (running, reloaded) = (server.envoy.stats(RUNNING), RELOADED.into_iter().map(of_reloads).sum::<u64>());
            assert!(running > 0 && reloaded == 0, "{name}: {running} VMs run, {reloaded} were started again");
        }
    }
}

/// Many sessions and tokens for one Vestibule. They take a while, so all parts share them.
#[derive(Default)]
pub struct Many {
    sessions: OnceCell<(Site, Vec<Vec<u8>>)>,
    tokens: OnceCell<Vec<Vec<u8>>>,
}

impl Many {
    /// A place of Vestibule, and cookies of different sessions there.
    pub fn sessions(&self, world: &World, arguments: &Arguments) -> &(Site, Vec<Vec<u8>>) {
        self.sessions.get_or_init(|| {
            let (site, count) = (Site::vestibule(), arguments.sessions);
            progress(&format!("{count} sign-ins, for as many sessions"));
            let cookies = browser::sign_in(world, &world.start(&site, 1), count, |number| {
                if number % 500 == 0 {
                    eprint!("\r{number} of {count}");
                }
            });
            eprintln!();
            (site, cookies)
        })
    }

    /// Different access tokens.
    pub fn tokens(&self, world: &World) -> &[Vec<u8>] {
        self.tokens.get_or_init(|| {
            progress(&format!("{TOKENS} access tokens"));
            (0..TOKENS).map(|_| world.access_token()).collect()
        })
    }
}

/// The name of oauth2-proxy's row.
pub fn peer_name() -> String {
    format!("{} behind ext_authz, session", peers::name())
}
