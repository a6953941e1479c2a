//! Paths and rules: a path that a rule makes public is public to every reader, however it decodes and resolves it.

use percent_encoding::percent_decode;
use vestibule::rules::path::{MAX_PATH, Path};

use crate::fixture::{config, request};

/// Ways in which servers, frameworks and file systems read a path.
const READERS: [fn(Vec<u8>) -> Vec<u8>; 8] = [
    |path| percent_decode(&path).collect(),
    |path| cut(path, b'?'),
    |path| cut(path, b'#'),
    |path| cut(path, b'\0'),
    |path| path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect(),
    without_parameters,
    without_trailing_dots,
    resolved,
];
/// How many readers are applied one after another.
const DEPTH: usize = 3;

pub(crate) fn run(bytes: &[u8]) {
    let path = Path::of_target(bytes);
    if let Ok(path) = &path {
        assert!(path.readings().all(|reading| reading.len() <= MAX_PATH && reading.starts_with('/')));
    }
    let ruled = config().rules.evaluate(request(bytes), &|| None).expect("no policy is configured");
    if ruled.admit_public().is_ok() {
        assert!(path.is_ok(), "an ambiguous path is public");
        check_public(bytes);
    }
}

/// Checks that a request target is public to every reader.
pub(crate) fn check_public(target: &[u8]) {
    check(cut(target.to_vec(), b'?'), DEPTH);
}

/// Checks that no reader finds a path that is not public.
fn check(path: Vec<u8>, depth: usize) {
    let is_public = path == b"/public" || path.starts_with(b"/public/");
    assert!(is_public && !path.starts_with(b"/public/closed/"), "{}", path.escape_ascii());
    if depth > 0 {
        for read in READERS {
            let read = read(path.clone());
            if read != path {
                check(read, depth - 1);
            }
        }
    }
}

fn cut(mut path: Vec<u8>, end: u8) -> Vec<u8> {
    path.truncate(path.iter().position(|byte| *byte == end).unwrap_or(path.len()));
    path
}

fn without_parameters(path: Vec<u8>) -> Vec<u8> {
    let segments: Vec<_> = path.split(|byte| *byte == b'/').map(|segment| cut(segment.to_vec(), b';')).collect();
    segments.join(&b'/')
}

fn without_trailing_dots(path: Vec<u8>) -> Vec<u8> {
    let segments: Vec<_> = path
        .split(|byte| *byte == b'/')
        .map(|segment| {
            let end = segment.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |last| last + 1);
            if segment.iter().all(|byte| *byte == b'.') { segment } else { &segment[..end] }
        })
        .collect();
    segments.join(&b'/')
}

/// RFC 3986, 5.2.4, with empty segments merged.
fn resolved(path: Vec<u8>) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    let mut resolved = vec![b'/'];
    resolved.extend(kept.join(&b'/'));
    if path.ends_with(b"/") && !kept.is_empty() {
        resolved.push(b'/');
    }
    resolved
}
