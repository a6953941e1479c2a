//! Requests of a page's scripts and parts, as a real browser sends them: what each is answered, and what its sender makes of it.

use serde_json::json;
use wasm_tests::{
    browser::{Browser, names, place, text, walk},
    site::{Site, alice_signs_in, encoded},
};

const KINDS: &str = include_str!("../browser/kinds.js");

/// A kind of request, its `Sec-Fetch-Mode` and `-Dest`, and what the sender makes of the answer without a session.
type Kind = (&'static str, [&'static str; 2], &'static str);

/// Those of Chromium.
#[rustfmt::skip]
const ANSWERS: [Kind; 21] = [
    ("fetch", ["cors", "empty"], "401 sign_in_required"),
    ("fetch, same-origin", ["same-origin", "empty"], "401 sign_in_required"),
    ("fetch, no-cors, POST", ["no-cors", "empty"], "401 sign_in_required"),
    ("fetch in a frame", ["cors", "empty"], "401 sign_in_required"),
    ("fetch with keepalive", ["cors", "empty"], "401 sign_in_required"),
    ("XMLHttpRequest", ["cors", "empty"], "401 sign_in_required"),
    ("EventSource", ["cors", "empty"], "error, closed"),
    ("WebSocket", ["", ""], "closed 1006"),
    ("sendBeacon", ["no-cors", "empty"], "true"),
    ("img", ["no-cors", "image"], "failed"),
    ("link rel=stylesheet", ["no-cors", "style"], "failed"),
    ("link rel=prefetch", ["no-cors", "empty"], "failed"),
    ("link rel=modulepreload", ["cors", "script"], "failed"),
    ("script", ["no-cors", "script"], "failed"),
    ("script type=module", ["cors", "script"], "failed"),
    ("import()", ["cors", "script"], "TypeError"),
    ("Worker", ["same-origin", "worker"], "failed"),
    ("iframe", ["navigate", "iframe"], "Please sign in"),
    ("form in an iframe", ["navigate", "iframe"], "Please sign in"),
    ("embed", ["navigate", "embed"], "loaded"),
    ("object", ["navigate", "object"], "failed"),
];

/// The rows that differ in other browsers. WebKit has no `prefetch`.
#[rustfmt::skip]
const OTHERWISE: [(Browser, Kind); 7] = [
    (Browser::Firefox, ("WebSocket", ["websocket", "empty"], "closed 1006")),
    (Browser::Firefox, ("embed", ["navigate", "embed"], "nothing")),
    (Browser::WebKit, ("WebSocket", ["websocket", "websocket"], "closed 1006")),
    (Browser::WebKit, ("link rel=prefetch", ["", ""], "nothing")),
    (Browser::WebKit, ("import()", ["no-cors", "script"], "TypeError")),
    (Browser::WebKit, ("embed", ["navigate", "iframe"], "loaded")),
    (Browser::WebKit, ("object", ["navigate", "iframe"], "nothing")),
];

fn answers_of(browser: Browser) -> impl Iterator<Item = Kind> {
    ANSWERS.into_iter().map(move |kind| {
        let other = OTHERWISE.into_iter().find(|(of, other)| (*of, other.0) == (browser, kind.0));
        other.map_or(kind, |(_, other)| other)
    })
}

#[test]
fn each_kind_of_browser_request_gets_its_kind_of_response() {
    let site = Site::start();
    let [_, seen] = walk(&site.url("/"), [json!(["open", site.public_page("page")]), json!(["run", KINDS])]);
    let answer = seen["answer"].as_object().expect("answers");
    let requests = site.app.seen();
    for (kind, fetched, expected) in answers_of(Browser::chosen()) {
        assert_eq!(answer[kind].as_str(), Some(expected), "{kind}: {seen:#}");
        // The headers that the browser sent for it, from a public path.
        let target = format!("/public/kind?{}", encoded(kind));
        let request = requests.iter().find(|request| request.target == target);
        let of = |name: &str| request.and_then(|request| request.headers.text(name)).unwrap_or_default();
        assert_eq!([of("sec-fetch-mode"), of("sec-fetch-dest")], fetched, "{kind}");
        assert_eq!(
            request.is_some(),
            !(kind == "link rel=prefetch" && Browser::chosen() == Browser::WebKit),
            "{target}"
        );
    }
    // No script can say that it opens a page.
    assert_eq!((answer["navigate"].as_str(), answer.len()), (Some("TypeError"), ANSWERS.len() + 1), "{seen:#}");
    // Nothing has begun, and nothing but public pages has reached the app.
    assert_eq!(names(&seen["cookies"]), [""; 0], "{seen:#}");
    assert!(requests.iter().all(|request| request.target.starts_with("/public/")), "{requests:#?}");
}

/// A public page that registers this service worker for the whole site.
fn page_with_worker(site: &Site, script: &str) -> String {
    let script = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("script", script)
        .append_pair("header", "service-worker-allowed:/")
        .finish();
    let register = format!(
        "<script>navigator.serviceWorker.register('/public/worker?{script}', {{scope: '/'}})\
         .then(() => navigator.serviceWorker.ready).then(() => document.body.append('ready'))</script>"
    );
    site.public_page(&register)
}

#[test]
fn a_service_worker_passes_page_loads_and_fetches_on() {
    const PRELOAD: &str = "addEventListener('activate', (event) => event.waitUntil(registration.navigationPreload.enable()));\
        addEventListener('fetch', (event) => event.respondWith((async () => await event.preloadResponse ?? fetch(event.request))()))";
    let answers = |how: &str| format!("addEventListener('fetch', (event) => event.respondWith({how}))");
    let site = Site::start();
    for (worker, is_led) in [
        (answers("fetch(event.request)"), true),
        (answers("fetch(new Request(event.request, {headers: [...event.request.headers, ['x-a', 'b']]}))"), true),
        (PRELOAD.to_owned(), true),
        // The URL does not show that this is a page load: the worker must look at the response.
        (answers("fetch(event.request.url)"), false),
        (answers("fetch(new Request(event.request, {headers: {'x-a': 'b'}}))"), false),
    ] {
        let ask = json!(["run", "fetch('/api').then(async (answer) => [answer.status, (await answer.json()).code])"]);
        let [_, _, again, fetched, opened] = walk(
            &site.url("/"),
            [
                json!(["open", page_with_worker(&site, &worker)]),
                json!(["shows", "ready"]),
                json!(["open", site.public_page("under the worker")]),
                ask,
                json!(["open", site.url("/page?a=b")]),
            ],
        );
        assert_eq!(text(&again, "text"), "under the worker", "{worker}: {again:#}");
        assert_eq!(fetched["answer"], json!([401, "sign_in_required"]), "{worker}: {fetched:#}");
        if is_led {
            assert_eq!(text(&opened, "origin"), site.provider.issuer(), "{worker}: {opened:#}\n{}", site.envoy.log());
        } else {
            assert_eq!(place(&opened), site.url("/page?a=b"), "{worker}: {opened:#}");
            assert!(text(&opened, "text").contains("sign_in_url"), "{worker}: {opened:#}");
        }
        assert!(site.app.seen().iter().all(|request| request.target.starts_with("/public/")));
    }
}

#[test]
fn a_prefetch_starts_no_sign_in_and_the_page_load_does() {
    let site = Site::start();
    for how in ["prefetch", "prerender"] {
        let rules = format!("{{\"{how}\": [{{\"urls\": [\"/page?a=b\"], \"eagerness\": \"immediate\"}}]}}");
        let html = format!("<script type=speculationrules>{rules}</script><a href='/page?a=b'>page</a>");
        let wait = "new Promise((done) => setTimeout(done, 1500))";
        let [_, waited, clicked, arrived] = walk(
            &site.url("/"),
            [json!(["open", site.public_page(&html)]), json!(["run", wait]), json!(["click", "a"]), alice_signs_in()],
        );
        assert_eq!(names(&waited["cookies"]), [""; 0], "{how}: {waited:#}");
        site.assert_at_provider(&clicked);
        assert_eq!(place(&arrived), site.url("/page?a=b"), "{how}: {arrived:#}");
    }
}
