//! Conditions on claims. A condition holds, does not hold, or is undecided: the provider left out the claim, or the
//! session did not keep it. An undecided condition never admits, also not behind a `not`.

use serde_json::Value;

use super::{
    Claim, ClaimPath, Claims, Expression, Shape,
    shape::{is_scalar, is_serialized},
};

/// The outcome of a condition. `Unknown` counts before `LeftOut`, because a new sign-in may decide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The condition holds.
    Yes,
    /// The condition does not hold.
    No,
    /// The provider left out the claim (OIDC Core 5.6.2; Entra ID's group overage).
    LeftOut,
    /// The session did not keep the claim: it was sealed by another configuration.
    Unknown,
}

/// One condition.
#[derive(Debug, Clone)]
pub enum Condition {
    /// All of these hold.
    All(Vec<Condition>),
    /// One of these holds.
    Any(Vec<Condition>),
    /// This does not hold.
    Not(Box<Condition>),
    /// The claim equals one of these values, or is a list that contains one of them.
    Claim(ClaimPath, Vec<Value>),
    /// The verified email address is one of these, case-insensitive.
    Email(Vec<String>),
    /// The domain of the verified email address is one of these.
    Domain(Vec<String>),
    /// The whole verified email address matches one of these expressions.
    EmailMatches(Vec<Expression>),
}

/// A claim that a condition could not use, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// The claim is absent.
    #[error("the claim {claim:?} is absent from {looked_in}")]
    Absent {
        /// Its name or pointer.
        claim: String,
        /// The source of the claims.
        looked_in: &'static str,
    },
    /// Its JSON type differs from that of every accepted value.
    #[error("the claim {claim:?} is {shape}, not one of the condition's values")]
    UnexpectedShape {
        /// Its name or pointer.
        claim: String,
        /// The form found.
        shape: Shape,
    },
    /// `email_verified` is present, but not true.
    #[error("the claim \"email_verified\" is not true, so the address does not count")]
    Unverified,
}

/// The kind of a condition that does not hold, as far as its user may know it: no name or value of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// A condition on claims of several kinds, or on one that users do not know by name.
    Account,
    /// The user's address is not among those that are admitted.
    Address,
    /// The user is in none of the groups, or has none of the roles.
    Groups,
    /// The provider does not vouch for the user's address.
    VerifiedAddress,
}

/// The most findings in one log line.
const MAX_FINDINGS: usize = 4;

/// Conditions that must all hold.
#[derive(Debug, Clone)]
pub struct Conditions(pub Vec<Condition>);

impl Conditions {
    /// Whether all conditions hold.
    pub fn outcome(&self, claims: &dyn Claims) -> Outcome {
        all(&self.0, claims)
    }

    /// The claims that may explain why the conditions do not hold: absent, unverified, or of another JSON type. A claim
    /// with merely another value is not listed.
    pub fn findings(&self, claims: &dyn Claims) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.0.iter().for_each(|condition| condition.collect_findings(claims, &mut findings));
        findings.truncate(MAX_FINDINGS);
        findings
    }

    /// The kind of the first condition that does not hold.
    pub fn first_unmet(&self, claims: &dyn Claims) -> Unmet {
        let failed = self.0.iter().find(|condition| condition.outcome(claims) == Outcome::No);
        failed.map_or(Unmet::Account, |condition| match (condition.is_about_address(), condition.is_about_groups()) {
            (true, false) if email(claims).is_err() => Unmet::VerifiedAddress,
            (true, false) => Unmet::Address,
            (false, true) => Unmet::Groups,
            _ => Unmet::Account,
        })
    }

    /// Calls `with` for the path of each claim in the conditions, but for addresses.
    pub fn each_path(&self, with: &mut dyn FnMut(&ClaimPath)) {
        self.0.iter().for_each(|condition| condition.each_path(with));
    }

    /// Calls `with` for the name of each claim in the conditions.
    pub fn each_claim(&self, with: &mut dyn FnMut(&str)) {
        self.0.iter().for_each(|condition| condition.each_claim(with));
    }
}

fn all(conditions: &[Condition], claims: &dyn Claims) -> Outcome {
    combined(Outcome::No, Outcome::Yes, conditions, claims)
}

/// `decisive` where a condition has this outcome; else the outcome of the undecided ones, or `otherwise` where there are none.
fn combined(decisive: Outcome, otherwise: Outcome, conditions: &[Condition], claims: &dyn Claims) -> Outcome {
    let mut undecided = None;
    for condition in conditions {
        match condition.outcome(claims) {
            outcome if outcome == decisive => return decisive,
            outcome @ (Outcome::LeftOut | Outcome::Unknown) => undecided = undecided.max(Some(outcome)),
            Outcome::Yes | Outcome::No => {}
        }
    }
    undecided.unwrap_or(otherwise)
}

impl Condition {
    fn outcome(&self, claims: &dyn Claims) -> Outcome {
        match self {
            Self::All(conditions) => all(conditions, claims),
            Self::Any(conditions) => combined(Outcome::Yes, Outcome::No, conditions, claims),
            Self::Not(condition) => match (condition.outcome(claims), email(claims)) {
                // A user without a verified address may have any address: `not` does not admit them.
                (_, Err(outcome)) if condition.is_about_address() => outcome,
                (Outcome::Yes, _) => Outcome::No,
                (Outcome::No, _) => Outcome::Yes,
                (undecided, _) => undecided,
            },
            Self::Claim(path, wanted) => match path.find(claims) {
                Some(claim) => is_one_of(claim, wanted).into(),
                None if is_left_out(path.name(), claims) => Outcome::LeftOut,
                // Absent only if the provider is also known to have left nothing out.
                None if [path.name()].iter().chain(&LEFT_OUT).all(|name| claims.is_known(name)) => Outcome::No,
                None => Outcome::Unknown,
            },
            Self::Email(known) => {
                by_address(claims, &|email, _| known.iter().any(|known| known.eq_ignore_ascii_case(email)))
            }
            Self::Domain(known) => {
                by_address(claims, &|_, domain| known.iter().any(|known| known.eq_ignore_ascii_case(domain)))
            }
            Self::EmailMatches(known) => by_address(claims, &|email, _| known.iter().any(|known| known.matches(email))),
        }
    }

    fn collect_findings(&self, claims: &dyn Claims, findings: &mut Vec<Finding>) {
        if self.outcome(claims) != Outcome::No {
            return;
        }
        let absent = |claim: String| Finding::Absent { claim, looked_in: claims.source() };
        let finding = match self {
            Self::All(conditions) | Self::Any(conditions) => {
                return conditions.iter().for_each(|condition| condition.collect_findings(claims, findings));
            }
            Self::Claim(path, wanted) => match path.find(claims) {
                None => Some(absent(path.text())),
                Some(Claim::Text(_)) => None,
                Some(Claim::Json(value)) => {
                    let items = if let Value::Array(items) = value { items } else { std::slice::from_ref(value) };
                    let is_odd = !items.iter().any(|item| has_form_of(item, wanted));
                    is_odd.then(|| Finding::UnexpectedShape { claim: path.text(), shape: Shape::of(value) })
                }
            },
            Self::Not(condition) if !condition.is_about_address() => None,
            Self::Not(_) | Self::Email(_) | Self::Domain(_) | Self::EmailMatches(_) => {
                let missing = ["email_verified", "email"].into_iter().find(|name| claims.claim(name).is_none());
                let is_verified = claims.claim("email_verified").is_some_and(Claim::is_true);
                missing.map(|name| absent(name.to_owned())).or_else(|| (!is_verified).then_some(Finding::Unverified))
            }
        };
        findings.extend(finding);
    }

    fn is_about_address(&self) -> bool {
        match self {
            Self::All(conditions) | Self::Any(conditions) => conditions.iter().any(Self::is_about_address),
            Self::Not(condition) => condition.is_about_address(),
            Self::Claim(..) => false,
            Self::Email(_) | Self::Domain(_) | Self::EmailMatches(_) => true,
        }
    }

    /// Whether it is about groups or roles alone, by the names of its claims.
    fn is_about_groups(&self) -> bool {
        match self {
            Self::All(conditions) | Self::Any(conditions) => conditions.iter().all(Self::is_about_groups),
            Self::Claim(path, _) => path.text().split(|c: char| !c.is_ascii_alphanumeric()).any(is_group_or_role),
            Self::Not(_) | Self::Email(_) | Self::Domain(_) | Self::EmailMatches(_) => false,
        }
    }

    fn each_path(&self, with: &mut dyn FnMut(&ClaimPath)) {
        match self {
            Self::All(conditions) | Self::Any(conditions) => {
                conditions.iter().for_each(|condition| condition.each_path(with));
            }
            Self::Not(condition) => condition.each_path(with),
            Self::Claim(path, _) => with(path),
            Self::Email(_) | Self::Domain(_) | Self::EmailMatches(_) => {}
        }
    }

    fn each_claim(&self, with: &mut dyn FnMut(&str)) {
        match self {
            Self::All(conditions) | Self::Any(conditions) => {
                conditions.iter().for_each(|condition| condition.each_claim(with));
            }
            Self::Not(condition) => condition.each_claim(with),
            Self::Claim(path, _) => {
                with(path.name());
                LEFT_OUT.iter().for_each(|name| with(name));
            }
            Self::Email(_) | Self::Domain(_) | Self::EmailMatches(_) => {
                with("email");
                with("email_verified");
            }
        }
    }
}

/// Whether this part of a claim's name says that it has groups or roles, as in `/realm_access/roles` and `cognito:groups`.
fn is_group_or_role(part: &str) -> bool {
    matches!(part, "group" | "groups" | "role" | "roles")
}

impl From<bool> for Outcome {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// Exact elements: `admin` is neither `administrators` nor in `not-admin,other`, and `"1"` is not 1.
fn is_one_of(claim: Claim<'_>, wanted: &[Value]) -> bool {
    match claim {
        Claim::Text(text) => wanted.iter().any(|wanted| wanted == text),
        Claim::Json(Value::Array(elements)) => elements.iter().any(|element| is_listed(element, wanted)),
        Claim::Json(value) => is_listed(value, wanted),
    }
}

fn is_listed(value: &Value, wanted: &[Value]) -> bool {
    wanted.iter().any(|wanted| match (value, wanted) {
        // 3 and 3.0 are one number.
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(_) | Value::Object(_) | Value::Null, _) => false,
        (value, wanted) => value == wanted,
    })
}

fn by_address(claims: &dyn Claims, holds: &dyn Fn(&str, &str) -> bool) -> Outcome {
    email(claims).map_or_else(|outcome| outcome, |(email, domain)| holds(email, domain).into())
}

/// Whether it has the JSON type of one of the values, and is not a list serialized into text.
fn has_form_of(value: &Value, wanted: &[Value]) -> bool {
    let is_text_of_list = |text: &str| is_serialized(text) || text.contains([',', ';']);
    let is_alike = |wanted: &Value| std::mem::discriminant(wanted) == std::mem::discriminant(value);
    is_scalar(value) && wanted.iter().any(is_alike) && !value.as_str().is_some_and(is_text_of_list)
}

/// The verified email address and its domain. Without one, the outcome of every condition on it.
fn email(claims: &dyn Claims) -> Result<(&str, &str), Outcome> {
    let find = |name: &str| {
        claims.claim(name).ok_or_else(|| if claims.is_known(name) { Outcome::No } else { Outcome::Unknown })
    };
    if !find("email_verified")?.is_true() {
        return Err(Outcome::No);
    }
    let Claim::Json(Value::String(email)) = find("email")? else { return Err(Outcome::No) };
    email_domain(email).map(|domain| (email.as_str(), domain)).ok_or(Outcome::No)
}

/// The domain of an email address: exactly one `@`, with text on both sides.
pub fn email_domain(address: &str) -> Option<&str> {
    let (name, domain) = address.split_once('@')?;
    let is_whole = !name.is_empty() && !domain.is_empty() && !domain.contains('@');
    is_whole.then_some(domain)
}

/// The claim that lists claims of other sources (OIDC Core 5.6.2).
pub const CLAIM_NAMES: &str = "_claim_names";

/// The claims that mark others as left out.
pub const LEFT_OUT: [&str; 2] = [CLAIM_NAMES, "hasgroups"];

/// Whether the provider left this claim out: it names another source for it (OIDC Core 5.6.2), as Entra ID does for
/// users in more than 200 groups, or sets `hasgroups`.
pub fn is_left_out(name: &str, claims: &dyn Claims) -> bool {
    let [elsewhere, has_groups] = LEFT_OUT.map(|name| claims.claim(name));
    let is_elsewhere = matches!(elsewhere, Some(Claim::Json(Value::Object(names))) if names.contains_key(name));
    is_elsewhere || name == "groups" && has_groups.is_some_and(Claim::is_true)
}

#[cfg(test)]
mod tests;
