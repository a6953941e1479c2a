//! The time from the start of the process to the first page.

use std::{
    thread,
    time::{Duration, Instant},
};

use wasm_tests::tools::progress;

use crate::{
    arguments::Arguments,
    envoys::{Filter, Server, Site, World},
    load,
    statistics::{least, spread},
    table,
    targets::Target,
};

/// How often the page is asked for.
const PAUSE: Duration = Duration::from_millis(1);
/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn measure(world: &World, arguments: &Arguments) -> String {
    let targets = targets(world);
    let mut times = vec![Vec::new(); targets.len()];
    for start in 0..=arguments.starts {
        progress(&format!("time to ready: start {start} of {}", arguments.starts));
        for (target, times) in targets.iter().zip(&mut times) {
            let (milliseconds, server) = time(world, target);
            target.check(&server);
            // The first start brings the files into memory.
            if start > 0 {
                times.push(milliseconds);
            }
        }
    }
    let rows = targets
        .iter()
        .zip(&times)
        .map(|(target, times)| vec![target.name.clone(), spread(times, 0), format!("{:.0}", least(times))]);
    let title = "Time in ms from the start of Envoy to the first page, one worker.";
    table::write(title, &["filter, request", "median (least to most)", "least"], &rows.collect::<Vec<_>>())
}

fn targets(world: &World) -> Vec<Target> {
    let session = |name: &str, filter| Target::session(name, world, filter);
    let ours = session("Vestibule, session", Filter::Vestibule { rules: 1, build: None });
    vec![
        Target::public("Envoy alone", &Site::new(Filter::Alone)),
        Target::public("A filter that does nothing, with the SDK", &Site::new(Filter::Noop)),
        Target::public("Vestibule, public path", &ours.site),
        ours,
        session("Envoy's oauth2, session", Filter::Oauth2),
    ]
}

/// Milliseconds until this target's page is there.
fn time(world: &World, target: &Target) -> (f64, Server) {
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
        (page.join().expect("a page"), server)
    })
}
