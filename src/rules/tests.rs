use proptest::prelude::*;
use url::Url;

use super::*;

/// What a verdict comes to for somebody who is nobody in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Denied,
    Optional,
    Public,
    Required,
}

const PUBLIC: Decision = Decision::Public;

fn decide(rules: &Rules, request: &Request) -> Decision {
    let verdict = rules.decide(request);
    if verdict.denial().is_some() {
        Decision::Denied
    } else if verdict.public().is_some() {
        Decision::Public
    } else if verdict.optional().is_some() {
        Decision::Optional
    } else {
        Decision::Required
    }
}

fn request(headers: &[(&str, &str)]) -> Request {
    Request::new(headers.iter().map(|(name, value)| (*name, value.as_bytes())))
}

fn get(target: &[u8]) -> Request {
    Request::new([(":method", b"GET".as_slice()), (":authority", b"app.example.com"), (":path", target)])
}

fn rule(path: PathPattern, access: Access) -> Rule {
    Rule { path: Some(path), ..everything(access) }
}

fn glob(path: &str, access: Access) -> Rule {
    rule(PathPattern::glob(path).unwrap(), access)
}

fn everything(access: Access) -> Rule {
    Rule {
        name: None,
        path: None,
        methods: Vec::new(),
        hosts: Vec::new(),
        headers: Vec::new(),
        access,
        unauthenticated: Answer::Auto,
        allow: None,
    }
}

fn methods(methods: &[&str], access: Access) -> Rule {
    Rule { methods: methods.iter().map(|text| parse_method(text).unwrap()).collect(), ..everything(access) }
}

fn hosts(hosts: &[&str], access: Access) -> Rule {
    Rule { hosts: hosts.iter().map(|text| HostPattern::parse(text).unwrap()).collect(), ..everything(access) }
}

#[test]
fn without_a_matching_rule_a_session_is_required() {
    assert_eq!(decide(&Rules::new(Vec::new()), &get(b"/")), Decision::Required);
    let rules = Rules::new(vec![glob("/public/*", Access::Public)]);
    assert_eq!(decide(&rules, &get(b"/private")), Decision::Required);
    assert_eq!(decide(&rules, &get(b"/public/a")), PUBLIC);
}

#[test]
fn the_first_matching_rule_decides() {
    let rules = Rules::new(vec![
        glob("/a/private/*", Access::Required),
        glob("/a/*", Access::Public),
        glob("/a/late/*", Access::Required),
    ]);
    for (path, expected) in [
        ("/a/b", PUBLIC),
        ("/a/private/b", Decision::Required),
        ("/a/private", PUBLIC),
        ("/a/late/b", PUBLIC),
        ("/b", Decision::Required),
    ] {
        assert_eq!(decide(&rules, &get(path.as_bytes())), expected, "{path}");
    }
}

/// With everything public, only what is ambiguous stays protected.
#[test]
fn no_rule_makes_an_ambiguous_path_public() {
    let all = [
        everything(Access::Public),
        glob("/**", Access::Public),
        rule(PathPattern::prefix("/").unwrap(), Access::Public),
        rule(PathPattern::regex("(?s).*").unwrap(), Access::Public),
    ];
    for public in all {
        let rules = Rules::new(vec![public.clone()]);
        for target in path::tests::AMBIGUOUS {
            assert_eq!(decide(&rules, &get(target)), Decision::Required, "{} {public:?}", target.escape_ascii());
        }
        assert_eq!(decide(&rules, &get(b"/public/a")), PUBLIC, "{public:?}");
    }
}

#[test]
fn the_spelled_and_the_decoded_path_must_agree() {
    let café = |pattern: &str, access| Rules::new(vec![glob(pattern, access), everything(Access::Public)]);
    for pattern in ["/caf%C3%A9", "/caf%c3%a9"] {
        for target in ["/caf%C3%A9", "/caf%c3%a9", "/caf%C3%a9"] {
            assert_eq!(
                decide(&café(pattern, Access::Required), &get(target.as_bytes())),
                Decision::Required,
                "{target}"
            );
        }
    }
    let regex = |text: &str, access| rule(PathPattern::regex(text).unwrap(), access);
    let cases = [
        ("escaped only", regex("/a%20b", Access::Public), Decision::Required),
        ("decoded only", regex("/a b", Access::Public), Decision::Required),
        ("both", regex("/a(%20| )b", Access::Public), PUBLIC),
        ("a wildcard", regex("/a.*b", Access::Public), PUBLIC),
        ("a wildcard that only the escape fills", regex("/a...b", Access::Public), Decision::Required),
    ];
    for (name, rule, expected) in cases {
        assert_eq!(decide(&Rules::new(vec![rule]), &get(b"/a%20b")), expected, "{name}");
    }
    for protected in ["/a%20b", "/a b"] {
        let rules = Rules::new(vec![regex(protected, Access::Required), everything(Access::Public)]);
        assert_eq!(decide(&rules, &get(b"/a%20b")), Decision::Required, "{protected}");
    }
}

#[test]
fn the_query_and_other_headers_have_no_say() {
    let rules = Rules::new(vec![glob("/public/*", Access::Public)]);
    let targets = ["/admin?/public/", "/admin?x=/public/a", "/admin?%2fpublic/a", "/admin?#/public/a"];
    for target in targets {
        assert_eq!(decide(&rules, &get(target.as_bytes())), Decision::Required, "{target}");
    }
    for name in ["x-envoy-original-path", "x-original-url", "x-forwarded-uri", "x-rewrite-url", "path", "user-agent"] {
        let mut headers =
            vec![(":method", "GET"), (":authority", "app.example.com"), (":path", "/admin"), (name, "/public/a")];
        assert_eq!(decide(&rules, &request(&headers)), Decision::Required, "{name}");
        headers[2].1 = "/public/a";
        headers[3].1 = "/admin";
        assert_eq!(decide(&rules, &request(&headers)), PUBLIC, "{name}");
    }
}

#[test]
fn methods_are_compared_exactly_and_head_is_a_get() {
    let rules = Rules::new(vec![methods(&["GET", "M-SEARCH"], Access::Public)]);
    let protecting = Rules::new(vec![methods(&["GET", "POST"], Access::Required), everything(Access::Public)]);
    let cases = [
        ("GET", PUBLIC, Decision::Required),
        ("HEAD", PUBLIC, Decision::Required),
        ("M-SEARCH", PUBLIC, PUBLIC),
        ("POST", Decision::Required, Decision::Required),
        ("PUT", Decision::Required, PUBLIC),
        ("OPTIONS", Decision::Required, PUBLIC),
        ("TRACE", Decision::Required, Decision::Required),
        // An app that is lenient with methods would see a POST.
        ("post", Decision::Required, Decision::Required),
        ("Get", Decision::Required, Decision::Required),
        ("GET ", Decision::Required, Decision::Required),
        ("G\0T", Decision::Required, Decision::Required),
        ("", Decision::Required, Decision::Required),
    ];
    for (method, listed, unlisted) in cases {
        let request = request(&[(":method", method), (":authority", "a"), (":path", "/")]);
        assert_eq!(decide(&rules, &request), listed, "{method:?}");
        assert_eq!(decide(&protecting, &request), unlisted, "{method:?}");
    }
    let head_only = Rules::new(vec![methods(&["HEAD"], Access::Public)]);
    assert_eq!(decide(&head_only, &get(b"/")), Decision::Required);
}

#[test]
fn only_an_upper_case_token_is_a_method() {
    for text in ["GET", "M-SEARCH", "X_A", "VERSION-CONTROL"] {
        assert_eq!(parse_method(text).as_deref(), Ok(text));
    }
    for text in ["", "get", "Get", "GET,POST", "GET ", "*", "GÉT", &"A".repeat(33)] {
        assert!(parse_method(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_request_without_exactly_one_method_and_path_is_protected() {
    let rules = Rules::new(vec![everything(Access::Public)]);
    let method = (":method", "GET");
    let path = (":path", "/");
    let cases = [
        ("complete", vec![method, path], PUBLIC),
        ("no method", vec![path], Decision::Required),
        ("no path", vec![(":method", "CONNECT"), (":authority", "a:443")], Decision::Required),
        ("two methods", vec![method, method, path], Decision::Required),
        ("two paths", vec![method, path, path], Decision::Required),
        ("nothing", vec![], Decision::Required),
    ];
    for (name, headers, expected) in cases {
        assert_eq!(decide(&rules, &request(&headers)), expected, "{name}");
    }
}

#[test]
fn a_host_in_doubt_never_makes_public() {
    let public = Rules::new(vec![hosts(&["app.example.com", "*.open.example"], Access::Public)]).at_port(Some(8443));
    let protecting = Rules::new(vec![hosts(&["admin.example.com"], Access::Required), everything(Access::Public)]);
    let cases: [(&[&str], _, _); 14] = [
        (&["app.example.com"], PUBLIC, PUBLIC),
        (&["APP.example.com"], PUBLIC, PUBLIC),
        (&["app.example.com:8443"], PUBLIC, PUBLIC),
        (&["app.example.com:443"], Decision::Required, PUBLIC),
        (&["app.example.com."], Decision::Required, PUBLIC),
        (&["app.example.com.:8443"], Decision::Required, PUBLIC),
        (&["a.open.example"], PUBLIC, PUBLIC),
        (&["open.example"], Decision::Required, PUBLIC),
        (&["admin.example.com"], Decision::Required, Decision::Required),
        (&["ADMIN.example.com:443"], Decision::Required, Decision::Required),
        (&[], Decision::Required, Decision::Required),
        (&[""], Decision::Required, Decision::Required),
        (&["app.example.com", "app.example.com"], Decision::Required, Decision::Required),
        (&["app.example.com@admin.example.com"], Decision::Required, Decision::Required),
    ];
    for (authorities, listed, unlisted) in cases {
        let mut headers = vec![(":method", "GET"), (":path", "/")];
        headers.extend(authorities.iter().map(|authority| (":authority", *authority)));
        assert_eq!(decide(&public, &request(&headers)), listed, "{authorities:?}");
        assert_eq!(decide(&protecting, &request(&headers)), unlisted, "{authorities:?}");
    }
}

#[test]
fn path_method_and_host_must_all_match() {
    let only = Rule {
        path: Some(PathPattern::prefix("/api").unwrap()),
        methods: vec!["POST".to_owned()],
        hosts: vec![HostPattern::parse("app.example.com").unwrap()],
        ..everything(Access::Public)
    };
    let rules = Rules::new(vec![only]);
    for (method, host, path, expected) in [
        ("POST", "app.example.com", "/api/x", PUBLIC),
        ("GET", "app.example.com", "/api/x", Decision::Required),
        ("POST", "other.example.com", "/api/x", Decision::Required),
        ("POST", "app.example.com", "/apix", Decision::Required),
    ] {
        let request = request(&[(":method", method), (":authority", host), (":path", path)]);
        assert_eq!(decide(&rules, &request), expected, "{method} {host} {path}");
    }
}

/// A rule as plain data, so that a test can read it its own way.
#[derive(Debug, Clone)]
struct Plain {
    base: String,
    below: bool,
    access: Access,
}

impl Plain {
    fn build(&self) -> Rule {
        let pattern = if self.below { PathPattern::prefix(&self.base) } else { PathPattern::glob(&self.base) }.unwrap();
        rule(pattern, self.access)
    }

    /// By whole decoded segments, without any code of this room.
    fn covers(&self, decoded: &str) -> bool {
        let base = percent_encoding::percent_decode_str(&self.base).decode_utf8().unwrap();
        decoded == base || self.below && decoded.starts_with(&format!("{base}/"))
    }
}

fn plain_rule() -> impl Strategy<Value = Plain> {
    let segment = prop::sample::select(vec!["a", "b", "admin", "%C3%A9", "x%20y"]);
    (proptest::collection::vec(segment, 1..3), any::<bool>(), any::<bool>()).prop_map(|(segments, below, public)| {
        Plain {
            base: format!("/{}", segments.join("/")),
            below,
            access: if public { Access::Public } else { Access::Required },
        }
    })
}

fn target() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", "a", "b", "admin", "%C3%A9", "%c3%a9", "x%20y", "x y", ".", "..", "%2e", "%2f", "%5c", "\\",
        ";", "%61", "%25", "%00", "%", "?", "#", "\t", "é", "|", "\"", "%22", "%7C", "*", "+",
    ]);
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn what_is_public_is_public_to_every_reader(plain in proptest::collection::vec(plain_rule(), 1..5), target in target()) {
        let rules = Rules::new(plain.iter().map(Plain::build).collect());
        if decide(&rules, &get(target.as_bytes())) == PUBLIC {
            let path = target.split('?').next().unwrap();
            let url = Url::parse(&format!("https://app.example.com{target}")).unwrap();
            let decoded = percent_encoding::percent_decode_str(path).decode_utf8().unwrap().into_owned();
            let resolved = percent_encoding::percent_decode_str(url.path()).decode_utf8().unwrap().into_owned();
            for reading in [&decoded, &resolved] {
                let first = plain.iter().find(|rule| rule.covers(reading)).map(|rule| rule.access);
                prop_assert_eq!(first, Some(Access::Public), "{} read as {}", target, reading);
            }
            prop_assert_eq!(decide(&rules, &get(url.path().as_bytes())), PUBLIC);
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_public(target in proptest::collection::vec(any::<u8>(), 0..40)) {
        let decision = decide(&Rules::new(vec![everything(Access::Public)]), &get(&target));
        let path = target.split(|byte| *byte == b'?').next().unwrap();
        let clear = path.starts_with(b"/") && path.iter().all(u8::is_ascii_graphic);
        prop_assert!(clear || decision == Decision::Required);
    }
}
