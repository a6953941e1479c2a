//! The end of a run: a table of all visits, memory and latency over time, and verdicts.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    measures::{Latency, Visit, percentile},
    soak::Soak,
    watch::{Watched, alarm},
};

/// Memory may grow by so much from the second quarter to the last. A reload makes new VMs before the old ones go, so the peaks
/// are compared.
const MAX_GROWTH: f64 = 1.10;
/// Latency may grow by so much more than that of requests which Envoy answers before the filter: those show what the neighbours
/// on the machine do. A few seconds spoil nothing, because medians of a quarter's windows are compared.
const MAX_SLOWDOWN: f64 = 2.0;
/// The length of such a window.
const WINDOW: Duration = Duration::from_secs(10);

/// Prints the report. Returns whether all is well.
pub fn write(soak: &Soak, watched: &Watched, log: &str) -> bool {
    let visits = soak.measures.visits();
    table(&visits);
    let [episodes, reloads, refused_reloads] = soak.conditions.counts();
    println!(
        "\n{} requests, of which {} reached the app; {} visits began late. {episodes} faults, {reloads} reloads, {refused_reloads} \
         refused configurations; {:?}; seed {}.",
        soak.measures.requests(),
        soak.ledger.arrived(),
        soak.measures.late(),
        soak.issuer().refreshes(),
        soak.plan.seed,
    );
    let mut is_well = true;
    let mut verdict = |what: String, holds: bool| {
        println!("{} {what}", if holds { "ok    " } else { "FAILED" });
        is_well &= holds;
    };
    let failure = soak.failure();
    verdict(
        failure
            .unwrap_or_else(|| "each request was answered right, and none reached the app without a permit".to_owned()),
        soak.failure().is_none(),
    );
    verdict("Envoy's process is the one that was started".to_owned(), watched.lives);
    let alarm = alarm(log);
    verdict(alarm.map_or("no crash in Envoy's log".to_owned(), |line| format!("Envoy's log: {line}")), alarm.is_none());
    let (late, all) = (soak.measures.late(), visits.len() as u64);
    verdict(format!("{late} of {all} visits began late, because all clients were busy"), late * 100 <= all);
    let reused = soak.issuer().refreshes().reused;
    // A fault or a reload may cost the answer with the next one.
    verdict(format!("{reused} refresh tokens were redeemed twice"), reused <= episodes + reloads);
    memory(&watched.memory, &mut verdict);
    latency(&visits, &mut verdict);
    is_well
}

fn table(visits: &[Visit]) {
    let mut kinds: BTreeMap<&str, (Vec<Duration>, BTreeMap<&str, usize>)> = BTreeMap::new();
    for visit in visits {
        let (took, outcomes) = kinds.entry(visit.kind).or_default();
        took.push(visit.took);
        *outcomes.entry(visit.outcome).or_default() += 1;
    }
    println!("\n| visit | count | p50 ms | p99 ms | outcomes |\n| --- | ---: | ---: | ---: | --- |");
    for (kind, (mut took, outcomes)) in kinds {
        let outcomes: Vec<String> = outcomes.iter().map(|(outcome, count)| format!("{outcome}: {count}")).collect();
        let (middle, high) = (percentile(&mut took, 50), percentile(&mut took, 99));
        println!("| {kind} | {} | {middle:.1} | {high:.1} | {} |", took.len(), outcomes.join(", "));
    }
}

fn memory(samples: &[u64], verdict: &mut impl FnMut(String, bool)) {
    // A sample a second: four quarters of ten seconds at least.
    let Some(last) = samples.len().checked_sub(1).filter(|last| *last >= 39) else {
        return verdict(format!("memory: {} samples are too few to tell", samples.len()), false);
    };
    let at = |percent: usize| samples[last * percent / 100] >> 20;
    println!(
        "memory (RSS) at 10, 25, 50, 75 and 100 %: {}, {}, {}, {}, {} MB",
        at(10),
        at(25),
        at(50),
        at(75),
        at(100)
    );
    let peak = |from: usize| samples[samples.len() * from / 4..samples.len() * (from + 1) / 4].iter().max().copied();
    let [second, fourth] = [1, 3].map(|quarter| peak(quarter).unwrap_or_default() as f64 / f64::from(1 << 20));
    let growth = fourth / second.max(1.0);
    verdict(
        format!("memory: peak {second:.0} MB in the second quarter, {fourth:.0} MB in the last ({growth:.2} times)"),
        growth <= MAX_GROWTH,
    );
}

fn latency(visits: &[Visit], verdict: &mut impl FnMut(String, bool)) {
    let Some(end) = visits.last().map(|visit| visit.at) else { return verdict("latency: no visit".to_owned(), false) };
    let of = |latency| [1, 3].map(|quarter| typical(visits, latency, end / 4, quarter));
    let [second, fourth] = of(Latency::Steady);
    let [control_before, control_after] = of(Latency::Control);
    let slower_machine = (control_after / control_before).max(1.0);
    verdict(
        format!(
            "latency: p99 {second:.1} ms in the second quarter, {fourth:.1} ms in the last, of requests without the provider; \
             {control_before:.1} and {control_after:.1} ms where Envoy answers before the filter"
        ),
        second > 0.0 && control_before > 0.0 && control_after > 0.0 && fourth <= second * slower_machine * MAX_SLOWDOWN,
    );
}

/// The median over the windows of a quarter of their p99, in milliseconds.
fn typical(visits: &[Visit], latency: Latency, quarter: Duration, number: u32) -> f64 {
    let mut windows: BTreeMap<u64, Vec<Duration>> = BTreeMap::new();
    let (from, to) = (quarter * number, quarter * (number + 1));
    for visit in visits.iter().filter(|visit| visit.latency == latency && visit.at >= from && visit.at < to) {
        windows.entry(visit.at.as_secs() / WINDOW.as_secs()).or_default().push(visit.took);
    }
    let mut high: Vec<f64> = windows.into_values().map(|mut window| percentile(&mut window, 99)).collect();
    high.sort_by(f64::total_cmp);
    high.get(high.len() / 2).copied().unwrap_or_default()
}
