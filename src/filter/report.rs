//! Events become log lines and counters.

use std::{cell::RefCell, time::Duration};

use proxy_wasm::types::{LogLevel, MetricType};

use super::host;
use crate::{
    config::AuditLog,
    flow::event::{Event, Level, audit},
};

/// The counters of this worker, and the histogram of call times.
#[derive(Debug)]
pub(super) struct Report {
    audit_log: AuditLog,
    counters: RefCell<Vec<Counter>>,
    callout: Option<u32>,
}

/// A counter, defined when it is first needed. A host call for each request would cost it up to a microsecond.
#[derive(Debug)]
struct Counter {
    name: &'static str,
    id: u32,
    /// Events that the host has not heard of.
    unreported: i64,
}

impl Report {
    pub(super) fn new(audit_log: AuditLog) -> Self {
        Self {
            audit_log,
            counters: RefCell::default(),
            callout: host::define(MetricType::Histogram, "vestibule_callout_milliseconds"),
        }
    }

    /// Counts an event, and logs it where its level or the audit log says so.
    pub(super) fn report(&self, event: &Event) {
        self.count(event.counter());
        if self.audit_log != AuditLog::None {
            self.audit(event);
        }
        let level = match event.level() {
            Level::Count => return,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        host::log(level, &event.to_string());
    }

    /// Writes the line of an event for the audit log. Not inlined: most configurations have none.
    #[inline(never)]
    fn audit(&self, event: &Event) {
        if let Some(line) = audit::line(event, self.audit_log) {
            host::log(LogLevel::Info, &["audit ", &line].concat());
            // For the access log; nothing happens where there is no request. A later line of the request replaces it.
            host::set_state("vestibule_audit", &line);
        }
    }

    fn count(&self, name: &'static str) {
        let mut counters = self.counters.borrow_mut();
        // A handful of names, told apart by their addresses: cheaper than a hash.
        let is_it = |counter: &&mut Counter| std::ptr::eq(counter.name, name) || counter.name == name;
        if let Some(counter) = counters.iter_mut().find(is_it) {
            counter.unreported = counter.unreported.saturating_add(1);
        } else if let Some(id) = host::define(MetricType::Counter, name) {
            counters.push(Counter { name, id, unreported: 1 });
        }
    }

    /// Adds the unreported events to the host's counters.
    pub(super) fn flush(&self) {
        for counter in self.counters.borrow_mut().iter_mut().filter(|counter| counter.unreported > 0) {
            host::count(counter.id, std::mem::take(&mut counter.unreported));
        }
    }

    pub(super) fn callout_took(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.callout.into_iter().for_each(|metric| host::record(metric, milliseconds));
    }
}
