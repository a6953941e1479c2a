//! The root context: reads the configuration and keeps time.

use std::{env, rc::Rc};

use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::{ContextType, LogLevel},
};

use super::{host, stream::Stream, worker::Worker};
use crate::config::Config;

/// The root context of one plugin configuration in one worker.
pub(super) struct Root {
    context_id: u32,
    worker: Option<Rc<Worker>>,
}

impl Root {
    pub(super) const fn new(context_id: u32) -> Self {
        Self { context_id, worker: None }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, call_id: u32, num_headers: usize, body_size: usize, _num_trailers: usize) {
        if let Some(worker) = &self.worker {
            worker.answered(call_id, num_headers, body_size);
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match Config::parse(&host::configuration(size), &|name| env::var(name).ok()) {
            Ok(config) => {
                let worker = Worker::new(self.context_id, config);
                worker.warnings().for_each(|warning| host::log(LogLevel::Warn, warning));
                self.worker = Some(Rc::new(worker));
                true
            }
            Err(errors) => {
                for line in errors.to_string().lines() {
                    host::log(LogLevel::Error, line);
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(worker) = &self.worker {
            worker.tick();
        }
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context_id, self.worker.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
