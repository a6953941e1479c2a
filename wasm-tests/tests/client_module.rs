//! The module for scripts of the app's pages, `envoy/client.js`, in a real browser, and its types.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use wasm_tests::{
    browser::{Browser, names, place, text, walk, walk_with_third_party_cookies, walk_without_cookies},
    http1::{Outcome, Server, response},
    process::Scratch,
    site::{ALICE, Site, alice_signs_in, encoded},
    tools,
    world::{PENDING_COOKIE, SESSION_COOKIE},
};

/// A public page with a script, as a module of the app's own, under a strict policy.
fn page_with(site: &Site, script: &str) -> String {
    let script = format!("const show = (text) => document.body.append(text);{script}");
    let html = format!("<script type=module src='/public/app.js?script={}'></script>", encoded(&script));
    let policy = "content-security-policy:default-src 'none'; script-src 'self'; connect-src 'self'; frame-src 'self'";
    format!("{}&header={}", site.public_page(&html), encoded(policy))
}

/// The value that a script of the page gets from an expression with these functions of the module.
fn run(functions: &str, expression: &str) -> Value {
    json!(["run", with_module(functions, expression)])
}

fn goes(functions: &str, expression: &str) -> Value {
    json!(["goes", with_module(functions, expression)])
}

fn with_module(functions: &str, expression: &str) -> String {
    format!("import('/oauth2/client.js').then(({{ {functions} }}) => {expression})")
}

/// The value of an expression with these functions in the handler of a key. The module is there already, as in a page that imports
/// it: Safari opens a window in the handler itself only.
fn by_key(functions: &str, expression: &str) -> [Value; 2] {
    [run(functions, &format!("void (window.byKey = () => {expression})")), json!(["gesture", "window.byKey()"])]
}

/// How many pending sign-ins the browser has.
fn pending(seen: &Value) -> usize {
    names(&seen["cookies"]).iter().filter(|name| name.starts_with(PENDING_COOKIE)).count()
}

#[test]
fn the_client_module_works_under_a_strict_csp() {
    let site = Site::with(|plan| {
        plan.setup.configuration["prefix"] = json!("/_auth");
        plan.setup.configuration["userinfo_claims"] = json!(["email"]);
        let client = &mut plan.provider.clients[0];
        client["redirect_uris"] = json!([format!("{}/_auth/callback", plan.origin)]);
        client["post_logout_redirect_uris"] = json!([format!("{}/_auth/signed_out", plan.origin)]);
    });
    let page = page_with(
        &site,
        "import { user } from '/_auth/client.js';\
         show(await user().then((claims) => claims ? claims.sub + ' ' + claims.email : 'nobody', (error) => error.code))",
    );
    let own = |step: Value| json!([step[0], step[1].as_str().expect("a script").replace("/oauth2/", "/_auth/")]);
    let said = |how: &str| {
        let caught = "(error) => [error.name, error.code, error.status, error.requestId ?? null, !!error.cause]";
        own(run("user, client", &format!("{how}.catch({caught})")))
    };
    let [_, nobody, form, alice, told, _, offline, _, aborted, lost, malformed, asked, out, after] = walk(
        &site.url("/"),
        [
            json!(["open", format!("{page}#part")]),
            json!(["shows", "nobody"]),
            own(goes("signIn", "signIn()")),
            alice_signs_in(),
            json!(["shows", "alice"]),
            json!(["offline", true]),
            said("user()"),
            json!(["offline", false]),
            said("user({ signal: AbortSignal.abort() })"),
            // Elsewhere the app answers, or nothing.
            said("client('/_auth/nowhere').user()"),
            said("client('/public').user()"),
            own(goes("signOut", "signOut({ returnTo: '/public/bye?a=b' })")),
            json!(["sign_out"]),
            json!(["open", page]),
        ],
    );
    assert_eq!((text(&nobody, "text"), pending(&nobody)), ("nobody", 0), "{nobody:#}\n{}", site.envoy.log());
    site.assert_at_provider(&form);
    assert_eq!(place(&alice), format!("{page}#part"), "{alice:#}");
    assert_eq!(text(&told, "text"), "alice alice@example.com", "{told:#}");
    assert_eq!(offline["answer"], json!(["Error", "unreachable", 0, null, true]), "{offline:#}");
    assert_eq!(aborted["answer"][0], "AbortError", "{aborted:#}");
    let id = lost["answer"][3].as_str().unwrap_or_default();
    assert!(id.len() == 36, "{lost:#}");
    assert_eq!(lost["answer"], json!(["Error", "reserved_path", 404, id, false]), "{lost:#}");
    assert_eq!(malformed["answer"], json!(["Error", "unexpected_answer", 200, null, false]), "{malformed:#}");
    site.assert_at_provider(&asked);
    assert_eq!((place(&out), names(&out["cookies"])), (site.url("/public/bye?a=b"), vec![]), "{out:#}");
    assert!(text(&after, "text").is_empty() || text(&after, "text") == "nobody", "{after:#}");
    for seen in [&nobody, &told] {
        assert_eq!(seen["complaints"], json!([]), "{seen:#}");
    }
}

#[test]
fn a_fetch_that_needs_a_sign_in_leads_to_it_and_returns() {
    let site = Site::start();
    let page = format!("{}#part", site.public_page("page"));
    let ask = |what: &str| run("fetchWithSignIn", &format!("fetchWithSignIn({what}).then((answer) => answer.status)"));
    let [_, posted, form, back, got, own, elsewhere, _, silent] = walk(
        &site.url("/"),
        [
            json!(["open", page]),
            ask("'/api/a', { method: 'POST', body: 'a' }"),
            goes(
                "fetchWithSignIn",
                "Promise.all(['/api/a', new Request('/api/b')].map((url) => fetchWithSignIn(url)))",
            ),
            alice_signs_in(),
            run(
                "fetchWithSignIn",
                "Promise.all(['/api/a', new Request('/api/b', { method: 'PUT', body: 'b' })].map((url) => \
                 fetchWithSignIn(url).then((answer) => answer.text())))",
            ),
            ask("'/api/own?status=401'"),
            run(
                "fetchWithSignIn",
                &format!("fetchWithSignIn('{}/').catch((error) => error.name)", site.provider.issuer()),
            ),
            json!(["forget", "app.localhost"]),
            // The provider knows the user still.
            goes("fetchWithSignIn", "fetchWithSignIn('/api/later')"),
        ],
    );
    // The text that the user typed is still there.
    assert_eq!((&posted["answer"], place(&posted)), (&json!(401), page.clone()), "{posted:#}");
    site.assert_at_provider(&form);
    assert_eq!(place(&back), page, "{back:#}");
    assert_eq!(site.provider.seen("/token"), 2, "one sign-in for both, and one after the session was lost");
    let hello = "hello from the app";
    assert_eq!((&got["answer"], place(&got)), (&json!([hello, hello]), page.clone()), "{got:#}");
    assert_eq!((&own["answer"], place(&own)), (&json!(401), page.clone()), "{own:#}");
    assert_eq!((&elsewhere["answer"], place(&elsewhere)), (&json!("TypeError"), page.clone()), "{elsewhere:#}");
    assert_eq!(place(&silent), page, "{silent:#}\n{}", site.envoy.log());
    let asked: Vec<_> = site.app.seen().into_iter().filter(|request| request.target.starts_with("/api/")).collect();
    assert_eq!(asked.len(), 3, "{asked:#?}");
}

#[test]
fn a_popup_signs_in_while_the_page_stays_and_its_requests_are_sent_again() {
    let site = Site::start();
    let page = site.public_page("page");
    let (user, password) = ALICE;
    // As a page does that asks its user first.
    let ask = "new Promise((asks) => { window.asked = 0; window.answers = Promise.all(['a', 'b', new Blob(['c'])].map((body, at) => \
               fetchWithSignIn(`/api/${at}`, { method: 'POST', body, onSignInRequired: ({ code, signIn }) => { \
               window.asked += code === 'sign_in_required'; \
               return new Promise((done) => asks(window.byKey = () => done(signIn({ popup: true })))); } })\
               .then((answer) => answer.text()))); }).then(() => {})";
    let refused = "fetchWithSignIn('/api/x', { onSignInRequired: () => false }).then((answer) => answer.status)";
    let [_, none, _, _, stays, answers] = walk(
        &site.url("/"),
        [
            json!(["open", page]),
            run("fetchWithSignIn", refused),
            run("fetchWithSignIn", ask),
            json!(["gesture", "window.byKey()"]),
            json!(["popup", "closes", user, password]),
            json!(["run", "window.answers.then((answers) => [window.asked, ...answers])"]),
        ],
    );
    let hello = "hello from the app";
    assert_eq!(none["answer"], json!(401), "{none:#}");
    assert_eq!(place(&stays), page, "{stays:#}");
    assert_eq!(answers["answer"], json!([1, hello, hello, hello]), "{answers:#}\n{}", site.envoy.log());
    let bodies: BTreeMap<_, _> = (site.app.seen().into_iter())
        .filter(|request| request.target.starts_with("/api/"))
        .map(|request| (request.target, request.body.clone()))
        .collect();
    let bodies: Vec<_> = bodies.values().map(Vec::as_slice).collect();
    assert_eq!(bodies, [b"a", b"b", b"c"]);
}

/// What the popup's promise became, and how often the page asked who is signed in.
const RESULT: &str = "window.signedIn.then((isIn) => [isIn, \
    performance.getEntriesByType('resource').filter(({ name }) => name.includes('/userinfo')).length])";

#[test]
fn a_page_asks_once_about_each_page_that_its_popup_shows() {
    let site = Site::start();
    let page = site.public_page("page");
    let (user, password) = ALICE;
    let [prepare, open] = by_key("signIn", "void (window.signedIn = signIn({ popup: true }))");
    let wait = || json!(["run", "new Promise((done) => setTimeout(done, 2000))"]);
    let arrives = || json!(["popup", "until", site.provider.issuer()]);
    // By a script of its page: a URL that is typed can cut it off.
    let popup_goes = |url: &str| json!(["popup", "goes", format!("location.assign('{url}')")]);
    // The user goes astray in the popup, and closes it.
    let [.., closed] = walk(
        &site.url("/"),
        [
            json!(["open", page]),
            prepare.clone(),
            open.clone(),
            arrives(),
            popup_goes(&page),
            wait(),
            popup_goes(&site.url("/oauth2/sign_out")),
            wait(),
            json!(["popup", "close"]),
            json!(["run", RESULT]),
        ],
    );
    assert_eq!(closed["answer"], json!([false, 2]), "one for the page, one at the end: {closed:#}");
    // The same, and signs in at last.
    let [.., finished] = walk(
        &site.url("/"),
        [
            json!(["open", page]),
            prepare,
            open,
            arrives(),
            popup_goes(&page),
            wait(),
            popup_goes(&site.url("/oauth2/start?rd=/page")),
            json!(["popup", "closes", user, password]),
            json!(["run", RESULT]),
        ],
    );
    assert_eq!(finished["answer"], json!([true, 3]), "{finished:#}\n{}", site.envoy.log());
}

#[test]
fn a_popup_that_is_cut_off_from_its_page_ends_when_its_user_closes_it() {
    let site = Site::start();
    let page = site.public_page("page");
    let target =
        site.public_page("close me").replace(&site.url(""), "") + "&header=cross-origin-opener-policy:same-origin";
    let [prepare, open] =
        by_key("signIn", &format!("void (window.signedIn = signIn({{ popup: true, returnTo: '{target}' }}))"));
    let [.., isolated, _, closed, claims] = walk(
        &site.url("/"),
        [
            json!(["open", page]),
            prepare,
            open,
            json!(["popup", "sign_in", ALICE.0, ALICE.1]),
            json!(["popup", "run", "!opener"]),
            json!(["popup", "close"]),
            json!(["run", "window.signedIn"]),
            run("user", "user()"),
        ],
    );
    assert_eq!((&isolated["answer"], &closed["answer"]), (&json!(true), &json!(true)), "{isolated:#} {closed:#}");
    assert_eq!((place(&closed), &claims["answer"]["sub"]), (page, &json!("alice")), "{claims:#}");
}

#[test]
fn a_tab_in_the_background_waits_for_its_user() {
    let site = Site::start();
    let page = site.public_page("page");
    let (user, password) = ALICE;
    let hide = "void (window.away = true, Object.defineProperty(document, 'hidden', { get: () => window.away }), \
                window.answer = fetchWithSignIn('/api').then((answer) => answer.status))";
    let back = "(window.away = false, document.dispatchEvent(new Event('visibilitychange')), window.answer)";
    let [prepare, elsewhere] = by_key("signIn", "void (window.signedIn = signIn({ popup: true }))");
    let wait = json!(["run", "new Promise((done) => setTimeout(done, 1000))"]);
    let [_, _, waits, _, _, _, answer] = walk(
        &site.url("/"),
        [
            json!(["open", page]),
            run("fetchWithSignIn", hide),
            wait.clone(),
            prepare,
            elsewhere,
            json!(["popup", "closes", user, password]),
            json!(["run", format!("window.signedIn.then(() => {back})")]),
        ],
    );
    assert_eq!((place(&waits), pending(&waits)), (page.clone(), 0), "{waits:#}");
    assert_eq!((&answer["answer"], place(&answer)), (&json!(200), page.clone()), "{answer:#}\n{}", site.envoy.log());
    // A user without a session in another tab is redirected when the tab is shown.
    let [_, _, waits, form] =
        walk(&site.url("/"), [json!(["open", page]), run("fetchWithSignIn", hide), wait, json!(["goes", back])]);
    assert_eq!((place(&waits), pending(&waits)), (page, 0), "{waits:#}");
    site.assert_at_provider(&form);
}

#[test]
fn a_script_in_a_browser_without_cookies_does_not_loop() {
    let site = Site::start();
    let page = page_with(&site, "import { signIn } from '/oauth2/client.js'; await signIn();");
    let [_, _, ended] = walk_without_cookies(
        &site.url("/"),
        "app.localhost",
        [json!(["open", page]), json!(["until", site.provider.issuer()]), alice_signs_in()],
    );
    assert_eq!(text(&ended, "title"), "Your browser does not keep the sign-in", "{ended:#}\n{}", site.envoy.log());
}

#[test]
fn a_scripts_sign_in_at_the_central_host_returns_to_its_page() {
    let site = Site::with_two_hosts();
    let page = site.public_page("page").replace("app.localhost", "one.app.localhost") + "#part";
    let [_, form, back, claims, _, out, nobody] = walk(
        &site.url("/").replace("app.localhost", "one.app.localhost"),
        [
            json!(["open", page]),
            goes("signIn", "signIn()"),
            alice_signs_in(),
            run("user", "user()"),
            goes("signOut", "signOut({ returnTo: location.pathname + location.search + location.hash })"),
            json!(["sign_out"]),
            run("user", "user()"),
        ],
    );
    site.assert_at_provider(&form);
    assert_eq!((place(&back), &claims["answer"]["sub"]), (page.clone(), &json!("alice")), "{back:#} {claims:#}");
    assert_eq!((place(&out), &nobody["answer"]), (page, &Value::Null), "{out:#} {nobody:#}");
}

#[test]
fn a_script_that_always_signs_in_is_stopped() {
    let site = Site::start();
    let page = page_with(
        &site,
        "import { signIn } from '/oauth2/client.js';\
         sessionStorage.loads = Number(sessionStorage.loads ?? 0) + 1;\
         signIn().catch((error) => show(`${error.code} after ${sessionStorage.loads} loads`))",
    );
    let [_, _, _, stopped, _, clicked] = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/page")]),
            alice_signs_in(),
            json!(["open", page]),
            json!(["shows", "sign_in_loop"]),
            // A user who presses a key may begin another sign-in.
            run("signIn", "void addEventListener('keydown', () => signIn({ returnTo: '/page' }))"),
            json!(["enter"]),
        ],
    );
    let said = text(&stopped, "text").strip_prefix("sign_in_loop after ").and_then(|rest| rest.strip_suffix(" loads"));
    let loads: u64 = said.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{stopped:#}"));
    // Firefox takes what was typed on the page before for a click here, for five seconds.
    let most = if Browser::chosen() == Browser::Firefox { 30 } else { 4 };
    assert!((4..=most).contains(&loads), "{stopped:#}\n{}", site.envoy.log());
    assert_eq!(place(&clicked), site.url("/page"), "{clicked:#}");
    assert_eq!(site.provider.seen("/token"), loads + 1);
}

#[test]
fn a_script_in_a_same_site_frame_navigates_the_top_page() {
    let site = Site::start();
    let script =
        "import { fetchWithSignIn } from '/oauth2/client.js'; show((await fetchWithSignIn('/api/frame')).status)";
    let framed = page_with(&site, script);
    let around = site.public_page(&format!("<iframe src='{}'></iframe>", framed.replace('\'', "%27")));
    let [_, form, back, shown] = walk(
        &site.url("/"),
        [
            json!(["open", format!("{around}#part")]),
            json!(["until", site.provider.issuer()]),
            alice_signs_in(),
            json!(["framed", "200"]),
        ],
    );
    site.assert_at_provider(&form);
    assert_eq!(place(&back), format!("{around}#part"), "{back:#}");
    assert_eq!(place(&shown), format!("{around}#part"), "{shown:#}");
}

#[test]
fn a_script_in_a_cross_site_frame_signs_out_within_it() {
    let site = Site::with(|plan| plan.setup.configuration["session"]["same_site"] = json!("none"));
    // A target that is no page of this site leads to the first page, here without a session.
    for (target, shown) in [("/public/page?html=bye", "bye"), ("javascript:alert(1)", "takes the whole window")] {
        let script = format!(
            "import {{ user, signOut }} from '/oauth2/client.js';\
             const claims = await user(); show(claims?.sub ?? 'nobody');\
             if (claims) await signOut({{ returnTo: '{target}' }});"
        );
        let page = page_with(&site, &script);
        let page = format!("<!doctype html><title>Elsewhere</title><iframe src=\"{page}\"></iframe>");
        let server = Server::start(0, move |_, connection| {
            let sent = connection.send(&response(200, &[("content-type", "text/html")], page.as_bytes()));
            if sent.is_ok() { Outcome::KeepAlive } else { Outcome::Close }
        });
        let elsewhere = format!("http://other.localhost:{}/", server.address().port());
        let [_, signed_in, _, left, _, nobody] = walk_with_third_party_cookies(
            &site.url("/"),
            true,
            [
                json!(["open", site.url("/page")]),
                alice_signs_in(),
                json!(["open", elsewhere]),
                json!(["framed", shown]),
                // A reload in WebKit leaves the frame where it was led.
                json!(["open", format!("{elsewhere}again")]),
                json!(["framed", "nobody"]),
            ],
        );
        assert!(names(&signed_in["cookies"]).contains(&SESSION_COOKIE), "{signed_in:#}");
        // WebKitGTK deletes no cookie in such a frame. The session is over all the same.
        if Browser::chosen() != Browser::WebKit {
            assert_eq!(names(&left["cookies"]), [""; 0], "{left:#}");
        }
        assert_eq!(text(&nobody, "title"), "Elsewhere", "{nobody:#}");
    }
}

#[test]
fn a_request_that_needs_a_stronger_sign_in_leads_to_it() {
    let site = Site::with(|plan| {
        plan.provider.acr_values = &["mfa"];
        plan.setup.configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/admin", "access": "required", "step_up": {"acr_values": ["mfa"]}},
        ]);
    });
    let page = site.public_page("page");
    let [_, _, _, form, back, got] = walk(
        &site.url("/"),
        [
            json!(["open", site.url("/page")]),
            alice_signs_in(),
            json!(["open", page]),
            goes("fetchWithSignIn", "fetchWithSignIn('/admin/api')"),
            alice_signs_in(),
            run("fetchWithSignIn", "fetchWithSignIn('/admin/api').then((answer) => answer.status)"),
        ],
    );
    site.assert_at_provider(&form);
    assert_eq!(place(&back), page, "{back:#}\n{}", site.envoy.log());
    assert_eq!(got["answer"], json!(200), "{got:#}\n{}", site.envoy.log());
}

/// The complaints of TypeScript about these files; empty where it accepts them.
fn faults(files: &[&Path]) -> String {
    let compiler = tools::provider().join("node_modules/typescript/bin/tsc");
    let mut command = Command::new("node");
    command.arg(compiler).args(["--noEmit", "--strict", "--allowJs", "--checkJs", "--target", "es2022"]);
    command.args(["--module", "es2022", "--moduleResolution", "bundler"]).args(files);
    let output = command.current_dir(tools::root()).output().expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

#[test]
fn the_client_module_matches_its_type_declarations() {
    let root = tools::root();
    assert_eq!(faults(&[&root.join("envoy/client.js"), &root.join("wasm-tests/browser/uses_client.ts")]), "");
    // A type that the module does not have is found.
    let scratch = Scratch::new("types");
    for name in ["client.js", "client.d.ts"] {
        let text = fs::read_to_string(root.join("envoy").join(name)).expect("the module");
        let other = text.replace("provider?: string", "provider?: URL");
        fs::write(scratch.file(name), other).expect("the target folder can be written");
    }
    assert!(faults(&[&scratch.file("client.js")]).contains("error TS"));
}

#[test]
fn the_scripts_on_the_page_can_be_copied() {
    let page = include_str!("../../envoy/docs/single-page-apps.md");
    let module = tools::root().join("envoy/client.js");
    let scratch = Scratch::new("scripts");
    let blocks = page.split("```js\n").skip(1).filter_map(|rest| rest.split("```").next());
    let files: Vec<_> = blocks
        .enumerate()
        .map(|(number, block)| {
            let file = scratch.file(&format!("{number}.js"));
            let script = block.replace("/oauth2/client.js", module.to_str().expect("a path that is text"));
            fs::write(&file, format!("{script}export {{}};\n")).expect("the target folder can be written");
            file
        })
        .collect();
    assert_eq!(files.len(), 4, "{page}");
    assert_eq!(faults(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>()), "");
}
