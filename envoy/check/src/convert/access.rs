//! Who may pass, and where.

use super::{
    document::{Yaml, flow, map, text, texts},
    pattern,
    provider::Kind,
    settings::{Given, Place, Settings, Weight},
};
use crate::{Options, check};

/// The options that rules are made of.
pub(super) const OF_RULES: [&str; 5] =
    ["api_routes", "force_json_errors", "skip_auth_regex", "skip_auth_routes", "trusted_ips"];

/// Conditions that must hold together, by field.
type Condition = Vec<(String, Yaml)>;

/// The bearer tokens that are taken.
pub(super) struct BearerTokens {
    pub(super) own_audiences: Vec<String>,
    pub(super) issuers: Vec<Yaml>,
}

/// The conditions on users of the provider. What cannot be expressed closes the app.
pub(super) fn allow(kind: Kind, settings: &mut Settings) -> Option<Yaml> {
    let mut conditions: Vec<Condition> = Vec::new();
    conditions.extend(addresses(settings));
    conditions.extend(tenants(settings));
    let mut ways = match kind {
        Kind::GitHub => github(settings),
        Kind::Google => google(settings),
        Kind::GitLab => gitlab(settings),
        Kind::Entra | Kind::Keycloak | Kind::OAuth2 | Kind::Oidc => Vec::new(),
    };
    ways.extend(groups(kind, settings));
    if ways.len() > 1 {
        let ways = ways.into_iter().map(flow).collect();
        conditions.push(vec![("any".to_owned(), Yaml::Flow(Box::new(Yaml::List(ways))))]);
    } else {
        conditions.extend(ways);
    }
    let mut names: Vec<&String> = conditions.iter().flatten().map(|(name, _)| name).collect();
    names.sort();
    let is_distinct = names.windows(2).all(|pair| pair.first() != pair.last());
    match conditions.len() {
        0 => None,
        _ if is_distinct => Some(map(conditions.into_iter().flatten())),
        _ => Some(map([("all", Yaml::Flow(Box::new(Yaml::List(conditions.into_iter().map(flow).collect()))))])),
    }
}

fn addresses(settings: &mut Settings) -> Option<Condition> {
    let domains = settings.take("email_domains");
    let file = settings.take("authenticated_emails_file");
    if let Some(given) = domains.as_ref().filter(|given| given.values.iter().any(|domain| domain == "*")) {
        let said = "email_domains: oauth2-proxy admits every address, and nobody without one; here users without an address pass too";
        settings.note(&given.place, Weight::Decide, said);
        return None;
    }
    match (&domains, &file) {
        (None, None) => {
            let said =
                "email_domains is missing: oauth2-proxy admits nobody; say under `allow` of the provider who may pass";
            settings.close(&Place::result(), said);
        }
        (None, Some(file)) => {
            let said = "authenticated_emails_file: put the addresses of that file under providers[].allow.emails";
            settings.close(&file.place, said);
        }
        (Some(_), Some(file)) => {
            let said = "authenticated_emails_file: its addresses do not pass yet; join them with the domains: `any: [{allowed_domains: ...}, {emails: ...}]`";
            settings.note(&file.place, Weight::Missing, said);
        }
        (Some(_), None) => {}
    }
    let domains = domains?;
    if settings.peek("oidc_email_claim").is_some_and(|claim| claim != "email") {
        let said = "email_domains: conditions on addresses look at the claim `email`, and not at oidc_email_claim";
        settings.close(&domains.place, said);
        return None;
    }
    let below = |domain: &str| domain.strip_prefix("*.").or_else(|| domain.strip_prefix('.')).map(str::to_owned);
    if domains.values.iter().all(|domain| below(domain).is_none()) {
        return Some(vec![("allowed_domains".to_owned(), texts(domains.values))]);
    }
    let escaped = |domain: &str| domain.replace('.', r"\.");
    let expressions = domains.values.iter().map(|domain| match below(domain) {
        Some(parent) => format!(r"[^@]+@([^@.]+\.)+{}", escaped(&parent)),
        None => format!("[^@]+@{}", escaped(domain)),
    });
    Some(vec![("email_matches".to_owned(), texts(expressions))])
}

fn tenants(settings: &mut Settings) -> Option<Condition> {
    let tenants = settings.take("entra_id_allowed_tenants")?;
    Some(vec![claims("tid", tenants.values)])
}

fn claims(claim: &str, values: Vec<String>) -> (String, Yaml) {
    ("claims".to_owned(), flow([(claim, texts(values))]))
}

/// Ways to pass of which one is enough.
fn github(settings: &mut Settings) -> Vec<Condition> {
    let (org, users) = (settings.text("github_org"), settings.take("github_users"));
    let mut ways = Vec::new();
    if let Some(repository) = settings.take("github_repo") {
        let said = "github_repo: collaborators of a repository are not known here; name an organisation or a team";
        settings.close(&repository.place, said);
    }
    match (settings.take("github_team"), org) {
        (Some(given), org) => {
            let teams: Option<Vec<_>> =
                given.text().split(',').map(|team| team_of(org.as_deref(), team.trim())).collect();
            match teams {
                Some(teams) => ways.push(vec![claims("teams", teams)]),
                None => settings.close(&given.place, "github_team: a team has an organisation here: `org/team`"),
            }
        }
        (None, Some(org)) => ways.push(vec![claims("orgs", vec![org])]),
        (None, None) => {}
    }
    if let Some(users) = users {
        let said =
            "github_users: a login can be given up and taken by somebody else; the claim `sub` is the account's number";
        settings.note(&users.place, Weight::Decide, said);
        ways.push(vec![claims("login", users.values)]);
    }
    if let Some(groups) = settings.take("allowed_groups") {
        let (teams, orgs): (Vec<_>, Vec<_>) = groups.values.into_iter().partition(|group| group.contains(':'));
        let teams: Vec<_> = teams.into_iter().map(|team| team.replacen(':', "/", 1)).collect();
        for (claim, values) in [("orgs", orgs), ("teams", teams)] {
            if !values.is_empty() {
                ways.push(vec![claims(claim, values)]);
            }
        }
    }
    ways
}

fn team_of(org: Option<&str>, team: &str) -> Option<String> {
    let (org, team) = team.split_once([':', '/']).or_else(|| org.map(|org| (org, team)))?;
    (!org.is_empty() && !team.is_empty()).then(|| format!("{org}/{team}"))
}

fn google(settings: &mut Settings) -> Vec<Condition> {
    for name in ["google_groups", "allowed_groups"] {
        if let Some(given) = settings.take(name) {
            let said = format!(
                "{name}: Google's tokens have no groups, and no API is asked; have the app decide by `provisioning`, or use another provider"
            );
            settings.close(&given.place, said);
        }
    }
    Vec::new()
}

fn gitlab(settings: &mut Settings) -> Vec<Condition> {
    let groups = settings.take("gitlab_groups");
    let has_groups = groups.is_some() || settings.peek("allowed_groups").is_some();
    if let Some(projects) = settings.take("gitlab_projects") {
        let said = "gitlab_projects: members of projects are not known here; name groups";
        if has_groups {
            settings.note(&projects.place, Weight::Missing, said);
        } else {
            settings.close(&projects.place, said);
        }
    }
    groups.map(|groups| vec![("groups".to_owned(), texts(groups.values))]).into_iter().collect()
}

fn groups(kind: Kind, settings: &mut Settings) -> Vec<Condition> {
    let claim = settings.peek("oidc_groups_claim").unwrap_or_else(|| "groups".to_owned());
    let mut values: Vec<String> = Vec::new();
    let mut roles: Vec<String> = Vec::new();
    for given in ["allowed_groups", "keycloak_groups"].iter().filter_map(|name| settings.take(name)) {
        for value in given.values {
            match value.strip_prefix("role:").filter(|_| kind == Kind::Keycloak) {
                Some(role) => roles.push(role.to_owned()),
                None => values.push(value),
            }
        }
    }
    let given = settings.take("allowed_roles");
    roles.extend(given.iter().flat_map(|given| given.values.clone()));
    let mut ways = Vec::new();
    if !values.is_empty() {
        let condition =
            if claim == "groups" { ("groups".to_owned(), texts(values)) } else { claims(&pointer(&claim), values) };
        ways.push(vec![condition]);
    }
    if kind != Kind::Keycloak {
        if !roles.is_empty() {
            ways.push(vec![("roles".to_owned(), texts(roles))]);
        }
        return ways;
    }
    let of_client = |role: &str| role.split_once(':').map(|(client, role)| (client.to_owned(), role.to_owned()));
    let (clients, realm): (Vec<_>, Vec<_>) = roles.into_iter().partition(|role| of_client(role).is_some());
    if !realm.is_empty() || !clients.is_empty() {
        let place = given.as_ref().map_or_else(Place::result, |given| given.place.clone());
        let said = "allowed_roles: Keycloak puts roles into access tokens alone; let the mapper of the client's roles add them to the ID token";
        settings.note(&place, Weight::Decide, said);
    }
    if !realm.is_empty() {
        ways.push(vec![claims("/realm_access/roles", realm)]);
    }
    for (client, role) in clients.iter().filter_map(|role| of_client(role)) {
        let client = client.replace('~', "~0").replace('/', "~1");
        ways.push(vec![claims(&format!("/resource_access/{client}/roles"), vec![role])]);
    }
    ways
}

/// The claim as a name, or as a JSON Pointer where oauth2-proxy reads a path with dots.
pub(super) fn pointer(claim: &str) -> String {
    if claim.contains("://") || !claim.contains('.') {
        return claim.to_owned();
    }
    claim.split('.').map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Bearer tokens: those of the provider itself, and those of further issuers.
pub(super) fn bearer_tokens(own_issuer: &str, allow: Option<&Yaml>, settings: &mut Settings) -> BearerTokens {
    let mut tokens = BearerTokens { own_audiences: Vec::new(), issuers: Vec::new() };
    let place = settings.place("skip_jwt_bearer_tokens");
    let is_on = settings.is_on("skip_jwt_bearer_tokens", false);
    let further = settings.take("extra_jwt_issuers");
    if !is_on {
        return tokens;
    }
    let said = "skip_jwt_bearer_tokens: ID tokens of the client are no bearer tokens here; name the audience of your API in providers[].access_token_audiences";
    settings.note(&place, Weight::Decide, said);
    let mut by_issuer: Vec<(String, Vec<String>)> = Vec::new();
    let mut unread = Vec::new();
    for pair in further.iter().flat_map(|given| &given.values) {
        match pair.rsplit_once('=') {
            Some((issuer, audience)) if issuer == own_issuer => tokens.own_audiences.push(audience.to_owned()),
            Some((issuer, audience)) => match by_issuer.iter_mut().find(|(known, _)| known == issuer) {
                Some((_, audiences)) => audiences.push(audience.to_owned()),
                None => by_issuer.push((issuer.to_owned(), vec![audience.to_owned()])),
            },
            None => unread.push(pair.clone()),
        }
    }
    if let Some(given) = &further {
        let said = "extra_jwt_issuers: access tokens of these issuers are taken; `kind: jwt` takes any JWT, where an issuer signs nothing else for the audience";
        settings.note(&given.place, Weight::Decide, said);
        for pair in unread {
            settings.note(
                &given.place,
                Weight::Missing,
                format!("extra_jwt_issuers: expected ISSUER=AUDIENCE, got {pair:?}"),
            );
        }
    }
    for (issuer, audiences) in by_issuer {
        let mut members = vec![("issuer".to_owned(), text(issuer)), ("audiences".to_owned(), texts(audiences))];
        members.extend(allow.map(|allow| ("allow".to_owned(), allow.clone())));
        tokens.issuers.push(map(members));
    }
    tokens
}

/// The rules, in the order in which oauth2-proxy asks.
pub(super) fn rules(settings: &mut Settings, is_closed: bool) -> Vec<Yaml> {
    let mut rules = Vec::new();
    if let Some(given) = settings.take("trusted_ips") {
        let said = "trusted_ips: these clients pass without a sign-in, on every path; see that Envoy knows its clients (use_remote_address, xff_num_trusted_hops)";
        settings.note(&given.place, Weight::Decide, said);
        let networks = texts(given.values.iter().map(|network| masked(network)));
        let rule = vec![("networks".to_owned(), networks), ("access".to_owned(), text("public"))];
        push(rule, &given, "trusted_ips", &mut rules, settings);
    }
    for name in ["skip_auth_routes", "skip_auth_regex"] {
        let Some(given) = settings.take(name) else { continue };
        for route in &given.values {
            public_route(name, route, &given, &mut rules, settings);
        }
    }
    let api_routes = settings.take("api_routes");
    let only_401 = settings.is_on("force_json_errors", false);
    if is_closed {
        rules.push(flow([("access", text("deny"))]));
        return rules;
    }
    for route in api_routes.iter().flat_map(|given| &given.values) {
        for (field, value) in pattern::of_search(route) {
            let rule = [(field, text(value)), ("access", text("required")), ("unauthenticated", text("401"))];
            let rule = rule.map(|(name, value)| (name.to_owned(), value)).to_vec();
            if let Some(given) = &api_routes {
                push(rule, given, "api_routes", &mut rules, settings);
            }
        }
    }
    let mut last = vec![("access", text("required"))];
    if only_401 {
        last.push(("unauthenticated", text("401")));
    }
    rules.push(flow(last));
    rules
}

/// A path without sign-in: `METHOD=REGEX`, or an expression for every method.
fn public_route(name: &str, route: &str, given: &Given, rules: &mut Vec<Yaml>, settings: &mut Settings) {
    let is_method = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let (method, expression) = match route.split_once('=') {
        Some((method, expression)) if name == "skip_auth_routes" && is_method(method) => (Some(method), expression),
        Some((before, expression)) if name == "skip_auth_routes" && before.ends_with('!') => {
            let said = format!(
                "{name}: {route:?} opens everything but {expression:?}, and stays closed here; say what is public, or end the rules with \
                 `{{access: public}}` after one for what needs a sign-in"
            );
            return settings.note(&given.place, Weight::Missing, said);
        }
        Some(_) if name == "skip_auth_routes" => {
            let said = format!("{name}: expected METHOD=REGEX, got {route:?}; the path stays closed");
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
        push(rule, given, name, rules, settings);
    }
}

/// Adds the rule, if the filter takes it.
fn push(rule: Vec<(String, Yaml)>, given: &Given, name: &str, rules: &mut Vec<Yaml>, settings: &mut Settings) {
    let rule = flow(rule);
    let document = super::document::write(
        false,
        vec![
            ("external_url", text(super::PLACEHOLDER)),
            ("cluster", text("idp")),
            (
                "providers",
                Yaml::List(vec![map([("issuer", text("https://idp.example.com")), ("client_id", text("a"))])]),
            ),
            ("session", map([("keys", Yaml::List(vec![super::document::secret("VESTIBULE_KEY")]))])),
            ("rules", Yaml::List(vec![rule.clone()])),
        ],
    );
    let report = check("rule", &document, &|_| None, &Options { without_secrets: true, ..Options::default() });
    if report.is_valid {
        rules.push(rule);
        return;
    }
    let said = report.text.lines().find_map(|line| line.split_once("rules[0].")).map_or("", |(_, said)| said);
    settings.note(
        &given.place,
        Weight::Missing,
        format!("{name}: the filter does not take this rule, and the path stays closed: {said}"),
    );
}

/// A network without the bits of a host, as the filter writes it.
fn masked(network: &str) -> String {
    let parsed = network
        .split_once('/')
        .and_then(|(address, length)| Some((address.parse::<std::net::IpAddr>().ok()?, length.parse::<u32>().ok()?)));
    match parsed {
        Some((std::net::IpAddr::V4(address), length)) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
            format!("{}/{length}", std::net::Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        Some((std::net::IpAddr::V6(address), length)) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0);
            format!("{}/{length}", std::net::Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        None => network.to_owned(),
    }
}
