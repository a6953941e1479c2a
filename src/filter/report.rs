//! Events become log lines and counters.

use std::cell::RefCell;

use proxy_wasm::types::{LogLevel, MetricType};

use super::host;
use crate::flow::event::{Event, Level};

/// The counters of this worker, each defined when it is first needed, and the histogram of call times.
#[derive(Debug, Default)]
pub(super) struct Report {
    counters: RefCell<Vec<(&'static str, u32)>>,
    callout: Option<u32>,
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            counters: RefCell::default(),
            callout: host::define(MetricType::Histogram, "vestibule_callout_milliseconds"),
        }
    }

    /// Counts an event, and logs it where its level says so.
    pub(super) fn report(&self, event: &Event) {
        self.count(event.counter());
        let level = match event.level() {
            Level::Count => return,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        host::log(level, &event.to_string());
    }

    fn count(&self, name: &'static str) {
        // A handful of names, told apart by their addresses: cheaper than a hash.
        let is_it = |(known, _): &&(&'static str, u32)| std::ptr::eq(*known, name) || *known == name;
        let known = self.counters.borrow().iter().find(is_it).map(|(_, id)| *id);
        let counter = known.or_else(|| {
            let id = host::define(MetricType::Counter, name)?;
            self.counters.borrow_mut().push((name, id));
            Some(id)
        });
        counter.into_iter().for_each(host::count);
    }

    pub(super) fn callout_took(&self, milliseconds: u64) {
        self.callout.into_iter().for_each(|metric| host::record(metric, milliseconds));
    }
}
