//! The run: everything that its threads share.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use wasm_tests::{envoy::Setup, http1::Server, issuer::Issuer};

use crate::{
    conditions::Conditions,
    ledger::Ledger,
    measures::Measures,
    plan::{self, Plan},
    users::Users,
};

/// A bearer token, and when it was made.
pub type Token = (String, Instant);

/// The run.
pub struct Soak {
    /// Its settings.
    pub plan: Plan,
    /// The provider; written when its port is closed and opened.
    pub issuer: RwLock<Issuer>,
    /// The requests under way.
    pub ledger: Arc<Ledger>,
    /// The state of provider and configuration.
    pub conditions: Conditions,
    /// The users.
    pub users: Users,
    /// Bearer tokens that were accepted.
    pub tokens: Mutex<Vec<Token>>,
    /// The measures.
    pub measures: Measures,
    setup: Setup,
    names: AtomicU64,
    failure: Mutex<Option<String>>,
    is_over: AtomicBool,
    _app: Server,
}

impl Soak {
    /// Starts the app, and plans Envoy before it.
    pub fn start(plan: Plan, issuer: Issuer) -> Self {
        let ledger = Arc::new(Ledger::default());
        let app = ledger.serve();
        let setup = plan::setup(app.address().port(), &issuer);
        Self {
            plan,
            issuer: RwLock::new(issuer),
            ledger,
            conditions: Conditions::new(),
            users: Users::default(),
            tokens: Mutex::default(),
            measures: Measures::new(),
            setup,
            names: AtomicU64::new(0),
            failure: Mutex::default(),
            is_over: AtomicBool::new(false),
            _app: app,
        }
    }

    /// Envoy's set-up.
    pub fn setup(&self) -> Setup {
        self.setup.clone()
    }

    /// Envoy's port.
    pub const fn port(&self) -> u16 {
        self.setup.port
    }

    /// The provider.
    pub fn issuer(&self) -> RwLockReadGuard<'_, Issuer> {
        self.issuer.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name that no other user has.
    pub fn new_name(&self) -> String {
        format!("user-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Stops the run with this failure, unless there is one.
    pub fn fail(&self, failure: String) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.end();
    }

    /// The first failure of an answer, and the first at the app.
    pub fn failure(&self) -> Option<String> {
        let answer = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let failures: Vec<String> = answer.into_iter().chain(self.ledger.violation()).collect();
        (!failures.is_empty()).then(|| failures.join("\n"))
    }

    /// Stops the run.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Sleeps until the time has passed or the run is over.
    pub fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.is_over() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50).min(end.saturating_duration_since(Instant::now())));
        }
    }
}
