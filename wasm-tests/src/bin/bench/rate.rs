//! Throughput and latency of an Envoy with one worker: in batches of sixteen as fast as it can, and at fixed rates.

use wasm_tests::{
    statistics::{median, spread},
    table,
    tools::progress,
};

use crate::{
    arguments::Arguments,
    envoys::{Filter, Server, Site, World, start_all},
    filters::Vestibule,
    load,
    open_loop::{self, Latency},
    targets::{Target, peer_name},
};

/// A second of requests at the least for a throughput, in rounds of the CPU time.
const ROUNDS: usize = 10;

struct Row {
    target: Target,
    /// Requests a second, start by start.
    throughput: Vec<f64>,
    /// For each rate, start by start.
    latencies: Vec<Vec<Latency>>,
}

pub fn measure(world: &World, arguments: &Arguments) -> String {
    let row = |target| Row { target, throughput: Vec::new(), latencies: vec![Vec::new(); arguments.rates.len()] };
    let mut rows: Vec<Row> = targets(world).into_iter().map(row).collect();
    for start in 1..=arguments.starts {
        let servers = start_all(world, rows.iter().map(|row| &row.target.site));
        rows.iter().for_each(|row| row.target.check(&servers[&row.target.site.port]));
        progress(&format!("throughput: start {start} of {}", arguments.starts));
        for row in &mut rows {
            let server = &servers[&row.target.site.port];
            let run = |count| load::run(server, &row.target.requests, 0, count).rate;
            run(arguments.requests);
            row.throughput.push(run(ROUNDS * arguments.requests));
        }
        for (number, rate) in arguments.rates.iter().enumerate() {
            progress(&format!("latency at {rate} a second: start {start} of {}", arguments.starts));
            for row in &mut rows {
                let server: &Server = &servers[&row.target.site.port];
                row.latencies[number].push(open_loop::run(server, &row.target.requests, *rate, arguments.seconds));
            }
        }
    }
    let latencies = arguments.rates.iter().enumerate().map(|(number, rate)| latencies(&rows, number, *rate));
    [throughput(&rows)].into_iter().chain(latencies).collect()
}

fn targets(world: &World) -> Vec<Target> {
    let session = |name: &str, filter| Target::session(name, world, filter);
    let ours = session("Vestibule, session", Filter::Vestibule(Vestibule::default()));
    let mut targets = vec![
        Target::public("Envoy alone", &Site::new(Filter::Alone)),
        Target::public("Vestibule, public path", &ours.site),
        ours,
        session("Envoy's oauth2, session", Filter::Oauth2),
        session("Envoy's oauth2 and jwt_authn, session", Filter::Pair),
    ];
    if world.oauth2_proxy.is_ok() {
        targets.push(session(&peer_name(), Filter::Oauth2Proxy));
    }
    targets
}

fn throughput(rows: &[Row]) -> String {
    let line = |row: &Row| vec![row.target.name.clone(), spread(&row.throughput, 0)];
    let title = "Requests a second, sixteen at a time, one worker: the median of the starts, and from the least to the most of them.";
    table::write(title, &["filter, request", "requests a second"], &rows.iter().map(line).collect::<Vec<_>>())
}

fn latencies(rows: &[Row], number: usize, rate: usize) -> String {
    let line = |row: &Row| {
        let all = |pick: fn(&Latency) -> f64| row.latencies[number].iter().map(pick).collect::<Vec<_>>();
        let answered = format!("{:.0}", median(&all(|latency| latency.answered)));
        vec![
            row.target.name.clone(),
            answered,
            spread(&all(|latency| latency.p50), 2),
            spread(&all(|latency| latency.p99), 2),
            format!("{:.2}", median(&all(|latency| latency.held_up))),
        ]
    };
    let title = format!(
        "Latency in ms at {rate} requests a second, counted from when a request was due (and how late the sender was, which is not the fault of any filter): the median of the starts, and from the least to the most of them."
    );
    let head = ["filter, request", "answered a second", "p50", "p99", "sender held up, p99"];
    table::write(&title, &head, &rows.iter().map(line).collect::<Vec<_>>())
}
