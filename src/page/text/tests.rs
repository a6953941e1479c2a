use super::*;

/// The file of each language.
const FILES: [(Language, &str); Language::ALL.len()] = [
    (Language::En, include_str!("../texts/en.txt")),
    (Language::De, include_str!("../texts/de.txt")),
    (Language::Fr, include_str!("../texts/fr.txt")),
    (Language::Es, include_str!("../texts/es.txt")),
    (Language::Pt, include_str!("../texts/pt.txt")),
    (Language::Ja, include_str!("../texts/ja.txt")),
    (Language::Zh, include_str!("../texts/zh.txt")),
];

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    miniz_oxide::inflate::decompress_to_vec_zlib(packed).ok()
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[test]
fn each_language_has_every_text() {
    let names: Vec<_> = NAMES.iter().map(|name| snake_case(name)).collect();
    for (language, file) in FILES {
        let lines: Vec<_> = file.lines().map(|line| line.split_once(" = ").unwrap()).collect();
        assert_eq!(lines.iter().map(|(key, _)| *key).collect::<Vec<_>>(), names, "{language:?}");
        assert_eq!(language.unpacked(&unpack), language);
        for ((key, words), text) in lines.iter().zip(TEXTS) {
            assert_eq!(*words, language.get(*text), "{language:?} {key}");
            assert!(!words.trim().is_empty(), "{language:?} {key}");
            assert_eq!(words.contains("{user}"), *key == "signed_in_as", "{language:?} {key}");
        }
    }
}

/// A text that was forgotten would be the English one. These are spelled alike.
#[test]
fn every_text_is_translated() {
    let english: Vec<_> = FILES[0].1.lines().collect();
    for (language, file) in &FILES[1..] {
        for line in file.lines().filter(|line| english.contains(line)) {
            assert!(matches!(line, "code = Code"), "{language:?}: {line}");
        }
    }
}

#[test]
fn translated_texts_end_with_the_same_punctuation() {
    for (language, file) in FILES {
        let english = FILES[0].1.lines().map(|line| line.chars().next_back());
        for (line, english) in file.lines().zip(english) {
            let last = line.chars().next_back();
            match english {
                Some('.') => assert!(matches!(last, Some('.' | '。')), "{language:?}: {line}"),
                Some('?') => assert!(matches!(last, Some('?' | '？')), "{language:?}: {line}"),
                Some(':') => assert!(matches!(last, Some(':' | '：')), "{language:?}: {line}"),
                _ => assert!(!matches!(last, Some('.' | '。' | '?' | ':')), "{language:?}: {line}"),
            }
        }
    }
}

#[test]
fn a_browser_gets_the_language_that_it_prefers() {
    let table = [
        ("de-DE,de;q=0.9,en;q=0.8", Some(Language::De)),
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", Some(Language::Fr)),
        ("en;q=0.8,es;q=0.9", Some(Language::Es)),
        ("pt", Some(Language::Pt)),
        ("PT-pt", Some(Language::Pt)),
        ("zh-TW", Some(Language::Zh)),
        ("ja", Some(Language::Ja)),
        ("nl,sv;q=0.9,de;q=0.1", Some(Language::De)),
        ("en, de", Some(Language::En)),
        // Not acceptable (RFC 9110, 12.4.2).
        ("de;q=0", None),
        ("de;q=0,en;q=0.1", Some(Language::En)),
        ("", None),
        ("*", None),
        ("nl", None),
        ("d", None),
        ("de_DE", None),
        // What is no weight is none.
        ("de;q=7,fr;q=0.1", Some(Language::Fr)),
        ("de;q=-1", None),
        ("de;q=NaN", None),
        ("de;q=", None),
        ("de;q=.5", None),
        ("de;q=0.1234", None),
        ("de;q=1.001", None),
        ("de;level=1", None),
        ("de;q=1.000", Some(Language::De)),
        ("de; Q=0.5,en;q=0.4", Some(Language::De)),
    ];
    for (accepted, expected) in table {
        assert_eq!(Language::preferred(accepted), expected, "{accepted}");
    }
    let long = "nl,".repeat(MAX_RANGES) + "de";
    assert_eq!(Language::preferred(&long), None);
}

#[test]
fn sentences_are_joined_with_a_space_or_none_by_language() {
    let texts = [Text::NotJustNow, Text::TryAgainSoon];
    assert_eq!(Language::En.sentences(&texts), "It could not sign you in just now. Please try again in a few seconds.");
    assert_eq!(Language::Zh.unpacked(&unpack), Language::Zh);
    assert_eq!(Language::Zh.sentences(&texts), "登录服务现在无法让您登录。请在几秒钟后重试。");
}
