//! The time from the start of the process to the first page.

use std::{
    thread,
    time::{Duration, Instant},
};

use wasm_tests::{
    statistics::{least, spread},
    table,
    tools::progress,
};

use crate::{
    arguments::Arguments,
    envoys::{Filter, Site, World},
    filters::Vestibule,
    load,
    targets::Target,
};

/// How often the page is asked for.
const PAUSE: Duration = Duration::from_millis(1);
/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// One start, in milliseconds.
struct Start {
    time: f64,
    cpu: f64,
}

pub fn measure(world: &World, arguments: &Arguments) -> String {
    let targets = targets(world);
    let mut all: Vec<Vec<Start>> = targets.iter().map(|_| Vec::new()).collect();
    for start in 0..=arguments.starts {
        progress(&format!("time to ready: start {start} of {}", arguments.starts));
        for (target, starts) in targets.iter().zip(&mut all) {
            let measured = measure_start(world, target);
            // The first start brings the files into memory.
            if start > 0 {
                starts.push(measured);
            }
        }
    }
    let rows = targets.iter().zip(&all).map(|(target, starts)| {
        let times: Vec<_> = starts.iter().map(|start| start.time).collect();
        let cpu: Vec<_> = starts.iter().map(|start| start.cpu).collect();
        vec![target.name.clone(), spread(&times, 0), format!("{:.0}", least(&times)), spread(&cpu, 0)]
    });
    let title = "Time from the start of Envoy to the first page in ms, one worker; and the CPU of Envoy until then, which a busy \
                 machine changes less: the median of the starts, and from the least to the most of them.";
    table::write(title, &["filter, request", "time", "least", "CPU"], &rows.collect::<Vec<_>>())
}

fn targets(world: &World) -> Vec<Target> {
    let session = |name: &str, filter| Target::session(name, world, filter);
    let ours = session("Vestibule, session", Filter::Vestibule(Vestibule::default()));
    vec![
        Target::public("Envoy alone", &Site::new(Filter::Alone)),
        Target::public("A filter that does nothing, with the SDK", &Site::new(Filter::Noop)),
        Target::public("Vestibule, public path", &ours.site),
        ours,
        session("Envoy's oauth2, session", Filter::Oauth2),
    ]
}

/// Starts Envoy for this target and waits for its page.
fn measure_start(world: &World, target: &Target) -> Start {
    let begun = Instant::now();
    thread::scope(|scope| {
        let page = scope.spawn(|| {
            while load::status(target.site.port, &target.requests) != Some(200) {
                assert!(begun.elapsed() < PATIENCE, "{}: no page within {PATIENCE:?}", target.name);
                thread::sleep(PAUSE);
            }
            begun.elapsed().as_secs_f64() * 1e3
        });
        let server = world.start(&target.site, 1);
        let start = Start { time: page.join().expect("a page"), cpu: server.spent() / 1e3 };
        target.check(&server);
        start
    })
}
