//! Several Envoys with one configuration before one app, like a deployment with several replicas.

use serde_json::Value;

use super::World;
use crate::{
    envoy::{Envoy, Setup},
    ports,
    user_agent::UserAgent,
};

/// An Envoy beside the first one.
pub(super) struct Replica {
    setup: Setup,
    pub(super) envoy: Envoy,
}

impl World {
    /// The usual configuration in this many Envoys. They are numbered from 0, which is [`Self::envoy`].
    pub fn fleet(count: usize) -> Self {
        let mut world = Self::start();
        while world.envoys().count() < count {
            world.add_envoy();
        }
        world
    }

    /// Starts another Envoy with the configuration of the first: the same external URL, the same keys. Returns its number.
    pub fn add_envoy(&mut self) -> usize {
        let setup = Setup { port: ports::free(), ..self.setup.clone() };
        let envoy = Envoy::start(setup.clone());
        self.others.push(Replica { setup, envoy });
        self.others.len()
    }

    /// Ends the Envoy of this number, which is not the first; those after it move up.
    pub fn remove_envoy(&mut self, number: usize) {
        self.check();
        self.gone.push(self.others.remove(number - 1).envoy.port());
    }

    /// Restarts the Envoy of this number alone, with a changed configuration.
    pub fn restart_one(&mut self, number: usize, change: impl FnOnce(&mut Value)) {
        self.check();
        let (setup, envoy) = match number.checked_sub(1) {
            None => (&mut self.setup, &mut self.envoy),
            Some(other) => {
                let replica = &mut self.others[other];
                (&mut replica.setup, &mut replica.envoy)
            }
        };
        change(&mut setup.configuration);
        // The new Envoy shares the port and serves before the old one stops.
        *envoy = Envoy::start(setup.clone());
    }

    /// Every Envoy, in the order of their numbers.
    pub fn envoys(&self) -> impl Iterator<Item = &Envoy> {
        std::iter::once(&self.envoy).chain(self.others.iter().map(|replica| &replica.envoy))
    }

    /// The Envoy of this number.
    ///
    /// # Panics
    /// When there is none.
    pub fn envoy_at(&self, number: usize) -> &Envoy {
        self.envoys().nth(number).expect("an Envoy of this number")
    }

    /// A URL that leads to the Envoy of this number, with this path and query. It is not the external one, except for 0.
    pub fn url_at(&self, number: usize, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.envoy_at(number).port())
    }

    /// The same browser behind a load balancer that sends its requests for the external URL to the Envoy of this
    /// number.
    pub fn through(&self, browser: &UserAgent, number: usize) -> UserAgent {
        browser.balanced(self.envoy.port(), self.envoy_at(number).port())
    }
}
