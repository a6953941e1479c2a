use super::*;
use crate::{flow::tests::world::TestPlatform, session::seal::SessionKey};

#[test]
fn a_cookie_is_read_as_it_was_written_until_the_window_is_over() {
    let key = SessionKey::parse("9f0c1e6d7a5b4c3d2e1f00112233445566778899aabbccddeeff0123456789ab").unwrap();
    let (sealer, begun) = (Sealer::new(vec![key], "").unwrap(), UnixTime::from_secs(1_800_000_000));
    let guard = LoginLoopGuard::add_sign_in(None, begun);
    let line = guard.cookie("c", SameSite::Lax, &sealer, &TestPlatform::default()).unwrap();
    let request = Request::new([("cookie", line.split(';').next().unwrap().as_bytes())]);
    for (seconds, expected) in [(0, Some(guard)), (59, Some(guard)), (60, None)] {
        let now = begun.plus(Duration::from_secs(seconds));
        assert_eq!(LoginLoopGuard::read(&request, "c", &sealer, now), expected, "{seconds}");
    }
}

#[test]
fn a_record_is_read_with_and_without_its_version() {
    let guard = Some(LoginLoopGuard { count: 2, since: UnixTime::from_secs(7) });
    assert_eq!(LoginLoopGuard::parse(&[1, 2, 7, 0, 0, 0, 0, 0, 0, 0]), guard);
    assert_eq!(LoginLoopGuard::parse(&[2, 7, 0, 0, 0, 0, 0, 0, 0]), guard);
    for other in [&[][..], &[2, 2, 7, 0, 0, 0, 0, 0, 0, 0], &[1, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0], &[1; 8]] {
        assert_eq!(LoginLoopGuard::parse(other), None, "{other:?}");
    }
}
