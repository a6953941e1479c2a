//! `make soak`: many minutes of everything at once. The real Envoy with two workers serves a random mix of requests, sign-ins,
//! renewals, sign-outs and attacks, while the provider fails in episodes and the configuration is replaced again and again.
//! Each request knows its right answers at that moment, and the app knows which requests may reach it: the first wrong one
//! stops the run. At the end: a table of what happened, and verdicts on memory, latency and crashes.
//!
//! `cargo run --release -p wasm-tests --bin soak [MINUTES [RATE [SEED]]]`; the seed of a run is printed, and repeats its
//! choices (not its timing).

mod client;
mod conditions;
mod kinds;
mod ledger;
mod measures;
mod plan;
mod report;
mod soak;
mod traffic;
mod users;
mod watch;
mod weather;

use std::{fs, process::ExitCode, thread};

use wasm_tests::{
    envoy::Envoy,
    issuer::Issuer,
    tools::{progress, target},
};

use plan::Plan;
use soak::Soak;

fn main() -> ExitCode {
    let plan = match Plan::from_arguments(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    progress(&format!("{} minutes at {} requests a second, seed {}", plan.minutes, plan.rate, plan.seed));
    let issuer = Issuer::start();
    plan::set_terms(&issuer);
    let soak = Soak::start(plan, issuer);
    let setup = soak.setup();
    let envoy = Envoy::start(setup.clone());
    envoy.until_ready();
    let watched = thread::scope(|scope| {
        let threads = [
            scope.spawn(|| traffic::send(&soak)),
            scope.spawn(|| weather::provider(&soak)),
            scope.spawn(|| weather::reloads(&soak, &envoy, &setup)),
        ];
        let watched = watch::until_the_end(&soak, &envoy);
        for thread in threads {
            if thread.join().is_err() {
                soak.fail("a thread of the run panicked: see above".to_owned());
            }
        }
        watched
    });
    let log = envoy.log();
    if report::write(&soak, &watched, &log) {
        return ExitCode::SUCCESS;
    }
    let kept = target().join("soak.log");
    fs::write(&kept, log).expect("the target folder can be written");
    println!("Envoy's log: {}", kept.display());
    ExitCode::FAILURE
}
