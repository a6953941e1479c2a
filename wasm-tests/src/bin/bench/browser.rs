//! Sign-ins, many at once: each over connections that stay open, as a load balancer keeps them.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use url::Url;

use wasm_tests::{
    http1::{Answering, Connection, Response},
    user_agent::{Jar, Outgoing},
};

use crate::envoys::{Server, World};

/// Browsers that sign in at once.
const AT_ONCE: usize = 8;
/// More redirects than any sign-in takes.
const MAX_REDIRECTS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(30);
const HOST: &str = "127.0.0.1";

/// Signs in this many times, each time as a new browser, which ends at the page. Returns the cookie lines. `each` is told how many
/// there are.
pub fn sign_in(world: &World, server: &Server, count: usize, each: impl Fn(usize) + Sync) -> Vec<Vec<u8>> {
    let begun = AtomicUsize::new(0);
    thread::scope(|scope| {
        let work = || {
            let mut browser = Browser::connect(world, server);
            let mut cookies = Vec::new();
            loop {
                let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
                if number > count {
                    return cookies;
                }
                cookies.push(browser.sign_in());
                each(number);
            }
        };
        let threads: Vec<_> = (0..AT_ONCE.min(count)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("every sign-in ends at the page")).collect()
    })
}

struct Browser {
    envoy: (u16, Connection),
    issuer: (u16, Connection),
}

impl Browser {
    fn connect(world: &World, server: &Server) -> Self {
        let open = |port| {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            (port, Connection::open(address, PATIENCE).expect("an open port"))
        };
        Self { envoy: open(server.port()), issuer: open(world.issuer.port()) }
    }

    /// Visits the page with no cookies and follows the redirects back to it. Returns the cookies it has then.
    fn sign_in(&mut self) -> Vec<u8> {
        let mut jar = Jar::default();
        let mut url = Url::parse(&format!("http://{HOST}:{}/page", self.envoy.0)).expect("a URL");
        for _ in 0..MAX_REDIRECTS {
            let response = self.get(&url, &mut jar);
            let Some(location) = response.location().filter(|_| (300..400).contains(&response.status)) else {
                let is_page = response.status == 200 && response.body == b"hello\n";
                assert!(is_page, "a sign-in ended at {url} with {response:?}");
                let cookies =
                    jar.header(HOST, "/page").unwrap_or_else(|| panic!("no session came with a sign-in at {url}"));
                return [b"cookie: ".as_slice(), &cookies].concat();
            };
            url = url.join(&location).expect("a Location that is a URL");
        }
        panic!("a sign-in goes round in circles: {url}");
    }

    fn get(&mut self, url: &Url, jar: &mut Jar) -> Response {
        let is_ours = url.port() == Some(self.envoy.0);
        let (port, connection) = if is_ours { &mut self.envoy } else { &mut self.issuer };
        assert_eq!(url.port(), Some(*port), "a redirect to neither Envoy nor the issuer: {url}");
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let mut request = Outgoing::navigation(target);
        if let Some(cookies) = jar.header(HOST, url.path()).filter(|_| is_ours) {
            request = request.header("cookie", cookies);
        }
        let answer = connection.send(&request.bytes(&format!("{HOST}:{port}")));
        let answer = answer.and_then(|()| connection.read_response(Answering::Other));
        let response = answer.unwrap_or_else(|error| panic!("no answer from {url}: {error}"));
        if is_ours {
            for line in response.headers.all("set-cookie") {
                jar.take(HOST, url.path(), line);
            }
        }
        response
    }
}
