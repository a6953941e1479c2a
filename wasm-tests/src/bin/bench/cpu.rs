//! The CPU time of a request. Envoys with and without a filter answer the same requests and take turns in many short rounds,
//! because machines are noisy. The cost of a filter is the difference to Envoy alone with the very same requests,
//! cookies included. Everything is started anew several times, because the very same filter costs one process of Envoy
//! twice what it costs the next, for as long as each lives.

use std::collections::BTreeMap;

use wasm_tests::tools::progress;

use crate::{
    arguments::Arguments,
    browser,
    envoys::{Filter, Server, Site, World},
    floor::{self, Floor},
    load::{self, Requests},
    peers,
    statistics::{least, median, spread},
    table,
};

/// Different tokens in turn: ten and more for each place of any cache, so that no token is found there again.
const TOKENS: usize = 8_000;

const MUST: &str = "Hand-written: `must`";
const NOOP: &str = "A filter that does nothing, with the SDK";
const PUBLIC: &str = "Vestibule, public path";
const TEN_RULES: &str = "Vestibule, public path, 10 rules";
const THOUSAND_RULES: &str = "Vestibule, public path, 1,000 rules";
const SESSION: &str = "Vestibule, session";
const OAUTH2: &str = "Envoy's oauth2, session";
const PAIR: &str = "Envoy's oauth2 and jwt_authn, session";
const TOKEN: &str = "Vestibule, token seen before";
const NEW_TOKEN: &str = "Vestibule, token never seen";
const CACHED: &str = "Envoy's jwt_authn, token in its cache";
const UNCACHED: &str = "Envoy's jwt_authn without a cache";

/// A filter and the requests that it is measured with.
struct Target {
    name: String,
    site: Site,
    requests: Requests,
    /// Whether the filter has to refuse the same page without credentials.
    is_guarded: bool,
    rounds: Vec<Round>,
}

/// Microseconds of CPU for each request in one round.
struct Round {
    start: usize,
    with: f64,
    without: f64,
}

pub fn measure(world: &World, arguments: &Arguments) -> String {
    let mut targets = targets(world, arguments);
    let alone = Site::new(Filter::Alone);
    for start in 0..arguments.starts {
        progress(&format!("CPU: start {} of {}", start + 1, arguments.starts));
        let mut servers = BTreeMap::new();
        for site in targets.iter().map(|target| &target.site).chain([&alone]) {
            servers.entry(site.port).or_insert_with(|| world.start(site, 1));
        }
        targets.iter().for_each(|target| check(target, &servers[&target.site.port]));
        for round in 0..=arguments.rounds {
            eprint!("\rround {round} of {}", arguments.rounds);
            // Sessions and tokens go on where the round before has stopped.
            let first = (start * (arguments.rounds + 1) + round) * arguments.requests;
            for target in &mut targets {
                let run = |server: &Server| load::run(server, &target.requests, first, arguments.requests).cpu;
                let (with, without) = (run(&servers[&target.site.port]), run(&servers[&alone.port]));
                // The first round warms up.
                if round > 0 {
                    target.rounds.push(Round { start, with, without });
                }
            }
        }
        eprintln!();
        targets.iter().for_each(|target| check_counter(target, &servers[&target.site.port], arguments));
    }
    [costs(&targets), ratios(&targets, arguments)].concat()
}

fn targets(world: &World, arguments: &Arguments) -> Vec<Target> {
    let site = Site::new;
    let vestibule = |rules| site(Filter::Vestibule { rules, build: None });
    let (plain, oauth2, pair) = (Site::vestibule(), site(Filter::Oauth2), site(Filter::Pair));
    let (cached, uncached) = (site(Filter::JwtAuthn { is_cached: true }), site(Filter::JwtAuthn { is_cached: false }));
    let sessions = sessions(world, &plain, arguments.sessions);
    let session = |site: &Site| self::sessions(world, site, 1);
    progress(&format!("{TOKENS} access tokens"));
    let tokens: Vec<_> = (0..TOKENS).map(|_| world.access_token()).collect();
    let public = |name: &str, site: Site| Target::new(name, &site, Requests::public(), false);
    let guarded =
        |name: &str, site: &Site, credentials: &[Vec<u8>]| Target::new(name, site, Requests::with(credentials), true);
    let mut targets = vec![
        public("Hand-written: a request handler", site(Filter::Floor(Floor::Nothing))),
        public("Hand-written: `need`", site(Filter::Floor(Floor::Need))),
        public(MUST, site(Filter::Floor(Floor::Must))),
        public(NOOP, site(Filter::Noop)),
        public(PUBLIC, plain.clone()),
        public(TEN_RULES, vestibule(10)),
        public(THOUSAND_RULES, vestibule(1_000)),
        guarded(SESSION, &plain, &sessions[..1]),
        guarded(&in_turn(arguments), &plain, &sessions),
        guarded(OAUTH2, &oauth2, &session(&oauth2)),
        guarded(PAIR, &pair, &session(&pair)),
        guarded(TOKEN, &plain, &tokens[..1]),
        guarded(NEW_TOKEN, &plain, &tokens),
        guarded(CACHED, &cached, &tokens[..1]),
        guarded(UNCACHED, &uncached, &tokens),
    ];
    if world.oauth2_proxy.is_ok() {
        let peer = site(Filter::Oauth2Proxy);
        targets.push(guarded(&peer_name(), &peer, &session(&peer)));
    }
    for build in &arguments.baselines {
        let name = build.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let other = site(Filter::Vestibule { rules: 1, build: Some(build.clone()) });
        targets.extend([
            public(&format!("{name}, public path"), other.clone()),
            guarded(&format!("{name}, session"), &other, &session(&other)),
            guarded(&format!("{name}, token seen before"), &other, &tokens[..1]),
            guarded(&format!("{name}, token never seen"), &other, &tokens),
        ]);
    }
    targets
}

/// Cookies of so many sessions at this place.
fn sessions(world: &World, site: &Site, count: usize) -> Vec<Vec<u8>> {
    let server = world.start(site, 1);
    if count > 1 {
        progress(&format!("{count} sign-ins"));
    }
    let cookies = browser::sign_in(world, &server, count, |number| {
        if number % 1_000 == 0 {
            eprint!("\r{number} of {count}");
        }
    });
    if count > 1 {
        eprintln!();
    }
    cookies
}

fn in_turn(arguments: &Arguments) -> String {
    format!("Vestibule, {} sessions in turn", arguments.sessions)
}

fn peer_name() -> String {
    format!("{} behind ext_authz, session", peers::name())
}

/// A filter that lets everything through would be measured for nothing.
fn check(target: &Target, server: &Server) {
    let name = &target.name;
    let status = load::status(server, &target.requests);
    assert!(status == 200, "{name}: the request is answered with {status}");
    if target.is_guarded {
        let status = load::status(server, &target.requests.without_credentials());
        assert!(status != 200, "{name}: the page is shown without credentials");
    }
}

/// The counter of `must` shows that it has run.
fn check_counter(target: &Target, server: &Server, arguments: &Arguments) {
    if target.site.filter == Filter::Floor(Floor::Must) {
        let (counted, sent) = (server.envoy.stats(floor::COUNTER), arguments.requests * (arguments.rounds + 1));
        assert!(counted >= sent as u64, "{}: {counted} of {sent} requests were counted", target.name);
    }
}

impl Target {
    fn new(name: &str, site: &Site, requests: Requests, is_guarded: bool) -> Self {
        Self { name: name.to_owned(), site: site.clone(), requests, is_guarded, rounds: Vec::new() }
    }

    fn all(&self, pick: fn(&Round) -> f64) -> Vec<f64> {
        self.rounds.iter().map(pick).collect()
    }

    /// What the filter adds to Envoy alone: the median of this start's rounds.
    fn added(&self, start: usize) -> f64 {
        let rounds = self.rounds.iter().filter(|round| round.start == start);
        median(&rounds.map(|round| round.with - round.without).collect::<Vec<_>>())
    }
}

fn costs(targets: &[Target]) -> String {
    let row = |target: &Target| {
        let (with, without) = (target.all(|round| round.with), target.all(|round| round.without));
        let added = target.all(|round| round.with - round.without);
        let numbers = [median(&without), median(&with), median(&added), least(&with) - least(&without)];
        [target.name.clone()].into_iter().chain(numbers.map(|number| format!("{number:.1}"))).collect()
    };
    let title = "CPU of a request in µs: medians of all rounds; `least` is the difference of the minima.";
    let head = ["filter, request", "Envoy alone", "with the filter", "added", "least"];
    table::write(title, &head, &targets.iter().map(row).collect::<Vec<_>>())
}

fn ratios(targets: &[Target], arguments: &Arguments) -> String {
    let find = |name: &str| targets.iter().find(|target| target.name == name);
    let compare = |name: &str, other: &str, compare: fn(f64, f64) -> f64, decimals| {
        let (this, other) = (find(name)?, find(other)?);
        let of_start = |start| compare(this.added(start), other.added(start));
        Some(spread(&(0..arguments.starts).map(of_start).collect::<Vec<_>>(), decimals))
    };
    let (in_turn, peer) = (in_turn(arguments), peer_name());
    let pairs: [(&str, &str); 11] = [
        (SESSION, OAUTH2),
        (SESSION, PAIR),
        (SESSION, MUST),
        (PUBLIC, NOOP),
        (TOKEN, SESSION),
        (TOKEN, CACHED),
        (NEW_TOKEN, UNCACHED),
        (THOUSAND_RULES, TEN_RULES),
        (&in_turn, SESSION),
        (&in_turn, OAUTH2),
        (&peer, SESSION),
    ];
    let divided = pairs.into_iter().filter_map(|(name, other)| {
        let ratio = compare(name, other, |this, other| this / other, 2)?;
        Some(vec![format!("{name} / {other}"), ratio])
    });
    let minus = compare(&in_turn, SESSION, |this, other| this - other, 1);
    let minus = minus.map(|difference| vec![format!("{in_turn} - {SESSION}, in µs"), difference]);
    let title = "Added CPU compared: the median of the starts, and from the least to the most of them.";
    table::write(title, &["", "median (least to most)"], &divided.chain(minus).collect::<Vec<_>>())
}
