//! `make scale`: what rules, providers and policies by the thousand cost at start: time until the filter serves, and memory.
//! Each document is started in the real Envoy several times, in turn with the others. The least of the times counts, because a
//! neighbour on the machine only adds to them, and the median of the memory; as a Markdown table.
//!
//! `cargo run --release -p wasm-tests --bin scale [STARTS]`

use std::{
    env,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wasm_tests::{
    envoy::{Envoy, Setup},
    issuer::{CLIENT_ID, CLIENT_SECRET, Issuer},
    machine,
    statistics::{least, median},
    table,
    tools::progress,
    usage,
    world::{SESSION_KEY, document},
};

/// Starts of each document.
const STARTS: NonZeroUsize = NonZeroUsize::new(5).expect("above 0");
/// Providers that the configuration takes at most.
const MAX_PROVIDERS: usize = 16;
/// Policies that the configuration takes at most.
const MAX_POLICIES: usize = 100;

/// A change to the small document.
type Change = Box<dyn Fn(&mut Value)>;

/// A document, and what its starts took.
struct Case {
    name: String,
    change: Change,
    starts: Vec<Start>,
}

/// One start.
#[derive(Clone, Copy)]
struct Start {
    /// Until Envoy's listener serves.
    serving: Duration,
    /// Until every worker knows every provider.
    ready: Duration,
    /// CPU time of Envoy until then.
    cpu: Duration,
    /// Resident memory of Envoy then, in bytes.
    memory: u64,
    /// The size of the document.
    bytes: usize,
}

fn main() {
    let starts: NonZeroUsize =
        env::args().nth(1).map_or(STARTS, |text| text.parse().expect("STARTS is a number above 0"));
    let starts = starts.get();
    let issuers: Vec<Issuer> = (0..MAX_PROVIDERS).map(|_| Issuer::start()).collect();
    let mut cases = cases(&issuers);
    for start in 1..=starts {
        progress(&format!("start {start} of {starts}"));
        for case in &mut cases {
            let measured = measure(&issuers[0], &case.change);
            case.starts.push(measured);
        }
    }
    report(&cases, starts);
    refusals(&issuers[0]);
}

fn cases(issuers: &[Issuer]) -> Vec<Case> {
    let urls: Vec<String> = issuers.iter().map(Issuer::url).collect();
    let case = |name: String, change: Change| Case { name, change, starts: Vec::new() };
    let mut cases = vec![case("small: 1 rule, 1 provider".to_owned(), Box::new(|_| {}))];
    for count in [10, 1_000, 10_000] {
        cases.push(case(format!("{count} rules"), Box::new(move |document| document["rules"] = rules(count))));
    }
    for count in [4, MAX_PROVIDERS] {
        let urls = urls.clone();
        cases.push(case(
            format!("{count} providers"),
            Box::new(move |document| {
                document["providers"] = urls.iter().take(count).enumerate().map(provider).collect()
            }),
        ));
    }
    for count in [10, MAX_POLICIES] {
        cases.push(case(
            format!("{count} policies, each with a rule"),
            Box::new(move |document| set_policies(document, count)),
        ));
    }
    cases
}

fn rules(count: usize) -> Value {
    (0..count).map(|number| json!({"prefix": format!("/area/{number}"), "access": "public"})).collect()
}

/// Policies, each with a rule.
fn set_policies(document: &mut Value, count: usize) {
    let policy = |number| {
        let content = json!({"access": "required", "allow": {"groups": [format!("group-{number}")]}});
        (format!("policy-{number}"), content)
    };
    document["policies"] = (0..count).map(policy).collect();
    let rule = |number| json!({"prefix": format!("/area/{number}"), "policy": format!("policy-{number}")});
    document["rules"] = (0..count).map(rule).collect();
}

fn provider((number, issuer): (usize, &String)) -> Value {
    json!({"name": format!("p{number}"), "issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
}

fn setup(issuer: &Issuer, change: &Change) -> Setup {
    let mut setup = Setup::new(1).connection_manager("access_log", json!([]));
    setup.configuration = document(setup.port, &issuer.url());
    setup.configuration["session"]["keys"] = json!([SESSION_KEY]);
    change(&mut setup.configuration);
    setup
}

fn measure(issuer: &Issuer, change: &Change) -> Start {
    let setup = setup(issuer, change);
    let bytes = setup.configuration.to_string().len();
    let begun = Instant::now();
    let envoy = Envoy::start(setup);
    let serving = begun.elapsed();
    envoy.until_ready();
    let ready = begun.elapsed();
    let pid = envoy.pid();
    let (cpu, memory) = (usage::cpu(pid).expect("Envoy runs"), usage::resident(pid).expect("Envoy runs"));
    Start { serving, ready, cpu, memory, bytes }
}

fn report(cases: &[Case], starts: usize) {
    let all = |case: &Case, pick: fn(&Start) -> f64| case.starts.iter().map(pick).collect::<Vec<_>>();
    let serving = |case: &Case| least(&all(case, |start| start.serving.as_secs_f64() * 1e3));
    let ready = |case: &Case| least(&all(case, |start| start.ready.as_secs_f64() * 1e3));
    let cpu = |case: &Case| least(&all(case, |start| start.cpu.as_secs_f64() * 1e3));
    let memory = |case: &Case| median(&all(case, |start| start.memory as f64 / 1e6));
    let small = &cases[0];
    let row = |case: &Case| {
        vec![
            case.name.clone(),
            case.starts[0].bytes.to_string(),
            format!("{:.0}", serving(case)),
            format!("{:.0}", ready(case)),
            format!("{:.0}", cpu(case)),
            format!("{:+.0}", cpu(case) - cpu(small)),
            format!("{:.1}", memory(case)),
            format!("{:+.1}", memory(case) - memory(small)),
        ]
    };
    let title = format!(
        "{starts} starts of Envoy with two workers, the least time and the median of the memory; {}.",
        machine::describe()
    );
    let head = [
        "document",
        "bytes",
        "serves after ms",
        "providers known after ms",
        "CPU ms",
        "more than small",
        "memory MB",
        "more than small",
    ];
    print!("{}", table::write(&title, &head, &cases.iter().map(row).collect::<Vec<_>>()));
}

/// Documents that the configuration refuses, each with the reason that it gives.
fn refusals(issuer: &Issuer) {
    let providers = |count: usize| -> Change {
        Box::new(move |document| {
            let urls: Vec<String> = (0..count).map(|number| format!("https://idp-{number}.example.com")).collect();
            document["providers"] = urls.iter().enumerate().map(provider).collect();
        })
    };
    println!("\n| document | answer |\n| --- | --- |");
    for (name, change) in [
        ("100 providers", providers(100)),
        ("1,000 providers", providers(1_000)),
        ("1,000 policies", Box::new(|document: &mut Value| set_policies(document, 1_000)) as Change),
        ("40,000 rules", Box::new(|document: &mut Value| document["rules"] = rules(40_000)) as Change),
    ] {
        let begun = Instant::now();
        let (accepted, said) = Envoy::validate(&setup(issuer, &change));
        let reason =
            said.lines().find_map(|line| line.split_once("vestibule: ")).map_or("refused", |(_, reason)| reason);
        assert!(!accepted, "{name} are taken: measure them");
        println!("| {name} | {reason} (after {:.1} s) |", begun.elapsed().as_secs_f64());
    }
}
