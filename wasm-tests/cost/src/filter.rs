//! The filter in one virtual machine, as one worker of Envoy runs it.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Duration};

use serde_json::Value;
use wasmi::{Config, Engine, Instance, Linker, Module, Store, Val};

use wasm_tests::{
    http1::{Answering, Connection, Response},
    user_agent::Outgoing,
};

use crate::host::{self, Call, Exchange, Host};

/// More instructions than any measurement takes.
const FUEL: u64 = 1 << 62;
/// The root context.
const ROOT: u32 = 1;
/// The host name of the app.
pub const APP: &str = "app.example.com";

/// The module, and the functions that it imports.
pub struct Linked {
    module: Module,
    linker: Linker<Host>,
}

impl Linked {
    pub fn read(file: &Path) -> Self {
        let mut config = Config::default();
        config.consume_fuel(true);
        let engine = Engine::new(&config);
        let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let module = Module::new(&engine, bytes).expect("a module of WebAssembly");
        let mut linker = Linker::new(&engine);
        host::link(&mut linker).expect("each function once");
        Self { module, linker }
    }
}

/// The cost of some requests.
#[derive(Debug, Default)]
pub struct Cost {
    /// Calls and callbacks by name.
    pub counts: BTreeMap<String, u64>,
    /// Instructions.
    pub fuel: u64,
}

/// The outcome of a request.
#[derive(Debug)]
pub enum Outcome {
    /// It reaches the app.
    Forwarded,
    /// The filter answers it.
    Replied(Response),
}

/// A running filter.
pub struct Filter {
    store: Store<Host>,
    instance: Instance,
    last_context: u32,
}

impl Filter {
    /// Starts the module with this configuration and these clusters, and answers the calls that it makes at its start.
    pub fn start(linked: &Linked, mut host: Host, configuration: &Value) -> Self {
        host.configuration = configuration.to_string().into_bytes();
        let mut store = Store::new(linked.module.engine(), host);
        store.set_fuel(FUEL).expect("fuel is on");
        let instance = linked.linker.instantiate_and_start(&mut store, &linked.module).expect("no other import");
        let mut filter = Self { store, instance, last_context: ROOT };
        filter.call("_initialize", &[]);
        filter.callback("context_create", ROOT, &[0]);
        filter.callback("vm_start", ROOT, &[0]);
        let size = filter.store.data().configuration.len();
        let is_taken = filter.callback("configure", ROOT, &[size as u32]);
        assert_eq!(is_taken, 1, "the configuration is refused: {:?}", filter.store.data().complaints);
        // Discovery, then keys.
        for _ in 0..10 {
            filter.tick();
        }
        let complaints = &filter.store.data().complaints;
        assert!(complaints.is_empty(), "{complaints:#?}");
        filter
    }

    pub fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    /// The cost of what `run` does.
    pub fn measure(&mut self, run: impl FnOnce(&mut Self)) -> Cost {
        let fuel = self.store.get_fuel().expect("fuel is on");
        self.host().counts.clear();
        run(self);
        Cost {
            counts: std::mem::take(&mut self.host().counts),
            fuel: fuel - self.store.get_fuel().expect("fuel is on"),
        }
    }

    /// A tick, and the answers to the calls that it makes.
    pub fn tick(&mut self) {
        self.callback("tick", ROOT, &[]);
        self.answer_calls();
    }

    /// Sends a request, whose app answers 200 where it gets it.
    pub fn send(&mut self, headers: &[(&str, &str)]) -> Outcome {
        let pair = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let request: Vec<_> = headers.iter().map(pair).collect();
        self.last_context += 1;
        let (id, count) = (self.last_context, request.len());
        self.host().exchange = Exchange { request, ..Exchange::default() };
        self.callback("context_create", id, &[ROOT]);
        let continues = self.callback("request_headers", id, &[count as u32, 1]) == 0;
        self.host().exchange.is_resumed |= continues;
        for _ in 0..20 {
            if self.host().exchange.is_resumed || self.host().exchange.reply.is_some() {
                break;
            }
            self.answer_calls();
        }
        let exchange = &mut self.host().exchange;
        let reply = exchange.reply.take();
        assert!(reply.is_some() || exchange.is_resumed, "the request waits for ever: {:?}", self.host().complaints);
        // A local reply passes this callback, too.
        let status = reply.as_ref().map_or(200, |reply| reply.status);
        self.host().exchange.response = vec![(b":status".to_vec(), status.to_string().into_bytes())];
        self.callback("response_headers", id, &[1, 0]);
        self.callback("delete", id, &[]);
        reply.map_or(Outcome::Forwarded, Outcome::Replied)
    }

    fn answer_calls(&mut self) {
        while !self.host().calls.is_empty() {
            let Call { id, context_id, cluster, request } = self.host().calls.remove(0);
            let address = self.host().clusters[&cluster];
            self.host().answer = ask(address, &request);
            let (headers, body) = (self.host().answer.headers.0.len() + 1, self.host().answer.body.len());
            self.callback("http_call_response", context_id, &[id, headers as u32, body as u32, 0]);
        }
    }

    /// Runs a callback of this context.
    fn callback(&mut self, name: &str, context_id: u32, arguments: &[u32]) -> i32 {
        self.host().enter(context_id);
        self.host().count(&format!("on {name}"));
        self.call(&format!("proxy_on_{name}"), &[&[context_id], arguments].concat())
    }

    /// Calls an export; 0 where it returns nothing.
    fn call(&mut self, name: &str, arguments: &[u32]) -> i32 {
        let export = self.instance.get_func(&self.store, name).unwrap_or_else(|| panic!("no export {name}"));
        let arguments: Vec<_> = arguments.iter().map(|argument| Val::I32(*argument as i32)).collect();
        let mut results = vec![Val::I32(0); export.ty(&self.store).results().len()];
        export.call(&mut self.store, &arguments, &mut results).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        results.first().and_then(Val::i32).unwrap_or_default()
    }
}

/// Sends a request over a connection of its own.
pub fn ask(address: SocketAddr, request: &Outgoing) -> Response {
    let mut connection = Connection::open(address, Duration::from_secs(20)).expect("the server listens");
    connection.send(&request.bytes("")).expect("the server reads");
    connection.read_response(Answering::Other).expect("the server answers")
}
