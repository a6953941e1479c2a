//! The load: visits begin at a steady rate, whether or not those before have ended.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{kinds::Visitor, soak::Soak};

/// Clients. Most of them sleep: only visits that the filter holds keep one for long.
const CLIENTS: usize = 64;
/// So late a visit counts as late.
const LATE: Duration = Duration::from_millis(100);

/// Sends visits until the run is over.
pub fn send(soak: &Soak) {
    let next = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(soak, &next, start));
        }
    });
}

/// One client: takes the next visit, waits for its time, and makes it.
fn client(soak: &Soak, next: &AtomicU64, start: Instant) {
    let mut visitor = Visitor::new(soak);
    while !soak.is_over() {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = start + Duration::from_secs_f64(number as f64 / f64::from(soak.plan.rate));
        let now = Instant::now();
        if now > due + LATE {
            soak.measures.count_late();
        }
        thread::sleep(due.saturating_duration_since(now));
        visitor.visit(number);
    }
}
