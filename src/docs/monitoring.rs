//! The dashboard and the alerts name counters that exist; the dashboard shows all of them; each alert leads to a place of a page.

use std::collections::BTreeSet;

use super::{anchors, read};

const ALERTS: &str = include_str!("../../envoy/monitoring/alerts.yaml");
const DASHBOARD: &str = include_str!("../../envoy/monitoring/dashboard.json");

/// The counters of the filter: those of events and omissions, and one for each code of a failure.
fn counters() -> BTreeSet<String> {
    let events = ["src/flow/event/mod.rs", "src/flow/event/omission.rs"].map(|file| read(file).unwrap()).concat();
    let events = events.split("=> \"vestibule_").skip(1).filter_map(|rest| rest.split('"').next());
    let failures = read("src/flow/event/failure/table.rs").unwrap();
    let rows = failures.split("row!(").filter(|row| row.starts_with(|first: char| first.is_ascii_digit()));
    let codes = rows.filter_map(|row| row.split('"').nth(1)).map(|code| format!("vestibule_refused_{code}"));
    let counters: BTreeSet<_> = events.map(|name| format!("vestibule_{name}")).chain(codes).collect();
    assert!(counters.len() > 80, "{counters:?}");
    counters
}

/// The selectors of a query: names of metrics, and patterns of names.
fn selectors(query: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let quoted = query.split('"').skip(1).step_by(2);
    let patterns = quoted.filter(|text| text.starts_with("vestibule_") && text.contains(['(', '.', '|']));
    let outside =
        query.split('"').step_by(2).flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    (outside.filter(|word| word.starts_with("vestibule_")).collect(), patterns.collect())
}

/// The alternatives of a pattern, without groups.
fn alternatives(pattern: &str) -> Vec<String> {
    let pattern = pattern.replace("(?:", "(");
    let Some((before, rest)) = pattern.split_once('(') else { return vec![pattern] };
    let (mut texts, mut depth, mut rest) = (vec![String::new()], 0, rest.chars());
    while let Some(c) = rest.next() {
        match c {
            ')' if depth == 0 => {
                let after = rest.as_str();
                return texts.iter().flat_map(|text| alternatives(&format!("{before}{text}{after}"))).collect();
            }
            '|' if depth == 0 => texts.push(String::new()),
            _ => texts.last_mut().unwrap().push(c),
        }
        depth += i32::from(c == '(') - i32::from(c == ')');
    }
    panic!("a group without an end: {pattern}")
}

/// Whether an alternative, which may hold `.+`, is this name.
fn is(alternative: &str, name: &str) -> bool {
    match alternative.split_once(".+") {
        None => alternative == name,
        Some((before, after)) => {
            name.len() > before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        }
    }
}

fn selects(pattern: &str, name: &str) -> bool {
    alternatives(pattern).iter().any(|alternative| is(alternative, name))
}

/// The queries of the dashboard, and the expressions of the alerts.
fn queries() -> (Vec<String>, Vec<String>) {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let shown = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    let rules = ALERTS.split("expr:").skip(1).map(|rest| rest.split("\n    labels:").next().unwrap().to_owned());
    (shown, rules.collect())
}

#[test]
fn dashboard_and_alerts_name_counters_that_exist() {
    let mut known = counters();
    known.extend(["bucket", "count", "sum"].map(|part| format!("vestibule_callout_milliseconds_{part}")));
    let (shown, rules) = queries();
    assert!(shown.len() > 15 && rules.len() > 15, "{shown:#?} {rules:#?}");
    for query in shown.iter().chain(&rules) {
        let (names, patterns) = selectors(query);
        for name in names.into_iter().filter(|name| *name != "vestibule_") {
            assert!(known.contains(name), "{name} of {query}");
        }
        let codes = query.split("{code").skip(1).filter_map(|rest| rest.split('"').nth(1));
        let of_codes = codes.map(|codes| format!("vestibule_refused_({codes})"));
        for alternative in patterns.into_iter().map(str::to_owned).chain(of_codes).flat_map(|text| alternatives(&text))
        {
            assert!(known.iter().any(|name| is(&alternative, name)), "{alternative} of {query}");
        }
    }
}

#[test]
fn the_dashboard_shows_each_counter() {
    let (shown, _) = queries();
    let selectors: Vec<_> = shown.iter().map(|query| selectors(query)).collect();
    for counter in counters() {
        let is_selected = selectors.iter().any(|(names, patterns)| {
            names.contains(counter.as_str()) || patterns.iter().any(|pattern| selects(pattern, &counter))
        });
        assert!(is_selected, "{counter}");
    }
}

#[test]
fn dashboard_and_alerts_count_the_same_failed_sign_ins() {
    let (_, rule) = ALERTS.split_once("record: vestibule:sign_in_failed:increase10m").unwrap();
    let codes = rule.split('"').nth(1).unwrap();
    assert!(codes.contains("pushed_request_.+"), "{codes}");
    assert!(DASHBOARD.contains(&format!("vestibule_refused_({codes})")), "{codes}");
}

#[test]
fn each_alert_has_a_description_and_a_runbook_link() {
    let alerts: Vec<_> = ALERTS.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 15);
    for alert in alerts {
        let lines = alert.lines().map(str::trim);
        assert!(["{severity: ", "summary: ", "description: "].iter().all(|name| alert.contains(name)), "{alert}");
        let runbook = lines.clone().find_map(|line| line.strip_prefix("runbook: ")).unwrap();
        let (page, anchor) = runbook.split_once('#').unwrap();
        assert!(anchors(&read(page).unwrap()).iter().any(|known| known == anchor), "{runbook}");
    }
}

#[test]
fn a_counter_pattern_matches_like_prometheus() {
    for (pattern, name, is_selected) in [
        ("vestibule_refused_(.+)", "vestibule_refused_busy", true),
        ("vestibule_refused_(.+)", "vestibule_refused_", false),
        ("vestibule_(a|b_.+)", "vestibule_b_c", true),
        ("vestibule_(a|b_.+)", "vestibule_b_", false),
        ("vestibule_((?:a|b)_(?:c|d))", "vestibule_b_c", true),
        ("vestibule_((?:a|b)_(?:c|d))", "vestibule_c_b", false),
        ("vestibule_(x|r_(?:y|z))", "vestibule_r_z", true),
        ("vestibule_(x|r_(?:y|z))", "vestibule_x", true),
        ("vestibule_(.+_down|busy)", "vestibule_it_down", true),
    ] {
        assert_eq!(selects(pattern, name), is_selected, "{pattern} {name}");
    }
}
