//! Regular expressions that oauth2-proxy searches in a path, as rules for the whole path.

/// A condition of a rule on the path: the name of the field, and its value.
pub(super) type PathCondition = (&'static str, String);

/// The paths in which this expression is found: one condition for each of its alternatives.
pub(super) fn of_search(expression: &str) -> Vec<PathCondition> {
    // Flags and quoted text change what follows: leave everything where it is.
    if expression.starts_with("(?") || expression.contains(r"\Q") {
        return vec![("regex", format!(".*(?:{expression}).*"))];
    }
    alternatives(expression).into_iter().map(of_alternative).collect()
}

fn of_alternative(expression: &str) -> PathCondition {
    let (begins, rest) = expression.strip_prefix('^').map_or((false, expression), |rest| (true, rest));
    let (ends, rest) = match rest.strip_suffix('$') {
        Some(rest) if !ends_in_escape(rest) => (true, rest),
        _ => (false, rest),
    };
    if begins
        && ends
        && let Some(path) = literal(rest)
    {
        return ("path", path);
    }
    let has_rest = rest.strip_suffix(".*").is_some_and(|before| !ends_in_escape(before));
    let before = if begins || rest.starts_with(".*") { "" } else { ".*" };
    let after = if ends || has_rest { "" } else { ".*" };
    ("regex", format!("{before}{rest}{after}"))
}

/// Whether the expression matches somewhere within a path, and not from its beginning.
pub(super) fn is_unanchored(expression: &str) -> bool {
    alternatives(expression).iter().any(|alternative| !alternative.starts_with('^'))
}

/// Whether the text ends in a backslash that escapes what follows.
fn ends_in_escape(text: &str) -> bool {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The parts between each `|` that is in no group or class.
fn alternatives(expression: &str) -> Vec<&str> {
    let (mut depth, mut after, mut parts) = (0_usize, 0, Vec::new());
    let mut rest = expression;
    while let Some(letter) = rest.chars().next() {
        let length = match letter {
            '\\' => letter.len_utf8().saturating_add(rest.chars().nth(1).map_or(0, char::len_utf8)),
            '[' => class_length(rest),
            letter => letter.len_utf8(),
        };
        let place = expression.len().saturating_sub(rest.len());
        match letter {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                parts.extend(expression.get(after..place));
                after = place.saturating_add(length);
            }
            _ => {}
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    parts.extend(expression.get(after..));
    parts
}

/// The length of the class at the beginning. A `]` is its end only behind another letter, and outside of a name such as
/// `[:alpha:]`.
fn class_length(text: &str) -> usize {
    let begin = if text.starts_with("[^") { 2 } else { 1 };
    let mut place: usize = begin;
    while let Some(rest) = text.get(place..)
        && let Some(letter) = rest.chars().next()
    {
        let name = rest.strip_prefix("[:").and_then(|name| name.find(":]"));
        let length = match (letter, name) {
            (']', _) if place > begin => return place.saturating_add(1),
            ('\\', _) => rest.chars().nth(1).map_or(0, char::len_utf8).saturating_add(1),
            (_, Some(name)) => name.saturating_add("[::]".len()),
            _ => letter.len_utf8(),
        };
        place = place.saturating_add(length);
    }
    text.len()
}

/// The one path that the expression matches, if it is one without wildcards.
fn literal(expression: &str) -> Option<String> {
    let mut path = String::new();
    let mut letters = expression.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => path.push(letters.next().filter(|letter| "./-_".contains(*letter))?),
            letter if letter.is_ascii_alphanumeric() || "/-_".contains(letter) => path.push(letter),
            _ => return None,
        }
    }
    path.starts_with('/').then_some(path)
}

#[cfg(test)]
mod tests {
    use super::of_search;

    #[test]
    fn an_unanchored_regex_is_converted_to_match_the_whole_path() {
        for (expression, field, value) in [
            ("^/healthz$", "path", "/healthz"),
            (r"^/robots\.txt$", "path", "/robots.txt"),
            ("^/api/v1/", "regex", "/api/v1/.*"),
            ("^/public", "regex", "/public.*"),
            ("^/public/.*", "regex", "/public/.*"),
            ("^/public/.*$", "regex", "/public/.*"),
            ("/static", "regex", ".*/static.*"),
            (".*/static", "regex", ".*/static.*"),
            (r"\.css$", "regex", r".*\.css"),
            (r"^/price\$", "regex", r"/price\$.*"),
            (r"^/a\\$", "regex", r"/a\\"),
            (r"^/a\.*", "regex", r"/a\.*.*"),
            ("^/(a|b)$", "regex", "/(a|b)"),
            ("^/[|]$", "regex", "/[|]"),
            ("(?i)^/a$", "regex", ".*(?:(?i)^/a$).*"),
        ] {
            assert_eq!(of_search(expression), [(field, value.to_owned())], "{expression}");
        }
        let conditions = [("path", "/a".to_owned()), ("regex", "/b.*".to_owned()), ("regex", ".*c[|)].*".to_owned())];
        assert_eq!(of_search("^/a$|^/b|c[|)]"), conditions);
        for whole in ["^/[]|]a$", "^/[^]|]a$", "^/[[:alpha:]|]a$", r"^/[\]|]a$"] {
            assert_eq!(of_search(whole).len(), 1, "{whole}");
        }
        assert_eq!(of_search(r"^/\Qa|/secret|b\E$"), [("regex", r".*(?:^/\Qa|/secret|b\E$).*".to_owned())]);
    }
}
