//! Several hosts in one filter: sessions of each host, sessions of a parent domain, and one host for all sign-ins.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use url::Url;

use super::world::{ISSUER, Outcome, World, header, location, query_of};
use crate::{flow::event::Reason, http::LocalReply};

const ONE: &str = "https://one.example.com";
const TWO: &str = "https://two.example.com";
const AUTH: &str = "https://auth.example.com";
const PREVIEW: &str = "https://pr-7.preview.example.com";

/// A browser with a jar for each host, and one for the cookies of the domain.
struct Browser {
    world: World,
    jars: BTreeMap<String, BTreeMap<String, String>>,
    domain: BTreeMap<String, String>,
}

impl Browser {
    fn with(changes: &[(&str, Value)]) -> Self {
        let hosts = json!([ONE, TWO, "https://*.preview.example.com"]);
        let mut all = vec![("external_url", hosts)];
        all.extend(changes.iter().cloned());
        Self { world: World::ready_with(&all), jars: BTreeMap::new(), domain: BTreeMap::new() }
    }

    fn with_domain() -> Self {
        Self::with(&[("session", json!({ "cookie_domain": "example.com" }))])
    }

    fn with_central() -> Self {
        let session = json!({ "cookie_domain": "example.com" });
        Self::with(&[("session", session), ("sign_in", json!({ "external_url": AUTH }))])
    }

    /// Opens this URL in the window.
    fn get(&mut self, url: &str) -> Outcome {
        let url = Url::parse(url).unwrap();
        let host = url.host_str().unwrap().to_owned();
        let target = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
        self.world.jar = self.jars.remove(&host).unwrap_or_default();
        self.world.jar.append(&mut self.domain);
        self.world.host.clone_from(&host);
        let outcome = self.world.visit(&target);
        let jar = std::mem::take(&mut self.world.jar);
        let (domain, own) = jar.into_iter().partition(|(name, _)| name.starts_with("__Secure-"));
        self.domain = domain;
        self.jars.insert(host, own);
        outcome
    }

    /// Opens this URL and follows redirects, through the provider too; the URLs on the way, and the outcome.
    fn follow(&mut self, url: &str) -> (Vec<String>, Outcome) {
        let mut urls = vec![url.to_owned()];
        loop {
            let outcome = self.get(urls.last().unwrap());
            let reply = match outcome {
                Outcome::Replied(reply) if matches!(reply.status, 302 | 303) => reply,
                outcome => return (urls, outcome),
            };
            let next = if reply.code == "sign_in_started" {
                self.world.callback_url(&reply)
            } else {
                location(&reply).to_owned()
            };
            urls.push(next);
            assert!(urls.len() < 24, "a redirect loop: {urls:#?}");
        }
    }

    /// Opens this URL, signs in where needed, and arrives.
    #[track_caller]
    fn arrives(&mut self, url: &str) -> Vec<String> {
        let (urls, outcome) = self.follow(url);
        assert!(matches!(outcome, Outcome::Forwarded { reason: Reason::Session, .. }), "{urls:#?} {outcome:?}");
        urls
    }

    fn redirect_uri(&mut self, url: &str) -> String {
        let reply = self.get(url).reply();
        assert_eq!(reply.code, "sign_in_started", "{reply:?}");
        query_of(location(&reply))["redirect_uri"].clone()
    }

    fn is_signed_in(&mut self, url: &str) -> bool {
        matches!(self.get(url), Outcome::Forwarded { reason: Reason::Session, .. })
    }
}

fn text(reply: LocalReply) -> String {
    String::from_utf8(reply.body).unwrap()
}

#[test]
fn users_sign_in_at_each_host_and_come_back_to_it() {
    let mut browser = Browser::with(&[]);
    for origin in [ONE, TWO, PREVIEW] {
        assert_eq!(browser.redirect_uri(&format!("{origin}/page")), format!("{origin}/oauth2/callback"));
        let urls = browser.arrives(&format!("{origin}/page?a"));
        assert!(urls.iter().all(|url| url.starts_with(&format!("{origin}/"))), "{urls:#?}");
        assert!(browser.is_signed_in(&format!("{origin}/other")));
    }
}

#[test]
fn the_code_is_redeemed_with_the_redirect_uri_of_its_host() {
    let mut browser = Browser::with(&[]);
    browser.world.provider.before = Some(Box::new(|request| {
        if request.path == "/token" {
            let form: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
            assert_eq!(form["redirect_uri"], format!("{TWO}/oauth2/callback"));
        }
        None
    }));
    browser.arrives(&format!("{TWO}/page"));
}

#[test]
fn a_session_is_valid_only_at_its_own_host() {
    for store in [None, Some(json!({ "store": { "cluster": "webdis", "cache_seconds": 60 } }))] {
        let session = store.map(|store| ("session", store));
        let mut browser = Browser::with(session.as_slice());
        browser.arrives(&format!("{ONE}/page"));
        browser.arrives(&format!("{TWO}/page"));
        let (of_one, of_two) = (browser.jars["one.example.com"].clone(), browser.jars["two.example.com"].clone());
        for host in ["two.example.com", "pr-7.preview.example.com", "evil.example.com"] {
            browser.jars.insert(host.to_owned(), of_one.clone());
            assert!(!browser.is_signed_in(&format!("https://{host}/page")), "{host}");
        }
        assert!(browser.is_signed_in(&format!("{ONE}/page")));
        browser.jars.insert("one.example.com".to_owned(), of_two);
        assert!(!browser.is_signed_in(&format!("{ONE}/page")));
    }
}

#[test]
fn sessions_from_before_a_host_was_added_are_valid_at_the_first_host() {
    let mut browser = Browser::with(&[("external_url", json!(ONE))]);
    browser.arrives(&format!("{ONE}/page"));
    let (before, domain) = (browser.jars.clone(), browser.domain.clone());
    let mut browser = Browser { jars: before, domain, ..Browser::with(&[]) };
    assert!(browser.is_signed_in(&format!("{ONE}/page")));
    browser.arrives(&format!("{TWO}/page"));
    // One host again: the session of the other is none of it.
    let of_two = browser.jars["two.example.com"].clone();
    let mut browser = Browser::with(&[("external_url", json!(ONE))]);
    browser.jars.insert("one.example.com".to_owned(), of_two);
    assert!(!browser.is_signed_in(&format!("{ONE}/page")));
}

#[test]
fn a_renewal_keeps_the_host() {
    let mut browser = Browser::with(&[]);
    browser.world.provider.refreshes = true;
    browser.arrives(&format!("{TWO}/page"));
    browser.world.advance(590);
    let Outcome::Held(pending) = browser.get(&format!("{TWO}/page")) else { panic!("no renewal") };
    browser.world.host = "two.example.com".to_owned();
    let outcome = browser.world.then(Outcome::Held(pending));
    assert!(matches!(outcome, Outcome::Forwarded { .. }), "{outcome:?}");
    let renewed = browser.world.jar.clone();
    assert!(renewed.contains_key("__Host-vestibule"));
    browser.jars = BTreeMap::from([("one.example.com".to_owned(), renewed.clone())]);
    assert!(!browser.is_signed_in(&format!("{ONE}/page")));
    browser.jars = BTreeMap::from([("two.example.com".to_owned(), renewed)]);
    assert!(browser.is_signed_in(&format!("{TWO}/page")));
}

#[test]
fn a_page_under_an_unknown_host_is_sent_to_the_first() {
    for host in
        ["evil.example.com", "a.b.preview.example.com", "pr-7.preview.example.com.evil.test", "one.example.com."]
    {
        let mut browser = Browser::with(&[]);
        let reply = browser.get(&format!("https://{host}/page")).reply();
        let start = format!("{ONE}/oauth2/start?rd=%2Fpage&session=keep");
        assert_eq!(
            (reply.code, location(&reply), header(&reply, "set-cookie")),
            ("other_host", &*start, None),
            "{host}"
        );
        assert!(browser.arrives(&start).last().unwrap().starts_with(&format!("{ONE}/page")));
    }
}

#[test]
fn a_callback_under_an_unknown_host_is_refused_without_a_loop() {
    let mut browser = Browser::with(&[]);
    let reply = browser.get(&format!("{ONE}/page")).reply();
    let callback = browser.world.callback_url(&reply).replace("one.example.com", "inner.test");
    browser.jars.insert("inner.test".to_owned(), browser.jars["one.example.com"].clone());
    assert_eq!(browser.get(&callback).code(), (400, "callback_state"));
    assert!(!browser.world.provider.asked.contains_key("/token"));
    assert!(matches!(browser.get(&format!("{ONE}/public/page")), Outcome::Forwarded { reason: Reason::Public, .. }));
}

#[test]
fn a_callback_at_another_host_than_that_of_its_sign_in_is_refused() {
    for domain in [false, true] {
        let mut browser = if domain { Browser::with_domain() } else { Browser::with(&[]) };
        let reply = browser.get(&format!("{ONE}/page")).reply();
        let callback = browser.world.callback_url(&reply);
        for host in ["two.example.com", "pr-7.preview.example.com", "evil.example.com"] {
            // Even a browser that takes the cookies along has no session from it.
            browser.jars.insert(host.to_owned(), browser.jars["one.example.com"].clone());
            let reply = browser.get(&callback.replace("one.example.com", host)).reply();
            assert_eq!((reply.status, reply.code), (400, "callback_state"), "{host}");
            assert_eq!(header(&reply, "set-cookie"), None, "{host}");
        }
        assert!(!browser.world.provider.asked.contains_key("/token"));
        assert_eq!(browser.get(&callback).code(), (303, "signed_in"));
    }
}

#[test]
fn rd_may_lead_to_another_configured_host() {
    let mut browser = Browser::with(&[]);
    browser.arrives(&format!("{ONE}/page"));
    for (rd, target) in [
        ("https://two.example.com/page?x%23y", "https://two.example.com/page?x#y"),
        ("https://pr-7.preview.example.com/", "https://pr-7.preview.example.com/"),
        ("https://evil.example.com/", "https://one.example.com/"),
        ("https://a.b.preview.example.com/", "https://one.example.com/"),
        ("https://two.example.com@evil.test/", "https://one.example.com/"),
        ("https://two.example.com:444/", "https://one.example.com/"),
        ("https://TWO.example.com/", "https://one.example.com/"),
        ("http://two.example.com/", "https://one.example.com/"),
        ("//two.example.com/", "https://one.example.com/"),
        ("https://two.example.com/oauth2/sign_out", "https://two.example.com/"),
    ] {
        let start = format!("{ONE}/oauth2/start?rd={rd}");
        let kept = browser.get(&format!("{start}&session=keep")).reply();
        assert_eq!((kept.code, location(&kept)), ("already_signed_in", target), "{rd}");
        let reply = browser.get(&start).reply();
        let callback = browser.world.callback_url(&reply);
        assert_eq!(location(&browser.get(&callback).reply()), target, "{rd}");
        let out = browser.get(&format!("{ONE}/oauth2/sign_out?rd={rd}")).reply();
        assert!(text(out).contains("Sign out?"));
    }
}

#[test]
fn a_host_accepts_no_sign_out_form_of_another_host() {
    let mut browser = Browser::with(&[]);
    browser.arrives(&format!("{TWO}/page"));
    browser.world.jar = browser.jars["two.example.com"].clone();
    browser.world.host = "two.example.com".to_owned();
    let post =
        |origin| [(":method", "POST"), (":path", "/oauth2/sign_out"), ("accept", "text/html"), ("origin", origin)];
    for origin in [ONE, PREVIEW, "https://evil.example.com", "null"] {
        assert_eq!(browser.world.send(&post(origin)).code(), (405, "sign_out_method"), "{origin}");
    }
    let out = browser.world.send(&post(TWO)).reply();
    assert!(location(&out).contains("post_logout_redirect_uri=https%3A%2F%2Ftwo.example.com%2Foauth2%2Fsigned_out"));
    // What a script gets names its own host.
    let refused = browser.world.send(&[(":method", "GET"), (":path", "/api"), ("sec-fetch-mode", "cors")]).reply();
    assert_eq!(header(&refused, "www-authenticate"), Some("Bearer realm=\"https://two.example.com\""));
    assert!(text(refused).contains("https://two.example.com/oauth2/start"));
}

#[test]
fn a_domain_session_is_valid_at_every_configured_host() {
    let mut browser = Browser::with_domain();
    browser.arrives(&format!("{TWO}/page"));
    assert!(browser.domain.contains_key("__Secure-vestibule.example.com"));
    for origin in [ONE, TWO, PREVIEW] {
        assert!(browser.is_signed_in(&format!("{origin}/page")), "{origin}");
    }
    // The host is not listed: the session is not lost, and does not count.
    let reply = browser.get("https://evil.example.com/page").reply();
    assert_eq!((reply.code, header(&reply, "set-cookie")), ("other_host", None));
    assert_eq!(browser.get(location(&reply)).code(), (303, "already_signed_in"));
    // Pending sign-ins stay cookies of one host, which no sibling can set.
    browser.domain.clear();
    browser.get(&format!("{ONE}/page"));
    assert!(browser.jars["one.example.com"].keys().any(|name| name.starts_with("__Host-vestibule-p-")));
    assert!(browser.domain.is_empty());
}

#[test]
fn the_filters_cookies_of_both_prefixes_are_removed() {
    let mut browser = Browser::with_domain();
    browser.arrives(&format!("{ONE}/page"));
    let jar = browser.jars.get_mut("one.example.com").unwrap();
    for name in ["__Host-vestibule", "__Host-vestibule-1", "__Host-vestibule-p-x", "__Host-vestibule-t", "__Host-app"] {
        jar.insert(name.to_owned(), "x".to_owned());
    }
    let Outcome::Forwarded { headers, .. } = browser.get(&format!("{ONE}/page")) else { panic!("no session") };
    let cookies: Vec<_> =
        headers.iter().filter(|(name, _)| name == "cookie").map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["__Host-app=x"]);
}

#[test]
fn signing_out_ends_the_session_of_the_domain() {
    let mut browser = Browser::with_domain();
    browser.arrives(&format!("{ONE}/page"));
    let lifted = browser.domain.clone();
    browser.world.jar = lifted.clone();
    browser.world.host = "two.example.com".to_owned();
    let out = browser.world.opens("/oauth2/sign_out", "none").reply();
    assert!(header(&out, "set-cookie").unwrap().ends_with("; Domain=example.com"), "{out:?}");
    assert!(!browser.world.jar.contains_key("__Secure-vestibule.example.com"));
    browser.domain = lifted;
    assert!(!browser.is_signed_in(&format!("{ONE}/page")));
}

#[test]
fn a_central_sign_in_host_signs_users_in_for_all_hosts() {
    let mut browser = Browser::with_central();
    let urls = browser.arrives(&format!("{TWO}/page?a=b"));
    let hosts: Vec<_> = urls.iter().map(|url| url.split(".example").next().unwrap()).collect();
    assert_eq!(hosts, ["https://two", "https://auth", "https://auth", "https://two"], "{urls:#?}");
    assert!(urls[1].starts_with("https://auth.example.com/oauth2/start?rd=https%3A%2F%2Ftwo.example.com%2Fpage"));
    assert_eq!(urls[3], "https://two.example.com/page?a=b");
    for origin in [ONE, PREVIEW, AUTH] {
        assert!(browser.is_signed_in(&format!("{origin}/page")), "{origin}");
    }
    // The cookies that bind a sign-in to the browser are those of the sign-in host.
    assert!(browser.jars["two.example.com"].is_empty());
    // The start path of a host leads there too, and comes back to the host that it was asked for at.
    let urls = browser.arrives(&format!("{ONE}/oauth2/start?rd=/deep"));
    assert_eq!(urls.last().unwrap(), "https://one.example.com/deep");
}

#[test]
fn a_callback_of_the_sign_in_host_is_refused_at_other_hosts() {
    let mut browser = Browser::with_central();
    let start = location(&browser.get(&format!("{ONE}/page")).reply()).to_owned();
    let reply = browser.get(&start).reply();
    let callback = browser.world.callback_url(&reply);
    assert!(callback.starts_with("https://auth.example.com/oauth2/callback?"), "{callback}");
    browser.jars.insert("one.example.com".to_owned(), browser.jars["auth.example.com"].clone());
    assert_eq!(browser.get(&callback.replace("auth.", "one.")).code(), (400, "callback_state"));
    assert_eq!(browser.get(&callback).code(), (303, "signed_in"));
}

#[test]
fn a_restarted_sign_in_returns_to_its_host() {
    let mut browser = Browser::with_central();
    let long = format!("{ONE}/{}", "a".repeat(400));
    let start = location(&browser.get(&long).reply()).to_owned();
    let reply = browser.get(&start).reply();
    assert!(query_of(location(&reply))["state"].len() < 512);
    let callback = browser.world.callback_url(&reply);
    browser.jars.clear();
    assert_eq!(browser.arrives(&callback).last().unwrap(), "https://one.example.com/");
}

#[test]
fn a_host_that_never_receives_the_session_ends_with_a_loop_page() {
    let mut browser = Browser::with_central();
    browser.arrives(&format!("{ONE}/page"));
    // A script of the app sets a cookie of the same name for its own host: which is ours is not known there.
    browser.jars.entry("one.example.com".to_owned()).or_default();
    let mut urls = vec![format!("{ONE}/page")];
    for _ in 0..24 {
        let url = urls.last().unwrap().clone();
        if url.starts_with(ONE) {
            let kept = std::mem::take(&mut browser.domain);
            let outcome = browser.get(&url);
            browser.domain = kept;
            urls.push(location(&outcome.reply()).to_owned());
            continue;
        }
        let reply = browser.get(&url).reply();
        urls.push(match reply.code {
            "sign_in_started" => browser.world.callback_url(&reply),
            "sign_in_loop" => return,
            _ => location(&reply).to_owned(),
        });
    }
    panic!("a redirect loop: {urls:#?}");
}

#[test]
fn a_sign_out_visits_the_sign_in_host_and_returns() {
    let mut browser = Browser::with_central();
    browser.arrives(&format!("{TWO}/page"));
    let session = browser.domain.clone();
    for (query, target) in [
        ("", "https://two.example.com/oauth2/signed_out"),
        ("?rd=/bye", "https://two.example.com/bye"),
        ("?rd=https://one.example.com/bye", "https://one.example.com/bye"),
        ("?rd=https://evil.test/", "https://two.example.com/oauth2/signed_out"),
    ] {
        browser.world.jar = session.clone();
        browser.world.host = "two.example.com".to_owned();
        let out = browser.world.opens(&format!("/oauth2/sign_out{query}"), "none").reply();
        assert!(location(&out).starts_with(&format!("{ISSUER}/end?")), "{out:?}");
        let sent = query_of(location(&out));
        assert_eq!(sent["post_logout_redirect_uri"], "https://auth.example.com/oauth2/signed_out");
        let back = browser.get(&format!("{AUTH}/oauth2/signed_out?state={}", sent["state"])).reply();
        assert_eq!((back.status, location(&back)), (303, target), "{query}");
        browser.world.jar.clear();
    }
    assert!(text(browser.get(&format!("{TWO}/oauth2/signed_out")).reply()).contains("You are signed out"));
}

#[test]
fn a_step_up_keeps_its_acr_values_at_the_sign_in_host() {
    let mut browser = Browser::with(&[
        ("session", json!({ "cookie_domain": "example.com" })),
        ("sign_in", json!({ "external_url": AUTH })),
        ("rules", json!([{ "path": "/pay", "access": "required", "step_up": { "acr_values": ["mfa"] } }])),
    ]);
    browser.arrives(&format!("{ONE}/page"));
    let start = location(&browser.get(&format!("{ONE}/pay")).reply()).to_owned();
    assert!(
        start.starts_with("https://auth.example.com/oauth2/start?rd=https%3A%2F%2Fone.example.com%2Fpay&"),
        "{start}"
    );
    assert_eq!(query_of(location(&browser.get(&start).reply()))["acr_values"], "mfa");
    browser.world.provider.claims = Box::new(|claims| drop(claims.insert("acr".to_owned(), json!("mfa"))));
    assert_eq!(browser.arrives(&format!("{ONE}/pay")).last().unwrap(), "https://one.example.com/pay");
}

#[test]
fn unknown_hosts_are_redirected_to_the_sign_in_host_for_patterns() {
    let mut browser = Browser::with(&[
        ("external_url", json!("https://*.preview.example.com")),
        ("session", json!({ "cookie_domain": "example.com" })),
        ("sign_in", json!({ "external_url": AUTH })),
    ]);
    assert_eq!(browser.arrives(&format!("{PREVIEW}/page")).last().unwrap(), "https://pr-7.preview.example.com/page");
    let reply = browser.get("https://x.example.com/page").reply();
    assert!(location(&reply).starts_with("https://auth.example.com/oauth2/start?rd=%2Fpage&"), "{reply:?}");
}
