use super::*;

fn end(issuer: &Issuer, parameters: &[(&str, &str)]) -> (u16, Option<String>) {
    let response = get(issuer, &format!("/session/end?{}", encoded(parameters)));
    (response.status, response.location())
}

#[test]
fn ends_a_session_and_sends_the_browser_back() {
    let issuer = Issuer::start();
    id_token(&issuer);
    let hint = issuer.id_tokens().pop().unwrap();
    let hint = ("id_token_hint", hint.as_str());
    let (back, state) = (("post_logout_redirect_uri", "http://app/out?a=1"), ("state", "s t"));
    let to = |url: &str| (302, Some(url.to_owned()));
    assert_eq!(end(&issuer, &[hint, back, state]), to("http://app/out?a=1&state=s+t"));
    assert_eq!(end(&issuer, &[("client_id", CLIENT_ID), back]), to("http://app/out?a=1"));
    assert_eq!(end(&issuer, &[hint]), (200, None));
    for wrong in [
        vec![("id_token_hint", "x.y.z"), back],
        vec![("client_id", "other"), back],
        vec![hint, ("client_id", "other"), back],
        vec![back],
        vec![hint, ("post_logout_redirect_uri", "http://evil.example/")],
        vec![hint, ("post_logout_redirect_uri", "/out")],
    ] {
        assert_eq!(end(&issuer, &wrong), (400, None), "{wrong:?}");
    }
    issuer.terms(|terms| terms.logout_state = LogoutState::Other("other".to_owned()));
    assert_eq!(end(&issuer, &[hint, back, state]), to("http://app/out?a=1&state=other"));
    issuer.terms(|terms| terms.logout_state = LogoutState::Missing);
    assert_eq!(end(&issuer, &[hint, back, state]), to("http://app/out?a=1"));
    issuer.terms(|terms| terms.post_logout_redirect_uris = Some(vec!["http://app/out".to_owned()]));
    assert_eq!(end(&issuer, &[hint, back]), (400, None));
    assert_eq!(end(&issuer, &[hint, ("post_logout_redirect_uri", "http://app/out")]), to("http://app/out"));
    assert_eq!(issuer.requests(Endpoint::EndSession).len(), 13);
}

#[test]
fn the_metadata_of_the_test_issuer_follows_its_terms() {
    let issuer = Issuer::start();
    let metadata = || parsed(&get(&issuer, Endpoint::Discovery.path()));
    let all = metadata();
    assert_eq!(all["end_session_endpoint"], format!("{}/session/end", issuer.url()));
    assert_eq!(all["revocation_endpoint"], format!("{}/revoke", issuer.url()));
    assert_eq!(all["backchannel_logout_session_supported"], true);
    issuer.terms(|terms| {
        terms.advertises_end_session = false;
        terms.advertises_revocation = false;
        terms.advertises_back_channel_logout = false;
    });
    let less = metadata();
    assert_eq!((less.get("end_session_endpoint"), less.get("revocation_endpoint")), (None, None));
    assert_eq!(less["backchannel_logout_supported"], false);
}

#[test]
fn a_logout_token_names_the_last_session_by_default() {
    let issuer = Issuer::start();
    let (_, session, _) = id_token(&issuer);
    let (header, claims, valid) = read(&issuer, &issuer.logout_token(|_| {}));
    assert!(valid);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("logout+jwt")));
    for name in ["iss", "sub", "aud", "sid"] {
        assert_eq!(claims[name], session[name], "{name}");
    }
    assert_eq!(claims["events"], json!({LOGOUT_EVENT: {}}));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
    let (_, again, _) = read(&issuer, &issuer.logout_token(|_| {}));
    assert_ne!(claims["jti"], again["jti"]);

    let (_, claims, _) = read(&issuer, &issuer.logout_token_for(Some("bob"), None, |_| {}));
    assert_eq!((claims["sub"].as_str(), claims.get("sid")), (Some("bob"), None));
    let spoils: [(Spoil, bool); 4] = [
        (|token| token.signing = Signing::Published(Algorithm::Es256), true),
        (|token| token.signing = Signing::None, false),
        (|token| token.signing = Signing::Unpublished, false),
        (|token| token.signing = Signing::Hmac(b"secret".to_vec()), false),
    ];
    for (index, (spoil, expected)) in spoils.into_iter().enumerate() {
        assert_eq!(read(&issuer, &issuer.logout_token(spoil)).2, expected, "{index}");
    }
    let (_, claims, _) = read(&issuer, &issuer.logout_token(|token| token.set("nonce", "n")));
    assert_eq!(claims["nonce"], "n");
}
