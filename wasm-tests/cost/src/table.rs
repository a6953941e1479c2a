//! The table as text, and what differs between two.

use std::collections::BTreeMap;

use crate::{filter::Cost, kinds::Row};

/// A cost may differ by this, in percent.
const TOLERANCE: f64 = 5.0;
const HEAD: &str = "\
# What each kind of request costs

Per request, in the steady state: instructions of the module (fuel of wasmi), calls of the host, and what they are;
callbacks are marked `on`. Envoy's own work, the host calls included, is not in the instructions. `make cost` compares
these, and `make cost KEEP=1` writes them anew.

| request | instructions | host calls | which |
| --- | ---: | ---: | --- |
";

pub fn write(rows: &[Row]) -> String {
    rows.iter().fold(HEAD.to_owned(), |table, Row { name, requests, cost }| {
        let per_request = |count: u64| count as f64 / f64::from(*requests);
        let which: Vec<_> =
            cost.counts.iter().map(|(call, count)| format!("{} {call}", number(per_request(*count)))).collect();
        let (fuel, calls) = (per_request(cost.fuel).round(), number(per_request(host_calls(cost))));
        format!("{table}| {name} | {fuel} | {calls} | {} |\n", which.join(", "))
    })
}

fn host_calls(cost: &Cost) -> u64 {
    cost.counts.iter().filter(|(name, _)| !name.starts_with("on ")).map(|(_, count)| count).sum()
}

/// A whole number as such, another with two digits.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.2}") }
}

/// Instructions and host calls by the name of the row.
fn read(table: &str) -> BTreeMap<&str, [f64; 2]> {
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let name = cells.next()?;
        Some((name, [cells.next()?.parse().ok()?, cells.next()?.parse().ok()?]))
    });
    rows.collect()
}

/// A line for each cost that is missing on one side, or differs by more than the tolerance.
pub fn differences(kept: &str, new: &str) -> Vec<String> {
    let (kept, new) = (read(kept), read(new));
    let mut found = Vec::new();
    for (name, costs) in &new {
        let Some(before) = kept.get(name) else {
            found.push(format!("{name}: not in the table"));
            continue;
        };
        for ((before, now), what) in before.iter().zip(costs).zip(["instructions", "host calls"]) {
            let percent = (now - before) / before.max(1.0) * 100.0;
            if percent.abs() > TOLERANCE {
                found.push(format!("{name}: {now} {what}, {percent:+.1} % against the {before} in the table"));
            }
        }
    }
    found.extend(kept.keys().filter(|name| !new.contains_key(*name)).map(|name| format!("{name}: no longer measured")));
    found
}
