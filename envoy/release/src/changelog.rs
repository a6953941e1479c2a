//! The entry of a version in CHANGELOG.md.

/// The section of this version without its heading, which is `## 1.2.3`, with a date behind it or not.
#[must_use]
pub fn entry<'a>(changelog: &'a str, version: &str) -> Option<&'a str> {
    let mut sections = changelog.split("\n## ").skip(1);
    sections.find_map(|section| {
        let (heading, entry) = section.split_once('\n').unwrap_or((section, ""));
        (heading.split_whitespace().next() == Some(version)).then(|| entry.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::entry;

    const CHANGELOG: &str =
        "# Changelog\n\n## Unreleased\n\nnew\n\n## 1.10.0 - 2026-01-02\n\n### Added\n\n- a\n\n## 1.1.0\n\nold\n";

    #[test]
    fn an_entry_is_found_by_its_version() {
        assert_eq!(entry(CHANGELOG, "Unreleased"), Some("new"));
        assert_eq!(entry(CHANGELOG, "1.10.0"), Some("### Added\n\n- a"));
        assert_eq!(entry(CHANGELOG, "1.1.0"), Some("old"));
        assert_eq!(entry(CHANGELOG, "1.1"), None);
        assert_eq!(entry(CHANGELOG, "2.0.0"), None);
    }
}
