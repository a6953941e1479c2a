use proptest::prelude::*;

use super::*;

const OURS: &str = "__Host-vestibule";

fn lines<'a>(lines: &'a [&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
    lines.iter().copied()
}

#[test]
fn a_cookie_is_found_by_its_exact_name() {
    let cases: &[(&[&[u8]], Found<'_>)] = &[
        (&[], Found::Absent),
        (&[b""], Found::Absent),
        (&[b";"], Found::Absent),
        (&[b"="], Found::Absent),
        (&[b";;;=;"], Found::Absent),
        (&[b"__Host-vestibule"], Found::Absent),
        (&[b"=__Host-vestibule"], Found::Absent),
        (&[b"__Host-vestibule="], Found::One(b"")),
        (&[b"__Host-vestibule=abc"], Found::One(b"abc")),
        (&[b"a=1; __Host-vestibule=abc; b=2"], Found::One(b"abc")),
        (&[b"a=1;__Host-vestibule=abc;b=2"], Found::One(b"abc")),
        (&[b"a=1;\t __Host-vestibule=abc \t;b=2"], Found::One(b"abc")),
        (&[b"__Host-vestibule=a=b=="], Found::One(b"a=b==")),
        (&[b"__Host-vestibule=\"abc\""], Found::One(b"\"abc\"")),
        (&[b"a=\"x; __Host-vestibule=abc; y=\""], Found::One(b"abc")),
        (&[b"a=\xff\xfe; __Host-vestibule=\xff"], Found::One(b"\xff")),
        (&[b"a=1", b"__Host-vestibule=abc", b"b=2"], Found::One(b"abc")),
        (&[b"__Host-vestibule=1; __Host-vestibule=2"], Found::Several),
        (&[b"__Host-vestibule=1; __Host-vestibule=1"], Found::Several),
        (&[b"__Host-vestibule=1", b"__Host-vestibule=2"], Found::Several),
        // Names that contain ours are not ours.
        (&[b"x__Host-vestibule=1"], Found::Absent),
        (&[b"__Host-vestibule2=1"], Found::Absent),
        (&[b"__host-vestibule=1"], Found::Absent),
        (&[b"__Host-vestibul=1"], Found::Absent),
        (&[b"__Host-vestibule =1"], Found::Absent),
        (&[b"\xc2\xa0__Host-vestibule=1"], Found::Absent),
        (&[b"a=__Host-vestibule=1"], Found::Absent),
        (&[b"a,__Host-vestibule=1"], Found::Absent),
    ];
    for (input, expected) in cases {
        assert_eq!(
            find(lines(input), OURS),
            *expected,
            "{:?}",
            input.iter().map(|line| line.escape_ascii().to_string())
        );
    }
}

#[test]
fn cookies_with_our_prefix_are_listed_in_order() {
    let input: &[&[u8]] =
        &[b"__Host-vestibule-p-1=a; x=y; __Host-vestibule-p-=b", b"__Host-vestibule-q=c;__Host-vestibule-p-2=d"];
    let found: Vec<_> = with_prefix(lines(input), "__Host-vestibule-p-").collect();
    let expected: Vec<(&[u8], &[u8])> =
        vec![(b"__Host-vestibule-p-1", b"a"), (b"__Host-vestibule-p-", b"b"), (b"__Host-vestibule-p-2", b"d")];
    assert_eq!(found, expected);
}

#[test]
fn only_our_cookies_are_stripped() {
    let rest = |bytes: &[u8]| Stripped::Rest(bytes.to_vec());
    let cases: &[(&[u8], Stripped)] = &[
        (b"", Stripped::Unchanged),
        (b";", Stripped::Unchanged),
        (b"a=1; b=2", Stripped::Unchanged),
        (b"x__Host-vestibule=1; __Host-vestibule2=1; __host-vestibule=1; __Host-vestibule =1", Stripped::Unchanged),
        (b"a=__Host-vestibule=1", Stripped::Unchanged),
        (b"__Host-vestibule", Stripped::Unchanged),
        (b"__Host-vestibule=1", Stripped::Emptied),
        (b"__Host-vestibule=", Stripped::Emptied),
        (b" __Host-vestibule=1 ; ", Stripped::Emptied),
        (b"__Host-vestibule=1; __Host-vestibule=2;", Stripped::Emptied),
        (b"__Host-vestibule=1; a=1", rest(b"a=1")),
        (b"a=1; __Host-vestibule=1", rest(b"a=1")),
        (b"a=1; __Host-vestibule=1; b=2", rest(b"a=1; b=2")),
        (b"a=1;__Host-vestibule=1;b=2", rest(b"a=1;b=2")),
        (b"a=1; __Host-vestibule=1; __Host-vestibule=2;  b=2 ;", rest(b"a=1;  b=2 ;")),
        (b" a=1; __Host-vestibule=1", rest(b" a=1")),
        (b"a=\xff\"; __Host-vestibule=1; b=\"\xfe;=;;c", rest(b"a=\xff\"; b=\"\xfe;=;;c")),
    ];
    for (line, expected) in cases {
        assert_eq!(strip(line, |name| name == OURS.as_bytes()), *expected, "{}", line.escape_ascii());
    }
}

#[test]
fn a_set_cookie_line_has_every_attribute() {
    insta::assert_snapshot!(
        set_cookie("__Host-vestibule", "abc-_", Duration::from_secs(28_800), SameSite::Lax),
        @"__Host-vestibule=abc-_; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=28800"
    );
    insta::assert_snapshot!(
        set_cookie("__Host-vestibule", "abc-_", Duration::from_secs(28_800), SameSite::Partitioned),
        @"__Host-vestibule=abc-_; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=28800"
    );
    insta::assert_snapshot!(delete_cookie("__Host-vestibule", SameSite::None), @"__Host-vestibule=; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=0");
    insta::assert_snapshot!(delete_cookie("__Host-vestibule", SameSite::Lax), @"__Host-vestibule=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
}

#[test]
fn a_lifetime_above_400_days_is_cut() {
    let line = set_cookie("a", "b", Duration::MAX, SameSite::Lax);
    assert!(line.ends_with("; Max-Age=34560000"), "{line}");
}

#[test]
fn a_cookie_value_cannot_inject_attributes() {
    let line = set_cookie("__Host-a\r\nb", "x\r\nSet-Cookie: y=1; Domain=evil\u{e9}\0", Duration::ZERO, SameSite::Lax);
    assert_eq!(line, "__Host-ab=xSet-Cookie:y=1Domain=evil; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
}

#[test]
fn a_long_hostile_line_costs_no_more_than_its_length() {
    for piece in [";", "=", "__Host-vestibule=1;", "a=1;", " ", "\""] {
        let line = piece.repeat(1_000_000 / piece.len());
        let ours = piece.starts_with('_');
        assert_eq!(find(lines(&[line.as_bytes()]), OURS) == Found::Several, ours, "{piece:?}");
        let stripped = strip(line.as_bytes(), |name| name == OURS.as_bytes());
        assert_eq!(stripped, if ours { Stripped::Emptied } else { Stripped::Unchanged }, "{piece:?}");
    }
}

fn cookie_line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"__Host-vestibule=abc".to_vec()),
        Just(b"a=1".to_vec()),
        Just(b" ".to_vec()),
        Just(b"; ".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.join(&b';'))
}

proptest! {
    #[test]
    fn stripping_removes_the_filters_cookies_and_keeps_the_others(line in cookie_line()) {
        let others = |line: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
            pairs(std::iter::once(line))
                .filter(|(name, _)| *name != OURS.as_bytes())
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect()
        };
        let rest = match strip(&line, |name| name == OURS.as_bytes()) {
            Stripped::Unchanged => line.clone(),
            Stripped::Emptied => Vec::new(),
            Stripped::Rest(rest) => {
                prop_assert!(rest.len() < line.len());
                rest
            }
        };
        prop_assert_eq!(find(std::iter::once(rest.as_slice()), OURS), Found::Absent);
        prop_assert_eq!(others(&rest), others(&line));
    }

    #[test]
    fn find_returns_the_cookie_that_pairs_lists(line in cookie_line(), name in prop_oneof![Just(OURS), Just("a"), Just("")]) {
        let line = || std::iter::once(line.as_slice());
        let values: Vec<_> = pairs(line()).filter(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value).collect();
        let expected = match values[..] {
            [] => Found::Absent,
            [value] => Found::One(value),
            _ => Found::Several,
        };
        prop_assert_eq!(find(line(), name), expected);
    }
}
