//! `Cookie` lines, one after another: our cookies are found by exact name and taken out, all others stay.

use vestibule::{
    http::Request,
    session::{
        chunks::MAX_CHUNKS,
        cookie::{Found, Stripped, find, strip, with_prefix},
    },
};

use crate::fixture::config;

pub(crate) fn run(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let request = Request::new(lines.iter().map(|line| ("cookie", *line)));
    let cookies = &config().session.cookies;
    let values = |name: &str| -> Vec<&[u8]> {
        let named = with_prefix(request.lines("cookie"), name).filter(|(found, _)| *found == name.as_bytes());
        named.map(|(_, value)| value).collect()
    };
    match (find(request.lines("cookie"), cookies.name()), values(cookies.name()).as_slice()) {
        (Found::Absent, []) | (Found::Several, [_, _, ..]) => {}
        (Found::One(found), [value]) => assert_eq!(found, *value),
        (found, values) => panic!("{found:?}: {values:?}"),
    }
    if let Some(brought) = cookies.read(&request) {
        assert!((1..=MAX_CHUNKS).contains(&brought.count) && brought.text.len() <= bytes.len());
    }

    let is_ours = |name: &[u8]| cookies.has(name);
    let all = |line: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
        with_prefix(std::iter::once(line), "").map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    };
    for line in lines {
        let others: Vec<_> = all(line).into_iter().filter(|(name, _)| !is_ours(name)).collect();
        match strip(line, is_ours) {
            Stripped::Emptied => assert!(others.is_empty()),
            Stripped::Unchanged => assert_eq!(all(line), others),
            Stripped::Rest(rest) => {
                assert_eq!(all(&rest), others);
                assert_eq!(strip(&rest, is_ours), Stripped::Unchanged);
            }
        }
    }
}
