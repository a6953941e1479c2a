//! A session store as the filter can reach one: a real Redis, and before it a real Webdis that speaks HTTP.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    envoy::get,
    ports,
    process::{Running, Scratch},
    tools,
};

/// A running store. Dropping it ends it.
#[derive(Debug)]
pub struct Store {
    redis_port: u16,
    port: u16,
    redis: Option<Running>,
    webdis: Option<Running>,
    scratch: Scratch,
}

impl Store {
    /// Starts Redis and Webdis on free ports.
    ///
    /// # Panics
    /// If one of them does not come up, with the end of its log.
    #[must_use]
    pub fn start() -> Self {
        let scratch = Scratch::new("store");
        let (redis_port, port) = (ports::free(), ports::free());
        let mut store = Self { redis_port, port, redis: None, webdis: None, scratch };
        store.start_redis();
        store.start_webdis();
        store
    }

    /// The port on 127.0.0.1 where Webdis listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Starts Redis, with what [`Self::save`] has saved.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    pub fn start_redis(&mut self) {
        let mut command = Command::new(tools::redis());
        command.args([
            "--port",
            &self.redis_port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(self.scratch.file(""));
        let mut running = Running::start(&command, &self.scratch.file("redis.log"));
        running.until("ready Redis", || self.ask(&["PING"]).ok()).unwrap_or_else(|reason| panic!("Redis {reason}"));
        self.redis = Some(running);
    }

    /// Ends Redis at once. What is not saved is lost.
    pub fn stop_redis(&mut self) {
        self.redis = None;
    }

    /// Starts Webdis, whether Redis runs or not.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    pub fn start_webdis(&mut self) {
        let file = self.scratch.file("webdis.json");
        let settings = json!({
            "redis_host": "127.0.0.1", "redis_port": self.redis_port, "redis_auth": null, "database": 0,
            "http_host": "127.0.0.1", "http_port": self.port, "http_max_request_size": 1 << 20,
            "threads": 2, "pool_size": 10, "daemonize": false, "websockets": false,
            "acl": [{"disabled": ["CONFIG", "DEBUG"]}],
            "verbosity": 3, "logfile": self.scratch.file("webdis.log"),
        });
        fs::write(&file, settings.to_string()).expect("the target folder can be written");
        let mut command = Command::new(tools::webdis());
        command.arg(file);
        let mut running = Running::start(&command, &self.scratch.file("webdis.out"));
        // It listens before it has reached Redis.
        let is_ready = |status| status == 200 || self.redis.is_none();
        running
            .until("ready Webdis", || get(self.port, "/PING").filter(|(status, _)| is_ready(*status)))
            .unwrap_or_else(|reason| panic!("Webdis {reason}"));
        self.webdis = Some(running);
    }

    /// Ends Webdis at once.
    pub fn stop_webdis(&mut self) {
        self.webdis = None;
    }

    /// Saves the data of Redis, so that it survives a restart.
    pub fn save(&self) {
        self.command(&["SAVE"]);
    }

    /// Throws everything away.
    pub fn flush(&self) {
        self.command(&["FLUSHALL"]);
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys().len()
    }

    /// The keys, sorted.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let keys = self.command(&["KEYS", "*"]);
        let mut keys: Vec<String> =
            keys.as_array().into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned)).collect();
        keys.sort();
        keys
    }

    /// The value of a key, if it is there.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<String> {
        self.command(&["GET", key]).as_str().map(str::to_owned)
    }

    /// Puts a value in, past Webdis.
    pub fn put(&self, key: &str, value: &str) {
        self.command(&["SET", key, value]);
    }

    /// The time to live of a key in seconds, if it has one.
    #[must_use]
    pub fn seconds_left(&self, key: &str) -> Option<i64> {
        self.command(&["TTL", key]).as_i64().filter(|seconds| *seconds >= 0)
    }

    /// Redis's answer to a command, past Webdis.
    ///
    /// # Panics
    /// If Redis is down or refuses the command.
    pub fn command(&self, words: &[&str]) -> Value {
        self.ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    fn ask(&self, words: &[&str]) -> io::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.redis_port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes())?;
        reply(&mut BufReader::new(stream))
    }
}

/// Reads one value of Redis' protocol (RESP2); bytes that are no UTF-8 are replaced.
fn reply(stream: &mut impl BufRead) -> io::Result<Value> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let (kind, rest) = line.trim_end().split_at_checked(1).ok_or(io::ErrorKind::UnexpectedEof)?;
    let number = || rest.parse::<i64>().map_err(io::Error::other);
    match kind {
        "+" => Ok(json!(rest)),
        ":" => Ok(json!(number()?)),
        "$" => {
            let Ok(length) = usize::try_from(number()?) else { return Ok(Value::Null) };
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes)?;
            Ok(json!(String::from_utf8_lossy(&bytes[..length])))
        }
        "*" => (0..number()?).map(|_| reply(stream)).collect(),
        _ => Err(io::Error::other(line)),
    }
}
