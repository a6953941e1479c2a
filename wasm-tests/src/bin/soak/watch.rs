//! Watching the run: Envoy's process and memory each second, a line of progress every ten.

use std::{
    thread,
    time::{Duration, Instant},
};

use wasm_tests::{envoy::Envoy, tools::progress, usage};

use crate::{
    measures::{Latency, percentile},
    soak::Soak,
};

/// Seconds between lines of progress.
const LINE: u64 = 10;
/// Seconds between looks at Envoy's log.
const LOG: u64 = 60;
/// Words of a filter that crashed, or of an Envoy in danger.
const ALARMS: [&str; 6] = ["panicked", "Function: proxy_on", "Uncaught", "[critical]", "crash", "[backtrace]"];
/// Envoy's log lines about configurations that it is to refuse.
const REFUSED: [&str; 2] = ["Plugin vestibule failed to load", "Plugin configured to fail closed failed to load"];

/// The observations.
#[derive(Debug)]
pub struct Watched {
    /// Envoy's resident memory each second, in bytes.
    pub memory: Vec<u64>,
    /// Whether its process was there to the end.
    pub lives: bool,
}

/// Watches until the time is over, or the run has failed.
pub fn until_the_end(soak: &Soak, envoy: &Envoy) -> Watched {
    let pid = envoy.pid();
    let (start, length) = (Instant::now(), soak.plan.length());
    let mut watched = Watched { memory: Vec::new(), lives: true };
    for second in 1_u64.. {
        let due = start + Duration::from_secs(second);
        while Instant::now() < due && !soak.is_over() {
            thread::sleep(Duration::from_millis(20));
        }
        match usage::resident(pid) {
            Some(bytes) => watched.memory.push(bytes),
            None => {
                watched.lives = false;
                soak.fail(format!("Envoy has ended:\n{}", end_of(&envoy.log())));
            }
        }
        if second % LOG == 0
            && let Some(line) = alarm(&envoy.log())
        {
            soak.fail(format!("Envoy's log says: {line}"));
        }
        if soak.failure().is_some() {
            break;
        }
        if second % LINE == 0 {
            progress(&line(soak, second, watched.memory.last().copied().unwrap_or_default()));
        }
        if start.elapsed() >= length {
            break;
        }
    }
    soak.end();
    watched
}

/// The first line of a log that tells of a crash.
pub fn alarm(log: &str) -> Option<&str> {
    let has_any = |line: &str, words: &[&str]| words.iter().any(|word| line.contains(word));
    log.lines().find(|line| has_any(line, &ALARMS) && !has_any(line, &REFUSED))
}

fn line(soak: &Soak, second: u64, memory: u64) -> String {
    let (mut recent, mut sign_ins, mut refused) = (Vec::new(), 0, 0);
    {
        let visits = soak.measures.visits();
        for visit in visits.iter() {
            sign_ins += usize::from(visit.outcome == "signed in");
            refused += usize::from(visit.outcome.starts_with("refused"));
        }
        let from = soak.measures.start().elapsed().saturating_sub(Duration::from_secs(LINE));
        let last = visits.iter().rev().take_while(|visit| visit.at >= from);
        recent.extend(last.filter(|visit| visit.latency == Latency::Steady).map(|visit| visit.took));
    }
    let [episodes, reloads, refused_reloads] = soak.conditions.counts();
    format!(
        "{second} s: {} requests, {sign_ins} sign-ins, {} refreshes, {episodes} faults{}, {reloads}+{refused_reloads} reloads, {refused} \
         refusals, {} late, p50 {:.1} ms, p99 {:.1} ms, {} MB",
        soak.measures.requests(),
        soak.issuer().refreshes().granted,
        soak.conditions.trouble().map_or(String::new(), |name| format!(" (now: {name})")),
        soak.measures.late(),
        percentile(&mut recent, 50),
        percentile(&mut recent, 99),
        memory >> 20,
    )
}

fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
