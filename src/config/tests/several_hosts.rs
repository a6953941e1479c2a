//! Settings of several hosts that depend on each other.

use serde_json::{Value, json};

use super::{example, faults, settings};

fn document(external_url: Value, cookie_domain: Option<&str>, central: Option<&str>) -> Value {
    let mut document = example();
    document["external_url"] = external_url;
    if let Some(domain) = cookie_domain {
        document["session"]["cookie_domain"] = json!(domain);
    }
    if let Some(central) = central {
        document["sign_in"] = json!({ "external_url": central });
    }
    document
}

#[test]
fn external_urls_must_be_hosts_of_the_cookie_domain() {
    let several = || json!(["https://a.example.com", "https://b.example.net", "https://*.example.net"]);
    for (external_url, domain, central, report) in [
        (
            several(),
            "example.com",
            None,
            "external_url[1]: expected a host of session.cookie_domain, example.com, got \"b.example.net\"\n\
             external_url[2]: expected a host of session.cookie_domain, example.com, got \"example.net\"",
        ),
        (
            json!("https://xexample.com"),
            "example.com",
            None,
            "external_url: expected a host of session.cookie_domain, example.com, got \"xexample.com\"",
        ),
        (
            json!("https://a.example.com"),
            "example.com",
            Some("https://auth.example.net"),
            "sign_in.external_url: expected a host of session.cookie_domain, example.com, got \"auth.example.net\"",
        ),
        (
            json!(["https://a.example.com", "https://auth.example.com"]),
            "example.com",
            Some("https://auth.example.com:8443"),
            "sign_in.external_url: expected each host once: cookies do not tell ports apart, got \"https://auth.example.com:8443\"",
        ),
        (
            json!("https://a.example.com"),
            "com",
            Some("https://auth.example.com"),
            "session.cookie_domain: expected a domain of two labels or more in lower case, such as example.com: no dot at its start, \
             no IP address, got \"com\"",
        ),
    ] {
        assert_eq!(faults(&document(external_url, Some(domain), central)), report);
    }
}

#[test]
fn the_first_origin_without_a_wildcard_is_the_home_origin() {
    for (external_url, central, home, others) in [
        (json!("https://a.example.com/"), None, "https://a.example.com", vec![]),
        (json!(["https://a.example.com"]), None, "https://a.example.com", vec![]),
        (
            json!(["https://*.example.com", "https://b.example.com", "https://a.example.com"]),
            None,
            "https://b.example.com",
            vec!["https://a.example.com"],
        ),
        (json!("https://*.example.com"), Some("https://auth.example.com"), "https://auth.example.com", vec![]),
        (
            json!(["https://example.com", "https://auth.example.com"]),
            Some("https://auth.example.com"),
            "https://example.com",
            vec!["https://auth.example.com"],
        ),
    ] {
        let domain = central.map(|_| "example.com");
        let config = settings(&document(external_url, domain, central));
        let all: Vec<_> = config.origins.all().map(|origin| origin.as_str()).collect();
        assert_eq!((all[0], &all[1..]), (home, &others[..]));
        assert_eq!(config.origins.sign_in().map(|origin| origin.as_str()), central);
        let warning =
            config.warnings.iter().any(|warning| warning.starts_with("session.cookie_domain: every host below"));
        assert_eq!(warning, domain.is_some());
    }
}

#[test]
fn added_hosts_keep_sessions_valid_and_a_cookie_domain_does_not() {
    let config = |external_url, domain| settings(&document(external_url, domain, None));
    let of = |config: &crate::config::Config| (config.fingerprint.clone(), config.session.cookies.name().to_owned());
    let one = of(&config(json!("https://a.example.com"), None));
    assert_eq!(of(&config(json!(["https://a.example.com"]), None)), one);
    assert_eq!(of(&config(json!(["https://a.example.com", "https://b.example.com"]), None)), one);
    assert_ne!(of(&config(json!("https://a.example.com"), Some("example.com"))), one);
}

#[test]
fn return_to_cannot_list_a_url_of_the_apps_own_hosts() {
    let mut document = document(json!(["https://a.example.com", "https://*.b.example.com"]), None, None);
    document["sign_in"] =
        json!({ "return_to": ["https://x.b.example.com/", "https://other.example.com/", "https://a.example.com/y"] });
    let report = faults(&document);
    let lines: Vec<_> = report.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["sign_in.return_to[0]", "sign_in.return_to[2]"], "{report}");
}

#[test]
fn rules_use_the_port_that_all_origins_share() {
    let port = |external_url| settings(&document(external_url, None, None)).origins.port();
    assert_eq!(port(json!("https://a.example.com:8443")), Some(8443));
    assert_eq!(port(json!(["https://a.example.com:8443", "https://*.b.example.com:8443"])), Some(8443));
    assert_eq!(port(json!(["https://a.example.com:8443", "https://*.b.example.com"])), None);
    assert_eq!(port(json!(["https://a.example.com", "https://b.example.com:8443"])), None);
}
