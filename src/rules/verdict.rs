//! What the rules say of a request. Mostly it is what one rule says; where readers may take the request for different
//! ones, it is held to what all of these rules say at once.

use super::{Access, Answer, Authorization, Rule};
use crate::claims::{Claims, Conditions, Finding, IssuerId, Outcome};

/// What the rules say of a request.
#[derive(Debug, Clone, Default)]
pub struct Verdict<'a> {
    first: Option<&'a Rule>,
    /// The others, each once.
    more: Vec<&'a Rule>,
    /// Where in `more` a rule follows that stands before the last one in the configuration: between these places it is
    /// in order. A path that anybody can send may be held to all of thousands of rules, in every reading of it, and
    /// whether one of them is here already must not cost a look at each.
    turns: Vec<usize>,
    /// Whether some reader may find that no rule matches.
    falls_through: bool,
}

/// Proof that everybody may pass; only a [`Verdict`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenRoute(());

/// Proof that whoever this is claimed of may pass; only a [`Verdict`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Admission(());

/// Why somebody may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The rule's name, if it is a rule and has one.
    pub rule: Option<&'a str>,
    /// The reason, for the answer and the log.
    pub cause: Cause,
}

/// Why the rules do not admit a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The rule denies all, or all of this provider, or a condition does not hold. With the claims that conditions could not
    /// use.
    NotAllowed(Vec<Finding>),
    /// The provider left out the claims that decide.
    LeftOut,
    /// The session did not keep the claims that decide: after a new sign-in they are known.
    Unknown,
}

impl<'a> Verdict<'a> {
    pub(super) fn add(&mut self, rule: &'a Rule) {
        let place = place(rule);
        let Some(first) = self.first else {
            self.first = Some(rule);
            return;
        };
        if self::place(first) == place || self.has_more(place) {
            return;
        }
        if self.more.last().is_some_and(|last| self::place(last) > place) {
            self.turns.push(self.more.len());
        }
        self.more.push(rule);
    }

    fn has_more(&self, place: *const Rule) -> bool {
        let mut rest = self.more.as_slice();
        for turn in self.turns.iter().copied().rev().chain([0]) {
            let (before, run) = rest.split_at_checked(turn).unwrap_or((rest, &[]));
            if run.binary_search_by_key(&place, |known| self::place(known)).is_ok() {
                return true;
            }
            rest = before;
        }
        false
    }

    pub(super) const fn fall_through(&mut self) {
        self.falls_through = true;
    }

    /// What locked rules say stays, and this policy takes the place of all else.
    pub(super) fn give_way_to(&mut self, policy: &'a Rule) {
        let mut kept = Self::default();
        for rule in self.rules().filter(|rule| rule.locked) {
            kept.add(rule);
        }
        kept.add(policy);
        *self = kept;
    }

    fn rules(&self) -> impl Iterator<Item = &'a Rule> {
        self.first.into_iter().chain(self.more.iter().copied())
    }

    /// The rule by which nobody may pass.
    pub fn denial(&self) -> Option<Refusal<'a>> {
        let rule = self.rules().find(|rule| rule.says.access == Access::Deny)?;
        Some(Refusal { rule: rule.name.as_deref(), cause: Cause::NotAllowed(Vec::new()) })
    }

    /// Whether everybody may pass, as they are.
    pub fn public(&self) -> Option<OpenRoute> {
        self.is_all(|rule| rule.says.access == Access::Public).then_some(OpenRoute(()))
    }

    /// Whether everybody may pass, and the app is told who it is where somebody is signed in.
    pub fn optional(&self) -> Option<OpenRoute> {
        self.is_all(|rule| rule.says.is_open()).then_some(OpenRoute(()))
    }

    fn is_all(&self, holds: impl Fn(&Rule) -> bool) -> bool {
        !self.falls_through && self.first.is_some() && self.rules().all(holds)
    }

    /// Whether a session is enough, by every rule.
    pub fn takes_sessions(&self) -> bool {
        self.rules().all(|rule| rule.says.access != Access::Bearer)
    }

    /// The scopes that a token must have.
    pub fn scopes(&self) -> impl Iterator<Item = &'a str> {
        self.rules().flat_map(|rule| rule.says.scopes.iter().map(String::as_str))
    }

    /// At whose sign-in pages somebody can sign in for this; empty means at everybody's.
    pub fn providers(&self) -> Vec<IssuerId> {
        let mut named = self.rules().map(|rule| &rule.says.providers).filter(|providers| !providers.is_empty());
        let mut common = named.next().cloned().unwrap_or_default();
        named.for_each(|others| common.retain(|id| others.contains(id)));
        common
    }

    /// How somebody without a session is answered: the sternest of what is said.
    pub fn answer(&self) -> Answer {
        self.rules().map(|rule| rule.says.unauthenticated).max().unwrap_or_default()
    }

    /// The name of the rule, where it is one rule that decides and it has one.
    pub fn rule(&self) -> Option<&'a str> {
        self.first.filter(|_| self.more.is_empty() && !self.falls_through)?.name.as_deref()
    }

    /// What the app gets in `Authorization`, by default this. Where readers disagree it gets nothing: neither a token that
    /// is meant for another part of it, nor what a client sent and it could take for ours.
    pub fn authorization(&self, default: Authorization) -> Authorization {
        let mut said = self.falls_through.then_some(default);
        for rule in self.rules() {
            if said.is_some_and(|said| said != rule.says.authorization) {
                return Authorization::Strip;
            }
            said = Some(rule.says.authorization);
        }
        said.unwrap_or(default)
    }

    /// Whether somebody of whom this is claimed may pass, by every rule, and by the conditions of whoever vouches for it.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn admits(&self, claims: &dyn Claims, by_source: Option<&Conditions>) -> Result<Admission, Refusal<'a>> {
        if let Some(refusal) = self.denial() {
            return Err(refusal);
        }
        let is_anothers = |rule: &Rule| {
            let providers = &rule.says.providers;
            !providers.is_empty() && claims.issuer().is_none_or(|issuer| !providers.contains(&issuer))
        };
        if let Some(rule) = self.rules().find(|rule| is_anothers(rule)) {
            return Err(Refusal { rule: rule.name.as_deref(), cause: Cause::NotAllowed(Vec::new()) });
        }
        let of_rules = self.rules().filter_map(|rule| Some((rule.name.as_deref(), rule.says.allow.as_ref()?)));
        let mut undecided = None;
        for (rule, conditions) in by_source.map(|conditions| (None, conditions)).into_iter().chain(of_rules) {
            match conditions.outcome(claims) {
                Outcome::Yes => {}
                Outcome::No => return Err(Refusal { rule, cause: Cause::NotAllowed(conditions.findings(claims)) }),
                Outcome::LeftOut => undecided = undecided.or(Some(Refusal { rule, cause: Cause::LeftOut })),
                Outcome::Unknown => undecided = Some(Refusal { rule, cause: Cause::Unknown }),
            }
        }
        undecided.map_or(Ok(Admission(())), Err)
    }
}

/// Where a rule stands: rules of one list follow each other, and no two are at one place.
const fn place(rule: &Rule) -> *const Rule {
    rule
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};
    use crate::http::Request;

    fn numbered(number: usize) -> Rule {
        Rule {
            name: Some(number.to_string()),
            path: None,
            methods: vec!["GET".to_owned()],
            hosts: Vec::new(),
            headers: Vec::new(),
            locked: false,
            says: Policy {
                access: Access::Required,
                unauthenticated: Answer::Auto,
                allow: None,
                scopes: vec![number.to_string()],
                providers: Vec::new(),
                authorization: Authorization::Keep,
            },
        }
    }

    fn names(verdict: &Verdict<'_>) -> Vec<String> {
        verdict.rules().filter_map(|rule| rule.name.clone()).collect()
    }

    #[test]
    fn each_rule_counts_once_and_where_it_was_first_found() {
        let rules: Vec<_> = (0..6).map(numbered).collect();
        let mut verdict = Verdict::default();
        for number in [2, 4, 2, 4, 1, 2, 3, 0, 5, 5, 3, 1, 0, 2] {
            verdict.add(&rules[number]);
        }
        assert_eq!(names(&verdict), ["2", "4", "1", "3", "0", "5"]);
        assert_eq!(verdict.rule(), None);
        let mut verdict = Verdict::default();
        (0..3).for_each(|_| verdict.add(&rules[2]));
        assert_eq!((names(&verdict), verdict.rule()), (vec!["2".to_owned()], Some("2")));
    }

    #[test]
    fn to_be_held_to_all_of_very_many_rules_takes_no_time() {
        const COUNT: usize = 100_000;
        let all: Vec<_> = (0..COUNT).map(|number| number.to_string()).collect();
        let policies = (COUNT..COUNT + 10).map(numbered).collect();
        let rules = Rules::new((0..COUNT).map(numbered).collect()).with_policies(policies);
        // No method that every app takes for the same, and a path with three readings: each rule may be meant in each.
        let headers = [(":method", "get"), (":authority", "app.example.com"), (":path", "/%c3%a9")];
        let request = Request::new(headers.map(|(name, value)| (name, value.as_bytes())));
        let verdict = rules.decide(&request).unwrap();
        let named = names(&verdict);
        assert_eq!((&named[..COUNT], named.len()), (&all[..], COUNT + 10));
        assert_eq!(verdict.scopes().collect::<Vec<_>>(), named);
        assert!(verdict.optional().is_none() && verdict.rule().is_none());
    }
}
