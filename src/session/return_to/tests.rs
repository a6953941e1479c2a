use proptest::prelude::*;
use url::Url;

use super::*;

const CORPUS: &[u8] = include_bytes!("../testdata/open_redirects.txt");

fn origin() -> Origin {
    Origin::parse("https://app.example.com").unwrap()
}

fn one() -> Origins {
    Origins::new(origin(), std::iter::empty(), Vec::new(), None)
}

fn targets<'a>(origins: &'a Origins, listed: &'a [String]) -> Targets<'a> {
    Targets { reserved_prefix: "/oauth2", origins, listed }
}

fn kept(target: &str) -> String {
    ReturnTo::parse(target.as_bytes(), "/oauth2").as_str().to_owned()
}

/// Every target's location is on our origin, without a character that could end a header line.
fn stays(target: &[u8]) -> Result<(), String> {
    let return_to = ReturnTo::parse(target, "/oauth2");
    let location = return_to.location(&origin());
    let url = Url::parse(&location).map_err(|error| format!("{location:?}: {error}"))?;
    let ours = url.origin() == Url::parse(origin().as_str()).unwrap().origin()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
        && location.bytes().all(|byte| byte.is_ascii_graphic());
    let again = ReturnTo::parse(return_to.as_str().as_bytes(), "/oauth2") == return_to;
    (ours && again).then_some(()).ok_or_else(|| format!("{} gives {location:?}", target.escape_ascii()))
}

#[test]
fn path_and_query_are_kept_byte_for_byte() {
    let longest = format!("/{}", "a".repeat(MAX_RETURN_TO - 1));
    let targets = [
        "/",
        "/a/b/",
        "/a?b=c&d=e&&f",
        "/a%2Fb%20c?d=%26%3d+%zz",
        "/a?rd=https://evil.example//x",
        "/a?next=/oauth2/callback",
        "/a/oauth2/callback",
        "/oauth2x",
        "/oauth",
        "/OAUTH2/callback",
        "/a//b/./c",
        "//evil.example/x",
        "/\\evil.example",
        "/~a!$&'()*+,;=:@|^`{}[]\"<>",
        &longest,
    ];
    for target in targets {
        assert_eq!(kept(target), target);
    }
}

#[test]
fn an_invalid_target_becomes_the_root() {
    let too_long = format!("/{}", "a".repeat(MAX_RETURN_TO));
    let targets = [
        "",
        "*",
        "a",
        "?a=b",
        "https://app.example.com/a",
        "/a#b",
        "/a?b#c",
        "/a b",
        "/a\tb",
        "/a\r\nSet-Cookie: b=c",
        "/a\0",
        "/a\x7f",
        "/é",
        " /a",
        &too_long,
    ];
    for target in targets {
        assert_eq!(kept(target), "/", "{target:?}");
    }
    assert_eq!(ReturnTo::parse(b"/\xff", "/oauth2").as_str(), "/");
}

#[test]
fn no_spelling_of_a_reserved_path_is_returned_to() {
    let targets = [
        "/oauth2",
        "/oauth2?rd=/a",
        "/oauth2/",
        "/oauth2/callback?code=a&state=b",
        "/oauth2/sign_out",
        "//oauth2/sign_out",
        "/./oauth2/sign_out",
        "/a/../oauth2/sign_out",
        "/a/..//oauth2/sign_out",
        "/a/%2e%2e/oauth2/sign_out",
        "/a/.%2E/oauth2/sign_out",
        "/a\\..\\oauth2\\sign_out",
        "/\\oauth2/sign_out",
        "/oauth2\\sign_out",
        "/oauth2%2fsign_out",
        "/oauth2%5Csign_out",
        "/oauth2%3Frd",
        "/oauth2%23a",
        "/%6fauth2/sign_out",
        "/%6F%61%75%74%68%32/sign_out",
        "/%256fauth2/sign_out",
        "/%25256fauth2/sign_out",
        "/%2525252525252525256fauth2/sign_out",
        "/oauth2;a=b/sign_out",
        "/;a/oauth2/sign_out",
        "/a/..;/oauth2/sign_out",
        "/oauth2/sign_out/x/../..",
        "/%2foauth2/sign_out",
    ];
    for target in targets {
        assert_eq!(kept(target), "/", "{target}");
    }
}

#[test]
fn a_prefix_of_several_segments_is_reserved_as_a_whole() {
    for (target, reserved) in [
        ("/auth/oauth2", true),
        ("/auth/oauth2/callback", true),
        ("/auth/%6fauth2", true),
        ("/x/../auth/oauth2", true),
        ("/auth", false),
        ("/auth/other", false),
        ("/oauth2/auth", false),
    ] {
        let return_to = ReturnTo::parse(target.as_bytes(), "/auth/oauth2");
        assert_eq!(return_to.as_str() == "/", reserved, "{target}");
    }
}

#[test]
fn a_prefix_without_segments_reserves_everything() {
    assert_eq!(ReturnTo::parse(b"/a", "/").as_str(), "/");
}

#[test]
fn no_known_open_redirect_leaves_our_origin() {
    let mut lines = 0;
    let mut escaped = Vec::new();
    for line in CORPUS.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"# ")) {
        lines += 1;
        let decoded: Vec<u8> = percent_decode(line).collect();
        let twice: Vec<u8> = percent_decode(&decoded).collect();
        for attack in [line, &decoded, &twice] {
            let dressings: [(&[u8], &[u8]); 5] =
                [(b"", b""), (b"/", b""), (b"/a/..", b""), (b"/a?rd=", b""), (b"", b"/..")];
            for (before, after) in dressings {
                escaped.extend(stays(&[before, attack, after].concat()).err());
            }
        }
    }
    assert!(escaped.is_empty(), "{escaped:#?}");
    assert!(lines >= 150, "the corpus has {lines} lines");
}

/// What operators list: an app of a phone, whole and with all below it, and pages of other sites.
fn listed() -> Vec<String> {
    ["myapp://signed-in", "com.example.app://back/", "https://www.example.com/", "https://shop.example.com/account/"]
        .map(str::to_owned)
        .to_vec()
}

fn asked_for(text: &str) -> ReturnTo {
    ReturnTo::from_rd(text, &origin(), targets(&one(), &listed()))
}

/// The target is of our own origin or listed, by the reading of a URL parser, and survives the seal.
fn leads_to_a_listed_place(text: &str) -> Result<(), String> {
    let return_to = asked_for(text);
    let location = return_to.location(&origin());
    let again = ReturnTo::from_sealed(return_to.as_str(), targets(&one(), &listed()));
    let url = Url::parse(&location).map_err(|error| format!("{location:?}: {error}"))?;
    let at = |base: &str| format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()) == base;
    let is_listed = at("https://www.example.com")
        || at("https://shop.example.com") && url.path().starts_with("/account/")
        || location == "myapp://signed-in"
        || at("com.example.app://back") && url.path().starts_with('/');
    let is_own = at("https://app.example.com");
    let is_clean = url.username().is_empty()
        && url.password().is_none()
        && url.port().is_none()
        && location.len() <= MAX_RETURN_TO + origin().as_str().len()
        && location.bytes().all(|byte| byte.is_ascii_graphic());
    let is_fine = is_clean && again == return_to && if return_to.is_elsewhere() { is_listed } else { is_own };
    is_fine.then_some(()).ok_or_else(|| format!("{text:?} leads to {location:?}"))
}

#[test]
fn only_listed_urls_are_return_targets() {
    for (asked, location) in [
        ("myapp://signed-in", "myapp://signed-in"),
        ("MYAPP://signed-in", "myapp://signed-in"),
        ("com.example.app://back/", "com.example.app://back/"),
        ("com.example.app://back/a?b=c#d", "com.example.app://back/a?b=c#d"),
        ("https://www.example.com/", "https://www.example.com/"),
        ("https://www.example.com", "https://www.example.com/"),
        ("https://www.example.com\\.evil.example/", "https://www.example.com/.evil.example/"),
        ("https:///www.example.com/", "https://www.example.com/"),
        ("https://WWW.example.com:443/a/../b", "https://www.example.com/b"),
        ("https://shop.example.com/account/%2e%2e/account/x", "https://shop.example.com/account/x"),
    ] {
        let return_to = asked_for(asked);
        assert!(return_to.is_elsewhere(), "{asked}");
        assert_eq!(return_to.location(&origin()), location, "{asked}");
        leads_to_a_listed_place(asked).unwrap();
    }
    let long = format!("https://www.example.com/{}", "a".repeat(MAX_RETURN_TO));
    for asked in [
        "myapp://signed-in/",
        "myapp://signed-in?a",
        "myapp://signed-in#a",
        "myapp://signed-in.evil",
        "myapp://u@signed-in",
        "myapp://SIGNED-IN",
        "myapp:signed-in",
        "myapp:/signed-in",
        "myapps://signed-in",
        "com.example.app://back",
        "com.example.app://back.evil/",
        "com.example.app://back:1/",
        "com.example.app://back@evil/",
        "http://www.example.com/",
        "https://www.example.com:444/",
        "https://www.example.com@evil.example/",
        "https://www.example.com.evil.example/",
        "https:\\\\www.example.com\\",
        "https:www.example.com/",
        "https:/www.example.com/",
        "https://shop.example.com/account",
        "https://shop.example.com/account/../pay",
        "https://shop.example.com/account/%2e%2e/pay",
        "https://shop.example.com/account/..\\pay",
        "//www.example.com/",
        "javascript:alert(1)",
        "javascript://www.example.com/%0aalert(1)",
        "data:text/html,x",
        "intent://back/#Intent;scheme=com.example.app;end",
        "https://www.ex\u{e4}mple.com/",
        &long,
    ] {
        let return_to = asked_for(asked);
        assert!(!return_to.is_elsewhere(), "{asked} {return_to:?}");
        leads_to_a_listed_place(asked).unwrap();
    }
    // Another configuration may have read the sealed target since.
    let one = one();
    let none = targets(&one, &[]);
    assert_eq!(ReturnTo::from_sealed("myapp://signed-in", none).location(&origin()), "https://app.example.com/");
}

#[test]
fn no_known_open_redirect_leads_to_a_place_that_is_not_listed() {
    let lines = CORPUS.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"# "));
    for line in lines {
        let decoded: Vec<u8> = percent_decode(line).collect();
        let twice: Vec<u8> = percent_decode(&decoded).collect();
        for attack in [line, &decoded, &twice].map(String::from_utf8_lossy) {
            for before in [
                "",
                "https://www.example.com",
                "https://www.example.com/",
                "myapp://signed-in",
                "com.example.app://back/",
            ] {
                leads_to_a_listed_place(&format!("{before}{attack}")).unwrap();
            }
        }
    }
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "/",
            "//",
            "\\",
            "..",
            ".",
            "@",
            ":",
            "%2f",
            "%5c",
            "%2e",
            "%09",
            "%0d%0a",
            "?",
            "#",
            ";",
            "\t",
            "\r\n",
            "https:",
            "evil.example",
            "app.example.com",
            "oauth2",
            "javascript:",
            "[::1]",
            "\u{2215}",
            "\u{ff0f}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..10).prop_map(|pieces| [b"/".to_vec(), pieces.concat()].concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_stay_on_our_origin(target in proptest::collection::vec(any::<u8>(), 0..60)) {
        prop_assert_eq!(stays(&target), Ok(()));
    }

    #[test]
    fn hostile_targets_stay_on_our_origin(target in hostile()) {
        prop_assert_eq!(stays(&target), Ok(()));
    }

    #[test]
    fn hostile_variants_of_listed_targets_are_refused(
        start in prop::sample::select(vec!["", "https:", "https://www.example.com", "myapp://signed-in", "com.example.app://back"]),
        rest in hostile(),
        skip in 0_usize..2,
    ) {
        prop_assert_eq!(leads_to_a_listed_place(&format!("{start}{}", String::from_utf8_lossy(&rest[skip..]))), Ok(()));
    }

    #[test]
    fn no_return_target_is_a_reserved_path(target in hostile()) {
        let location = ReturnTo::parse(&target, "/oauth2").location(&origin());
        let path = Url::parse(&location).unwrap().path().to_owned();
        prop_assert!(path != "/oauth2" && !path.starts_with("/oauth2/"), "{}", location);
    }
}

#[test]
fn a_return_url_of_another_configured_origin_follows_the_path_rules() {
    let shop = Origin::parse("https://shop.example.com").unwrap();
    let origins = Origins::new(origin(), std::iter::once(shop), Vec::new(), None);
    for (asked, location, first_page) in [
        ("https://shop.example.com/a?b#c", "https://shop.example.com/a?b#c", "https://shop.example.com/"),
        ("https://shop.example.com", "https://shop.example.com/", "https://shop.example.com/"),
        ("https://shop.example.com/oauth2/form", "https://shop.example.com/oauth2/form", "https://shop.example.com/"),
        ("https://shop.example.com/oauth2/sign_out", "https://shop.example.com/", "https://shop.example.com/"),
        ("https://shop.example.com/x/%2e%2e/oauth2/start", "https://shop.example.com/", "https://shop.example.com/"),
        ("https://shop.example.com:444/a", "https://app.example.com/", "/"),
        ("https://shop.example.com.evil.test/a", "https://app.example.com/", "/"),
        ("https://shop.example.com@evil.test/a", "https://app.example.com/", "/"),
        ("https://app.example.com/a", "https://app.example.com/a", "/"),
        ("/a", "https://app.example.com/a", "/"),
    ] {
        let return_to = ReturnTo::from_rd(asked, &origin(), targets(&origins, &[]));
        assert_eq!((&*return_to.location(&origin()), return_to.first_page()), (location, first_page), "{asked}");
        assert!(!return_to.is_elsewhere());
        assert_eq!(ReturnTo::from_sealed(return_to.as_str(), targets(&origins, &[])), return_to, "{asked}");
    }
    // Another configuration may have read the sealed target since.
    let gone = ReturnTo::from_sealed("https://shop.example.com/a", targets(&one(), &[])).location(&origin());
    assert_eq!(gone, "https://app.example.com/");
}
