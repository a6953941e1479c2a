//! The visits so far: each with its kind, its outcome and its duration.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How a visit counts in the verdict on latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// It goes to Envoy, which answers before the filter: as slow as the machine is.
    Control,
    /// It needs no provider, and so is held to be stable.
    Steady,
    /// It may wait for the provider.
    Free,
}

/// A visit: one request, or a flow of several.
#[derive(Debug, Clone, Copy)]
pub struct Visit {
    /// Its name in the report.
    pub kind: &'static str,
    /// Its outcome.
    pub outcome: &'static str,
    /// How it counts.
    pub latency: Latency,
    /// When it ended, from the start of the run.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
}

/// Everything measured so far.
#[derive(Debug)]
pub struct Measures {
    start: Instant,
    requests: AtomicU64,
    late: AtomicU64,
    visits: Mutex<Vec<Visit>>,
}

impl Measures {
    /// Nothing yet; the time goes on from now.
    pub fn new() -> Self {
        Self { start: Instant::now(), requests: AtomicU64::new(0), late: AtomicU64::new(0), visits: Mutex::default() }
    }

    /// The start of the run.
    pub const fn start(&self) -> Instant {
        self.start
    }

    /// Counts a request to Envoy.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests to Envoy.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Counts a visit that began later than planned, because all clients were busy.
    pub fn count_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    /// Visits that began late.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Adds a visit that ends now.
    pub fn add(&self, kind: &'static str, latency: Latency, outcome: &'static str, took: Duration) {
        self.visits().push(Visit { kind, outcome, latency, at: self.start.elapsed(), took });
    }

    /// The visits, in the order of their ends.
    pub fn visits(&self) -> MutexGuard<'_, Vec<Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duration below which so many percent of these lie, in milliseconds.
pub fn percentile(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort_unstable();
    let at = (durations.len() * percent / 100).min(durations.len().saturating_sub(1));
    durations.get(at).map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_milliseconds() {
        let mut durations: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&mut durations, percent)), [101.0, 199.0, 200.0]);
        assert_eq!(percentile(&mut [], 50).to_bits(), 0.0_f64.to_bits());
    }
}
