//! The cost of the filter, beside Envoy alone, filters written by hand, Envoy's own `oauth2` and `jwt_authn` filters, and
//! oauth2-proxy where Go can build it. All of them answer the same direct response in one run, in turn. Machines are noisy:
//! only rows of one run can be compared. Tables go to standard output in Markdown, progress to standard error. A request that is answered
//! otherwise than it should be ends the run.
//!
//! `make bench`, or with arguments, all of which may be left out:
//!
//! | argument | default | |
//! | --- | --- | --- |
//! | `ONLY` | all | parts with commas between: `cpu`, `sign-in`, `rate`, `ready`, `memory` |
//! | `STARTS` | 5 | starts of all Envoys |
//! | `ROUNDS` | 12 | rounds of each start, for CPU time |
//! | `REQUESTS` | 1000 | requests of each round |
//! | `SESSIONS` | 10000 | different sessions, sent in turn |
//! | `SIGN_INS` | 20 | sign-ins of each round |
//! | `RATE` | 2000,5000 | requests a second for latencies, with commas between |
//! | `SECONDS` | 1 | seconds at each rate |
//! | `GROWTH` | 1000000 | requests over which memory is watched |
//! | `VESTIBULE_BASELINES` | none | other builds of the filter to measure beside this one, with `:` between |

mod arguments;
mod browser;
mod cpu;
mod envoys;
mod filters;
mod floor;
mod load;
mod memory;
mod open_loop;
mod peers;
mod rate;
mod ready;
mod sign_in;
mod targets;

use std::{panic, process::ExitCode, time::Instant};

use wasm_tests::{machine, tools::progress};

use arguments::{Arguments, Part};
use envoys::World;
use targets::Many;

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("make bench: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        eprintln!("\nmake bench stops: what it measures does not work as it should");
        usual(info);
    }));
    let world = World::prepare();
    println!("{}\n\n{}", machine::describe(), arguments.describe());
    if let Err(reason) = &world.oauth2_proxy {
        println!("\n{reason}");
    }
    let many = Many::default();
    let begun = Instant::now();
    for (number, part) in arguments.parts.iter().enumerate() {
        progress(&format!("part {} of {}: {}", number + 1, arguments.parts.len(), part.name()));
        let tables = match part {
            Part::Cpu => cpu::measure(&world, &arguments, &many),
            Part::Memory => memory::measure(&world, &arguments, &many),
            Part::Rate => rate::measure(&world, &arguments),
            Part::Ready => ready::measure(&world, &arguments),
            Part::SignIn => sign_in::measure(&world, &arguments),
        };
        print!("{tables}");
    }
    println!("\n{} minutes; load {} after the run", begun.elapsed().as_secs().div_ceil(60), machine::load());
    ExitCode::SUCCESS
}
