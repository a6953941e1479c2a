//! The policy of a route compared with the rules.

use super::*;
use crate::http::RouteMetadata;

fn policies() -> Vec<Rule> {
    let admins = Policy { allow: in_group("admins"), ..policy(Access::Required) };
    [
        ("open", policy(Access::Public)),
        ("news", policy(Access::Optional)),
        ("people", policy(Access::Required)),
        ("admins", admins),
    ]
    .map(|(name, policy)| Rule::of_policy(name.to_owned(), policy))
    .to_vec()
}

fn on(policy: &str, request: Request) -> Request {
    request.with_route(RouteMetadata::Policy(policy.to_owned()))
}

fn locked(rule: Rule) -> Rule {
    Rule { locked: true, ..rule }
}

#[test]
fn a_route_policy_replaces_the_rules_and_the_default() {
    let admins = allowing("admins", glob("/admin/*", Access::Required));
    let rules = vec![glob("/public/*", Access::Public), glob("/closed/*", Access::Deny), admins];
    let rules = Rules::new(rules).with_policies(policies());
    for path in ["/public/x", "/closed/x", "/admin/x", "/other", "/a%20b"] {
        let at = |policy: &str| on(policy, get(path.as_bytes()));
        assert_eq!(decide(&rules, &at("open")), PUBLIC, "{path}");
        assert_eq!(decide(&rules, &at("news")), Decision::Optional, "{path}");
        assert_eq!(decide(&rules, &at("people")), Decision::Required, "{path}");
        assert!(is_admitted(&rules, &at("people"), &[]), "{path}");
        assert!(is_admitted(&rules, &at("admins"), &["admins"]) && !is_admitted(&rules, &at("admins"), &[]), "{path}");
    }
    // Without a policy the rules decide.
    for (path, expected) in [("/public/x", PUBLIC), ("/closed/x", Decision::Denied), ("/other", Decision::Required)] {
        assert_eq!(decide(&rules, &get(path.as_bytes())), expected, "{path}");
    }
    // A policy decides without any rules.
    let alone = Rules::new(Vec::new()).with_policies(policies());
    assert_eq!(decide(&alone, &on("open", get(b"/"))), PUBLIC);
    assert_eq!(decide(&alone, &get(b"/")), Decision::Required);
}

#[test]
fn a_locked_rule_applies_in_addition_to_the_route_policy() {
    let staff = locked(allowing("staff", glob("/admin/*", Access::Required)));
    let rules = vec![
        glob("/admin/health", Access::Public),
        staff,
        locked(glob("/closed/*", Access::Deny)),
        locked(rule(PathPattern::regex("/a b").unwrap(), Access::Deny)),
        locked(headers(&[("x-tenant", Some("1"))], Access::Deny)),
    ];
    let rules = Rules::new(rules).with_policies(policies());
    for policy in ["open", "news", "people"] {
        let request = on(policy, get(b"/admin/x"));
        assert_eq!(decide(&rules, &request), Decision::Required, "{policy}");
        assert!(is_admitted(&rules, &request, &["staff"]) && !is_admitted(&rules, &request, &[]), "{policy}");
        assert_eq!(decide(&rules, &on(policy, get(b"/closed/x"))), Decision::Denied, "{policy}");
        // One reading of the path is under the locked rule.
        assert_eq!(decide(&rules, &on(policy, get(b"/a%20b"))), Decision::Denied, "{policy}");
    }
    let both = on("admins", get(b"/admin/x"));
    for (groups, expected) in [(&["admins", "staff"][..], true), (&["staff"], false), (&["admins"], false)] {
        assert_eq!(is_admitted(&rules, &both, groups), expected, "{groups:?}");
    }
    // An earlier rule decides, with or without a policy.
    assert_eq!(decide(&rules, &get(b"/admin/health")), PUBLIC);
    assert_eq!(decide(&rules, &on("open", get(b"/admin/health"))), PUBLIC);
    // A locked rule that may apply holds.
    let doubled = [(":method", "GET"), (":authority", "a"), (":path", "/x"), ("x-tenant", "1"), ("x-tenant", "2")];
    assert_eq!(decide(&rules, &on("open", request(&doubled))), Decision::Denied);
}

/// Envoy chose the route for one reading of the path; an app may serve another route's path.
#[test]
fn an_ambiguous_request_is_held_to_every_rule_and_policy() {
    let staff = allowing("staff", glob("/staff/*", Access::Required));
    let rules = Rules::new(vec![staff]).with_policies(policies());
    for target in path::tests::AMBIGUOUS {
        for request in [get(target), on("open", get(target)), on("people", get(target)), on("admins", get(target))] {
            let what = format!("{} {:?}", target.escape_ascii(), request.route());
            assert_eq!(decide(&rules, &request), Decision::Required, "{what}");
            assert!(is_admitted(&rules, &request, &["admins", "staff"]), "{what}");
            assert!(
                !is_admitted(&rules, &request, &["admins"]) && !is_admitted(&rules, &request, &["staff"]),
                "{what}"
            );
        }
    }
    for method in ["get", "TRACE", "G T"] {
        let odd = request(&[(":method", method), (":authority", "a"), (":path", "/x")]);
        assert_eq!(decide(&rules, &on("open", odd.clone())), Decision::Required, "{method}");
        assert!(!is_admitted(&rules, &on("open", odd), &["staff"]), "{method}");
    }
    let closing = [("closed", Access::Deny), ("open", Access::Public)]
        .map(|(name, access)| Rule::of_policy(name.to_owned(), policy(access)))
        .to_vec();
    let rules = Rules::new(Vec::new()).with_policies(closing);
    assert_eq!(decide(&rules, &on("open", get(b"/a//b"))), Decision::Denied);
    assert_eq!(decide(&rules, &on("open", get(b"/a/b"))), PUBLIC);
}

/// Envoy compares the whole authority with its virtual hosts, with the port; apps mostly compare the name.
#[test]
fn a_host_with_another_port_or_a_dot_may_belong_to_another_route() {
    let rules = Rules::new(vec![glob("/public/*", Access::Public)]).with_policies(policies()).with_own_port(Some(8443));
    let at = |authority: &str, path: &str| request(&[(":method", "GET"), (":authority", authority), (":path", path)]);
    for authority in ["app.example.com", "APP.example.com", "app.example.com:8443", "[::1]:8443", "127.0.0.1"] {
        assert_eq!(decide(&rules, &on("open", at(authority, "/x"))), PUBLIC, "{authority}");
        assert_eq!(decide(&rules, &at(authority, "/public/x")), PUBLIC, "{authority}");
    }
    for authority in ["app.example.com:1", "app.example.com.", "app.example.com.:8443", "a@app.example.com", "a b"] {
        assert_eq!(decide(&rules, &on("open", at(authority, "/x"))), Decision::Required, "{authority}");
        assert_eq!(decide(&rules, &at(authority, "/public/x")), Decision::Required, "{authority}");
        let people = on("people", at(authority, "/x"));
        assert!(!is_admitted(&rules, &people, &[]) && is_admitted(&rules, &people, &["admins"]), "{authority}");
    }
    // Without route metadata, only rules with `hosts` depend on the host.
    let rules = Rules::new(vec![glob("/public/*", Access::Public)]);
    assert_eq!(decide(&rules, &at("app.example.com:1", "/public/x")), PUBLIC);
}

#[test]
fn a_route_without_a_known_policy_is_refused() {
    let rules = Rules::new(vec![everything(Access::Public)]).with_policies(policies());
    let fault = |route: RouteMetadata| rules.decide(&get(b"/").with_route(route), &|| None).map(|_| ()).unwrap_err();
    for name in ["", "Open", "open ", "opén", "owners"] {
        assert_eq!(fault(RouteMetadata::Policy(name.to_owned())), RouteError::Unknown(name.to_owned()));
    }
    assert_eq!(fault(RouteMetadata::Policy("é".repeat(300))), RouteError::Unknown("é".repeat(100)));
    assert_eq!(fault(RouteMetadata::Unreadable), RouteError::Unreadable);
    assert_eq!(decide(&rules, &get(b"/")), PUBLIC);
    assert!(rules.have_policies() && !Rules::new(Vec::new()).have_policies());
}

#[test]
fn route_metadata_is_exactly_one_policy_name() {
    let read = |members: &[(&str, &[u8])]| RouteMetadata::read(&Request::new(members.iter().copied()));
    assert_eq!(read(&[("policy", b"open")]), RouteMetadata::Policy("open".to_owned()));
    let odd: [&[(&str, &[u8])]; 6] = [
        &[],
        &[("polcy", b"open")],
        &[("Policy", b"open")],
        &[("policy", b"open"), ("policy", b"open")],
        &[("policy", b"open"), ("other", b"x")],
        &[("policy", b"\xff\0")],
    ];
    for members in odd {
        assert_eq!(read(members), RouteMetadata::Unreadable, "{members:?}");
    }
}

fn route() -> impl Strategy<Value = RouteMetadata> {
    let named = prop::sample::select(vec!["open", "news", "people", "admins"]);
    prop_oneof![1 => Just(RouteMetadata::Absent), 4 => named.prop_map(|name| RouteMetadata::Policy(name.to_owned()))]
}

proptest! {
    /// No metadata admits more than the locked rules do, for any parser.
    #[test]
    fn no_route_weakens_a_locked_rule(
        plain in proptest::collection::vec((plain_rule(), any::<bool>()), 1..5),
        target in target(),
        (method, authorities, lines) in surroundings(),
        route in route(),
    ) {
        let built = plain.iter().map(|(rule, is_locked)| Rule { locked: *is_locked, ..rule.build() });
        let rules = Rules::new(built.collect()).with_policies(policies());
        let mut all = vec![(":method", method), (":path", target.as_str())];
        all.extend(authorities.iter().map(|authority| (":authority", *authority)));
        all.extend(&lines);
        let request = request(&all).with_route(route);
        let decision = decide(&rules, &request);
        let is_admitted = is_admitted(&rules, &request, &["staff"]);
        for seen in seen_as(&target, method, &authorities, &lines) {
            let Some((first, true)) = plain.iter().find(|(rule, _)| rule.covers(&seen)) else { continue };
            let what = format!("{target} {method} {authorities:?} {lines:?} {:?} as {seen:?}: {first:?}", request.route());
            match decision {
                Decision::Denied => {}
                Decision::Optional => prop_assert!(matches!(first.access, Access::Optional | Access::Public), "{}", what),
                Decision::Public => prop_assert_eq!(first.access, Access::Public, "{}", what),
                Decision::Required => prop_assert_ne!(first.access, Access::Deny, "{}", what),
            }
            let group = first.group.filter(|_| first.access == Access::Required);
            prop_assert!(!is_admitted || group.is_none_or(|group| group == "staff"), "{} admitted", what);
        }
    }
}
