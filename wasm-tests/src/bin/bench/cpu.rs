//! The CPU time of a request. Envoys with and without a filter answer the same requests and take turns in many short rounds,
//! because machines are noisy. The cost of a filter is the difference to Envoy alone with the very same requests,
//! cookies included. Everything is started anew several times, because the very same filter costs one process of Envoy
//! twice what it costs the next, for as long as each lives.

use wasm_tests::{
    statistics::{least, median, spread},
    table,
    tools::progress,
};

use crate::{
    arguments::Arguments,
    envoys::{Filter, Server, Site, World, start_all},
    filters::Vestibule,
    floor::{self, Floor},
    load,
    targets::{Many, Target, peer_name},
};

const MUST: &str = "Hand-written: `must`";
const NOOP: &str = "A filter that does nothing, with the SDK";
const PUBLIC: &str = "Vestibule, public path";
const TEN_RULES: &str = "Vestibule, public path, 10 rules";
const THOUSAND_RULES: &str = "Vestibule, public path, 1,000 rules";
const SESSION: &str = "Vestibule, session";
const SILENT: &str = "Vestibule, session, the app is not told who it is";
const OAUTH2: &str = "Envoy's oauth2, session";
const PAIR: &str = "Envoy's oauth2 and jwt_authn, session";
const TOKEN: &str = "Vestibule, token seen before";
const NEW_TOKEN: &str = "Vestibule, token never seen";
const CACHED: &str = "Envoy's jwt_authn, token in its cache";
const UNCACHED: &str = "Envoy's jwt_authn without a cache";

/// A target and its measurements.
struct Row {
    target: Target,
    rounds: Vec<Round>,
}

/// Microseconds of CPU for each request in one round.
struct Round {
    start: usize,
    with: f64,
    without: f64,
}

pub fn measure(world: &World, arguments: &Arguments, many: &Many) -> String {
    let mut rows: Vec<Row> =
        targets(world, arguments, many).into_iter().map(|target| Row { target, rounds: Vec::new() }).collect();
    let alone = Site::new(Filter::Alone);
    for start in 0..arguments.starts {
        progress(&format!("CPU: start {} of {}", start + 1, arguments.starts));
        let servers = start_all(world, rows.iter().map(|row| &row.target.site).chain([&alone]));
        rows.iter().for_each(|row| row.target.check(&servers[&row.target.site.port]));
        for round in 0..=arguments.rounds {
            eprint!("\rround {round} of {}", arguments.rounds);
            // Sessions and tokens go on where the round before has stopped.
            let first = (start * (arguments.rounds + 1) + round) * arguments.requests;
            for Row { target, rounds } in &mut rows {
                let run = |server: &Server| load::run(server, &target.requests, first, arguments.requests).cpu;
                let (with, without) = (run(&servers[&target.site.port]), run(&servers[&alone.port]));
                // The first round warms up.
                if round > 0 {
                    rounds.push(Round { start, with, without });
                }
            }
        }
        eprintln!();
        for Row { target, .. } in &rows {
            let server = &servers[&target.site.port];
            target.check(server);
            check_counter(target, server, arguments);
        }
    }
    [costs(&rows), ratios(&rows, arguments)].concat()
}

fn targets(world: &World, arguments: &Arguments, many: &Many) -> Vec<Target> {
    let public = |name: &str, filter| Target::public(name, &Site::new(filter));
    let session = |name: &str, filter| Target::session(name, world, filter);
    let vestibule = |rules| Filter::Vestibule(Vestibule { rules, ..Vestibule::default() });
    let silent = Filter::Vestibule(Vestibule { tells_identity: false, ..Vestibule::default() });
    let jwt_authn = |is_cached| Site::new(Filter::JwtAuthn { is_cached });
    let ((plain, sessions), tokens) = (many.sessions(world, arguments), many.tokens(world));
    let mut targets = vec![
        public("Hand-written: a request handler", Filter::Floor(Floor::Nothing)),
        public("Hand-written: `need`", Filter::Floor(Floor::Need)),
        public(MUST, Filter::Floor(Floor::Must)),
        public(NOOP, Filter::Noop),
        Target::public(PUBLIC, plain),
        public(TEN_RULES, vestibule(10)),
        public(THOUSAND_RULES, vestibule(1_000)),
        Target::guarded(SESSION, plain, &sessions[..1]),
        session(SILENT, silent),
        Target::guarded(&in_turn(arguments), plain, sessions),
        session(OAUTH2, Filter::Oauth2),
        session(PAIR, Filter::Pair),
        Target::guarded(TOKEN, plain, &tokens[..1]),
        Target::guarded(NEW_TOKEN, plain, tokens),
        Target::guarded(CACHED, &jwt_authn(true), &tokens[..1]),
        Target::guarded(UNCACHED, &jwt_authn(false), tokens),
    ];
    if world.oauth2_proxy.is_ok() {
        targets.push(session(&peer_name(), Filter::Oauth2Proxy));
    }
    for build in &arguments.baselines {
        let name = build.file_stem().unwrap_or_default().to_string_lossy();
        let other = session(
            &format!("{name}, session"),
            Filter::Vestibule(Vestibule { build: Some(build.clone()), ..Vestibule::default() }),
        );
        targets.extend([
            Target::public(&format!("{name}, public path"), &other.site),
            Target::guarded(&format!("{name}, token seen before"), &other.site, &tokens[..1]),
            Target::guarded(&format!("{name}, token never seen"), &other.site, tokens),
            other,
        ]);
    }
    targets
}

fn in_turn(arguments: &Arguments) -> String {
    format!("Vestibule, {} sessions in turn", arguments.sessions)
}

/// The counter of `must` shows that it has run.
fn check_counter(target: &Target, server: &Server, arguments: &Arguments) {
    if target.site.filter == Filter::Floor(Floor::Must) {
        let (counted, sent) = (server.envoy.stats(floor::COUNTER), arguments.requests * (arguments.rounds + 1));
        assert!(counted >= sent as u64, "{}: {counted} of {sent} requests were counted", target.name);
    }
}

impl Row {
    fn all(&self, pick: fn(&Round) -> f64) -> Vec<f64> {
        self.rounds.iter().map(pick).collect()
    }

    /// What the filter adds to Envoy alone: the median of all rounds.
    fn added(&self) -> f64 {
        median(&self.all(|round| round.with - round.without))
    }

    /// The difference of the minima in the rounds that count. Whatever disturbs a round makes it dearer, never cheaper.
    fn least(&self, counts: impl Fn(&Round) -> bool) -> f64 {
        let rounds = || self.rounds.iter().filter(|round| counts(round));
        let of = |pick: fn(&Round) -> f64| least(&rounds().map(pick).collect::<Vec<_>>());
        of(|round| round.with) - of(|round| round.without)
    }
}

fn costs(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let (with, without) = (row.all(|round| round.with), row.all(|round| round.without));
        let numbers = [median(&without), median(&with), row.added(), row.least(|_| true)];
        [row.target.name.clone()].into_iter().chain(numbers.map(|number| format!("{number:.1}"))).collect()
    };
    let title = "CPU of a request in µs: medians of all rounds; `least` is the difference of the minima.";
    let head = ["filter, request", "Envoy alone", "with the filter", "added", "least"];
    table::write(title, &head, &rows.iter().map(row).collect::<Vec<_>>())
}

fn ratios(rows: &[Row], arguments: &Arguments) -> String {
    let find = |name: &str| rows.iter().find(|row| row.target.name == name);
    let compare = |name: &str, other: &str, compare: fn(f64, f64) -> f64, decimals: usize| {
        let (this, other) = (find(name)?, find(other)?);
        let of_start = |start| {
            let [this, other] = [this, other].map(|row| row.least(|round| round.start == start));
            compare(this, other)
        };
        let starts: Vec<_> = (0..arguments.starts).map(of_start).collect();
        Some([spread(&starts, decimals), format!("{:.decimals$}", compare(this.added(), other.added()))])
    };
    let (in_turn, peer) = (in_turn(arguments), peer_name());
    let pairs: [(&str, &str); 12] = [
        (SESSION, OAUTH2),
        (SILENT, OAUTH2),
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
        // What disappears in the noise cannot be divided by.
        let ratio = compare(name, other, |this, other| if other > 0.0 { this / other } else { f64::NAN }, 2)?;
        Some([&[format!("{name} / {other}")], ratio.as_slice()].concat())
    });
    let minus = compare(&in_turn, SESSION, |this, other| this - other, 1);
    let minus = minus.map(|difference| [&[format!("{in_turn} - {SESSION}, in µs")], difference.as_slice()].concat());
    let title = "Added CPU compared: `least` start by start, the median and from the least to the most; and `added` of all rounds.";
    let head = ["", "`least`: median (least to most)", "`added`"];
    table::write(title, &head, &divided.chain(minus).collect::<Vec<_>>())
}
