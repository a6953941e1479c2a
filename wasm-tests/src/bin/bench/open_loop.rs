//! Requests at a fixed rate, whatever the answers take. A latency counts from when its request was due, so that a request that has to
//! wait for a connection is not forgotten.

use std::{
    thread,
    time::{Duration, Instant},
};

use wasm_tests::statistics::percentile;

use crate::{
    envoys::Server,
    load::{Client, Requests},
};

/// Connections: more than are ever busy unless Envoy does not keep up.
const CONNECTIONS: usize = 64;
/// A run that takes this much longer than it should is no measurement.
const MAX_LATE: Duration = Duration::from_secs(60);

/// What a run at a fixed rate has shown.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    /// Answers a second: less than the rate if Envoy does not keep up.
    pub answered: f64,
    /// The median in milliseconds.
    pub p50: f64,
    /// 99 of 100 answers took this long at most, in milliseconds.
    pub p99: f64,
    /// 99 of 100 requests that found a free connection were sent at most this much late, in milliseconds: how far the
    /// machine held up the sender itself.
    pub held_up: f64,
}

/// Sends so many requests a second for so long, in one thread, which takes a core for itself.
pub fn run(server: &Server, requests: &Requests, rate: usize, seconds: usize) -> Latency {
    let mut idle: Vec<Client> = (0..CONNECTIONS).map(|_| Client::connect(server.port())).collect();
    idle.iter_mut().for_each(Client::set_nonblocking);
    let (mut busy, mut bytes): (Vec<(Client, Instant)>, _) = (Vec::new(), Vec::new());
    let (count, mut sent, mut latencies) = (rate * seconds, 0, Vec::with_capacity(rate * seconds));
    // Whether requests wait for a connection.
    let (mut waits, mut held_up) = (false, Vec::new());
    let begun = Instant::now();
    let due = |number: usize| begun + Duration::from_secs_f64(number as f64 / rate as f64);
    let end = due(count) + MAX_LATE;
    while latencies.len() < count {
        let now = Instant::now();
        let answered = latencies.len();
        assert!(now < end, "{answered} of {count} requests at a rate of {rate} were answered: RATE is too high");
        while sent < count && due(sent) <= now {
            let Some(mut client) = idle.pop() else {
                waits = true;
                break;
            };
            if !waits {
                held_up.push((now - due(sent)).as_secs_f64() * 1e3);
            }
            requests.write(sent, server.port(), &mut bytes);
            client.send(&bytes);
            busy.push((client, due(sent)));
            sent += 1;
        }
        waits &= due(sent) <= now;
        let mut next = 0;
        while next < busy.len() {
            if busy[next].0.is_answered() {
                let (client, due) = busy.swap_remove(next);
                latencies.push(due.elapsed().as_secs_f64() * 1e3);
                idle.push(client);
            } else {
                next += 1;
            }
        }
        thread::yield_now();
    }
    let answered = count as f64 / begun.elapsed().as_secs_f64();
    let (p50, p99) = (percentile(&latencies, 50.0), percentile(&latencies, 99.0));
    Latency { answered, p50, p99, held_up: percentile(&held_up, 99.0) }
}
