//! Warnings about rules that have no effect or admit more than expected.

use super::{Access, Rule, Rules};

impl Rules {
    /// A warning for each rule that can never match, or that makes everything public. Rules do not apply to paths under
    /// `reserved`.
    pub fn warnings(&self, reserved: &str) -> Vec<String> {
        let warning = |(number, rule): (usize, &Rule)| {
            let name = rule.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            self.warning(number, rule, reserved).map(|what| format!("rules[{number}]{name} {what}"))
        };
        self.rules().iter().enumerate().filter_map(warning).collect()
    }

    fn warning(&self, number: usize, rule: &Rule, reserved: &str) -> Option<String> {
        let beginning = rule.path.as_ref().and_then(|path| path.literal_prefixes().next()).unwrap_or_default();
        // A covering rule has the same literal prefix or a shorter one.
        let mut before = self.index.candidates(beginning).take_while(|before| *before < number);
        if let Some(wider) = before.find(|before| self.rules().get(*before).is_some_and(|before| before.covers(rule))) {
            return Some(format!("can never match: rules[{wider}] comes first and matches all that it does"));
        }
        if beginning.strip_prefix(reserved).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Some(format!("can never match: {reserved} is this filter's own, and rules do not apply there"));
        }
        let is_open = rule.policy.access == Access::Public && rule.covers_everything();
        let to_whom = match (rule.headers.is_empty(), rule.networks.is_empty()) {
            (false, _) => " to any client that sends these headers",
            (true, false) => " to any client: every address is in a network of length 0",
            (true, true) => "",
        };
        is_open.then(|| format!("makes everything public{to_whom}"))
    }
}
