//! The work of a worker beside its requests: it fetches documents, and polls the tasks that requests have spawned.

use std::{rc::Rc, time::Duration};

use super::{
    context::{Call, Env, Worker},
    memory::issuers::Fetch,
};

/// The shortest tick of the host. Spawned work begins with the next one.
pub const MIN_TICK: Duration = Duration::from_millis(1);

impl Worker {
    /// Looks at the data that other workers have shared, and polls the tasks. Returns the calls to make.
    #[must_use]
    pub fn drive(self: &Rc<Self>) -> Vec<Call> {
        // Nothing is borrowed here, so this cannot fail.
        let _ = self.with(look_around);
        self.poll_tasks();
        self.outbox.take()
    }

    /// The time until the worker is to be driven again.
    pub fn next_drive(&self) -> Duration {
        if self.has_spawned() {
            return MIN_TICK;
        }
        self.with(|env| env.issuers.next_poll(env.now())).unwrap_or(MIN_TICK)
    }
}

fn look_around(env: &mut Env<'_>) {
    env.revocations.look(env.platform);
    for Fetch { request, document } in env.issuers.poll(env.platform, env.now()) {
        env.spawn(move |cx| async move {
            let answer = cx.call(request).await;
            cx.with(|env| {
                let rules = &env.config.rules;
                env.issuers.fetched(document, answer, rules, env.platform, env.now(), env.omissions, env.events);
            })
        });
    }
}
