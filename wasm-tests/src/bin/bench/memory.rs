//! Resident memory of Envoy: with one worker and with two, each of which has a VM with the filter; and over many requests.

use wasm_tests::{statistics::median, table, tools::progress};

use crate::{
    arguments::Arguments,
    envoys::{Filter, Server, Site, World},
    load::{self, Requests},
    targets::{Many, Target},
};

/// Requests of a run, in rounds of the CPU time: enough for every worker to have sessions in all places of its caches.
const ROUNDS: usize = 20;
/// Growth is looked at after each of so many equal parts; the first warms up.
const PARTS: usize = 10;

/// Resident memory in MB of one start.
struct Resident {
    at_start: f64,
    after: f64,
}

pub fn measure(world: &World, arguments: &Arguments, many: &Many) -> String {
    [per_worker(world, arguments, many), growth(world, arguments, many)].concat()
}

fn per_worker(world: &World, arguments: &Arguments, many: &Many) -> String {
    let (plain, sessions) = many.sessions(world, arguments);
    let ours = Target::guarded("Vestibule, sessions in turn", plain, sessions);
    let targets = [ours.alone(), ours, Target::session("Envoy's oauth2, session", world, Filter::Oauth2)];
    let mut measured: Vec<[Vec<Resident>; 2]> = targets.iter().map(|_| Default::default()).collect();
    for start in 1..=arguments.starts {
        progress(&format!("memory: start {start} of {}", arguments.starts));
        for (target, measured) in targets.iter().zip(&mut measured) {
            for (workers, measured) in [1, 2].into_iter().zip(measured) {
                let server = world.start(&target.site, workers);
                let at_start = server.resident();
                target.check(&server);
                load::run(&server, &target.requests, 0, ROUNDS * arguments.requests);
                measured.push(Resident { at_start, after: server.resident() });
            }
        }
    }
    report_workers(&targets, &measured, ROUNDS * arguments.requests)
}

fn report_workers(targets: &[Target], measured: &[[Vec<Resident>; 2]], requests: usize) -> String {
    let of = |all: &[Resident], pick: fn(&Resident) -> f64| median(&all.iter().map(pick).collect::<Vec<_>>());
    let after = |[one, two]: &[Vec<Resident>; 2]| [one, two].map(|all| of(all, |resident| resident.after));
    let row = |(target, measured): (&Target, &[Vec<Resident>; 2])| {
        let ([one, two], [one_start, two_start]) =
            (after(measured), measured.each_ref().map(|all| of(all, |resident| resident.at_start)));
        let numbers = [one_start, one, two_start, two, two - one].map(|number| format!("{number:.1}"));
        [target.name.clone()].into_iter().chain(numbers).collect()
    };
    let title = format!("Resident memory in MB, at the start and after {requests} requests: medians of the starts.");
    let head = [
        "filter, request",
        "1 worker, start",
        "1 worker, after",
        "2 workers, start",
        "2 workers, after",
        "a worker more",
    ];
    let table = table::write(&title, &head, &targets.iter().zip(measured).map(row).collect::<Vec<_>>());
    let ([alone, alone_two], [ours, ours_two]) = (after(&measured[0]), after(&measured[1]));
    let (first, further) = (ours - alone, ours_two - ours - (alone_two - alone));
    format!(
        "{table}\nVestibule adds {first:.1} MB to an Envoy of one worker, and {further:.1} MB with each further worker.\n"
    )
}

/// Envoy with and without the filter gets the same requests: a page for everybody, sessions and tokens, each in turn.
fn growth(world: &World, arguments: &Arguments, many: &Many) -> String {
    let ((plain, sessions), tokens) = (many.sessions(world, arguments), many.tokens(world));
    let kinds = [Requests::public(), Requests::with(sessions), Requests::with(tokens)];
    let servers = [plain.clone(), Site::new(Filter::Alone)].map(|site| world.start(&site, 1));
    let all = |servers: &[Server; 2]| servers.each_ref().map(Server::resident);
    let (mut seen, mut sent) = (vec![(0, all(&servers))], 0);
    for part in 1..=PARTS {
        progress(&format!("memory over {} requests: part {part} of {PARTS}", arguments.growth));
        let end = arguments.growth * part / PARTS;
        while sent < end {
            let count = arguments.requests.min(end - sent);
            let number = sent / arguments.requests;
            let requests = &kinds[number % kinds.len()];
            for server in &servers {
                load::run(server, requests, number / kinds.len() * arguments.requests, count);
            }
            sent += count;
        }
        seen.push((sent, all(&servers)));
    }
    let row = |(sent, resident): &(usize, [f64; 2])| {
        [format!("{sent}")].into_iter().chain(resident.map(|resident| format!("{resident:.1}"))).collect()
    };
    let title = format!(
        "Resident memory in MB over {} requests: a public path, sessions and tokens, one worker.",
        arguments.growth
    );
    let head = ["requests", "Vestibule", "Envoy alone"];
    let table = table::write(&title, &head, &seen.iter().map(row).collect::<Vec<_>>());
    let (warm, last) = (&seen[1], &seen[PARTS]);
    let [ours, alone] = [0, 1].map(|which| last.1[which] - warm.1[which]);
    format!(
        "{table}\nGrowth from request {} to {}: Vestibule {ours:+.1} MB, Envoy alone {alone:+.1} MB.\n",
        warm.0, last.0
    )
}
