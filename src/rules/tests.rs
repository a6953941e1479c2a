mod routes;

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::claims::{Claim, ClaimPath, Claims, Condition, Unmet};

/// The decision of a verdict for an unspecified principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Denied,
    Optional,
    Public,
    Required,
}

const PUBLIC: Decision = Decision::Public;

fn decide(rules: &Rules, request: &Request) -> Decision {
    let verdict = rules.decide(request, &|| None).unwrap();
    if verdict.denial().is_some() {
        Decision::Denied
    } else if verdict.is_public() {
        Decision::Public
    } else if verdict.is_open() {
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
        networks: Vec::new(),
        locked: false,
        policy: policy(access),
    }
}

fn policy(access: Access) -> Policy {
    Policy {
        access,
        unauthenticated: Unauthenticated::Auto,
        allow: None,
        scopes: Vec::new(),
        providers: Vec::new(),
        authorization: Authorization::Keep,
        step_up: None,
        upstream_token: None,
    }
}

/// The rule that admits only this group.
fn allowing(group: &str, mut rule: Rule) -> Rule {
    rule.policy.allow = in_group(group);
    rule
}

fn methods(methods: &[&str], access: Access) -> Rule {
    Rule { methods: methods.iter().map(|text| parse_method(text).unwrap()).collect(), ..everything(access) }
}

fn hosts(hosts: &[&str], access: Access) -> Rule {
    Rule { hosts: hosts.iter().map(|text| HostPattern::parse(text).unwrap()).collect(), ..everything(access) }
}

fn networks(networks: &[&str], access: Access) -> Rule {
    Rule { networks: networks.iter().map(|text| Network::parse(text).unwrap()).collect(), ..everything(access) }
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
fn a_public_path_must_be_public_raw_and_decoded() {
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
fn rules_ignore_the_query_and_other_headers() {
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
fn an_ambiguous_host_is_never_public() {
    let public =
        Rules::new(vec![hosts(&["app.example.com", "*.open.example"], Access::Public)]).with_own_port(Some(8443));
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

fn headers(wanted: &[(&str, Option<&str>)], access: Access) -> Rule {
    let headers = wanted
        .iter()
        .map(|(name, value)| HeaderCondition { name: (*name).to_owned(), value: value.map(str::to_owned) });
    Rule { headers: headers.collect(), ..everything(access) }
}

fn regex(text: &str, access: Access) -> Rule {
    rule(PathPattern::regex(text).unwrap(), access)
}

fn named(name: &str, rule: Rule) -> Rule {
    Rule { name: Some(name.to_owned()), ..rule }
}

/// Claims of a principal.
struct Token(serde_json::Value);

impl Claims for Token {
    fn claim(&self, name: &str) -> Option<Claim<'_>> {
        self.0.get(name).map(Claim::Json)
    }

    fn issuer(&self) -> Option<IssuerId> {
        Some(IssuerId::of_provider("https://staff.example.com", "client"))
    }
}

fn in_group(group: &str) -> Option<Conditions> {
    Some(Conditions(vec![Condition::Claim(ClaimPath::parse("groups").unwrap(), vec![group.into()])]))
}

fn is_admitted(rules: &Rules, request: &Request, groups: &[&str]) -> bool {
    rules
        .decide(request, &|| None)
        .unwrap()
        .admits(&Token(serde_json::json!({ "groups": groups })), None, &|at| at)
        .is_ok()
}

#[test]
fn a_deny_rule_refuses_every_principal_and_is_named() {
    let rules = Rules::new(vec![
        named("internal", rule(PathPattern::prefix("/internal").unwrap(), Access::Deny)),
        named("all", everything(Access::Public)),
    ]);
    for path in ["/internal", "/internal/", "/internal/x?y=/public"] {
        let request = get(path.as_bytes());
        let verdict = rules.decide(&request, &|| None).unwrap();
        assert_eq!(decide(&rules, &request), Decision::Denied, "{path}");
        assert_eq!(verdict.denial(), Some(Refusal { rule: Some("internal".to_owned()), cause: Cause::Denied }));
        assert!(!verdict.is_public() && !verdict.is_open());
        assert!(!is_admitted(&rules, &request, &["admins"]));
    }
    assert_eq!(decide(&rules, &get(b"/internals")), PUBLIC);
    assert_eq!(decide(&Rules::new(vec![everything(Access::Deny)]), &request(&[])), Decision::Denied);
}

#[test]
fn optional_access_is_open_but_not_public() {
    let rules = Rules::new(vec![glob("/news/*", Access::Optional), everything(Access::Required)]);
    let request = get(b"/news/today");
    assert_eq!(decide(&rules, &request), Decision::Optional);
    assert!(!rules.decide(&request, &|| None).unwrap().is_public());
    assert!(is_admitted(&rules, &request, &[]));
    assert_eq!(decide(&rules, &get(b"/new")), Decision::Required);
    // Public for one parser and optional for another is optional.
    let rules = Rules::new(vec![regex("/a b", Access::Optional), everything(Access::Public)]);
    assert_eq!(decide(&rules, &get(b"/a%20b")), Decision::Optional);
    assert_eq!(decide(&rules, &get(b"/a%21b")), PUBLIC);
}

#[test]
fn a_header_condition_matches_fails_or_is_ambiguous() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Match, Match);
    let cases: &[Case<'_>] = &[
        ("absent", &[], Match::No, Match::No),
        ("another one", &[("x-other", "1")], Match::No, Match::No),
        ("the value", &[("x-a", "1")], Match::Yes, Match::Yes),
        ("another value", &[("x-a", "2")], Match::Yes, Match::No),
        ("empty", &[("x-a", "")], Match::Yes, Match::No),
        ("longer", &[("x-a", "11")], Match::Yes, Match::No),
        ("two lines, one of them right", &[("x-a", "2"), ("x-a", "1")], Match::Yes, Match::Perhaps),
        ("two lines, both right", &[("x-a", "1"), ("x-a", "1")], Match::Yes, Match::Perhaps),
        ("a list with it", &[("x-a", "2, 1")], Match::Yes, Match::Perhaps),
        ("a list without it", &[("x-a", "2, 11")], Match::Yes, Match::No),
        ("in other letters", &[("x_a", "1")], Match::Perhaps, Match::Perhaps),
        ("and in other letters", &[("x-a", "1"), ("x.a", "2")], Match::Yes, Match::Perhaps),
    ];
    for (what, lines, of_any, of_value) in cases {
        let mut all = vec![(":method", "GET"), (":authority", "app.example.com"), (":path", "/")];
        all.extend(*lines);
        let request = request(&all);
        let matches = |value: Option<&str>| {
            headers(&[("x-a", value)], Access::Public).matches(&RequestFacts::read(&request, None, &|| None), Some("/"))
        };
        assert_eq!((matches(None), matches(Some("1"))), (*of_any, *of_value), "{what}");
    }
}

#[test]
fn all_headers_of_a_rule_must_match() {
    let rules = Rules::new(vec![headers(&[("x-a", Some("1")), ("x-b", None)], Access::Public)]);
    let at = |lines: &[(&'static str, &'static str)]| {
        let mut all = vec![(":method", "GET"), (":authority", "a"), (":path", "/")];
        all.extend(lines);
        decide(&rules, &request(&all))
    };
    assert_eq!(at(&[("x-a", "1"), ("x-b", "")]), PUBLIC);
    for lines in [&[("x-a", "1")][..], &[("x-b", "2")], &[("x-a", "1"), ("x-b", ""), ("x-a", "1")]] {
        assert_eq!(at(lines), Decision::Required, "{lines:?}");
    }
}

/// An ambiguous request never skips a rule for a weaker one, and the stricter later rule holds too.
#[test]
fn an_ambiguous_rule_applies_together_with_the_rules_after_it() {
    const HOST: (&str, &str) = (":authority", "a.example");
    const METHOD: (&str, &str) = (":method", "GET");
    type Build = fn(Access) -> Rule;
    let doubts: [(&str, Build, Lines); 8] = [
        ("no host", |access| hosts(&["a.example"], access), vec![METHOD]),
        ("two hosts", |access| hosts(&["a.example"], access), vec![METHOD, HOST, (":authority", "b.example")]),
        ("an unreadable host", |access| hosts(&["a.example"], access), vec![METHOD, (":authority", "x@a.example")]),
        ("a host at a port", |access| hosts(&["a.example"], access), vec![METHOD, (":authority", "a.example:1")]),
        ("a method in lower case", |access| methods(&["GET"], access), vec![HOST, (":method", "get")]),
        ("two methods", |access| methods(&["GET"], access), vec![HOST, METHOD, METHOD]),
        ("two lines", |access| headers(&[("x-a", Some("1"))], access), vec![HOST, METHOD, ("x-a", "1"), ("x-a", "2")]),
        ("a list", |access| headers(&[("x-a", Some("1"))], access), vec![HOST, METHOD, ("x-a", "1,2")]),
    ];
    use Access::{Deny, Optional, Public, Required};
    for (what, build, mut lines) in doubts {
        lines.push((":path", "/"));
        let request = request(&lines);
        for (first, then, expected) in [
            (Required, Deny, Decision::Denied),
            (Deny, Public, Decision::Denied),
            (Deny, Required, Decision::Denied),
            (Public, Deny, Decision::Denied),
            (Optional, Deny, Decision::Denied),
            (Public, Required, Decision::Required),
            (Optional, Required, Decision::Required),
            (Required, Public, Decision::Required),
            (Required, Optional, Decision::Required),
        ] {
            let rules = Rules::new(vec![build(first), everything(then)]);
            assert_eq!(decide(&rules, &request), expected, "{what}: {first:?}, then {then:?}");
        }
        // Without a general rule the default applies, which is not weaker.
        assert_eq!(decide(&Rules::new(vec![build(Public)]), &request), Decision::Required, "{what}");
        // Both conditions must hold.
        let staff = allowing("staff", build(Required));
        let rules = Rules::new(vec![staff, allowing("admins", everything(Required))]);
        assert!(is_admitted(&rules, &request, &["admins", "staff"]), "{what}");
        for groups in [&[][..], &["staff"], &["admins"]] {
            assert!(!is_admitted(&rules, &request, groups), "{what}: {groups:?}");
        }
    }
}

#[test]
fn an_ambiguous_path_is_held_to_every_rule_that_may_apply() {
    let denying = Rules::new(vec![glob("/a/*", Access::Public), glob("/b/*", Access::Deny)]);
    let admins = allowing("admins", glob("/admin/*", Access::Required));
    let staff = allowing("staff", glob("/staff/*", Access::Required));
    let allowing = Rules::new(vec![admins, everything(Access::Public), staff]);
    for target in path::tests::AMBIGUOUS {
        let what = target.escape_ascii();
        assert_eq!(decide(&denying, &get(target)), Decision::Denied, "{what}");
        assert_eq!(decide(&allowing, &get(target)), Decision::Required, "{what}");
        assert!(is_admitted(&allowing, &get(target), &["admins"]), "{what}");
        assert!(!is_admitted(&allowing, &get(target), &["staff"]), "{what}");
    }
    // Unambiguous properties of a request still decide.
    let by_method = Rules::new(vec![methods(&["POST"], Access::Required), glob("/b/*", Access::Deny)]);
    let post = request(&[(":method", "POST"), (":authority", "a"), (":path", "/x//y")]);
    assert_eq!(decide(&by_method, &post), Decision::Required);
    assert_eq!(decide(&by_method, &get(b"/x//y")), Decision::Denied);
}

#[test]
fn an_ambiguous_request_without_a_session_gets_the_strictest_response() {
    let with = |unauthenticated: Unauthenticated, rule: Rule| Rule {
        policy: Policy { unauthenticated, ..rule.policy },
        ..rule
    };
    let rules = Rules::new(vec![
        with(Unauthenticated::Redirect, glob("/pages/*", Access::Required)),
        with(Unauthenticated::Unauthorized, glob("/api/*", Access::Required)),
    ]);
    for (path, expected) in [
        ("/pages/x", Unauthenticated::Redirect),
        ("/api/x", Unauthenticated::Unauthorized),
        ("/other", Unauthenticated::Auto),
        ("/pages//x", Unauthenticated::Unauthorized),
    ] {
        assert_eq!(rules.decide(&get(path.as_bytes()), &|| None).unwrap().unauthenticated(), expected, "{path}");
    }
    assert_eq!(Rules::new(Vec::new()).decide(&get(b"/"), &|| None).unwrap().unauthenticated(), Unauthenticated::Auto);
}

#[test]
fn conditions_of_the_provider_apply_in_addition_to_those_of_the_rule() {
    let rules = Rules::new(vec![named("staff", allowing("staff", everything(Access::Required)))]);
    let request = get(b"/");
    let verdict = rules.decide(&request, &|| None).unwrap();
    let outcome = |token: serde_json::Value| verdict.admits(&Token(token), in_group("known").as_ref(), &|at| at);
    assert!(outcome(serde_json::json!({ "groups": ["known", "staff"] })).is_ok());
    let refused = |rule, cause| Err(Refusal { rule, cause });
    assert_eq!(
        outcome(serde_json::json!({ "groups": ["known"] })),
        refused(Some("staff".to_owned()), Cause::NotAllowed(Unmet::Groups, Vec::new()))
    );
    assert_eq!(
        outcome(serde_json::json!({ "groups": ["staff"] })),
        refused(None, Cause::NotAllowed(Unmet::Groups, Vec::new()))
    );
    assert_eq!(outcome(serde_json::json!({ "hasgroups": true })), refused(None, Cause::LeftOut));
}

#[test]
fn warns_of_rules_without_effect_and_of_public_everything() {
    use Access::{Deny, Optional, Public, Required};
    let prefix = |text: &str, access| rule(PathPattern::prefix(text).unwrap(), access);
    let below = |wider: Rule, rule: Rule| Rules::new(vec![wider, rule]).warnings("/oauth2");
    let at = |path: &str, rule: Rule| Rule { path: Some(PathPattern::glob(path).unwrap()), ..rule };
    let never: Vec<(Rule, Rule)> = vec![
        (glob("/a/*", Public), glob("/a/b", Deny)),
        (glob("/a/*", Public), glob("/a/*", Deny)),
        (glob("/a", Public), glob("/a", Deny)),
        (glob("/caf%C3%A9", Public), glob("/caf%c3%a9", Deny)),
        (prefix("/caf%C3%A9", Public), glob("/caf%C3%A9/*/x", Deny)),
        (prefix("/a", Public), glob("/a", Deny)),
        (prefix("/a", Public), prefix("/a/b", Deny)),
        (prefix("/a", Public), glob("/a/*/c", Deny)),
        (prefix("/a", Public), regex("/a/b[0-9]", Deny)),
        (glob("/a/*", Public), glob("/a/*/c", Deny)),
        (glob("/a/*", Public), prefix("/a/b", Deny)),
        (glob("/a/*", Public), regex("/a/b[0-9]", Deny)),
        (glob("/**", Required), regex("/.*", Deny)),
        (everything(Deny), everything(Public)),
        (everything(Deny), hosts(&["a.example"], Public)),
        (methods(&["GET", "POST"], Required), methods(&["POST"], Public)),
        (methods(&["GET"], Required), at("/x", methods(&["HEAD"], Public))),
        (hosts(&["*.example.com"], Required), at("/x", hosts(&["a.example.com"], Public))),
        (hosts(&["*.example.com"], Required), hosts(&["*.b.example.com", "*.example.com"], Public)),
        (headers(&[("x-a", None)], Required), headers(&[("x-a", Some("1"))], Deny)),
        (networks(&["fd00::/8", "10.0.0.0/8"], Required), networks(&["10.1.0.0/16", "10.0.0.7"], Deny)),
        (headers(&[("x-a", Some("1"))], Required), headers(&[("x-b", None), ("x-a", Some("1"))], Deny)),
    ];
    for (wider, rule) in never {
        let what = format!("{:?} {:?}", wider.path, rule.path);
        let warnings = below(wider, named("late", rule)).join(" ");
        let expected = "rules[1] (late) can never match: rules[0] comes first and matches all that it does";
        assert!(warnings.ends_with(expected), "{what}: {warnings}");
    }
    let sometimes: Vec<(Rule, Rule)> = vec![
        (glob("/a/*", Required), glob("/a", Deny)),
        (glob("/a/b", Required), glob("/a/*", Deny)),
        (glob("/a/*", Required), prefix("/a", Deny)),
        (glob("/a*", Required), glob("/a", Deny)),
        (prefix("/a/b", Required), prefix("/a", Deny)),
        (prefix("/a", Required), glob("/ab", Deny)),
        (prefix("/a/b", Required), regex("/a/b.*", Deny)),
        (prefix("/a/b", Required), regex("/a/b/?c", Deny)),
        (prefix("/a/b", Required), regex("/a/b/(?i)*c", Deny)),
        (prefix("/a/b", Required), regex("/a/b/c|/d", Deny)),
        (regex("/a", Required), glob("/a", Deny)),
        (at("/x", methods(&["GET"], Required)), at("/x", everything(Deny))),
        (methods(&["GET"], Required), methods(&["GET", "POST"], Deny)),
        (methods(&["HEAD"], Required), methods(&["GET"], Deny)),
        (hosts(&["a.example.com"], Required), hosts(&["*.example.com"], Deny)),
        (hosts(&["*.example.com"], Required), hosts(&["example.com"], Deny)),
        (hosts(&["a.example.com"], Required), everything(Deny)),
        (headers(&[("x-a", Some("1"))], Required), headers(&[("x-a", None)], Deny)),
        (headers(&[("x-a", None)], Required), everything(Deny)),
        (networks(&["10.1.0.0/16"], Required), networks(&["10.0.0.0/8"], Deny)),
        (networks(&["10.0.0.0/8"], Required), networks(&["10.1.0.0/16", "11.0.0.0/8"], Deny)),
        (networks(&["0.0.0.0/0", "::/0"], Required), everything(Deny)),
    ];
    for (first, rule) in sometimes {
        let what = format!("{first:?} {rule:?}");
        assert_eq!(below(first, rule), [""; 0], "{what}");
    }

    let alone = |rule: Rule| Rules::new(vec![rule]).warnings("/oauth2").join(" ");
    for rule in [glob("/oauth2", Deny), glob("/oauth2/callback", Public), prefix("/oauth2/", Required)] {
        let expected = "rules[0] can never match: /oauth2 is this filter's own, and rules do not apply there";
        assert_eq!(alone(rule), expected);
    }
    for rule in [glob("/**", Public), prefix("/", Public), everything(Public)] {
        assert_eq!(alone(rule), "rules[0] makes everything public");
    }
    let spoken = headers(&[("x-a", Some("1"))], Public);
    for rule in [spoken.clone(), at("/**", spoken.clone())] {
        assert_eq!(alone(rule), "rules[0] makes everything public to any client that sends these headers");
    }
    for network in ["0.0.0.0/0", "::/0"] {
        assert_eq!(
            alone(networks(&["10.0.0.0/8", network], Public)),
            "rules[0] makes everything public to any client: every address is in a network of length 0"
        );
    }
    for rule in [
        networks(&["10.0.0.0/8"], Public),
        at("/x", networks(&["0.0.0.0/0"], Public)),
        glob("/oauth2x", Public),
        glob("/oauth2*", Public),
        glob("/*", Optional),
        glob("/**", Required),
        everything(Deny),
        methods(&["OPTIONS"], Public),
        hosts(&["open.example"], Public),
        at("/x", spoken),
    ] {
        assert_eq!(alone(rule), "");
    }
}

/// The decision for a client at this address; `None` for one without, and the number of times the address was looked up.
fn decide_for(rules: &Rules, target: &str, client: Option<&str>) -> (Decision, usize) {
    let looked_up = std::cell::Cell::new(0);
    let client = client.map(|client| client.parse().unwrap());
    let look_up = || {
        looked_up.set(looked_up.get() + 1);
        client
    };
    let verdict = rules.decide(&get(target.as_bytes()), &look_up).unwrap();
    let decision = match () {
        () if verdict.denial().is_some() => Decision::Denied,
        () if verdict.is_public() => PUBLIC,
        () => Decision::Required,
    };
    (decision, looked_up.get())
}

#[test]
fn a_network_rule_applies_to_the_clients_in_the_network() {
    const DENIED: Decision = Decision::Denied;
    const REQUIRED: Decision = Decision::Required;
    let below = |path: &str, rule: Rule| Rule { path: Some(PathPattern::prefix(path).unwrap()), ..rule };
    let rules = Rules::new(vec![
        below("/open", networks(&["10.0.0.0/8", "fd00::/8"], Access::Public)),
        below("/closed", networks(&["192.0.2.0/24"], Access::Deny)),
        below("/closed", everything(Access::Public)),
        below("/only", networks(&["10.0.0.0/8"], Access::Required)),
        below("/only", everything(Access::Deny)),
    ]);
    for (target, client, expected) in [
        ("/open/x", Some("10.1.2.3"), PUBLIC),
        ("/open/x", Some("fd12::1"), PUBLIC),
        ("/open/x", Some("192.0.2.1"), REQUIRED),
        // It may be inside or outside, and is held to both.
        ("/open/x", None, REQUIRED),
        ("/closed/x", Some("192.0.2.1"), DENIED),
        ("/closed/x", Some("10.1.2.3"), PUBLIC),
        ("/closed/x", None, DENIED),
        ("/only/x", Some("10.1.2.3"), REQUIRED),
        ("/only/x", Some("192.0.2.1"), DENIED),
        ("/only/x", None, DENIED),
    ] {
        assert_eq!(decide_for(&rules, target, client), (expected, 1), "{target} {client:?}");
    }
    // An address makes no ambiguous path public, and the rules of other paths look no address up.
    assert_eq!(decide_for(&rules, "/open/%2e%2e/x", Some("10.1.2.3")).0, DENIED);
    assert_eq!(decide_for(&rules, "/open;/x", Some("10.1.2.3")).0, DENIED);
    assert_eq!(decide_for(&rules, "/x", Some("10.1.2.3")), (REQUIRED, 0));
}

/// A rule as plain data, so that a test can read it its own way.
#[derive(Debug, Clone)]
struct Plain {
    base: String,
    below: bool,
    access: Access,
    host: Option<&'static str>,
    method: Option<&'static str>,
    /// Requires the header `x-a`, with any value or with this one.
    header: Option<Option<&'static str>>,
    group: Option<&'static str>,
}

impl Plain {
    fn build(&self) -> Rule {
        let pattern = if self.below { PathPattern::prefix(&self.base) } else { PathPattern::glob(&self.base) }.unwrap();
        let header =
            self.header.map(|value| HeaderCondition { name: "x-a".to_owned(), value: value.map(str::to_owned) });
        Rule {
            methods: self.method.map(str::to_owned).into_iter().collect(),
            hosts: self.host.map(|host| HostPattern::parse(host).unwrap()).into_iter().collect(),
            headers: header.into_iter().collect(),
            policy: Policy {
                allow: self.group.filter(|_| self.access == Access::Required).and_then(in_group),
                ..policy(self.access)
            },
            ..rule(pattern, self.access)
        }
    }

    /// Whether the rule covers this reading of a request: by whole decoded segments, without any code of this room.
    fn covers(&self, seen: &Seen) -> bool {
        let base = decoded(&self.base);
        let Seen { path, .. } = seen;
        let is_host = |host: &str| match host.strip_prefix('*') {
            Some(domain) => seen.host.ends_with(domain),
            None => seen.host == host,
        };
        (*path == base || self.below && path.starts_with(&format!("{base}/")))
            && self.host.is_none_or(is_host)
            && self.method.is_none_or(|method| seen.method == method || seen.method == "HEAD" && method == "GET")
            && self.header.is_none_or(|wanted| {
                seen.header.as_deref().is_some_and(|value| wanted.is_none_or(|wanted| value == wanted))
            })
    }
}

/// A parser's reading of a request.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    host: String,
    method: String,
    header: Option<String>,
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// RFC 3986, 5.2.4, with empty segments kept or merged.
fn without_dots(path: &str, merge: bool) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (place, segment) in segments.iter().enumerate() {
        let is_last = place + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            "" if merge && !is_last => {}
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Envoy's `normalize_path` and `merge_slashes`: escapes of unreserved characters decoded, `\` taken for a slash.
fn as_envoy_would(path: &str) -> String {
    let mut plain = path.replace('\\', "/");
    for (escape, letter) in [("%61", "a"), ("%2e", "."), ("%2f", "/")] {
        plain = plain.replace(escape, letter);
    }
    without_dots(&plain, true)
}

/// Every way in which a path may be read.
fn readings_of(target: &str) -> Vec<String> {
    let path = target.split('?').next().unwrap();
    let url = Url::parse(&format!("https://app.example.com{target}")).unwrap();
    let once = decoded(path);
    let without_parameters: String =
        path.split('/').map(|name| name.split(';').next().unwrap()).collect::<Vec<_>>().join("/");
    vec![
        once.clone(),
        decoded(&once),
        decoded(url.path()),
        decoded(&without_dots(path, false)),
        without_dots(&once, false),
        without_dots(&once, true),
        decoded(&as_envoy_would(path)),
        without_dots(&decoded(&without_parameters), true),
        once.split('#').next().unwrap().to_owned(),
        once.split('\0').next().unwrap().to_owned(),
    ]
}

/// All readings of a request.
fn seen_as(target: &str, method: &str, authorities: &[&str], lines: &[(&str, &str)]) -> Vec<Seen> {
    let mut hosts: Vec<String> = Vec::new();
    for authority in authorities {
        let lower = authority.to_ascii_lowercase();
        let bare = lower.rsplit('@').next().unwrap().split(':').next().unwrap().trim_end_matches('.').to_owned();
        hosts.extend([lower, bare]);
    }
    if hosts.is_empty() {
        hosts.extend(["app.example.com".to_owned(), String::new()]);
    }
    let exact: Vec<&str> = lines.iter().filter(|(name, _)| *name == "x-a").map(|(_, value)| *value).collect();
    let all: Vec<&str> = lines.iter().map(|(_, value)| *value).collect();
    let parts: Vec<&str> = all.iter().flat_map(|value| value.split(',').map(str::trim)).collect();
    let first_and_last =
        |values: &[&str]| [values.first(), values.last()].map(|value| value.map(|value| (*value).to_owned()));
    let values: Vec<Option<String>> = [exact, all, parts].iter().flat_map(|values| first_and_last(values)).collect();
    let mut seen = Vec::new();
    for path in readings_of(target) {
        for host in &hosts {
            for method in [method.to_owned(), method.to_ascii_uppercase()] {
                for header in &values {
                    seen.push(Seen {
                        path: path.clone(),
                        host: host.clone(),
                        method: method.clone(),
                        header: header.clone(),
                    });
                }
            }
        }
    }
    seen
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![
        1 => Just(Access::Deny),
        1 => Just(Access::Optional),
        4 => Just(Access::Public),
        2 => Just(Access::Required),
    ]
}

fn plain_rule() -> impl Strategy<Value = Plain> {
    let segment = prop::sample::select(vec!["a", "b", "admin", "%C3%A9", "x%20y"]);
    let seldom = |from: Vec<&'static str>| prop::option::weighted(0.2, prop::sample::select(from));
    (
        proptest::collection::vec(segment, 1..3),
        any::<bool>(),
        access(),
        seldom(vec!["app.example.com", "*.example.com", "other.example"]),
        seldom(vec!["GET", "POST"]),
        prop::option::weighted(0.2, prop::sample::select(vec![None, Some("1")])),
        prop::option::weighted(0.3, prop::sample::select(vec!["staff", "admins"])),
    )
        .prop_map(|(segments, below, access, host, method, header, group)| {
            let base = format!("/{}", segments.join("/"));
            Plain { base, below, access, host, method, header, group }
        })
}

fn target() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", "a", "b", "admin", "%C3%A9", "%c3%a9", "x%20y", "x y", ".", "..", "%2e", "%2f", "%5c", "\\",
        ";", "%61", "%25", "%00", "%", "?", "#", "\t", "é", "|", "\"", "%22", "%7C", "*", "+",
    ]);
    let clean = prop::sample::select(vec!["/", "/", "/a", "/b", "/admin", "/%C3%A9", "/%c3%a9", "/x%20y"]);
    prop_oneof![
        1 => proptest::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat())),
        1 => proptest::collection::vec(clean, 1..4).prop_map(|pieces| pieces.concat()),
    ]
}

/// Lines of headers.
type Lines = Vec<(&'static str, &'static str)>;

/// Method, hosts and lines of the header.
fn surroundings() -> impl Strategy<Value = (&'static str, Vec<&'static str>, Lines)> {
    let authorities: Vec<Vec<&str>> = vec![
        vec!["app.example.com"],
        vec!["app.example.com"],
        vec!["APP.example.com"],
        vec!["other.example"],
        vec![],
        vec!["app.example.com", "other.example"],
        vec!["app.example.com:1"],
        vec!["other.example."],
        vec!["app.example.com@other.example"],
    ];
    let lines: Vec<Lines> = vec![
        vec![],
        vec![("x-a", "1")],
        vec![("x-a", "1")],
        vec![("x-a", "2")],
        vec![("x-a", "1"), ("x-a", "2")],
        vec![("x-a", "2,1")],
        vec![("x_a", "1")],
        vec![("x-a", "2"), ("x.a", "1")],
    ];
    let method = prop::sample::select(vec!["GET", "GET", "HEAD", "POST", "PUT", "get", "Post"]);
    (method, prop::sample::select(authorities), prop::sample::select(lines))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// A public request is public for every parser, and a stricter reading of any parser holds.
    #[test]
    fn a_public_request_is_public_for_every_parser(
        plain in proptest::collection::vec(plain_rule(), 1..5),
        target in target(),
        (method, authorities, lines) in surroundings(),
    ) {
        let rules = Rules::new(plain.iter().map(Plain::build).collect());
        let mut all = vec![(":method", method), (":path", target.as_str())];
        all.extend(authorities.iter().map(|authority| (":authority", *authority)));
        all.extend(&lines);
        let request = request(&all);
        let decision = decide(&rules, &request);
        let is_admitted = is_admitted(&rules, &request, &["staff"]);
        for seen in seen_as(&target, method, &authorities, &lines) {
            let first = plain.iter().find(|rule| rule.covers(&seen));
            let access = first.map_or(Access::Required, |rule| rule.access);
            let what = format!("{target} {method} {authorities:?} {lines:?} as {seen:?}: {access:?}");
            match decision {
                Decision::Denied => {}
                Decision::Optional => prop_assert!(matches!(access, Access::Optional | Access::Public), "{}", what),
                Decision::Public => prop_assert_eq!(access, Access::Public, "{}", what),
                Decision::Required => prop_assert_ne!(access, Access::Deny, "{}", what),
            }
            let group = first.filter(|rule| rule.access == Access::Required).and_then(|rule| rule.group);
            prop_assert!(!is_admitted || group.is_none_or(|group| group == "staff"), "{} admitted", what);
        }
        if decision == PUBLIC {
            let url = Url::parse(&format!("https://app.example.com{target}")).unwrap();
            all[1].1 = url.path();
            prop_assert_eq!(decide(&rules, &super::tests::request(&all)), PUBLIC);
        }
    }

    #[test]
    fn arbitrary_paths_do_not_panic_and_are_not_public(target in proptest::collection::vec(any::<u8>(), 0..40)) {
        let decision = decide(&Rules::new(vec![everything(Access::Public)]), &get(&target));
        let path = target.split(|byte| *byte == b'?').next().unwrap();
        let clear = path.starts_with(b"/") && path.iter().all(u8::is_ascii_graphic);
        prop_assert!(clear || decision == Decision::Required);
    }

    /// The index omits no matching rule and keeps the order.
    #[test]
    fn the_rule_index_finds_the_same_rules_as_a_scan(
        patterns in proptest::collection::vec(pattern(), 1..12),
        access in proptest::collection::vec(access(), 12),
        paths in proptest::collection::vec(path_for_index(), 1..8),
    ) {
        let rules = patterns.into_iter().zip(access).enumerate();
        let rules: Vec<_> = rules.map(|(number, (path, access))| named(&number.to_string(), Rule { path, ..everything(access) })).collect();
        let rules = Rules::new(rules);
        for path in paths {
            let request = get(path.as_bytes());
            let facts = RequestFacts::read(&request, None, &|| None);
            let mut scanned = Verdict::new(&rules.all);
            match Path::of_target(path.as_bytes()) {
                Ok(path) => for reading in path.readings() {
                    let candidates: Vec<_> = rules.index.candidates(reading).collect();
                    prop_assert!(candidates.is_sorted_by(|a, b| a < b), "{:?}", candidates);
                    for (number, rule) in rules.rules().iter().enumerate() {
                        let is_found = candidates.contains(&number);
                        prop_assert!(is_found || rule.matches(&facts, Some(reading)) == Match::No, "{:?} {:?}", rule.path, reading);
                    }
                    rules.collect(&facts, Some(reading), &mut (0..rules.rules().len()), &mut scanned);
                },
                Err(_) => {
                    rules.collect(&facts, None, &mut (0..rules.rules().len()), &mut scanned);
                    scanned.fall_through();
                }
            }
            prop_assert_eq!(format!("{:?}", rules.decide(&request, &|| None).unwrap()), format!("{scanned:?}"), "{}", path);
        }
    }
}

/// A pattern of any kind, or none.
fn pattern() -> impl Strategy<Value = Option<PathPattern>> {
    let pieces = |from: &[&'static str], most: usize| {
        proptest::collection::vec(prop::sample::select(from.to_vec()), 0..most)
            .prop_map(|pieces| format!("/{}", pieces.concat()))
    };
    let plain = ["/", "/", "a", "b", "-", "%C3%A9", "%c3%a9", "x%20y", "a/b/", "a/a/a/a/a/"];
    let globs = ["/", "/", "a", "b", "*", "**", "/*/", "/**/", "%C3%A9", "a/b/"];
    let regexes = [
        "/", "/", "a", "b", "a/b/", "?", "*", "+", "{0}", "{2}", "{0,1}", "|", "(?i)", "(?x)", " ", "#", "(a|b)",
        "(/a)?", "[ab]", "[|]", ".*", ".", "%C3%A9", "é", "$", "^", "\\/", "\\x2F", "(?:", "(", ")", "(?i:a)",
        "(?s-i)", "\\b",
    ];
    let start = prop::sample::select(vec!["", "", "", "(?i)", "(?x)", "^"]);
    prop_oneof![
        1 => Just(None),
        2 => pieces(&plain, 8).prop_map(|text| PathPattern::prefix(&text).ok()),
        3 => pieces(&globs, 8).prop_map(|text| PathPattern::glob(&text).ok()),
        6 => (start, pieces(&regexes, 8)).prop_map(|(start, text)| PathPattern::regex(&format!("{start}{text}")).ok()),
    ]
    .prop_filter("all but what is no pattern", |_| true)
}

fn path_for_index() -> impl Strategy<Value = String> {
    let piece = vec!["/", "/", "/a", "/b", "/a/b", "a", "b", "-", "%C3%A9", "%c3%a9", "x%20y", "/a/a/a/a/a", "A", "#"];
    proptest::collection::vec(prop::sample::select(piece), 0..8)
        .prop_map(|pieces| format!("/{}", pieces.concat()).replace("//", "/"))
}

#[test]
fn the_rule_index_returns_as_few_candidates_for_a_thousand_rules() {
    let rules = |count: usize| {
        let areas = (0..count).map(|number| match number % 4 {
            0 => glob(&format!("/area-{number}/api/*"), Access::Public),
            1 => rule(PathPattern::prefix(&format!("/area-{number}")).unwrap(), Access::Deny),
            2 => regex(&format!("/area-{number}/v[0-9]+/.*"), Access::Required),
            _ => glob(&format!("/area-{number}/*/view"), Access::Optional),
        });
        Rules::new(areas.chain([glob("/**", Access::Required)]).collect())
    };
    let (ten, thousand) = (rules(10), rules(1000));
    for path in
        ["/area-4/api/x", "/area-5/x", "/area-6/v1/x", "/area-7/x/view", "/elsewhere", "/", "/area-4/a/b/c/d/e/f"]
    {
        let looked_at = |rules: &Rules| rules.index.candidates(path).count();
        assert_eq!(looked_at(&thousand), looked_at(&ten), "{path}");
        assert!(looked_at(&thousand) <= 2, "{path}");
        assert_eq!(decide(&thousand, &get(path.as_bytes())), decide(&ten, &get(path.as_bytes())), "{path}");
    }
}
