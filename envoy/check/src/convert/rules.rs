//! Where users need no sign-in, and what they get without one.

use vestibule::rules::{Network, NetworkError};

use super::{
    document::{self, PLACEHOLDER, Yaml, flow, flow_list, map, text, texts},
    notes::{Place, Weight},
    pattern,
    settings::{Given, Settings},
};
use crate::{Options, check};

/// The options that rules are made of.
pub(super) const OPTIONS: [&str; 6] =
    ["api_routes", "force_json_errors", "skip_auth_preflight", "skip_auth_regex", "skip_auth_routes", "trusted_ips"];

/// A rule that the filter may not take.
#[derive(Clone)]
struct Candidate {
    rule: Yaml,
    place: Place,
    name: &'static str,
}

/// The rules, in the order in which oauth2-proxy asks.
pub(super) fn convert(settings: &mut Settings, is_closed: bool) -> Vec<Yaml> {
    let mut rules = Vec::new();
    if let Some(given) = settings.take("trusted_ips") {
        let said = "trusted_ips: these clients pass without a sign-in, on every path; see that Envoy knows its clients (use_remote_address, xff_num_trusted_hops)";
        settings.note(&given.place, Weight::Decide, said);
        let networks = texts(given.values.iter().map(|network| masked(network)));
        let rule = flow([("networks", networks), ("access", text("public"))]);
        rules.push(Candidate { rule, place: given.place, name: "trusted_ips" });
    }
    for name in ["skip_auth_routes", "skip_auth_regex"] {
        let Some(given) = settings.take(name) else { continue };
        for route in &given.values {
            public_route(name, route, &given, &mut rules, settings);
        }
    }
    let place = settings.place("skip_auth_preflight");
    let passes_preflights = settings.is_on("skip_auth_preflight");
    let said = if passes_preflights {
        "skip_auth_preflight: a CORS preflight passes, without an identity, if it is one; any other OPTIONS needs a rule"
    } else {
        "CORS preflights are denied, as oauth2-proxy does without skip_auth_preflight; where pages of other sites call the app, take that rule out"
    };
    if passes_preflights || !is_closed {
        settings.note(&place, Weight::Told, said);
    }
    if !passes_preflights && !is_closed {
        let headers = flow([("access-control-request-method", text("*"))]);
        let rule = flow([("methods", texts(["OPTIONS"])), ("headers", headers), ("access", text("deny"))]);
        rules.push(Candidate { rule, place, name: "skip_auth_preflight" });
    }
    let api_routes = settings.take("api_routes");
    let only_401 = settings.is_on("force_json_errors");
    if let Some(given) = api_routes.filter(|_| !is_closed) {
        for (field, value) in given.values.iter().flat_map(|route| pattern::of_search(route)) {
            let rule = flow([(field, text(value)), ("access", text("required")), ("unauthenticated", text("401"))]);
            rules.push(Candidate { rule, place: given.place.clone(), name: "api_routes" });
        }
    }
    let mut rules = accepted(rules, settings);
    let mut last = vec![("access", text(if is_closed { "deny" } else { "required" }))];
    if only_401 && !is_closed {
        last.push(("unauthenticated", text("401")));
    }
    rules.push(flow(last));
    rules
}

/// A path without sign-in: `METHOD=REGEX`, or an expression for every method.
fn public_route(name: &'static str, route: &str, given: &Given, rules: &mut Vec<Candidate>, settings: &mut Settings) {
    let is_method = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_negated = name == "skip_auth_routes" && route.contains("!=");
    let (method, expression) = match route.split_once('=') {
        Some((_, expression)) if is_negated => {
            let said = format!(
                "{name}: {route:?} opens everything but {expression:?}, and stays closed here; say what is public, or end the rules with \
                 `{{access: public}}` after one for what needs a sign-in"
            );
            return settings.note(&given.place, Weight::Missing, said);
        }
        Some((method, expression)) if name == "skip_auth_routes" && is_method(method) => (Some(method), expression),
        Some(_) if name == "skip_auth_routes" => {
            let said = format!("{name}: expected METHOD=REGEX with one method, got {route:?}; the path stays closed");
            return settings.note(&given.place, Weight::Missing, said);
        }
        _ => (None, route),
    };
    if pattern::is_unanchored(expression) {
        let said =
            format!("{name}: {route:?} opens every path that contains a match; an expression from `^` on opens less");
        settings.note(&given.place, Weight::Decide, said);
    }
    for (field, value) in pattern::of_search(expression) {
        let mut rule = vec![(field.to_owned(), text(value))];
        rule.extend(method.map(|method| ("methods".to_owned(), texts([method.to_ascii_uppercase()]))));
        rule.push(("access".to_owned(), text("public")));
        rules.push(Candidate { rule: flow(rule), place: given.place.clone(), name });
    }
}

/// The rules that the filter takes.
fn accepted(mut rules: Vec<Candidate>, settings: &mut Settings) -> Vec<Yaml> {
    // A check names at most so many faults, so there may be more than one.
    loop {
        let provider = map([("issuer", text("https://idp.example.com")), ("client_id", text("a"))]);
        let members = vec![
            ("external_url", text(PLACEHOLDER)),
            ("cluster", text("idp")),
            ("providers", Yaml::List(vec![provider])),
            ("session", map([("keys", flow_list([document::secret("VESTIBULE_KEY")]))])),
            ("rules", Yaml::List(rules.iter().map(|candidate| candidate.rule.clone()).collect())),
        ];
        let options = Options { without_secrets: true, ..Options::default() };
        let report = check("rules", &document::write(false, members), &|_| None, &options);
        let mut refused: Vec<(usize, String)> = Vec::new();
        for finding in report.findings.iter().filter(|finding| finding.is_fault()) {
            let number = finding.path.strip_prefix("rules[").and_then(|rest| rest.split_once(']'));
            let Some((Ok(number), field)) = number.map(|(number, field)| (number.parse(), field)) else { continue };
            if refused.iter().all(|(known, _)| *known != number) {
                refused.push((number, format!("{}: {}", field.trim_start_matches('.'), finding.message)));
            }
        }
        if rules.is_empty() || refused.is_empty() {
            return rules.into_iter().map(|candidate| candidate.rule).collect();
        }
        for (number, said) in &refused {
            let Some(Candidate { place, name, .. }) = rules.get(*number) else { continue };
            let said = format!("{name}: the filter does not take this rule, and the path stays closed: {said}");
            settings.note(place, Weight::Missing, said);
        }
        let mut number = 0_usize..;
        rules.retain(|_| number.next().is_some_and(|number| refused.iter().all(|(known, _)| *known != number)));
    }
}

/// A network without the bits of a host, as the filter writes it.
fn masked(network: &str) -> String {
    match Network::parse(network) {
        Err(NetworkError::Imprecise(network)) => network,
        Ok(_) | Err(NetworkError::Pattern(_)) => network.to_owned(),
    }
}
