use super::*;

/// Paths that two readers have taken, or could take, for different ones.
pub(in crate::rules) const AMBIGUOUS: &[&[u8]] = &[
    // No path at all.
    b"",
    b"*",
    b"?",
    b"?/public",
    b"public",
    b"http://app.example.com/public",
    b"app.example.com:443",
    b"#/public",
    b" /public",
    b"%2fpublic",
    b"\\public",
    b"../public",
    // Empty segments.
    b"//",
    b"//public",
    b"/public//",
    b"/public//admin",
    b"///",
    b"//evil.example/public",
    // Dot segments, plain and encoded in any mix.
    b"/admin.",
    b"/admin./x",
    b"/a/b..",
    b"/admin%20",
    b"/admin%20/x",
    b"/admin%C2%A0",
    b"/admin%E3%80%80",
    b"/.",
    b"/..",
    b"/./",
    b"/../",
    b"/public/..",
    b"/public/../admin",
    b"/public/./a",
    b"/public/...",
    b"/..../a",
    b"/public/%2e%2e/admin",
    b"/public/%2E%2E/admin",
    b"/public/.%2e/admin",
    b"/public/%2e./admin",
    b"/public/%2e",
    b"/public/%2e%2e%2fadmin",
    b"/public/..%2fadmin",
    b"/public/..%5cadmin",
    b"/public%2f..%2fadmin",
    b"/public/%252e%252e/admin",
    b"/public/%25%32%65/admin",
    b"/public/%%32%65/admin",
    b"/public/%u002e%u002e/admin",
    b"/public/%c0%ae%c0%ae/admin",
    b"/public/%c0%2e/admin",
    b"/public/%e0%80%ae/admin",
    b"/public/%f0%80%80%ae/admin",
    b"/public/%ff",
    b"/public/%C3",
    b"/public/%ed%a0%80",
    // Parameters.
    b"/public/..;/admin",
    b"/public/..;a=b/admin",
    b"/public;/../admin",
    b"/public;jsessionid=1",
    b"/;/public",
    b"/public/%3b/admin",
    b"/public/..%3Ba/admin",
    // Backslashes.
    b"/public\\..\\admin",
    b"/public/..\\admin",
    b"/public\\",
    b"/public/%5c",
    b"/public/%5C..%5Cadmin",
    // Encoded slashes, percent signs, ends of a path.
    b"/public/%2fadmin",
    b"/public%2Fadmin",
    b"/public/%252fadmin",
    b"/public/%25",
    b"/public/100%25",
    b"/public%3f/../admin",
    b"/public/%3Fx",
    b"/admin%23/public",
    b"/admin#/public",
    b"/public#",
    b"/public/a#?b",
    // Unreserved characters must not be escaped.
    b"/%61dmin",
    b"/%41dmin",
    b"/publi%63",
    b"/public/%7e",
    b"/public/%2d",
    b"/public/%5f",
    b"/public/%30",
    // Controls and blanks.
    b"/public/%00",
    b"/public%00/admin",
    b"/public/a%00.js",
    b"/public/%0a",
    b"/public%0d%0aa",
    b"/public/%09",
    b"/public/%7f",
    b"/public/%1f",
    b"/public/%c2%85",
    b"/public\0",
    b"/public\t",
    b"/public\r\n",
    b"/public /a",
    b"/public/\x7f",
    b"/public/\xff",
    b"/public/\xc3\xa9",
    b"/public/\xc0\xae",
    // Broken escapes.
    b"/public/%",
    b"/public/%2",
    b"/public/%zz",
    b"/public/%2g",
    b"/public/%+2",
    b"/public/% 2",
    b"/public%?a",
    // Characters outside the grammar of paths.
    b"/public/\"",
    b"/public/<",
    b"/public/>",
    b"/public/[a]",
    b"/public/^",
    b"/public/`",
    b"/public/{a}",
    b"/public/|",
    // Characters that parsers turn into syntax, or drop.
    b"/public/%EF%BC%8E%EF%BC%8E/admin",
    b"/public%EF%BC%8Fadmin",
    b"/public/%E2%80%A5/admin",
    b"/public/%E2%80%A4%E2%80%A4/admin",
    b"/public/%E2%88%95admin",
    b"/public/%E2%81%84admin",
    b"/public/%CD%BEa",
    b"/public/%EF%BC%BCadmin",
    b"/public/%C2%A5admin",
    b"/public/.%E2%80%8B./admin",
    b"/%EF%BB%BFpublic",
    b"/public/.%C2%AD./admin",
    b"/public/%E2%80%AEa",
    b"/public/%E2%84%80",
    b"/public/%EF%BC%85",
    b"/public/%EF%B9%A8",
];

#[test]
fn a_path_that_two_readers_could_read_differently_is_ambiguous() {
    let clear: Vec<_> = AMBIGUOUS.iter().filter(|target| Path::of_target(target).is_ok()).collect();
    assert!(clear.is_empty(), "{clear:?}");
}

#[test]
fn an_unusual_path_is_not_ambiguous() {
    let clear = [
        "/",
        "/a",
        "/a/",
        "/.well-known/x",
        "/..a/..b",
        "/a.b.c",
        "/a...b",
        "/~user",
        "/a:b@c",
        "/a!$&'()*+,=",
        "/*",
        "/a%20b",
        "/caf%C3%A9",
        "/caf%c3%a9",
        "/%E6%97%A5%E6%9C%AC",
        "/%F0%9F%8E%89",
        "/a%40b%3A",
        "/%7Bid%7D",
        "/a%2Ab",
        "/a%22",
        "/oauth2x",
        "/a?",
        "/a?b=../..//;#%zz",
        "/a?\u{e9}\0",
        "/a??",
    ];
    for target in clear {
        assert_eq!(Path::of_target(target.as_bytes()).err(), None, "{target:?}");
    }
}

#[test]
fn a_path_has_a_maximum_length() {
    let longest = format!("/{}", "a".repeat(MAX_PATH - 1));
    assert!(Path::of_target(longest.as_bytes()).is_ok());
    assert!(Path::of_target(format!("{longest}?{longest}").as_bytes()).is_ok(), "the query does not count");
    assert!(Path::of_target(format!("{longest}a").as_bytes()).is_err());
}

#[test]
fn a_path_has_its_raw_normalised_and_decoded_readings() {
    let cases: [(&str, &[&str]); 4] = [
        ("/", &["/"]),
        ("/a/b?%20", &["/a/b"]),
        ("/a%20b", &["/a%20b", "/a%20b", "/a b"]),
        ("/caf%c3%A9/", &["/caf%c3%A9/", "/caf%C3%A9/", "/café/"]),
    ];
    for (target, expected) in cases {
        let path = Path::of_target(target.as_bytes()).unwrap();
        assert_eq!(path.readings().collect::<Vec<_>>(), expected, "{target}");
    }
}

#[test]
fn the_fast_path_check_agrees_with_the_full_reading() {
    let mut paths = vec![Vec::new()];
    for length in 0..6 {
        let longer = |path: &Vec<u8>| b"/.%a;\x80".map(|byte| [path.as_slice(), &[byte]].concat());
        paths.extend(paths.iter().filter(|path| path.len() == length).flat_map(longer).collect::<Vec<_>>());
    }
    let long = |length: usize| [b"/".as_slice(), &b"a".repeat(length - 1)].concat();
    paths.extend([MAX_PATH, MAX_PATH + 1].map(long));
    paths.extend(AMBIGUOUS.iter().map(|path| path.to_vec()));
    for path in &paths {
        assert_eq!(Path::read(path), Path::check(path), "{}", String::from_utf8_lossy(path));
    }
    assert!(paths.iter().any(|path| is_plain(path)));
}
