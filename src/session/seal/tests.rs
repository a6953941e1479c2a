use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::platform::testing::TestPlatform;

const KEY_A: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const KEY_B: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f";

fn key(text: &str) -> SessionKey {
    SessionKey::parse(text).unwrap()
}

fn sealer(keys: &[&str], context: &str) -> Sealer {
    Sealer::new(keys.iter().map(|text| key(text)).collect(), context).unwrap()
}

fn opened(sealer: &Sealer, purpose: Purpose, label: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    sealer.open(purpose, label, sealed).map(|text| text.to_vec())
}

#[test]
fn a_key_is_read_from_base64_base64url_and_hex() {
    let bytes: [u8; 32] = std::array::from_fn(|index| 0xff - index as u8);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let texts = [
        BASE64_STANDARD.encode(bytes),
        BASE64_STANDARD_NO_PAD.encode(bytes),
        BASE64_URL_SAFE.encode(bytes),
        BASE64_URL_SAFE_NO_PAD.encode(bytes),
        hex.to_uppercase(),
        format!(" {hex}\n"),
        hex,
    ];
    for text in texts {
        assert_eq!(*key(&text).0, bytes, "{text:?}");
    }
}

#[test]
fn an_invalid_key_is_refused() {
    let valid = BASE64_STANDARD.encode(std::array::from_fn::<u8, 32, _>(|index| 0xff - index as u8));
    let mixed = valid.replacen('/', "_", 1);
    assert!(mixed.contains('/') && mixed.contains('_'), "{mixed}");
    let cases = [
        ("empty", String::new()),
        ("a password", "correct horse battery staple".to_owned()),
        ("31 bytes", BASE64_STANDARD.encode([[1, 2].repeat(15), vec![3]].concat())),
        ("33 bytes", BASE64_STANDARD.encode([[1, 2].repeat(16), vec![3]].concat())),
        ("32 letters", "abcdefghijklmnopqrstuvwxyz012345".to_owned()),
        ("63 hex digits", KEY_B.replacen("f0", "f", 1)),
        ("65 hex digits", format!("{KEY_B}0")),
        ("a sign among hex digits", KEY_B.replacen("f0", "+f", 1)),
        ("two alphabets", mixed),
        ("white space inside", KEY_A.replacen('Q', " ", 1)),
        ("not ASCII", "é".repeat(22)),
    ];
    for (name, text) in cases {
        assert_eq!(SessionKey::parse(&text).err(), Some(SessionKeyError::Malformed), "{name}");
    }
    for text in [BASE64_STANDARD.encode([0; 32]), "ab".repeat(32)] {
        assert_eq!(SessionKey::parse(&text).err(), Some(SessionKeyError::EqualBytes), "{text}");
    }
}

#[test]
fn neither_key_nor_sealer_prints() {
    assert_eq!(format!("{:?} {:?}", key(KEY_A), sealer(&[KEY_A], "")), "SessionKey([redacted]) Sealer([redacted])");
}

#[test]
fn a_sealer_needs_a_key() {
    assert!(Sealer::new(Vec::new(), "").is_none());
}

#[test]
fn a_seal_opens_only_for_its_purpose_label_and_context() {
    let sealer_a = sealer(&[KEY_A], "issuer client");
    let sealed = sealer_a.seal(Purpose::Session, "__Host-session", b"alice", &TestPlatform::default()).unwrap();
    let sealed = sealed.as_bytes();
    assert_eq!(opened(&sealer_a, Purpose::Session, "__Host-session", sealed), Some(b"alice".to_vec()));

    for purpose in [Purpose::PendingSignIn, Purpose::SharedDocument, Purpose::State] {
        assert_eq!(opened(&sealer_a, purpose, "__Host-session", sealed), None, "{purpose:?}");
    }
    for label in ["", "__Host-sessio", "__Host-session2", "__host-session"] {
        assert_eq!(opened(&sealer_a, Purpose::Session, label, sealed), None, "{label:?}");
    }
    for context in ["", "issuer clien", "issuer client2", "Issuer client"] {
        let other = sealer(&[KEY_A], context);
        assert_eq!(opened(&other, Purpose::Session, "__Host-session", sealed), None, "{context:?}");
    }
    // No byte can move between label and context.
    let shifted = sealer(&[KEY_A], "nissuer client");
    assert_eq!(opened(&shifted, Purpose::Session, "__Host-sessio", sealed), None);
}

#[test]
fn purposes_do_not_share_a_key() {
    let keys = DerivedKeys::derive(&key(KEY_A)).unwrap();
    let nonce = XNonce::default();
    let sealed: HashSet<_> = Purpose::ALL
        .map(|purpose| {
            let mut text = b"same text".to_vec();
            keys.cipher(purpose).encrypt_in_place(&nonce, b"", &mut text).unwrap();
            text
        })
        .into();
    assert_eq!(sealed.len(), Purpose::ALL.len());
}

#[test]
fn seals_with_the_first_key_and_opens_with_all_keys() {
    let (old, rotated, new) = (sealer(&[KEY_A], ""), sealer(&[KEY_B, KEY_A], ""), sealer(&[KEY_B], ""));
    let platform = TestPlatform::default();
    let before = old.seal(Purpose::Session, "s", b"alice", &platform).unwrap();
    let after = rotated.seal(Purpose::Session, "s", b"alice", &platform).unwrap();

    let open = |sealer: &Sealer, sealed: &str| opened(sealer, Purpose::Session, "s", sealed.as_bytes()).is_some();
    assert!(open(&rotated, &before), "the retired key still opens");
    assert!(open(&new, &after), "the new key seals");
    assert!(!open(&new, &before), "a key that left the ring opens nothing");
    assert!(!open(&old, &after));
}

#[test]
fn duplicate_keys_are_harmless() {
    let twice = sealer(&[KEY_A, KEY_A], "");
    let sealed = twice.seal(Purpose::State, "", b"x", &TestPlatform::default()).unwrap();
    assert_eq!(opened(&twice, Purpose::State, "", sealed.as_bytes()), Some(b"x".to_vec()));
}

#[test]
fn without_randomness_nothing_is_sealed() {
    let platform = TestPlatform::default();
    platform.without_randomness.set(true);
    assert_eq!(
        sealer(&[KEY_A], "").seal(Purpose::Session, "s", b"alice", &platform),
        Err(SealError::NoRandomness(NoRandomness))
    );
}

#[test]
fn the_same_text_never_seals_the_same_way() {
    let (sealer, platform) = (sealer(&[KEY_A], ""), TestPlatform::default());
    let sealed: HashSet<_> =
        (0..1000).map(|_| sealer.seal(Purpose::Session, "s", b"alice", &platform).unwrap()).collect();
    assert_eq!(sealed.len(), 1000);
}

#[test]
fn the_layout_is_version_key_id_nonce_ciphertext() {
    let sealer = sealer(&[KEY_A], "");
    let sealed = sealer.seal_bytes(Purpose::Session, "s", b"alice", &TestPlatform::default()).unwrap();
    assert_eq!(sealed.len(), 1 + 4 + 24 + b"alice".len() + 16);
    assert_eq!(sealed[0], 1);
    assert_eq!(sealed[1..5], sealer.inner.sealing.id);
    let mut aead_nonce = [0; 24];
    TestPlatform::default().random(&mut aead_nonce).unwrap();
    assert_eq!(sealed[5..29], aead_nonce);
}

/// Sealed by the first release. A change that breaks this test ends every session in the field.
#[test]
fn seals_of_an_earlier_release_open() {
    let sealer = sealer(&[KEY_A], &context_of(["https://issuer.example", "client"]));
    let sealed = b"ARNcUDIBAAAAAAAAAAEAAAAAAAAAAQAAAAAAAAChvIaQyF9290wTZk2g06rztHWGgVk";
    assert_eq!(opened(&sealer, Purpose::Session, "__Host-session", sealed), Some(b"alice".to_vec()));
}

#[test]
fn seals_in_plain_base64url_open() {
    let (sealer, platform) = (sealer(&[KEY_B, KEY_A], ""), TestPlatform::default());
    for size in 0..500 {
        let sealed = sealer.seal(Purpose::Session, "s", &vec![7; size], &platform).unwrap();
        let before = sealed.replace('.', "-");
        assert_eq!(before, BASE64_URL_SAFE_NO_PAD.encode(BASE64_URL_SAFE_NO_PAD.decode(&before).unwrap()));
        assert_eq!(opened(&sealer, Purpose::Session, "s", before.as_bytes()), Some(vec![7; size]));
        assert!(!sealer.has_retired_key(before.as_bytes()) && !sealer.has_retired_key(sealed.as_bytes()));
        assert_eq!(sealed.len(), sealed_len(size));
    }
}

#[test]
fn no_sealed_text_has_two_dashes_or_dots_in_a_row() {
    let (sealer, platform) = (sealer(&[KEY_A], ""), TestPlatform::default());
    let sealed: Vec<_> = (0..500).map(|_| sealer.seal(Purpose::Session, "s", &[7; 3000], &platform).unwrap()).collect();
    assert!(sealed.iter().all(|text| !text.contains("--") && !text.contains("..")));
    assert!(sealed.iter().any(|text| text.contains("-.-")), "three in a row");
    for text in &sealed {
        assert_eq!(opened(&sealer, Purpose::Session, "s", text.as_bytes()), Some(vec![7; 3000]));
        // A dot in second place would be read as the count of several cookies.
        assert_ne!(text.as_bytes()[1], b'.');
    }
}

#[test]
fn a_seal_opens_only_in_its_current_and_earlier_encoding() {
    let (sealer, platform) = (sealer(&[KEY_A], ""), TestPlatform::default());
    for _ in 0..100 {
        let sealed = sealer.seal(Purpose::Session, "s", b"alice", &platform).unwrap();
        let before = sealed.replace('.', "-");
        for (place, sign) in sealed.match_indices(['-', '.']) {
            let mut other = sealed.clone();
            other.replace_range(place..=place, if sign == "-" { "." } else { "-" });
            let is_open = sealer.open(Purpose::Session, "s", other.as_bytes()).is_some();
            assert_eq!(is_open, other == before, "{other} for {sealed}");
        }
    }
}

#[test]
fn foreign_and_altered_values_do_not_open() {
    let sealer = sealer(&[KEY_A], "");
    let sealed = sealer.seal(Purpose::Session, "s", b"alice", &TestPlatform::default()).unwrap();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("not base64", b"{\"sub\":\"alice\"}".to_vec()),
        ("a token", b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.".to_vec()),
        ("not text", vec![0xff; 80]),
        ("padded", format!("{sealed}==").into_bytes()),
        ("white space", format!("{sealed} ").into_bytes()),
        ("quoted", format!("\"{sealed}\"").into_bytes()),
        ("one character more", format!("{sealed}A").into_bytes()),
        ("four characters more", format!("{sealed}AAAA").into_bytes()),
        ("twice", sealed.repeat(2).into_bytes()),
        ("too long", vec![b'A'; MAX_SEALED_TEXT + 1]),
        ("plain JSON in base64", BASE64_URL_SAFE_NO_PAD.encode(b"{\"sub\":\"alice\"}").into_bytes()),
    ];
    for (name, text) in cases {
        assert_eq!(opened(&sealer, Purpose::Session, "s", &text), None, "{name}");
    }
    for end in 0..sealed.len() {
        assert_eq!(opened(&sealer, Purpose::Session, "s", &sealed.as_bytes()[..end]), None, "cut to {end}");
    }
}

#[test]
fn every_flipped_bit_and_every_cut_fails() {
    let sealer = sealer(&[KEY_A, KEY_B], "context");
    let sealed = sealer.seal_bytes(Purpose::PendingSignIn, "s", b"alice", &TestPlatform::default()).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(sealer.open_bytes(Purpose::PendingSignIn, "s", &flipped).is_none(), "bit {bit}");
    }
    for end in 0..sealed.len() {
        assert!(sealer.open_bytes(Purpose::PendingSignIn, "s", &sealed[..end]).is_none(), "cut to {end}");
    }
}

#[test]
fn a_shared_document_may_be_large_but_not_too_large() {
    let sealer = sealer(&[KEY_A], "");
    let largest = MAX_SEALED_BYTES - HEADER_LEN - TAG_LEN;
    let platform = TestPlatform::default();
    for len in [200 * 1024, largest] {
        let document = vec![7; len];
        let sealed = sealer.seal_bytes(Purpose::SharedDocument, "jwks", &document, &platform).unwrap();
        let opened = sealer.open_bytes(Purpose::SharedDocument, "jwks", &sealed);
        assert_eq!(opened.as_deref(), Some(&document), "{len}");
    }
    let error = SealError::TooLarge { size: MAX_SEALED_BYTES + 1, budget: MAX_SEALED_BYTES };
    let sealed = sealer.seal_bytes(Purpose::SharedDocument, "jwks", &vec![7; largest + 1], &platform);
    assert_eq!(sealed, Err(error));
}

#[test]
fn seal_contexts_of_different_parts_differ() {
    let contexts: HashSet<_> =
        [vec!["ab", "c"], vec!["a", "bc"], vec!["abc"], vec!["abc", ""], vec!["", "abc"], vec!["2:ab,1:c,"], vec![]]
            .into_iter()
            .map(context_of)
            .collect();
    assert_eq!(contexts.len(), 7);
}

proptest! {
    #[test]
    fn seal_and_open_are_inverse(text in proptest::collection::vec(any::<u8>(), 0..300), label in ".{0,20}", context in ".{0,20}") {
        let sealer = sealer(&[KEY_B], &context);
        let sealed = sealer.seal(Purpose::State, &label, &text, &TestPlatform::default()).unwrap();
        prop_assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
        prop_assert_eq!(opened(&sealer, Purpose::State, &label, sealed.as_bytes()), Some(text));
    }

    #[test]
    fn arbitrary_bytes_do_not_open(sealed in proptest::collection::vec(any::<u8>(), 0..200)) {
        let sealer = sealer(&[KEY_A], "");
        let mut ours = vec![VERSION];
        ours.extend_from_slice(&sealer.inner.sealing.id);
        ours.extend_from_slice(&sealed);
        prop_assert!(sealer.open_bytes(Purpose::Session, "s", &sealed).is_none());
        prop_assert!(sealer.open_bytes(Purpose::Session, "s", &ours).is_none());
        prop_assert!(sealer.open(Purpose::Session, "s", &sealed).is_none());
    }
}
