use super::*;

fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap()
}

fn several() -> Origins {
    Origins::new(
        origin("https://app.example.com"),
        [origin("https://shop.example.net:8443"), origin("http://[::1]:1080")].into_iter(),
        vec![OriginPattern::parse("https://*.preview.example.com").unwrap()],
        None,
    )
}

fn at(origins: &Origins, authority: &str) -> (Option<String>, String) {
    let request = Request::new([(":authority", authority.as_bytes())]);
    let site = origins.site(&request).unwrap();
    (site.id().map(|id| id.sealed().to_owned()), site.origin().as_str().to_owned())
}

#[test]
fn an_origin_knows_its_host_and_port() {
    for (text, host, port) in [
        ("https://app.example.com", "app.example.com", None),
        ("https://App.Example.com:443/", "app.example.com", None),
        ("https://app.example.com:8443", "app.example.com", Some(8443)),
        ("http://[::1]:1080", "[::1]", Some(1080)),
        ("http://127.0.0.1", "127.0.0.1", None),
    ] {
        let origin = origin(text);
        assert_eq!((origin.host(), origin.port()), (host, port), "{text}");
    }
}

#[test]
fn a_request_selects_an_origin_by_its_host_alone() {
    let origins = several();
    let other = |text: &str| (Some(text.to_owned()), text.to_owned());
    for (authority, expected) in [
        ("app.example.com", (Some(String::new()), "https://app.example.com".to_owned())),
        ("APP.example.com:1", (Some(String::new()), "https://app.example.com".to_owned())),
        ("shop.example.net", other("https://shop.example.net:8443")),
        ("shop.example.net:80", other("https://shop.example.net:8443")),
        ("[::1]:1080", other("http://[::1]:1080")),
        ("[::1]", other("http://[::1]:1080")),
        ("pr-1.preview.example.com", other("https://pr-1.preview.example.com")),
        ("PR-1.Preview.example.COM:8443", other("https://pr-1.preview.example.com")),
    ] {
        assert_eq!(at(&origins, authority), expected, "{authority}");
    }
}

#[test]
fn an_unknown_host_selects_no_origin() {
    let long = format!("{}.preview.example.com", "a".repeat(64));
    for authority in [
        "",
        "evil.example.com",
        "example.com",
        "preview.example.com",
        ".preview.example.com",
        "a.b.preview.example.com",
        "a_b.preview.example.com",
        "a%2e.preview.example.com",
        "*.preview.example.com",
        "x.preview.example.com.evil.test",
        "xpreview.example.com",
        "x.preview.example.com.",
        "x.preview.example.com.:443",
        "app.example.com.",
        "app.example.com@evil.test",
        "x@app.example.com",
        "x@y.preview.example.com",
        "evil.test:80@x.preview.example.com",
        "app.example.com:80:80",
        "app.example.com/x",
        "b\u{fc}cher.preview.example.com",
        &long,
    ] {
        assert_eq!(at(&several(), authority), (None, "https://app.example.com".to_owned()), "{authority}");
    }
    // With one origin, a proxy may write another host.
    let one = Origins::new(origin("https://app.example.com"), std::iter::empty(), Vec::new(), None);
    assert_eq!(one.site(&Request::new([(":authority", &b"evil.test"[..])])), None);
    assert!(one.find("evil.test").is_none());
}

#[test]
fn a_pattern_has_one_star_before_two_labels() {
    for text in ["https://*.preview.example.com", "https://*.example.com:8443", "https://*.PREVIEW.example.com/"] {
        assert!(OriginPattern::parse(text).is_some(), "{text}");
    }
    for text in [
        "https://*",
        "https://*.com",
        "https://*.com.",
        "https://*.1.2.3.4",
        "https://*.[::1]",
        "https://*.*.example.com",
        "https://a.*.example.com",
        "https://*x.example.com",
        "https://x*.example.com",
        "https://**.example.com",
        "http://*.example.com",
        "http://*.localhost",
        "*.example.com",
        "https://*.example.com/x",
        "https://*.example.com?x",
        "https://u@*.example.com",
        "https://*.u@example.com",
    ] {
        assert!(OriginPattern::parse(text).is_none(), "{text}");
    }
}

#[test]
fn a_url_is_split_at_an_origin_as_browsers_write_it() {
    let origins = several();
    for (url, expected) in [
        ("https://app.example.com/a?b#c", Some(("https://app.example.com", "/a?b#c"))),
        ("https://app.example.com", Some(("https://app.example.com", ""))),
        ("https://shop.example.net:8443/", Some(("https://shop.example.net:8443", "/"))),
        ("https://x.preview.example.com//y", Some(("https://x.preview.example.com", "//y"))),
        ("https://shop.example.net/", None),
        ("http://app.example.com/", None),
        ("HTTPS://app.example.com/", None),
        ("https://App.example.com/", None),
        ("https://X.preview.example.com/", None),
        ("https://x.preview.example.com:1/", None),
        ("https://app.example.com:443/", None),
        ("https://app.example.com?x", None),
        ("https://app.example.com#x", None),
        ("https://app.example.com\\@evil.test/", None),
        ("https://u@app.example.com/", None),
        ("https://evil.test/https://app.example.com/", None),
        ("//app.example.com/", None),
        ("/https://app.example.com/", None),
    ] {
        assert_eq!(origins.split(url), expected, "{url}");
    }
}
