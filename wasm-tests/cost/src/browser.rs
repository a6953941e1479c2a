//! A browser that signs in through the filter, with its cookies.

use std::net::SocketAddr;

use wasm_tests::{http1::Response, issuer::Issuer, user_agent::Outgoing};

use crate::filter::{APP, Filter, Outcome, ask};

/// A browser's cookies for the app.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    cookies: Vec<(String, String)>,
}

impl Browser {
    /// A browser that has signed in.
    pub fn signed_in(filter: &mut Filter, issuer: &Issuer) -> Self {
        let mut browser = Self::default();
        // The issuer's clock goes on, and its ID token must not be issued in the future.
        filter.host().set_clock();
        let start = browser.visit(filter, "/oauth2/start?rd=%2Fpage").expect("a sign-in begins");
        let authorize = start.location().unwrap_or_else(|| panic!("no sign-in: {start:?}"));
        let target = authorize.strip_prefix(&issuer.url()).expect("the issuer's endpoint").to_owned();
        let request = Outgoing::navigation(target).header("host", "issuer");
        let response = ask(SocketAddr::from(([127, 0, 0, 1], issuer.port())), &request);
        let callback = response.location().expect("the issuer sends the browser back");
        let callback = callback.strip_prefix(&format!("https://{APP}")).expect("to the app");
        let back = browser.visit(filter, callback).expect("an answer of the filter");
        assert_eq!(back.status, 303, "{back:?}: {:?}", filter.host().complaints);
        browser
    }

    /// Puts cookies of the app in, before the filter's, of this many bytes each.
    pub fn with_other_cookies(&self, count: usize, bytes: usize) -> Self {
        let other = |number| (format!("_app_cookie_{number}"), "0123456789abcdef".repeat(bytes / 16));
        Self { cookies: (0..count).map(other).chain(self.cookies.clone()).collect() }
    }

    /// The value of its `Cookie` header.
    pub fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Opens a page; the filter's answer, unless the app gets the request.
    fn visit(&mut self, filter: &mut Filter, target: &str) -> Option<Response> {
        let cookie = self.cookie();
        let mut headers = page_load(target);
        if !cookie.is_empty() {
            headers.push(("cookie", &cookie));
        }
        let Outcome::Replied(response) = filter.send(&headers) else { return None };
        for line in response.set_cookies() {
            let (name, rest) = line.split_once('=').expect("a cookie");
            let value = rest.split(';').next().unwrap_or_default();
            self.cookies.retain(|(known, _)| known != name);
            if !line.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Some(response)
    }
}

/// The headers of a page load, as Envoy has them behind its connection manager.
pub fn page_load(target: &str) -> Vec<(&'static str, &str)> {
    request(target, "navigate", "document", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
}

/// The headers of an image in a page.
pub fn image(target: &str) -> Vec<(&'static str, &str)> {
    request(target, "no-cors", "image", "image/avif,image/webp,*/*;q=0.8")
}

fn request<'a>(target: &'a str, mode: &'a str, destination: &'a str, accept: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![
        (":authority", APP),
        (":path", target),
        (":method", "GET"),
        (":scheme", "https"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
        ),
        ("accept", accept),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-GB,en;q=0.9"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", mode),
        ("sec-fetch-dest", destination),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("x-envoy-internal", "true"),
        ("x-request-id", "1f6d9a63-4d3e-4d0c-8f5e-0a6c6f1a2b3c"),
    ]
}
