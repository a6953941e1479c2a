//! The plaintext of a sealed session, in a cookie or in the store.

use vestibule::{
    claims::Claims,
    session::{
        CookieWriter, Session,
        chunks::Present,
        open::{FreshSession, OpenSessions},
    },
};

use crate::fixture::{Host, NOW, config};

pub(crate) fn run(bytes: &[u8]) {
    let (config, host) = (config(), Host::default());
    let Some(session) = Session::from_bytes(bytes, &host) else { return };
    assert!(!session.subject().is_empty() && session.claim("sub").is_some());
    let written = session.to_bytes(&host);
    let again = Session::from_bytes(&written, &host).expect("what was written is read");
    assert_eq!(*written, *again.to_bytes(&host));

    // A session fits into cookies that browsers accept, or is not sealed.
    let (cookies, lifetimes, sealer) = (&config.session.cookies, &config.session.lifetimes, &config.session.sealer);
    let writing = CookieWriter { cookies, present: Present::default(), lifetimes, sealer, now: NOW };
    let Ok(sealed) = session.seal(&writing, &host) else { return };
    assert!(sealed.cookies.iter().all(|line| line.len() <= 4096));
    let pairs: Vec<_> = sealed.cookies.iter().filter_map(|line| line.split(';').next()).collect();
    let request = vestibule::http::Request::new([("cookie", pairs.join("; ").as_bytes())]);
    let opened = OpenSessions::new(cookies.clone()).open(&request, sealer, &host);
    let opened = opened.and_then(|opened| opened.fresh(lifetimes, NOW));
    let is_fresh = FreshSession::renewed(session.clone(), lifetimes, NOW).is_some();
    assert_eq!(opened.is_some(), is_fresh);
    assert!(opened.is_none_or(|opened| opened.session().digest() == session.digest()));
}
