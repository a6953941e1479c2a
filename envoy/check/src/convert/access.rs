//! Which users may pass. oauth2-proxy asks three things, and each must hold: the address (`Validator`), the groups (`Authorize`), and what the
//! kind of provider asks at the sign-in (`EnrichSession`, `ValidateSession`).

use super::{
    document::{Yaml, flow, flow_list, map, plain, pointer, text, texts},
    kind::Kind,
    notes::{Place, Weight},
    settings::{Given, Settings},
};

/// Conditions that must hold together, by field.
type Condition = Vec<(String, Yaml)>;

/// Who may pass.
pub(super) struct Users {
    /// The conditions on users who sign in.
    pub(super) allow: Option<Yaml>,
    /// The conditions on bearer tokens: the claim `groups` and the address, and nothing of the kind of provider.
    pub(super) bearers: Option<Yaml>,
    /// Whether a bearer token that meets the first meets the second.
    pub(super) are_alike: bool,
}

/// The conditions on users of the provider. What cannot be expressed closes the app.
pub(super) fn users(kind: Kind, settings: &mut Settings) -> Users {
    let groups = bearer_groups(kind, settings);
    let has_roles = !settings.values("allowed_roles").is_empty() || groups.iter().flatten().any(|group| is_role(group));
    let claim = email_claim(kind, settings);
    let asks_groups = settings.peek("oidc_groups_claim").is_none_or(|claim| claim == "groups");
    let are_alike = claim == "email" && asks_groups && !has_roles;
    let tenants = settings.take("entra_id_allowed_tenants").map(|given| vec![claims("tid", given.values)]);
    let [address, bearer_address] = addresses(kind, &claim, settings);
    let of_groups = groups.into_iter().map(|values| vec![("groups".to_owned(), texts(values))]);
    let bearers = bearer_address.into_iter().chain(tenants.clone()).chain(of_groups).collect();
    let mut conditions: Vec<Condition> = address.into_iter().chain(tenants).collect();
    match kind {
        Kind::GitHub => conditions.extend(github(settings)),
        Kind::GitLab => conditions.extend(gitlab(settings)),
        Kind::Google => google(settings),
        Kind::Entra | Kind::Keycloak | Kind::OAuth2 | Kind::Oidc | Kind::OtherOidc => {}
    }
    conditions.extend(of_groups_and_roles(kind, settings));
    Users { allow: all(conditions), bearers: all(bearers), are_alike }
}

fn all(conditions: Vec<Condition>) -> Option<Yaml> {
    let mut names: Vec<&String> = conditions.iter().flatten().map(|(name, _)| name).collect();
    names.sort();
    let is_distinct = names.windows(2).all(|pair| pair.first() != pair.last());
    match conditions.len() {
        0 => None,
        _ if is_distinct => Some(map(conditions.into_iter().flatten())),
        _ => Some(map([("all", flow_list(conditions.into_iter().map(flow)))])),
    }
}

/// The condition that one of these holds.
fn any(mut ways: Vec<Condition>) -> Option<Condition> {
    if ways.len() > 1 {
        return Some(vec![("any".to_owned(), flow_list(ways.into_iter().map(flow)))]);
    }
    ways.pop()
}

/// The groups of which a bearer token must have one, of each list.
fn bearer_groups(kind: Kind, settings: &Settings) -> Vec<Vec<String>> {
    let mut allowed = settings.values("allowed_groups");
    if kind == Kind::Keycloak {
        allowed.extend(settings.values("allowed_roles").iter().map(|role| format!("{ROLE}{role}")));
    }
    let others = ["gitlab_groups", "google_groups", "keycloak_groups"].map(|name| settings.values(name));
    std::iter::once(allowed).chain(others).filter(|values| !values.is_empty()).collect()
}

/// The conditions on the addresses of users and of bearer tokens.
fn addresses(kind: Kind, claim: &str, settings: &mut Settings) -> [Option<Condition>; 2] {
    let domains = settings.take("email_domains");
    let file = settings.take("authenticated_emails_file");
    if let Some(given) = domains.as_ref().filter(|given| given.values.iter().any(|domain| domain == "*")) {
        return every_address(kind, claim, given, settings);
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
    let Some(domains) = domains else { return [None, None] };
    if claim != "email" {
        let said = format!("email_domains: conditions on addresses look at the claim `email`, and not at {claim:?}");
        settings.close(&domains.place, said);
        return [None, None];
    }
    let condition = Some(vec![in_domains(domains.values)]);
    [condition.clone(), condition]
}

/// The claim in which oauth2-proxy looks for the address; `user_id_claim` is its older name.
fn email_claim(kind: Kind, settings: &Settings) -> String {
    if matches!(kind, Kind::GitHub | Kind::GitLab | Kind::Google) {
        return "email".to_owned();
    }
    let given = ["oidc_email_claim", "user_id_claim"].into_iter().filter_map(|name| settings.peek(name));
    given.into_iter().find(|claim| claim != "email").unwrap_or_else(|| "email".to_owned())
}

/// `email_domains = ["*"]`: oauth2-proxy admits every address, and nobody without one.
fn every_address(kind: Kind, claim: &str, given: &Given, settings: &mut Settings) -> [Option<Condition>; 2] {
    let has_address = vec![("email_matches".to_owned(), texts([".+"]))];
    // A token without an address has its subject in place of it.
    let unverified = flow([("claims", flow([("email_verified", flow_list([plain(false), text("false")]))]))]);
    let of_bearers = Some(vec![("not".to_owned(), unverified)]);
    match (kind, claim) {
        // They refuse an address that is not verified, as the condition does.
        (Kind::GitHub | Kind::GitLab | Kind::Google, _) => [Some(has_address), of_bearers],
        (Kind::Keycloak | Kind::Oidc | Kind::OtherOidc, "email") => {
            let said = "email_domains: users whose address is not verified (`email_verified: true`) do not pass; oauth2-proxy admits them where that claim is missing";
            settings.note(&given.place, Weight::Decide, said);
            [Some(has_address), of_bearers]
        }
        // Every ID token has one.
        (Kind::Entra | Kind::Keycloak | Kind::Oidc, "sub") => [None, of_bearers],
        _ => {
            let said = format!(
                "email_domains: oauth2-proxy refuses users without {claim:?}, and no condition asks for it here; if every user of the provider may \
                 pass, make the last rule `{{access: required}}`"
            );
            settings.close(&given.place, said);
            [None, of_bearers]
        }
    }
}

fn in_domains(domains: Vec<String>) -> (String, Yaml) {
    let below = |domain: &str| domain.strip_prefix("*.").or_else(|| domain.strip_prefix('.')).map(str::to_owned);
    if domains.iter().all(|domain| below(domain).is_none()) {
        return ("allowed_domains".to_owned(), texts(domains));
    }
    let expressions = domains.iter().map(|domain| match below(domain) {
        Some(parent) => format!(r"[^@]+@([^@.]+\.)+{}", escaped(&parent)),
        None => format!("[^@]+@{}", escaped(domain)),
    });
    ("email_matches".to_owned(), texts(expressions))
}

/// An expression for this text alone.
fn escaped(text: &str) -> String {
    let is_plain = |letter: char| !letter.is_ascii_punctuation() || letter == '-' || letter == '_';
    let each = text.chars().map(|letter| if is_plain(letter) { letter.to_string() } else { format!("\\{letter}") });
    each.collect()
}

fn claims(claim: &str, values: Vec<String>) -> (String, Yaml) {
    ("claims".to_owned(), flow([(claim, texts(values))]))
}

/// The organisation, the team or the user; and one of `allowed_groups`.
fn github(settings: &mut Settings) -> Vec<Condition> {
    let org = settings.text("github_org");
    let (team, users) = (settings.take("github_team"), settings.take("github_users"));
    let team = team.filter(|given| !given.text().is_empty());
    if let Some(repository) = settings.take("github_repo").filter(|given| !given.text().is_empty()) {
        let said = "github_repo: collaborators of a repository are not known here; name an organisation or a team";
        settings.close(&repository.place, said);
    }
    let mut ways = Vec::new();
    match (&team, &org) {
        (Some(given), None) if users.is_some() => {
            let said = "github_team: without github_org, oauth2-proxy admits the github_users alone, and so does this conversion";
            settings.note(&given.place, Weight::Decide, said);
        }
        (Some(given), org) => {
            let teams: Option<Vec<_>> =
                given.text().split(',').map(|team| team_of(org.as_deref(), team.trim())).collect();
            match teams {
                Some(teams) => ways.push(vec![claims("teams", teams)]),
                None => {
                    let said = "github_team: expected TEAM with github_org, or ORG:TEAM without it: oauth2-proxy admits nobody by another form";
                    settings.close(&given.place, said);
                }
            }
        }
        (None, Some(org)) => ways.push(vec![claims("orgs", vec![org.clone()])]),
        (None, None) => {}
    }
    if let Some(users) = users {
        let said =
            "github_users: a login can be given up and taken by somebody else; the claim `sub` is the account's number";
        settings.note(&users.place, Weight::Decide, said);
        ways.push(vec![claims("login", users.values)]);
    }
    let mut groups = Vec::new();
    if let Some(given) = settings.take("allowed_groups") {
        let (teams, orgs): (Vec<_>, Vec<_>) = given.values.into_iter().partition(|group| group.contains(':'));
        let teams: Vec<_> = teams.into_iter().map(|team| team.replacen(':', "/", 1)).collect();
        let values = [("orgs", orgs), ("teams", teams)].into_iter().filter(|(_, values)| !values.is_empty());
        groups.extend(values.map(|(claim, values)| vec![claims(claim, values)]));
    }
    any(ways).into_iter().chain(any(groups)).collect()
}

/// A team as the filter names it.
fn team_of(org: Option<&str>, team: &str) -> Option<String> {
    let (org, team) = match org {
        Some(org) => (org, team),
        None => team.split_once(':')?,
    };
    (!org.is_empty() && !team.is_empty() && !team.contains([':', '/'])).then(|| format!("{org}/{team}"))
}

fn google(settings: &mut Settings) {
    for name in ["google_groups", "allowed_groups"] {
        if let Some(given) = settings.take(name) {
            let said = format!(
                "{name}: Google's tokens have no groups, and no API is asked; have the app decide by `provisioning`, or use another provider"
            );
            settings.close(&given.place, said);
        }
    }
}

fn gitlab(settings: &mut Settings) -> Vec<Condition> {
    let groups = settings.take("gitlab_groups");
    let allowed = settings.take("allowed_groups");
    if let Some(projects) = settings.take("gitlab_projects") {
        let said = "gitlab_projects: members of projects are not known here; name groups";
        if groups.is_some() {
            settings.note(&projects.place, Weight::Missing, said);
        } else {
            settings.close(&projects.place, said);
        }
    }
    if let Some(given) = &allowed {
        let said = "allowed_groups: oauth2-proxy does not ask for them with GitLab (gitlab_groups takes their place); here a user needs one of them";
        settings.note(&given.place, Weight::Decide, said);
    }
    groups.into_iter().chain(allowed).map(|given| vec![("groups".to_owned(), texts(given.values))]).collect()
}

/// Before a role of Keycloak among the groups.
const ROLE: &str = "role:";

fn is_role(group: &str) -> bool {
    group.starts_with(ROLE)
}

/// `allowed_groups`, `allowed_roles` and `keycloak_groups`, where no kind of provider has taken them.
fn of_groups_and_roles(kind: Kind, settings: &mut Settings) -> Vec<Condition> {
    let claim = settings.peek("oidc_groups_claim").unwrap_or_else(|| "groups".to_owned());
    let [allowed, roles, of_keycloak] =
        ["allowed_groups", "allowed_roles", "keycloak_groups"].map(|name| settings.take(name));
    if kind == Kind::OAuth2 {
        for given in [&allowed, &of_keycloak].into_iter().flatten() {
            let said = "the groups of a user are not known: say under `claims` of the provider where they are, and under `allow` which may pass";
            settings.close(&given.place, said);
        }
    }
    for given in [(kind != Kind::Keycloak).then_some(&roles), Some(&of_keycloak)].into_iter().flatten().flatten() {
        let said = "allowed_roles and keycloak_groups: oauth2-proxy asks for them with keycloak-oidc and keycloak alone; here a user needs one of them";
        settings.note(&given.place, Weight::Decide, said);
    }
    let in_claim = |values| {
        let condition =
            if claim == "groups" { ("groups".to_owned(), texts(values)) } else { claims(&pointer(&claim), values) };
        vec![condition]
    };
    let mut conditions = Vec::new();
    if kind == Kind::Keycloak {
        let place = roles.as_ref().or(allowed.as_ref()).map_or_else(Place::result, |given| given.place.clone());
        let allowed = allowed.map(|given| given.values).unwrap_or_default();
        let (prefixed, groups): (Vec<_>, Vec<_>) = allowed.into_iter().partition(|group| is_role(group));
        let prefixed = prefixed.iter().filter_map(|role| role.strip_prefix(ROLE)).map(str::to_owned);
        let roles = roles.map(|given| given.values).unwrap_or_default().into_iter().chain(prefixed).collect();
        let mut ways: Vec<Condition> = (!groups.is_empty()).then(|| in_claim(groups)).into_iter().collect();
        ways.extend(of_keycloak_roles(roles, &place, settings));
        conditions.extend(any(ways));
    } else {
        conditions.extend(allowed.map(|given| in_claim(given.values)));
        conditions.extend(roles.map(|given| vec![("roles".to_owned(), texts(given.values))]));
    }
    conditions.extend(of_keycloak.map(|given| vec![("groups".to_owned(), texts(given.values))]));
    conditions
}

/// Ways to pass by a role of the realm, or of a client (`CLIENT:ROLE`).
fn of_keycloak_roles(roles: Vec<String>, place: &Place, settings: &mut Settings) -> Vec<Condition> {
    if !roles.is_empty() {
        let said = "allowed_roles: Keycloak puts roles into access tokens alone; let the mapper of the client's roles add them to the ID token";
        settings.note(place, Weight::Decide, said);
    }
    let (of_clients, of_realm): (Vec<_>, Vec<_>) = roles.into_iter().partition(|role| role.contains(':'));
    let mut ways = Vec::new();
    if !of_realm.is_empty() {
        ways.push(vec![claims("/realm_access/roles", of_realm)]);
    }
    for (client, role) in of_clients.iter().filter_map(|role| role.split_once(':')) {
        let client = client.replace('~', "~0").replace('/', "~1");
        ways.push(vec![claims(&format!("/resource_access/{client}/roles"), vec![role.to_owned()])]);
    }
    ways
}
