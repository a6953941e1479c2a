//! Expressions of rules that match less than they seem to: the filter compares the whole path.

use regex_syntax::{ParserBuilder, hir::literal::Extractor};

use crate::{finding::Finding, tree::Node};

/// The warnings on the expressions of rules.
pub(super) fn review(root: &Node) -> Vec<Finding> {
    let rules = root.get("rules").map_or(&[][..], Node::elements).iter();
    let expressions = rules.filter_map(|rule| rule.get("regex"));
    expressions.filter_map(|node| Some(Finding::warning(node.at, doubt(node.text()?)?))).collect()
}

fn doubt(expression: &str) -> Option<&'static str> {
    if matches_no_path(expression) {
        return Some(
            "regex: this matches no path, for a path begins with a slash; the expression is for the whole path",
        );
    }
    let is_open = expression.starts_with('^') && !expression.ends_with('$') && !expression.ends_with(".*");
    is_open.then_some(
        "regex: this is for the whole path, as if it ended in `$`: where more may follow, end it in `(/.*)?`",
    )
}

/// Whether each text that matches begins with something else than a slash.
fn matches_no_path(expression: &str) -> bool {
    let parsed = ParserBuilder::new().unicode(false).utf8(false).build().parse(expression);
    let beginnings = parsed.map(|parsed| Extractor::new().extract(&parsed));
    let beginnings = beginnings.as_ref().ok().and_then(|beginnings| beginnings.literals()).unwrap_or_default();
    !beginnings.is_empty() && beginnings.iter().all(|text| text.as_bytes().first().is_some_and(|first| *first != b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_that_matches_no_path_is_known() {
        for expression in ["(metrics|debug)(/.*)?", "^admin", "admin/.*", "(?i)admin", "[a-c]x"] {
            assert!(matches_no_path(expression), "{expression}");
        }
        for expression in ["/a", "^/a", "(/a|b)", "(?i)/a", ".*", "", "[^/]?/a", "(a)?/b", "(/a", r"\d*/a", "(a|)/b"] {
            assert!(!matches_no_path(expression), "{expression}");
        }
    }
}
