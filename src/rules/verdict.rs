//! The verdict of the rules on a request. Usually one rule decides; if parsers may take the request for different ones,
//! all rules that may apply hold together.

use std::rc::Rc;

use super::{Access, Authorization, Rule, Unauthenticated, UpstreamToken};
use crate::{
    claims::{Claims, Conditions, Finding, IssuerId, Outcome, StepUp, Unmet},
    time::UnixTime,
};

/// The rules that apply to a request.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// All rules; the numbers below are indices into it.
    all: Rc<[Rule]>,
    first: Option<usize>,
    /// Further rules, without duplicates.
    more: Vec<usize>,
    /// Positions in `more` at which the sorted order restarts. An ambiguous path can match thousands of rules in each
    /// spelling, so the search for duplicates must not be linear.
    turns: Vec<usize>,
    /// Whether no rule may apply for some parser.
    falls_through: bool,
    /// Whether the last rule is the policy of the route, and the others are locked rules beside it.
    has_policy: bool,
}

/// The rules that a request may mean ask for different tokens for the app, or not all for one: a token may be meant for another part
/// of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokensDiffer;

/// A refusal by the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule's name, if any.
    pub rule: Option<String>,
    /// The reason, for the response and the log.
    pub cause: Cause,
}

/// Why the rules do not admit a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The rule denies all requests.
    Denied,
    /// A condition does not hold. With the claims that conditions could not use.
    NotAllowed(Unmet, Vec<Finding>),
    /// The rule takes sessions and tokens of other providers only.
    OtherProvider,
    /// The provider left out the deciding claims.
    LeftOut,
    /// The authentication is too weak or too old: a new sign-in that asks for this may be enough.
    StepUp(Rc<StepUp>),
    /// The session did not keep the deciding claims: a new sign-in may decide.
    Unknown,
}

impl Verdict {
    pub(super) fn new(all: &Rc<[Rule]>) -> Self {
        Self {
            all: Rc::clone(all),
            first: None,
            more: Vec::new(),
            turns: Vec::new(),
            falls_through: false,
            has_policy: false,
        }
    }

    /// Adds the rule with this index, unless present.
    pub(super) fn add(&mut self, number: usize) {
        let Some(first) = self.first else {
            self.first = Some(number);
            return;
        };
        if first == number || self.is_in_more(number) {
            return;
        }
        if self.more.last().is_some_and(|last| *last > number) {
            self.turns.push(self.more.len());
        }
        self.more.push(number);
    }

    fn is_in_more(&self, number: usize) -> bool {
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

    /// Whether no rule may apply for some parser, so that a session is needed.
    pub const fn falls_through(&self) -> bool {
        self.falls_through
    }

    /// Keeps locked rules, and replaces the others by this policy.
    pub(super) fn replace_unlocked_with(&mut self, policy: usize) {
        let mut kept = Self::new(&self.all);
        for number in self.numbers().filter(|number| self.all.get(*number).is_some_and(|rule| rule.locked)) {
            kept.add(number);
        }
        kept.add(policy);
        kept.has_policy = true;
        *self = kept;
    }

    /// The indices of the rules that hold, the first one first.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        self.first.into_iter().chain(self.more.iter().copied())
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.numbers().filter_map(|number| self.all.get(number))
    }

    /// The refusal by a rule with `access: deny`.
    pub fn denial(&self) -> Option<Refusal> {
        let rule = self.rules().find(|rule| rule.policy.access == Access::Deny)?;
        Some(Refusal { rule: rule.name.clone(), cause: Cause::Denied })
    }

    /// Whether all requests may pass without an identity.
    pub(super) fn is_public(&self) -> bool {
        self.all_rules(|rule| rule.policy.access == Access::Public)
    }

    /// Whether all requests may pass; the app receives the identity, if any.
    pub fn is_open(&self) -> bool {
        self.all_rules(|rule| rule.policy.is_open())
    }

    fn all_rules(&self, holds: impl Fn(&Rule) -> bool) -> bool {
        !self.falls_through && self.first.is_some() && self.rules().all(holds)
    }

    /// Whether every rule accepts sessions.
    pub fn takes_sessions(&self) -> bool {
        self.rules().all(|rule| rule.policy.access != Access::Bearer)
    }

    /// The scopes that a token must have, of all rules.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.rules().flat_map(|rule| rule.policy.scopes.iter().map(String::as_str))
    }

    /// The providers for a sign-in that all rules accept; empty means any.
    pub fn providers(&self) -> Vec<IssuerId> {
        let mut named = self.rules().map(|rule| &rule.policy.providers).filter(|providers| !providers.is_empty());
        let mut common = named.next().cloned().unwrap_or_default();
        named.for_each(|others| common.retain(|id| others.contains(id)));
        common
    }

    /// The first demand on the authentication, for a sign-in that nothing went before.
    pub fn step_up(&self) -> Option<&Rc<StepUp>> {
        self.rules().find_map(|rule| rule.policy.step_up.as_ref())
    }

    /// The strictest answer of all rules to a request without a session.
    pub fn unauthenticated(&self) -> Unauthenticated {
        self.rules().map(|rule| rule.policy.unauthenticated).max().unwrap_or_default()
    }

    /// The name of the rule, if a single named rule decides.
    pub fn rule(&self) -> Option<&str> {
        let number = self.first.filter(|_| self.more.is_empty() && !self.falls_through)?;
        self.all.get(number)?.name.as_deref()
    }

    /// The `Authorization` header for the app, with this default. If rules differ, the app receives none: a token may
    /// be meant for another part of it, and a client's header could pass for ours. The same holds where the header is to carry an
    /// [`UpstreamToken`].
    pub fn authorization(&self, default: Authorization) -> Authorization {
        if self.rules().any(|rule| rule.policy.upstream_token.as_ref().is_some_and(|token| token.is_authorization())) {
            return Authorization::Strip;
        }
        let mut said = self.falls_through.then_some(default);
        for rule in self.rules() {
            if said.is_some_and(|said| said != rule.policy.authorization) {
                return Authorization::Strip;
            }
            said = Some(rule.policy.authorization);
        }
        said.unwrap_or(default)
    }

    /// The token that the request carries to the app. A locked rule without one leaves it to the policy of the route.
    ///
    /// # Errors
    /// [`TokensDiffer`]
    pub fn upstream_token(&self) -> Result<Option<&Rc<UpstreamToken>>, TokensDiffer> {
        let mut said = self.falls_through.then_some(None);
        for rule in self.rules() {
            let own = rule.policy.upstream_token.as_ref();
            if own.is_none() && rule.locked && self.has_policy {
                continue;
            }
            if said.is_some_and(|said| said != own) {
                return Err(TokensDiffer);
            }
            said = Some(own);
        }
        Ok(said.flatten())
    }

    /// Admits a principal with these claims if every rule, and the conditions of the claims' issuer, hold. `now_near` is that of
    /// [`StepUp::is_met_by`].
    ///
    /// # Errors
    /// [`Refusal`]
    pub(super) fn admits(
        &self,
        claims: &dyn Claims,
        issuer_conditions: Option<&Conditions>,
        now_near: &dyn Fn(UnixTime) -> UnixTime,
    ) -> Result<(), Refusal> {
        if let Some(refusal) = self.denial() {
            return Err(refusal);
        }
        let is_of_other_provider = |rule: &Rule| {
            let providers = &rule.policy.providers;
            !providers.is_empty() && claims.issuer().is_none_or(|issuer| !providers.contains(&issuer))
        };
        if let Some(rule) = self.rules().find(|rule| is_of_other_provider(rule)) {
            return Err(Refusal { rule: rule.name.clone(), cause: Cause::OtherProvider });
        }
        let of_rules = self.rules().filter_map(|rule| Some((rule.name.as_ref(), rule.policy.allow.as_ref()?)));
        let mut undecided = None;
        for (rule, conditions) in issuer_conditions.map(|conditions| (None, conditions)).into_iter().chain(of_rules) {
            match conditions.outcome(claims) {
                Outcome::Yes => {}
                Outcome::No => {
                    let cause = Cause::NotAllowed(conditions.first_unmet(claims), conditions.findings(claims));
                    return Err(Refusal { rule: rule.cloned(), cause });
                }
                Outcome::LeftOut => {
                    undecided = undecided.or(Some(Refusal { rule: rule.cloned(), cause: Cause::LeftOut }))
                }
                Outcome::Unknown => undecided = Some(Refusal { rule: rule.cloned(), cause: Cause::Unknown }),
            }
        }
        if let Some(refusal) = undecided {
            return Err(refusal);
        }
        for rule in self.rules() {
            if let Some(step_up) = rule.policy.step_up.as_ref().filter(|step_up| !step_up.is_met_by(claims, now_near)) {
                return Err(Refusal { rule: rule.name.clone(), cause: Cause::StepUp(Rc::clone(step_up)) });
            }
        }
        Ok(())
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
            networks: Vec::new(),
            locked: false,
            policy: Policy {
                access: Access::Required,
                unauthenticated: Unauthenticated::Auto,
                allow: None,
                scopes: vec![number.to_string()],
                providers: Vec::new(),
                authorization: Authorization::Keep,
                step_up: None,
                upstream_token: None,
            },
        }
    }

    fn names(verdict: &Verdict) -> Vec<String> {
        verdict.rules().filter_map(|rule| rule.name.clone()).collect()
    }

    #[test]
    fn each_rule_is_listed_once_in_the_order_of_discovery() {
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
    fn an_ambiguous_request_with_many_rules_is_fast() {
        const COUNT: usize = 100_000;
        let all: Vec<_> = (0..COUNT).map(|number| number.to_string()).collect();
        let policies = (COUNT..COUNT + 10).map(numbered).collect();
        let rules = Rules::new((0..COUNT).map(numbered).collect()).with_policies(policies);
        // No method that every app takes for the same, and a path with three readings: each rule may be meant in each.
        let headers = [(":method", "get"), (":authority", "app.example.com"), (":path", "/%c3%a9")];
        let request = Request::new(headers.map(|(name, value)| (name, value.as_bytes())));
        let verdict = rules.decide(&request, &|| None).unwrap();
        let named = names(&verdict);
        assert_eq!((&named[..COUNT], named.len()), (&all[..], COUNT + 10));
        assert_eq!(verdict.scopes().collect::<Vec<_>>(), named);
        assert!(!verdict.is_open() && verdict.rule().is_none());
    }
}
