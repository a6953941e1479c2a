//! The CPU time of a whole sign-in: the redirect to the issuer, the callback with the token request, and the page. The
//! issuer is the same, and its CPU time does not count.

use wasm_tests::{
    statistics::{least, median, spread},
    table,
    tools::progress,
};

use crate::{
    arguments::Arguments,
    browser,
    envoys::{Filter, Site, World, start_all},
    peers,
};

struct Row {
    name: String,
    site: Site,
    /// Microseconds of CPU for each sign-in, round by round, start by start.
    starts: Vec<Vec<f64>>,
}

pub fn measure(world: &World, arguments: &Arguments) -> String {
    let mut rows = rows(world);
    for start in 1..=arguments.starts {
        progress(&format!("sign-ins: start {start} of {}", arguments.starts));
        let servers = start_all(world, rows.iter().map(|row| &row.site));
        rows.iter_mut().for_each(|row| row.starts.push(Vec::new()));
        for round in 0..=arguments.rounds {
            eprint!("\rround {round} of {}", arguments.rounds);
            for row in &mut rows {
                let server = &servers[&row.site.port];
                let before = server.spent();
                let signed_in = browser::sign_in(world, server, arguments.sign_ins, |_| {}).len();
                let cost = (server.spent() - before) / signed_in as f64;
                // The first round warms up.
                if round > 0 {
                    row.starts.last_mut().expect("this start").push(cost);
                }
            }
        }
        eprintln!();
    }
    report(&rows)
}

fn rows(world: &World) -> Vec<Row> {
    let row = |name: &str, site| Row { name: name.to_owned(), site, starts: Vec::new() };
    let mut rows = vec![
        row("Vestibule", Site::vestibule()),
        row("Envoy's oauth2", Site::new(Filter::Oauth2)),
        row("Envoy's oauth2 and jwt_authn", Site::new(Filter::Pair)),
    ];
    if world.oauth2_proxy.is_ok() {
        rows.push(row(&format!("{} behind ext_authz", peers::name()), Site::new(Filter::Oauth2Proxy)));
    }
    rows
}

fn report(rows: &[Row]) -> String {
    let medians = |row: &Row| row.starts.iter().map(|rounds| median(rounds)).collect::<Vec<_>>();
    let ours = medians(&rows[0]);
    let lines = rows.iter().map(|row| {
        let theirs = medians(row);
        let ratios: Vec<_> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
        vec![row.name.clone(), spread(&theirs, 0), format!("{:.0}", least(&row.starts.concat())), spread(&ratios, 2)]
    });
    let title = "CPU of a whole sign-in in µs, the page included: the median of the starts, and from the least to the most of them.";
    let head = ["filter", "median (least to most)", "least round", "Vestibule / this"];
    table::write(title, &head, &lines.collect::<Vec<_>>())
}
