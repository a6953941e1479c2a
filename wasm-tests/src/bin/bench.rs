//! The cost of the filter: CPU time of the whole Envoy per request, measured side by side in one run. Envoys with and
//! without the filter, with a filter that does nothing, and with Envoy's own oauth2 and `jwt_authn` filters, serve the
//! same direct response; they take turns in many short rounds, because machines are noisy. The cost of a filter is the
//! difference to Envoy alone with the very same request, cookies included; the cost of the filter that does nothing is
//! that of the VM. Everything is started anew several times, because the very same filter costs one process of Envoy twice
//! what it costs the next, for as long as each lives. Requests come sixteen at a time, as to a busy worker: one that sleeps before each of them spends
//! most of its time waking up.
//!
//! `cargo run --release -p wasm-tests --bin bench [ROUNDS [REQUESTS [STARTS]]]`; `VESTIBULE_BASELINES` names other builds of
//! the filter to measure beside this one, such as the one before a change, with `:` between them.

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    rc::Rc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use url::form_urlencoded;

use wasm_tests::{
    envoy::{Envoy, Setup},
    issuer::{CLIENT_ID, CLIENT_SECRET, Issuer},
    process::Scratch,
    tools::{self, progress},
    user_agent::{Transcript, UserAgent},
};

/// Requests of one round, unless said otherwise.
const REQUESTS: u32 = 5_000;
/// Rounds of each start.
const ROUNDS: usize = 5;
/// Starts of all Envoys.
const STARTS: usize = 5;
/// Requests under way at once.
const AT_ONCE: u32 = 16;
/// The audience of the access tokens.
const API: &str = "https://api.example.com";

/// A request, sent in turn to an Envoy with a filter and to one without.
struct Target {
    name: String,
    path: &'static str,
    /// The header line with the credentials, or nothing.
    credentials: Vec<u8>,
    with: Rc<Envoy>,
    without: Rc<Envoy>,
}

/// The cost of a target, over all starts.
#[derive(Default)]
struct Measured {
    name: String,
    /// Microseconds of CPU for each request, one pair a round.
    spent: Vec<(f64, f64)>,
}

fn main() {
    let mut numbers = env::args().skip(1).map(|text| text.parse().expect("ROUNDS and REQUESTS are numbers"));
    let rounds = numbers.next().unwrap_or(ROUNDS);
    let requests = numbers.next().and_then(|number| u32::try_from(number).ok()).unwrap_or(REQUESTS);
    let starts = numbers.next().unwrap_or(STARTS);
    let issuer = Issuer::start();
    let mut measured: Vec<Measured> = Vec::new();
    for start in 1..=starts {
        progress(&format!("start {start} of {starts}"));
        let targets = targets(&issuer);
        measured.resize_with(targets.len(), Measured::default);
        for round in 0..=rounds {
            eprint!("\rround {round} of {rounds}");
            for (target, measured) in targets.iter().zip(&mut measured) {
                let pair = (target.round(&target.with, requests), target.round(&target.without, requests));
                // The first round warms up.
                if round > 0 {
                    measured.name.clone_from(&target.name);
                    measured.spent.push(pair);
                }
            }
        }
        eprintln!();
    }
    report(&measured, requests);
}

fn report(targets: &[Measured], requests: u32) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "CPU microseconds of Envoy per request, {requests} requests a round, medians; `least` is the difference of minima:"
    );
    println!("{:44} {:>8} {:>8} {:>8} {:>8}", "", "without", "with", "added", "least");
    for target in targets {
        let all = |pick: fn(&(f64, f64)) -> f64| target.spent.iter().map(pick).collect::<Vec<_>>();
        let of = |pick| median(all(pick));
        let minimum = |pick| all(pick).into_iter().fold(f64::INFINITY, f64::min);
        let (without, with, added) = (of(|pair| pair.1), of(|pair| pair.0), of(|pair| pair.0 - pair.1));
        let least = minimum(|pair| pair.0) - minimum(|pair| pair.1);
        println!("{:44} {without:8.1} {with:8.1} {added:8.1} {least:8.1}", target.name);
    }
}

fn targets(issuer: &Issuer) -> Vec<Target> {
    let page = |setup: Setup| {
        setup.workers(1).connection_manager("access_log", json!([])).connection_manager(
            "route_config",
            json!({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello\n"}}},
            ]}]}),
        )
    };
    let vestibule = |further_rules: u32, module: Option<PathBuf>| {
        let setup = Setup { module, ..Setup::new(1) };
        let further = (0..further_rules).map(|number| json!({"prefix": format!("/area/{number}"), "access": "public"}));
        let rules: Vec<Value> = further.chain([json!({"path": "/public/*", "access": "public"})]).collect();
        let document = json!({
            "external_url": format!("http://127.0.0.1:{}", setup.port),
            "cluster": "idp",
            "providers": [{
                "issuer": issuer.url(), "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
                "access_token_audiences": [API],
            }],
            "session": {"keys": [STANDARD.encode(b"a key to measure with, 32 bytes.")]},
            "rules": rules,
        });
        setup.configuration(document)
    };
    let own = |filters: &dyn Fn(&Setup) -> Vec<Value>| {
        let setup = Setup::new(1);
        let filters: Vec<_> = filters(&setup).into_iter().chain([router()]).collect();
        setup.connection_manager("http_filters", json!(filters)).cluster("issuer", issuer.port())
    };
    let start = |setup| Rc::new(Envoy::start(page(setup)));
    let nothing = Setup { module: Some(tools::noop()), ..Setup::new(1).configuration(json!({})) };
    let (alone, nothing) = (start(Setup::new(1)), start(nothing));
    let (filtered, ruled) = (start(vestibule(0, None)), start(vestibule(1000, None)));
    let oauth2_alone = start(own(&|setup| vec![oauth2(issuer, setup.port)]));
    let of_session = json!({ "from_cookies": ["IdToken"], "audiences": [CLIENT_ID] });
    let pair = start(own(&|setup| vec![oauth2(issuer, setup.port), jwt_authn(issuer, &of_session)]));
    let of_client = json!({ "audiences": [API] });
    let jwt_authn_alone = start(own(&|_| vec![jwt_authn(issuer, &of_client)]));
    let token = format!("authorization: Bearer {}", issuer.access_token(API, |_| {})).into_bytes();
    let no_cookies = Vec::new();
    let target = |name: &str, with: &Rc<Envoy>, path, credentials: &[u8]| Target {
        name: name.to_owned(),
        path,
        credentials: credentials.to_vec(),
        with: Rc::clone(with),
        without: Rc::clone(&alone),
    };
    let mut targets = vec![
        target("A filter that does nothing", &nothing, "/page", &no_cookies),
        target("Vestibule, public path", &filtered, "/public/page", &no_cookies),
        target("Vestibule, public path, 1,000 rules", &ruled, "/public/page", &no_cookies),
        target("Vestibule, session", &filtered, "/page", &session_at(&filtered)),
        target("Envoy's oauth2 filter, session", &oauth2_alone, "/page", &session_at(&oauth2_alone)),
        target("Envoy's oauth2 and jwt_authn, session", &pair, "/page", &session_at(&pair)),
        target("Vestibule, token seen before", &filtered, "/page", &token),
        target("Envoy's jwt_authn, token seen before", &jwt_authn_alone, "/page", &token),
    ];
    for module in env::var_os("VESTIBULE_BASELINES").iter().flat_map(env::split_paths) {
        let build = module.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let other = start(vestibule(0, Some(module)));
        targets.extend([
            target(&format!("{build}, public path"), &other, "/public/page", &no_cookies),
            target(&format!("{build}, session"), &other, "/page", &session_at(&other)),
            target(&format!("{build}, token seen before"), &other, "/page", &token),
        ]);
    }
    targets
}

/// The cookies of a browser that has signed in at this Envoy's filter.
fn session_at(envoy: &Envoy) -> Vec<u8> {
    let browser = UserAgent::new(&Transcript::default());
    let pages = browser.follow(&format!("http://127.0.0.1:{}/page", envoy.port()));
    let arrived = pages.last().is_some_and(|(_, response)| response.status == 200);
    assert!(arrived, "the sign-in ended at {:?}", pages.last());
    let cookies = browser.jar().header("127.0.0.1", "/page").expect("a session");
    [b"cookie: ".as_slice(), &cookies].concat()
}

/// Envoy's own `jwt_authn` filter, with its keys in the configuration and its cache on, for tokens of this place and these
/// audiences.
fn jwt_authn(issuer: &Issuer, tokens: &Value) -> Value {
    let mut provider = json!({
        "issuer": issuer.url(),
        "local_jwks": {"inline_string": issuer.jwks().to_string()},
        "forward": true,
        "jwt_cache_config": {"jwt_cache_size": 100},
    });
    for (name, value) in tokens.as_object().expect("an object") {
        provider[name] = value.clone();
    }
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"issuer": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
        },
    })
}

fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    })
}

/// Envoy's own `oauth2` filter, with its secrets in files that it reads at start.
fn oauth2(issuer: &Issuer, port: u16) -> Value {
    let folder = Box::leak(Box::new(Scratch::new("oauth2")));
    let secret = |name: &str, value: &str| {
        let file = folder.file(name);
        let text = json!({"resources": [{
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": name,
            "generic_secret": {"secret": {"inline_string": value}},
        }]});
        fs::write(&file, text.to_string()).expect("the target folder can be written");
        json!({"name": name, "sds_config": {"path_config_source": {"path": file}, "resource_api_version": "V3"}})
    };
    // The filter encodes neither id nor secret by itself.
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    json!({
        "name": "envoy.filters.http.oauth2",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.oauth2.v3.OAuth2",
            "config": {
                "token_endpoint": {"cluster": "issuer", "uri": format!("{}/token", issuer.url()), "timeout": "3s"},
                "authorization_endpoint": format!("{}/authorize", issuer.url()),
                "redirect_uri": format!("http://127.0.0.1:{port}/oauth2/callback"),
                "redirect_path_matcher": {"path": {"exact": "/oauth2/callback"}},
                "signout_path": {"path": {"exact": "/oauth2/sign_out"}},
                "auth_scopes": ["openid", "email", "profile"],
                "credentials": {
                    "client_id": encoded(CLIENT_ID),
                    "token_secret": secret("token", &encoded(CLIENT_SECRET)),
                    "hmac_secret": secret("hmac", "0123456789abcdef0123456789abcdef"),
                },
                "auth_type": "BASIC_AUTH",
            },
        },
    })
}

impl Target {
    fn request(&self, port: u16) -> Vec<u8> {
        let mut request = format!(
            "GET {} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64) bench\r\n\
             accept: text/html,application/xhtml+xml\r\naccept-encoding: gzip, br\r\naccept-language: en\r\n\
             sec-fetch-mode: navigate\r\nsec-fetch-site: none\r\n",
            self.path
        )
        .into_bytes();
        if !self.credentials.is_empty() {
            request.extend_from_slice(&[self.credentials.as_slice(), b"\r\n"].concat());
        }
        request.extend_from_slice(b"\r\n");
        request
    }

    /// Sends the requests. Returns the microseconds of CPU that each took this Envoy.
    fn round(&self, envoy: &Envoy, requests: u32) -> f64 {
        let (request, pid) = (self.request(envoy.port()), envoy.pid());
        let connect = |_| {
            let stream = TcpStream::connect(("127.0.0.1", envoy.port())).expect("Envoy listens");
            stream.set_nodelay(true).expect("a socket option");
            stream
        };
        let mut streams: Vec<TcpStream> = (0..AT_ONCE).map(connect).collect();
        let mut response = vec![0; length(&mut streams[0], &request)];
        let times = requests.div_ceil(AT_ONCE);
        let before = spent(pid);
        for _ in 0..times {
            for stream in &mut streams {
                stream.write_all(&request).expect("Envoy reads");
            }
            for stream in &mut streams {
                stream.read_exact(&mut response).expect("Envoy answers");
                assert!(response.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&response));
            }
        }
        (spent(pid) - before) / f64::from(times * AT_ONCE)
    }
}

/// The length of the response: all to the same request are equally long.
fn length(stream: &mut TcpStream, request: &[u8]) -> usize {
    stream.write_all(request).expect("Envoy reads");
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\nhello\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&response)));
        response.extend_from_slice(&byte);
    }
    response.len()
}

/// The CPU time of all threads of a process so far, in microseconds.
fn spent(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("Envoy runs").flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e3
}
