//! What the rules say of a request. Mostly it is what one rule says; where readers may take the request for different
//! ones, it is held to what all of these rules say at once.

use std::rc::Rc;

use super::{Access, Unauthenticated, Authorization, Rule};
use crate::claims::{Claims, Conditions, Finding, IssuerId, Outcome};

/// What the rules say of a request.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// All rules; the numbers below are places in it.
    all: Rc<[Rule]>,
    first: Option<usize>,
    /// The others, each once.
    more: Vec<usize>,
    /// Where in `more` a rule follows that stands before the last one in the configuration: between these places it is
    /// in order. A path that anybody can send may be held to all of thousands of rules, in every reading of it, and
    /// whether one of them is here already must not cost a look at each.
    turns: Vec<usize>,
    /// Whether some reader may find that no rule matches.
    falls_through: bool,
}

/// A refusal by the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule's name, if it is a rule and has one.
    pub rule: Option<String>,
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

impl Verdict {
    pub(super) fn new(all: &Rc<[Rule]>) -> Self {
        Self { all: Rc::clone(all), first: None, more: Vec::new(), turns: Vec::new(), falls_through: false }
    }

    /// Adds the rule at this place in the list of all rules, unless it is here already.
    pub(super) fn add(&mut self, number: usize) {
        let Some(first) = self.first else {
            self.first = Some(number);
            return;
        };
        if first == number || self.has_more(number) {
            return;
        }
        if self.more.last().is_some_and(|last| *last > number) {
            self.turns.push(self.more.len());
        }
        self.more.push(number);
    }

    fn has_more(&self, number: usize) -> bool {
        let mut rest = self.more.as_slice();
        for turn in self.turns.iter().copied().rev().chain([0]) {
            let (before, run) = rest.split_at_checked(turn).unwrap_or((rest, &[]));
            if run.binary_search(&number).is_ok() {
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
    pub(super) fn replace_unlocked_with(&mut self, policy: usize) {
        let mut kept = Self::new(&self.all);
        for number in self.numbers().filter(|number| self.all.get(*number).is_some_and(|rule| rule.locked)) {
            kept.add(number);
        }
        kept.add(policy);
        *self = kept;
    }

    fn numbers(&self) -> impl Iterator<Item = usize> {
        self.first.into_iter().chain(self.more.iter().copied())
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.numbers().filter_map(|number| self.all.get(number))
    }

    /// The refusal of a rule that denies all.
    pub fn denial(&self) -> Option<Refusal> {
        let rule = self.rules().find(|rule| rule.policy.access == Access::Deny)?;
        Some(Refusal { rule: rule.name.clone(), cause: Cause::NotAllowed(Vec::new()) })
    }

    /// Whether all may pass, as they are.
    pub(super) fn is_public(&self) -> bool {
        self.is_all(|rule| rule.policy.access == Access::Public)
    }

    /// Whether all may pass, and the app gets the identity where there is one.
    pub fn is_open(&self) -> bool {
        self.is_all(|rule| rule.policy.is_open())
    }

    fn is_all(&self, holds: impl Fn(&Rule) -> bool) -> bool {
        !self.falls_through && self.first.is_some() && self.rules().all(holds)
    }

    /// Whether a session is enough, by every rule.
    pub fn takes_sessions(&self) -> bool {
        self.rules().all(|rule| rule.policy.access != Access::Bearer)
    }

    /// The scopes that a token must have.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.rules().flat_map(|rule| rule.policy.scopes.iter().map(String::as_str))
    }

    /// At whose sign-in pages somebody can sign in for this; empty means at everybody's.
    pub fn providers(&self) -> Vec<IssuerId> {
        let mut named = self.rules().map(|rule| &rule.policy.providers).filter(|providers| !providers.is_empty());
        let mut common = named.next().cloned().unwrap_or_default();
        named.for_each(|others| common.retain(|id| others.contains(id)));
        common
    }

    /// How somebody without a session is answered: the sternest of what is said.
    pub fn unauthenticated(&self) -> Unauthenticated {
        self.rules().map(|rule| rule.policy.unauthenticated).max().unwrap_or_default()
    }

    /// The name of the rule, where it is one rule that decides and it has one.
    pub fn rule(&self) -> Option<&str> {
        let number = self.first.filter(|_| self.more.is_empty() && !self.falls_through)?;
        self.all.get(number)?.name.as_deref()
    }

    /// What the app gets in `Authorization`, by default this. Where readers disagree it gets nothing: neither a token that
    /// is meant for another part of it, nor what a client sent and it could take for ours.
    pub fn authorization(&self, default: Authorization) -> Authorization {
        let mut said = self.falls_through.then_some(default);
        for rule in self.rules() {
            if said.is_some_and(|said| said != rule.policy.authorization) {
                return Authorization::Strip;
            }
            said = Some(rule.policy.authorization);
        }
        said.unwrap_or(default)
    }

    /// Whether a principal with these claims may pass, by every rule, and by the conditions of the source of the claims.
    ///
    /// # Errors
    /// [`Refusal`]
    pub(super) fn admits(&self, claims: &dyn Claims, by_source: Option<&Conditions>) -> Result<(), Refusal> {
        if let Some(refusal) = self.denial() {
            return Err(refusal);
        }
        let is_of_other_provider = |rule: &Rule| {
            let providers = &rule.policy.providers;
            !providers.is_empty() && claims.issuer().is_none_or(|issuer| !providers.contains(&issuer))
        };
        if let Some(rule) = self.rules().find(|rule| is_of_other_provider(rule)) {
            return Err(Refusal { rule: rule.name.clone(), cause: Cause::NotAllowed(Vec::new()) });
        }
        let of_rules = self.rules().filter_map(|rule| Some((rule.name.as_ref(), rule.policy.allow.as_ref()?)));
        let mut undecided = None;
        for (rule, conditions) in by_source.map(|conditions| (None, conditions)).into_iter().chain(of_rules) {
            match conditions.outcome(claims) {
                Outcome::Yes => {}
                Outcome::No => {
                    return Err(Refusal { rule: rule.cloned(), cause: Cause::NotAllowed(conditions.findings(claims)) });
                }
                Outcome::LeftOut => {
                    undecided = undecided.or(Some(Refusal { rule: rule.cloned(), cause: Cause::LeftOut }))
                }
                Outcome::Unknown => undecided = Some(Refusal { rule: rule.cloned(), cause: Cause::Unknown }),
            }
        }
        undecided.map_or(Ok(()), Err)
    }
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
            policy: Policy {
                access: Access::Required,
                unauthenticated: Unauthenticated::Auto,
                allow: None,
                scopes: vec![number.to_string()],
                providers: Vec::new(),
                authorization: Authorization::Keep,
            },
        }
    }

    fn names(verdict: &Verdict) -> Vec<String> {
        verdict.rules().filter_map(|rule| rule.name.clone()).collect()
    }

    #[test]
    fn each_rule_counts_once_and_where_it_was_first_found() {
        let rules: Rc<[_]> = (0..6).map(numbered).collect();
        let mut verdict = Verdict::new(&rules);
        for number in [2, 4, 2, 4, 1, 2, 3, 0, 5, 5, 3, 1, 0, 2] {
            verdict.add(number);
        }
        assert_eq!(names(&verdict), ["2", "4", "1", "3", "0", "5"]);
        assert_eq!(verdict.rule(), None);
        let mut verdict = Verdict::new(&rules);
        (0..3).for_each(|_| verdict.add(2));
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
        assert!(!verdict.is_open() && verdict.rule().is_none());
    }
}
