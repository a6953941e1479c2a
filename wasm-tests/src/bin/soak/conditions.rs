//! The state of the provider and the rules in force, on which answers depend besides the request. Both change at a moment
//! that no client sees, so around a change nothing strict can be said.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::plan::{DRAIN, Rules};

/// How long after an episode the filter may still refuse what needs the provider: it pauses for up to 15 seconds after
/// failures.
const RECOVERY: Duration = Duration::from_secs(20);
/// How long after a reload new connections may still meet the old rules.
const SETTLING: Duration = Duration::from_secs(2);
/// How long after the drain Envoy may still cut off what goes on under the old configuration.
const CLOSING: Duration = Duration::from_secs(3);

/// The state of the provider and of the configuration.
#[derive(Debug)]
pub struct Conditions {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    trouble: Option<&'static str>,
    /// The end of the last episode.
    calm_since: Option<Instant>,
    /// The last time that keys were withdrawn.
    keys_since: Option<Instant>,
    episodes: usize,
    rules: Option<Rules>,
    reloaded: Option<Instant>,
    reloads: usize,
    refused_reloads: usize,
}

impl Conditions {
    /// A provider that works, and the first configuration.
    pub fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                trouble: None,
                calm_since: None,
                keys_since: None,
                episodes: 0,
                rules: Some(Rules::Closed),
                reloaded: None,
                reloads: 0,
                refused_reloads: 0,
            }),
        }
    }

    /// Begins an episode of this name.
    pub fn begin_trouble(&self, name: &'static str) {
        let mut inner = self.lock();
        inner.trouble = Some(name);
        inner.episodes += 1;
    }

    /// Tells that tokens from before may no longer be good.
    pub fn withdraw_keys(&self) {
        self.lock().keys_since = Some(Instant::now());
    }

    /// Ends the episode.
    pub fn end_trouble(&self) {
        let mut inner = self.lock();
        inner.trouble = None;
        inner.calm_since = Some(Instant::now());
    }

    /// The episode that goes on.
    pub fn trouble(&self) -> Option<&'static str> {
        self.lock().trouble
    }

    /// Whether the provider has worked since this moment, and the filter has had time to notice.
    pub fn is_calm_since(&self, from: Instant) -> bool {
        let inner = self.lock();
        inner.trouble.is_none() && is_over(inner.calm_since, RECOVERY, from)
    }

    /// Whether all keys of this moment are good, and the filter has had time to fetch them.
    pub fn are_keys_known_since(&self, from: Instant) -> bool {
        is_over(self.lock().keys_since, RECOVERY, from)
    }

    /// Begins a reload: which rules are in force is not known.
    pub fn begin_reload(&self) {
        let mut inner = self.lock();
        inner.rules = None;
        inner.reloaded = Some(Instant::now());
    }

    /// Ends a reload with these rules in force; with the old ones if Envoy has refused it, as it should.
    pub fn end_reload(&self, rules: Rules, taken: bool) {
        let mut inner = self.lock();
        inner.rules = Some(rules);
        inner.reloaded = Some(Instant::now());
        if taken {
            inner.reloads += 1;
        } else {
            inner.refused_reloads += 1;
        }
    }

    /// The rules that a new connection has met since this moment.
    pub fn rules_since(&self, from: Instant) -> Option<Rules> {
        let inner = self.lock();
        inner.rules.filter(|_| is_over(inner.reloaded, SETTLING, from))
    }

    /// Whether Envoy may close a connection with a request on it, because its configuration was replaced.
    pub fn may_cut_off(&self) -> bool {
        !is_over(self.lock().reloaded, DRAIN + CLOSING, Instant::now())
    }

    /// Episodes, reloads, and reloads that were refused.
    pub fn counts(&self) -> [usize; 3] {
        let inner = self.lock();
        [inner.episodes, inner.reloads, inner.refused_reloads]
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a change lies so far back that nothing of it was left at this moment.
fn is_over(change: Option<Instant>, after: Duration, at: Instant) -> bool {
    change.is_none_or(|change| change + after <= at)
}
