//! Sessions that do not fit into one cookie: every part of them counts, no browser drops one, and what is too large for all
//! of them ends in a page.

use serde_json::{Value, json};
use wasm_tests::{
    http1::Response,
    issuer::RefreshTokens,
    keys::{base64url, sha256},
    provider::many_groups,
    site::{ALICE, BIG, Site},
    user_agent::{Cookie, Outgoing, UserAgent},
    world::{
        SESSION_COOKIE, World, assert_page, assert_sign_in, assert_signed_in, assert_unauthenticated, deleted_cookies,
        kept_cookies, parameters,
    },
};

/// A whole `Set-Cookie` line has at most this many bytes.
const MAX_COOKIE: usize = 4096;

/// Text that does not get shorter.
fn noise(bytes: usize) -> String {
    let mut text = String::new();
    for block in 0_u64.. {
        text.push_str(&base64url(&sha256(&block.to_le_bytes())));
        if text.len() >= bytes {
            break;
        }
    }
    text.truncate(bytes);
    text
}

/// A world where sessions carry a name and nothing else.
fn world() -> World {
    World::with(|document| {
        document["identity_headers"] = json!({"X-Name": "name"});
        document["userinfo_claims"] = json!(["name"]);
        document["sign_out"] = json!({"at_provider": false});
    })
}

/// The answer to the callback of a user with a name of this length.
fn callback(world: &World, browser: &UserAgent, length: usize) -> Response {
    world.issuer.sign_in_as(json!({"sub": "dora", "name": noise(length)}));
    // The provider is asked again in spite of a session.
    let steps = browser.get(&world.url("/oauth2/start?rd=/page"));
    let back = browser.get(&steps.location().expect("a sign-in")).location().expect("a way back");
    let response = browser.get(&back);
    for line in response.set_cookies() {
        assert!(line.len() <= MAX_COOKIE, "{length}: a line of {} bytes", line.len());
    }
    response
}

/// Signs in a user with a name of this length.
fn signed_in(world: &World, length: usize) -> (UserAgent, Vec<Cookie>) {
    let browser = world.browser();
    assert_signed_in(&callback(world, &browser, length), &world.url("/page"));
    let cookies = browser.session_cookies();
    (browser, cookies)
}

fn pairs(cookies: &[Cookie]) -> Vec<String> {
    cookies.iter().map(|cookie| format!("{}={}", cookie.name, String::from_utf8_lossy(&cookie.value))).collect()
}

fn ask(world: &World, pairs: &[String]) -> Response {
    world.send(&Outgoing::fetch("/page").header("cookie", pairs.join("; "))).expect("an answer")
}

#[test]
fn a_session_with_four_hundred_groups_of_the_real_provider_works() {
    let site = Site::start();
    let browser = UserAgent::default();
    let (url, page) = site.sign_in_as(BIG, &browser, "/page");
    assert_eq!((url, page.status), (site.url("/page"), 200), "{}", site.envoy.log());
    let cookies = browser.session_cookies();
    assert!((2..=5).contains(&cookies.len()), "{} cookies", cookies.len());
    assert!(browser.jar().refused().is_empty(), "{:?}", browser.jar().refused());
    let seen = site.app.last();
    assert_eq!(seen.headers.all("x-forwarded-email"), [b"big@example.com"]);
    // Most apps take no header that is longer than 8 KiB: this one would have 15.
    assert!(!seen.headers.has("x-forwarded-groups") && !seen.headers.has("cookie"), "{seen:?}");
    let userinfo = browser.fetch(&site.url("/oauth2/userinfo"));
    let userinfo: Value = serde_json::from_slice(&userinfo.body).expect("JSON");
    assert_eq!(userinfo["claims"]["groups"], json!(many_groups()));
    // Another user in this browser, with two groups: the surplus cookies are deleted.
    let before = cookies.len();
    site.provider.forget_everybody();
    let (_, page) = last_of(&browser, &site, "/oauth2/start?rd=/page");
    assert!(page.text().contains("name=\"password\""), "{page:?}");
    let other = UserAgent::default();
    assert_eq!(site.sign_in_as(ALICE, &other, "/page").1.status, 200);
    assert!(other.session_cookies().len() < before);
    assert_eq!(site.app.last().headers.all("x-forwarded-groups"), [b"admins,staff"]);
}

fn last_of(browser: &UserAgent, site: &Site, path: &str) -> (String, Response) {
    browser.follow(&site.url(path)).pop().expect("a page")
}

#[test]
fn a_session_fits_into_cookies_or_a_page_states_its_size() {
    let world = world();
    let mut sizes = Vec::new();
    for length in [10, 2800, 3900, 4000, 4100, 6000, 8000, 11_000, 13_000, 16_500] {
        let (browser, cookies) = signed_in(&world, length);
        sizes.push(cookies.len());
        let userinfo: Value =
            serde_json::from_slice(&browser.fetch(&world.url("/oauth2/userinfo")).body).expect("JSON");
        assert_eq!(userinfo["claims"]["name"], noise(length), "{length}");
        for _ in 0..2 {
            assert_eq!(browser.get(&world.url("/page")).status, 200, "{length}");
        }
        let header = world.upstream.last().headers.text("x-name");
        assert_eq!(header, (length <= 7 * 1024).then(|| noise(length)), "{length}");
    }
    assert!(sizes.is_sorted() && sizes.first() == Some(&1) && sizes.last() == Some(&5), "{sizes:?}");
    for (length, code) in
        [(21_000, "session_too_large"), (40_000, "session_too_large"), (100_000, "id_token_malformed")]
    {
        let browser = world.browser();
        let before = world.upstream.count();
        let response = callback(&world, &browser, length);
        let statuses: &[u16] = if code == "session_too_large" { &[500] } else { &[502] };
        assert_page(&response, statuses, code);
        assert_eq!(response.code().as_deref(), Some(code), "{length}: {response:?}");
        assert_eq!(browser.session_cookies(), [], "{length}");
        if code == "session_too_large" {
            let text = response.text();
            let words = text.split(|at: char| !at.is_ascii_digit() && at != ',');
            let numbers: Vec<usize> = words.filter_map(|word| word.replace(',', "").parse().ok()).collect();
            let budget = numbers.iter().any(|number| (15_000..=MAX_COOKIE * 5).contains(number));
            let size = numbers.iter().any(|number| (length..length * 3 / 2).contains(number));
            assert!(budget && size, "{length}: no numbers on the page: {text}");
        }
        world.upstream.assert_saw_nothing_since(before, code);
    }
}

#[test]
fn missing_repeated_or_swapped_session_cookies_are_refused() {
    let world = world();
    let (browser, whole) = signed_in(&world, 8000);
    assert_eq!(whole.len(), 3);
    let (_, older) = signed_in(&world, 8000);
    let all = pairs(&whole);
    assert_eq!(ask(&world, &all).status, 200);
    let before = world.upstream.count();
    let mut refused: Vec<(String, Vec<String>)> = Vec::new();
    for place in 0..3 {
        let mut missing = all.clone();
        missing.remove(place);
        refused.push((format!("without {place}"), missing));
        let doubled = [&all[..], &[all[place].clone()]].concat();
        refused.push((format!("{place} twice"), doubled));
        let mut mixed = all.clone();
        mixed[place] = pairs(&older)[place].clone();
        refused.push((format!("{place} of another session"), mixed));
        let mut swapped = whole.clone();
        let next = (place + 1) % 3;
        (swapped[place].value, swapped[next].value) = (whole[next].value.clone(), whole[place].value.clone());
        refused.push((format!("{place} and {next} swapped"), pairs(&swapped)));
        for cut in [0, 1, 10, whole[place].value.len() - 1] {
            let mut short = whole.clone();
            short[place].value.truncate(cut);
            refused.push((format!("{place} cut to {cut}"), pairs(&short)));
        }
        let mut flipped = whole.clone();
        let middle = flipped[place].value.len() / 2;
        flipped[place].value[middle] ^= 1;
        refused.push((format!("{place} with another bit"), pairs(&flipped)));
    }
    refused.push(("one part alone in one cookie".to_owned(), vec![all[0].replacen("3.", "", 1)]));
    let text: String = whole.iter().map(|cookie| String::from_utf8_lossy(&cookie.value).into_owned()).collect();
    refused.push(("all parts in one cookie".to_owned(), vec![format!("{SESSION_COOKIE}={}", &text[2..])]));
    for count in
        ["", "0", "1", "2", "4", "5", "6", "9", "-1", "03", "3.", "999999999", "1e9", "٣", "18446744073709551616"]
    {
        let mut other = all.clone();
        other[0] = all[0].replacen("3.", &format!("{count}."), 1);
        refused.push((format!("count {count:?}"), other));
    }
    for (what, pairs) in &refused {
        assert_unauthenticated(&ask(&world, pairs), what);
    }
    // A page signs in again, without an error page.
    let visit = Outgoing::navigation("/page").header("cookie", refused[0].1.join("; "));
    assert_sign_in(&world.send(&visit).expect("an answer"), &world);
    world.upstream.assert_saw_nothing_since(before, "parts");

    // The order of the cookies does not matter, and surplus cookies of a longer session are ignored.
    for order in [[2, 1, 0], [1, 2, 0]] {
        assert_eq!(ask(&world, &order.map(|place| all[place].clone())).status, 200, "{order:?}");
    }
    let surplus = [&all[..], &[format!("{SESSION_COOKIE}-3=left-over"), format!("{SESSION_COOKIE}-4=x")]].concat();
    assert_eq!(ask(&world, &surplus).status, 200);

    // A shorter session that takes its place deletes what is too much.
    let response = callback(&world, &browser, 10);
    assert_signed_in(&response, &world.url("/page"));
    let deleted = deleted_cookies(&response);
    for place in [1, 2] {
        assert!(deleted.contains(&format!("{SESSION_COOKIE}-{place}")), "{deleted:?}");
    }
    assert_eq!(browser.session_cookies().len(), 1);
    assert_eq!(browser.get(&world.url("/page")).status, 200);
}

#[test]
fn a_renewal_changes_the_number_of_session_cookies() {
    let world = world();
    world.issuer.terms(|terms| {
        terms.refresh_tokens = RefreshTokens::Always;
        (terms.expires_in, terms.refresh_expires_in) = (Some(json!(100)), Some(json!(100)));
    });
    let (browser, whole) = signed_in(&world, 8000);
    assert_eq!(whole.len(), 3);
    for (length, expected) in [(10, 1), (13_000, 4), (4100, 2)] {
        let before = browser.session_cookies().len();
        world.issuer.sign_in_as(json!({"sub": "dora", "name": noise(length)}));
        world.advance(110);
        let response = browser.get(&world.url("/page?set-cookie=app%3D1"));
        assert_eq!(
            (response.status, kept_cookies(&response).len()),
            (200, expected + 1),
            "{length}: {response:?} {}",
            world.log()
        );
        assert_eq!(deleted_cookies(&response).len(), before.saturating_sub(expected), "{length}");
        assert_eq!(browser.session_cookies().len(), expected, "{length}");
        for _ in 0..4 {
            assert_eq!(kept_cookies(&browser.get(&world.url("/page"))), [""; 0], "{length}");
        }
    }
    // The new claims do not fit into the cookies: the session keeps its old claims, and the log reports it.
    let kept = browser.session_cookies();
    world.issuer.sign_in_as(json!({"sub": "dora", "name": noise(30_000)}));
    world.advance(110);
    let response = browser.get(&world.url("/page"));
    assert_eq!((response.status, kept_cookies(&response)), (200, vec![]), "{response:?}");
    assert_eq!((browser.session_cookies(), world.metric("session_not_written")), (kept, 1));
}

#[test]
fn optional_parts_of_a_large_session_are_left_out_first() {
    let world = World::with(|document| document["identity_headers"] = json!({"X-Name": "name"}));
    // A worker that has no metadata yet does not redirect a sign-out to the provider.
    world.until_ready();
    let (browser, cookies) = signed_in(&world, 2000);
    assert_eq!((cookies.len() > 1, world.metric("session_cut")), (true, 0), "the ID token is kept");
    let hint = |browser: &UserAgent| {
        let end = browser.get(&world.url("/oauth2/sign_out")).location().expect("the provider's sign-out");
        parameters(&end).iter().any(|(name, _)| name == "id_token_hint")
    };
    assert!(hint(&browser));
    let (browser, _) = signed_in(&world, 9000);
    assert_eq!(world.metric("session_cut"), 1);
    assert_eq!(browser.get(&world.url("/page")).status, 200);
    assert!(!hint(&browser));
    assert!(world.log().contains("without its ID token"), "{}", world.log());
}

#[test]
fn the_app_receives_only_foreign_cookies_and_these_unchanged() {
    let world = world();
    let (browser, whole) = signed_in(&world, 16_500);
    let [a, b, c, d, e] = &pairs(&whole)[..] else { panic!("{} cookies", whole.len()) };
    for (lines, expected) in [
        (vec![format!("x=1; {a}; y=\"a b\";{b};  z ; {c}; {d}; {e}; x=2")], vec!["x=1; y=\"a b\";  z ; x=2"]),
        (vec![format!("{a}; {b}; {c}; {d}; {e}")], vec![]),
        (
            vec!["first=1;".to_owned(), format!("{e}; {d}; {c}; {b}; {a}"), "last=\u{fc}; ;=".to_owned()],
            vec!["first=1;", "last=\u{fc}; ;="],
        ),
        (
            vec![format!("{a}; {b}; {c}; {d}; {e}; __Host-vestibule-5=theirs; x__Host-vestibule=theirs")],
            vec!["__Host-vestibule-5=theirs; x__Host-vestibule=theirs"],
        ),
    ] {
        let send = lines.iter().fold(Outgoing::fetch("/page"), |send, line| send.header("cookie", line));
        let response = world.send(&send).expect("an answer");
        assert_eq!(response.status, 200, "{lines:.100?}: {response:?}");
        let seen = world.upstream.last();
        let seen: Vec<String> =
            seen.headers.all("cookie").iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        assert_eq!(seen, expected);
    }

    // Six sign-ins under way, five parts and sixty cookies of the app, each a crumb of its own.
    let crowded = browser.over_http2(world.envoy.port());
    for at in 0..60 {
        crowded.jar().take("127.0.0.1", "/", format!("app{at}=value-{at}; Path=/").as_bytes());
    }
    for at in 0..6 {
        crowded.get(&world.url(&format!("/oauth2/start?rd=/{at}")));
    }
    let response = crowded.get(&world.url("/page"));
    assert_eq!(response.status, 200, "{response:?}");
    let seen = world.upstream.last();
    let theirs: Vec<String> = (0..60).map(|at| format!("app{at}=value-{at}")).collect();
    assert_eq!(seen.headers.text("cookie"), Some(theirs.join("; ")));
    let size: usize = seen.headers.0.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    assert!(size < 8192, "{size} bytes of headers");
    // And signing out leaves the app's alone.
    crowded.get(&world.url("/oauth2/sign_out"));
    assert_eq!(crowded.cookie_names(&world.url("/")).len(), 60);
}
