use proptest::prelude::*;

use super::*;

#[test]
fn a_glob_matches_by_segments() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("/", &["/"], &["/a"]),
        ("/a", &["/a"], &["/", "/a/", "/a/b", "/A", "/ab"]),
        ("/a/", &["/a/"], &["/a", "/a/b"]),
        ("/a.b+c", &["/a.b+c"], &["/axb+c", "/a.bbc"]),
        ("/*", &["/", "/a", "/a/", "/a/b/c"], &[]),
        ("/**", &["/", "/a", "/a/", "/a/b/c"], &[]),
        ("/a/*", &["/a/", "/a/b", "/a/b/c", "/a/.b"], &["/a", "/ab", "/b/a/c", "/A/b"]),
        ("/a/**", &["/a/", "/a/b", "/a/b/c"], &["/a", "/ab"]),
        ("/a*", &["/a", "/ab", "/a.b"], &["/a/", "/ab/c", "/b"]),
        ("/*.js", &["/a.js", "/.js"], &["/a/b.js", "/a.js/", "/a.jsx"]),
        ("/*/b", &["/a/b", "/aa/b"], &["/b", "/a/c/b", "/a/b/"]),
        ("/a/*/c", &["/a/b/c"], &["/a/c", "/a/b/b/c", "/a/b/c/d"]),
        ("/a/*/c/*", &["/a/b/c/", "/a/b/c/d", "/a/b/c/d/e"], &["/a/b/c", "/a/c/d", "/a/b/b/c/d"]),
        ("/a/*/*", &["/a/b/", "/a/b/c", "/a/b/c/d"], &["/a/b", "/a/"]),
        ("/a/**/c", &["/a/c", "/a/b/c", "/a/b/b/c", "/a/c/c"], &["/a", "/a/b", "/a/bc", "/ac", "/a/c/d", "/a/b/c/"]),
        ("/**/c", &["/c", "/a/c", "/a/b/c"], &["/ac", "/a/bc", "/c/d"]),
        ("/**/a/**/b", &["/a/b", "/x/a/y/b", "/a/a/b/b"], &["/b/a", "/a/xb"]),
        ("/a/**/c/*", &["/a/c/", "/a/b/c/d/e"], &["/a/c", "/a/b/c"]),
        ("/a/**/*.js", &["/a/b.js", "/a/b/c.js"], &["/a.js", "/a/b.js/c"]),
        ("/v*/x*y/z", &["/v/xy/z", "/v1/xxyy/z"], &["/v1/x/y/z", "/v1/xy/"]),
        ("/caf%c3%a9", &["/caf%C3%A9", "/café"], &["/cafe", "/caf"]),
        ("/a%20b/*", &["/a%20b/c", "/a b/c"], &["/a+b/c", "/ab/c"]),
        ("/a,b", &["/a,b"], &["/a", "/b"]),
    ];
    for (pattern, matching, others) in cases {
        let compiled = PathPattern::glob(pattern).unwrap();
        for path in *matching {
            assert!(compiled.matches(path), "{pattern} {path}");
        }
        for path in *others {
            assert!(!compiled.matches(path), "{pattern} not {path}");
        }
    }
}

#[test]
fn a_prefix_matches_whole_segments() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("/", &["/", "/a", "/a/b"], &[]),
        ("/docs", &["/docs", "/docs/", "/docs/x", "/docs/x/y"], &["/docsx", "/doc", "/Docs", "/x/docs", "/docs%20"]),
        ("/docs/", &["/docs/", "/docs/x"], &["/docs", "/docsx"]),
        ("/a/b", &["/a/b", "/a/b/c"], &["/a", "/a/bc", "/a/"]),
        ("/caf%C3%A9", &["/caf%C3%A9/x", "/café"], &["/caf%C3%A9s"]),
    ];
    for (pattern, matching, others) in cases {
        let compiled = PathPattern::prefix(pattern).unwrap();
        for path in *matching {
            assert!(compiled.matches(path), "{pattern} {path}");
        }
        for path in *others {
            assert!(!compiled.matches(path), "{pattern} not {path}");
        }
    }
}

#[test]
fn a_regex_matches_the_whole_path() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("/a", &["/a"], &["/ab", "/x/a", "/a\n"]),
        ("/a|/b", &["/a", "/b"], &["/ax", "/xa/b", "/a/b"]),
        ("^/a$", &["/a"], &["/ab"]),
        ("/v[0-9]+/.*", &["/v1/", "/v12/a/b"], &["/v/", "/x/v1/"]),
        ("(?m)^/a$", &["/a"], &["/a\n/b", "/b\n/a"]),
        ("(?i)/a", &["/a", "/A"], &["/b"]),
    ];
    for (pattern, matching, others) in cases {
        let compiled = PathPattern::regex(pattern).unwrap();
        for path in *matching {
            assert!(compiled.matches(path), "{pattern} {path:?}");
        }
        for path in *others {
            assert!(!compiled.matches(path), "{pattern} not {path:?}");
        }
    }
}

#[test]
fn a_pattern_has_the_literal_prefix_of_all_its_paths() {
    let literal_prefixes = |pattern: PathPattern| pattern.literal_prefixes().map(str::to_owned).collect::<Vec<_>>();
    let globs: &[(&str, &[&str])] = &[
        ("/", &[""]),
        ("/a/b", &["/a/b"]),
        ("/a/b/", &["/a/b"]),
        ("/a/b/*", &["/a/b"]),
        ("/a/b*", &["/a"]),
        ("/a/*/c", &["/a"]),
        ("/a/**/c", &["/a"]),
        ("/*", &[""]),
        ("/*/b", &[""]),
        ("/caf%c3%a9/*", &["/caf%C3%A9", "/café"]),
    ];
    for (text, expected) in globs {
        assert_eq!(literal_prefixes(PathPattern::glob(text).unwrap()), *expected, "{text}");
    }
    let regexes = [
        ("/a/b", "/a"),
        ("/a/b/", "/a/b"),
        ("/a/b/.*", "/a/b"),
        ("/a/b[0-9]/c", "/a"),
        ("/a/b-c_d/[0-9]+", "/a/b-c_d"),
        // The last letter may be absent or repeated.
        ("/a/b?c", "/a"),
        ("/a/b/?c", "/a"),
        ("/a/?b", ""),
        ("/a/b/*", "/a"),
        ("/a/b/+", "/a"),
        ("/a/b/{0}c", "/a"),
        ("/a/b/{0,9}c", "/a"),
        ("/a/(b)?", "/a"),
        ("/a(/b)?", ""),
        // Also after flags.
        ("/a/b/(?i)*c", "/a"),
        ("/a/b/(?i)(?s)?c", "/a"),
        ("/a/b/(?x) # as often as you like\n *c", "/a"),
        ("/a/b/(?:c)", "/a"),
        // An alternative may have any prefix, at any depth.
        ("/a/b|/c", ""),
        ("/a/(b|c)", ""),
        ("/a/[|]", ""),
        // Escapes, flags and anchors may have another meaning.
        ("(?i)/a/b", ""),
        ("(?x)/ a /b", ""),
        ("^/a/b$", ""),
        ("/a\\/b/c", ""),
        ("/caf%C3%A9/x", ""),
        ("/café/x", ""),
        (".*", ""),
    ];
    for (text, expected) in regexes {
        assert_eq!(literal_prefixes(PathPattern::regex(text).unwrap()), [expected], "{text}");
    }
    let odd = PathPattern::regex("/a/b/(?i)*c").unwrap();
    assert!(odd.matches("/a/bc") && odd.matches("/a/b//c"));
}

#[test]
fn a_pattern_that_could_never_match_as_written_is_refused() {
    let long = format!("/{}", "a".repeat(MAX_PATTERN));
    let texts = [
        "",
        "a",
        "*",
        "**",
        "a/*",
        "?a",
        "https://a.example/",
        "/a//b",
        "//",
        "/a/../b",
        "/a/./b",
        "/..",
        "/.",
        "/a/...",
        "/a;b",
        "/a#b",
        "/a?b",
        "/a b",
        "/a\tb",
        "/é",
        "/a\\b",
        "/{a,b}",
        "/[ab]",
        "/a]",
        "/a}",
        "/!a",
        "!/a",
        "/a^b",
        "/a|b",
        "/a\"",
        "/a`",
        "/<a>",
        "/a%",
        "/a%2",
        "/a%zz",
        "/%61",
        "/a%2fb",
        "/a%5Cb",
        "/%2e%2e/a",
        "/a%25",
        "/a%00",
        "/a%3f",
        "/a%23",
        "/a%3b",
        "/%2A",
        "/%7Ba%7D",
        "/%5ba%5d",
        "/%21",
        "/%ff",
        "/%c0%af",
        "/%EF%BC%8F",
        &long,
    ];
    for text in texts {
        assert!(PathPattern::glob(text).is_err(), "glob {text:?}");
        assert!(PathPattern::prefix(text).is_err(), "prefix {text:?}");
    }
    for text in ["/a**", "/**a", "/a/b**c/d", "/***", "/a/***/b"] {
        assert!(PathPattern::glob(text).is_err(), "glob {text:?}");
    }
    for text in ["/a/*", "/a*", "/**"] {
        assert!(PathPattern::prefix(text).is_err(), "prefix {text:?}");
    }
    let texts = [
        "",
        "a",
        "docs/.*",
        "/a)|(?:b",
        "/(",
        "/[",
        "/+*{",
        "/(?=a)",
        "/\\1",
        "(?x)/a #",
        "/\\p{L}",
        "/(a{1000}){1000}",
        "/((((a{50}){50}){50}){50})",
        &long,
    ];
    for text in texts {
        assert!(PathPattern::regex(text).is_err(), "regex {text:?}");
    }
}

#[test]
fn an_invalid_pattern_names_the_expected_syntax() {
    let refused = |text: &str| PathPattern::glob(text).unwrap_err().to_string();
    let texts: Vec<_> =
        ["a", "/a//b", "/a/../b", "/a;b", "/%61", "/a%", "/%ff", "/{a}", "/a**", "/%2A"].map(refused).into();
    insta::assert_snapshot!(texts.join("\n"), @r"
    a path that begins with a slash
    a path without empty segments (`//`)
    a path without dot segments (`.`, `..`)
    a path of ASCII letters, digits and -._~!$&'()*+,=:@%/ only; the rest as %XX
    a path without %XX for plain characters (%61) or separators (%2F, %2E, %3F)
    a path with two hex digits after each %
    a path with %XX in UTF-8
    a path in which * and ** are the only wildcards, without ? [ ] { } ! and \
    `**` as a whole segment, such as /a/**/b
    a path without escaped wildcards (%2A, %5B, %7B)
    ");
}

#[test]
fn a_hostile_path_costs_no_more_than_its_length() {
    for pattern in ["/**/a/**/a/**/a/**/b", "/*a*a*a*a*a*a*a*b", "/**/*a*a*a*b/c"] {
        let glob = PathPattern::glob(pattern).unwrap();
        for path in ["/a".repeat(4000), format!("/{}", "a".repeat(8000))] {
            assert!(!glob.matches(&path), "{pattern}");
        }
    }
    let regex = PathPattern::regex("/(a*)*(a|aa)+(a+)+b").unwrap();
    assert!(!regex.matches(&format!("/{}", "a".repeat(8000))));
}

/// A slow definition of globs.
fn means(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["*" | "**"], [_, ..]) => true,
        (["**", rest @ ..], [_, below @ ..]) => means(rest, path) || means(pattern, below),
        ([segment, rest @ ..], [name, below @ ..]) => segment_means(segment, name) && means(rest, below),
        _ => false,
    }
}

fn segment_means(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name
            .strip_prefix(head)
            .is_some_and(|rest| (0..=rest.len()).any(|start| segment_means(tail, rest.get(start..).unwrap()))),
    }
}

fn joined(segments: Vec<String>) -> String {
    format!("/{}", segments.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn a_glob_matches_like_its_reference_implementation(
        pattern in proptest::collection::vec("[ab*]{1,3}|\\*\\*", 1..5).prop_map(joined),
        path in proptest::collection::vec("[ab]{1,3}", 1..6).prop_map(joined),
        slash in any::<bool>(),
    ) {
        let path = if slash { format!("{path}/") } else { path };
        if let Ok(glob) = PathPattern::glob(&pattern) {
            let segments = |text: &'_ str| text.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
            let (wanted, given) = (segments(&pattern), segments(&path));
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            let given: Vec<&str> = given.iter().map(String::as_str).collect();
            prop_assert_eq!(glob.matches(&path), means(&wanted, &given), "{} {}", pattern, path);
        }
    }
}
