//! Signatures of OpenSSL, and encodings that must not pass. Project Wycheproof's vectors are in `verify/tests.rs`.

use ::rsa::{PrivateKey, hazmat::rsa_encrypt, pkcs1::DecodeRsaPrivateKey, sha2::Digest, traits::PrivateKeyParts};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;

const TEXT: &[u8] = b"what is signed";
const HASHES: [HashFunction; 3] = [HashFunction::Sha256, HashFunction::Sha384, HashFunction::Sha512];

/// Made by `openssl genrsa`; signs nothing but these tests.
const KEY: &str = "\
-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEAwnKMxY0DbSFvhqEP+O6WoXYcLXCHu+N9uuq46ReVdBkJPS7w
ZWwXK+Niodo0yjsBT0fAXRl9U6WLRkDCGB3woVo/5V7xKJX4Eh6omGH5F4TQewy5
IJDaYG36PFEdAAoAJ8hys/8t4riQO6CSYS8U+O3BGsNzr+i7rD3Z6TbDBAh7yAIc
08yHIzf4gXLzSGZTvPrApAjmNkP+lenvG092C1B3y0W1ikVF7MG5uJ4cMHi+LKGM
GjFT2hLf45ljeJQItqqDrgXeSxhlF7dRHgdSJqS8eug4uiRYyYIdjIMkByl78Rqe
1NXzCD3nPIWgcfmYOe0KceFGQDrWPJ1sFqJi/wIDAQABAoIBACBVLt48i/jOCf7v
cjn45lgzzQyrPQ67jbESjavIraPP8+7WCsg6mIHGPiTepU+JTzbxHeX9Mo9BpC6K
3xtmgxg5aw2HY39VrJnKuksYY3SLM6V6YKAvJfjJ4MW90R4sC4mR9azDfkxIV0dq
9FwvmYOo+SaroGV8RBSodj8myXe2bMlggEe0eCSQHJHMCr13rPQnik2bcrnLiuf6
TwrhJqv+6fOqvnRxN4kw5qUKzyeY3bCYPN+6KmpvhHbPMQFNs49slpqpivoMHE3W
thfS5BAXrTceP67/8cfDIUMJ+VZePp/2Np2wBAPSl0GkPd4X5WEVnAejKjwhaBVk
1oeaNHECgYEA+H/6qOHCkXwCFt4AURr9XrIT6YOywE+Q1KPjBeeGQU7N7QPD9aqI
DsgD68viln06bECJikCLIMABH4F3sgLD4dKz//XwPsU2XdURrByIcczH0kyKYAMT
eEwUfOCWgA215FZA+qDuIOTPKX36y3LII7A2P7t14f9/EdpldOOzza8CgYEAyFDv
+yiOntDL4lJmKJijtivWTaBZJawa/fr45dCoky5WKut6ywo1PBEyp9WbKG3KOrml
r5tZNtWpzawCVhPxLzEbICTY5N4+n8ToYsg5MO19jhZG2leIwoWC7xgrEoqduX+a
ioRZevb744Zuv2BuOoygk+yfMZMRe6iE5wnB47ECgYBLzf6Q9g18g++/OgmutCUG
dhxM57fnol3z/+qJKo9x7LA01Sk6D8NhfvJzQ8bjUWA5FZbfbcEDRI8TJVN2IhHP
GY9/TW70NwTWquCxOCMHVAjAxkiP8WBHGi5Fyd0fQw9xkD5SNjVuI15usdeHqIQV
HvPtjSnwvxfsQksg1TVMUQKBgAe1ZabKpsJh0pbBCQFi7lniUfrmwsd6WgeQEuf1
IaeYTuST70PE/sty9foTdEcYAoJEBqY9Wi+MBV7O0cAyQEPKpfqUsGwOSWaokzDJ
97l0SjKflNZuK+sgbCt7SJ0MDInI6U+PTEo5GvRkhfqDYXqLUtqebnnf6PpTP9oM
PBPhAoGBAK9HNuYCDRGhZt7UvZzXw83X4Bc+bB3a1EItG29b4YLeqZ7BSI6UMAfS
ptWZ5NpIuAATO61XZFYdwnGHN99hvl0eNzJT0797Mw3h/BUJqbdUjVIdSwgGAIi2
/8R+GhKZwK4R5vMZx3Djy/eNttdyuwfttQceGsUWgrMCnfS4GEds
-----END RSA PRIVATE KEY-----
";
/// The public key: `openssl rsa -pubout -outform DER`.
const SPKI: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwnKMxY0DbSFvhqEP+O6WoXYcLXCHu+N9uuq46ReVdBkJPS7wZWwXK+Niodo0yjsBT0\
     fAXRl9U6WLRkDCGB3woVo/5V7xKJX4Eh6omGH5F4TQewy5IJDaYG36PFEdAAoAJ8hys/8t4riQO6CSYS8U+O3BGsNzr+i7rD3Z6TbDBAh7yAIc\
     08yHIzf4gXLzSGZTvPrApAjmNkP+lenvG092C1B3y0W1ikVF7MG5uJ4cMHi+LKGMGjFT2hLf45ljeJQItqqDrgXeSxhlF7dRHgdSJqS8eug4ui\
     RYyYIdjIMkByl78Rqe1NXzCD3nPIWgcfmYOe0KceFGQDrWPJ1sFqJi/wIDAQAB";
/// Signatures of [`TEXT`] by `openssl dgst -sign`, with SHA-256, SHA-384 and SHA-512.
const PKCS1: [&str; 3] = [
    "Yd2ulX5ucp2Xj2nRJap06GgvnHCT7pNhWIPWmoDqCkpL0rpRojG0HOJlnFPt84kybsUST82fpJ+w6iwjGb63LLAlIX6gFBnJf++mzZlzrawPsJ\
      Ixmvinkxa3FNKCu19YMznowhBL8XYtexi8PYzkJTTuDqJQ69vinUCbkr1qiidE5UxjT+NWBnzgeI1lnmzezo1X4xB0rhMubFgO66yPpSi5pS/I\
      +KFBPN6bcOAka9z41zVHRNpPsJrv4AtlMIf2+mj/X9E+6ThbJmnijB2z2FHKlqbMZPpyC6FihjBcw8rENcNALnpw5lW3lNYr02Ssg2kwT2UsnP\
      efOfMhCcnDdA==",
    "NxptVEG8zZwL/AG8cV4Nuq/yF1JlyS8Pcpw945xU4D3DIfKFaZE2p98s/dSqGXLXAikF4AsbCNGOjsG7D55wPTs4DZeqjsxwiA+0KTG/WTPrmT\
      Ii9OkyZl2u2IYnaZZfNBAqLanjnjfXnWwfbobIPhmetB7R7SUcbFv70fw/9NE6KXlOfsH/o6iOeV2qSa5/nNEHs3CPOH9NC1pCCbZ6URvEELci\
      w62nBA3JojUF8WVODxryaLiuHe7jM/7Z4tpEEEd4NDpR5hrP8V+ySRBPVPO58SmKMSXv6vSF8iaYTM1klq4jJXYKg5bqnF7rN27Dr0xDWRp0JS\
      Lo/YiEBx2Zig==",
    "EguaDoT3DS36GUh2j3OxHexFnLdRNz9IOnz0KanIvuJ3/9rcErM8OemcQ1H8CjNAPSAkmA27XDrwWJRicDrzbHwLxhUpeJr2v0p6qMGa0pELKL\
      np6lC+ajKNT+XhB7TV9tgh7BavU10zj4ThhldgAtlQ/8j3o8ZzmNVj4cOe09xiJsRf9UxTG0n8hAeq0xW7/ISMJoo1HAAOWHRncbjL8Gr7mFF/\
      1ms26dzXGMjuQpyllHh/7mQYTAR0pDD/gjOCokvBRqMbArXcmg4OvsyH9srZdioDBUD7Z580ONWJ6uuVqWpgiGUBXQuImTFaEGfP5qKCqA+Ae/\
      CukECun9+jqw==",
];
/// Signatures of [`TEXT`] by `openssl dgst -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sign`, with
/// SHA-256, SHA-384 and SHA-512.
const PSS: [&str; 3] = [
    "WRHmd0XXjb9Jm7ff9G70SJOF97bgqKxwB7wCpuqqYwqSjzslvFZNaRe5qldcrN7NgI1u5Ho7p4to1YGG/f4nQ3YwR2+HAo1szi9J4xuEpkdAm7\
      DLEkIQSwgnwnQnMTLRWTDBVHBOOsYoxOYBShcBtxChHRDYalQaQlrZPZuNF+89GhrexU3Fi+dsh1dVwnvtd7hyvj51G8SidSCowbO3mDN5WcPf\
      IP39waLwYychMZQOqklKh5REeckP6tub34Gmm+xKhctGKgGkZtHMCugBP6IWanAJlQuOb5YrQEqOMXQO8tz2oEAU+EBV+1TuidAtKNBdYxmJDZ\
      0Zo3nGVh0/gQ==",
    "Br3l4UXuMOxWYw4ivqMGirWgz1JBxHaBT69MEeHTpI3DH5iVSxhjHzRfysdKS+N2GOqDgDVyKVv1/yjRvbP/GR6pd3c8OAPbEVQikmaomwaiLN\
      cXkpZY2CWvR0KECzllRPRhPtJz99bYnGfzMe8RSGg1yzkWsTw2uZA8oVpEJfofc5kZwlsLsxPK+QhbwcQN6FjG+uvMYujgFV/sk6KkH6w+UJld\
      wR59WUWlB1tXZVW83kWSaI8gSOxMZA9nX/NF1+UK/l0baJW036bNZgCnPUuwU23yz6rWJhdll8YRiO65xHebPbt3evPK139Yf0XXp6dJHjOeSh\
      6ZAVRtT8RWWQ==",
    "ca0eYRYq3XAmSXX9Wq/lM6poEZIt7iuMCsvSS5dHGcVSLdWx3lF3jHGbVbsJHOlyR5fW+n43YR3wbfxk6X/8nLZ5Q1uxZi3YVbA9Fd7jVTwwca\
      mkfDzUe9p0FR3hMWmYSlQ+Q7AeVvJP7DDBIH2cXHnofUyUjPaf4iNbfqJrSdSGI5wNCSxysYxf+6YOQc7qCGXwrKrUVxtF6WZ0tKqqqh5C7v+d\
      sTeGBvmzJEOLqwgAVOarScLOdgxY90OUw2BbVHRdcqQ7Lvoh+zkZHMCuBPjnNKBoeg4bkUSEtPlDw+8slhaZglZ9oe0SSB0+vWZvgQZJde9r7S\
      bMB0wL2Xs/CQ==",
];
/// The primes of a key of 2049 bits: its PSS encoding is a byte shorter than the modulus.
const ODD: [&str; 2] = [
    "1af0c3badb82298b5b573d15fa6424a500ded7e6aeaebb5e51f0485b5052535d31972cdb7a92832c738dd923f6e8c91cf45e83b7832fdb\
      857dd2925e92df275ce93305fb8f560b0c29e743a24fe9a77afca23bb917c15938908d6ed5978ae76e1b92defbbf6f4dec5753bef72844\
      b1fbe85665a21ffbe26183ae841b5c15a8147",
    "ca0127da7a6058531e4b9834190eaae644e9cabec0c9ae271023fbc56bec3f41b20670041b5dcca3fb32fee5232acbaffea98d8ddd4f79\
      f1f254e775ea3e6c3fefc3caf7821e56c39108460b242a81ece2d90637058d8e3006633c2409a1c9edb8fe41c27985415bd748398f8cd8\
      8bc571aa3dd928e8e7a53fb25ec8752213cf",
];

fn private() -> PrivateKey {
    PrivateKey::from_pkcs1_pem(KEY).unwrap()
}

fn odd() -> PrivateKey {
    let [p, q] = ODD.map(|prime| BoxedUint::from_str_radix_vartime(prime, 16).unwrap());
    PrivateKey::from_p_q(p, q, BoxedUint::from(65537_u32)).unwrap()
}

fn modulus(key: &PrivateKey) -> Vec<u8> {
    der::without_zeros(&key.n().to_be_bytes()).to_vec()
}

fn public(key: &PrivateKey) -> RsaKey {
    RsaKey::new(&modulus(key), &key.e().to_be_bytes()).unwrap()
}

fn padded(bytes: &[u8], length: usize) -> Vec<u8> {
    [vec![0; length - bytes.len()], bytes.to_vec()].concat()
}

/// Signs an encoding without a check. It must be below the modulus.
fn sign(key: &PrivateKey, encoded: &[u8]) -> Vec<u8> {
    let size = key.size();
    assert!(padded(encoded, size) < modulus(key));
    let to_the_private_exponent = PublicKey::new_unchecked(key.n().as_ref().clone(), key.d().clone());
    let encoded = BoxedUint::from_be_slice(encoded, key.n().bits_precision()).unwrap();
    let signature = rsa_encrypt(&to_the_private_exponent, &encoded).unwrap();
    padded(der::without_zeros(&signature.to_be_bytes()), size)
}

fn digest(hash: HashFunction, parts: &[&[u8]]) -> Vec<u8> {
    let text = parts.concat();
    match hash {
        HashFunction::Sha256 => Sha256::digest(text).to_vec(),
        HashFunction::Sha384 => Sha384::digest(text).to_vec(),
        HashFunction::Sha512 => Sha512::digest(text).to_vec(),
    }
}

/// MGF1 (RFC 8017, B.2.1), without an end.
fn mask(hash: HashFunction, seed: &[u8]) -> impl Iterator<Item = u8> {
    (0_u32..).flat_map(move |counter| digest(hash, &[seed, &counter.to_be_bytes()]))
}

/// EMSA-PSS-ENCODE (RFC 8017, 9.1.1) with a change to each of its parts: the block before the mask, the check, and the
/// whole.
struct PssEncoder {
    bits: usize,
    salt: Vec<u8>,
    block: fn(&mut Vec<u8>),
    check: fn(&mut Vec<u8>),
    encoded: fn(&mut Vec<u8>),
}

impl PssEncoder {
    fn new(key: &PrivateKey, hash: HashFunction) -> Self {
        let bits = key.n().bit_width_vartime() as usize - 1;
        Self { bits, salt: digest(hash, &[b"salt"]), block: |_| (), check: |_| (), encoded: |_| () }
    }

    fn encode(&self, hash: HashFunction, text: &[u8]) -> Vec<u8> {
        let text = digest(hash, &[text]);
        let mut check = digest(hash, &[&[0; 8], &text, &self.salt]);
        (self.check)(&mut check);
        let length = self.bits.div_ceil(8) - check.len() - 1;
        let mut block = vec![0; length - self.salt.len() - 1];
        block.push(1);
        block.extend_from_slice(&self.salt);
        (self.block)(&mut block);
        let mut encoded: Vec<u8> = block.iter().zip(mask(hash, &check)).map(|(byte, mask)| byte ^ mask).collect();
        encoded[0] &= 0xff >> (self.bits.div_ceil(8) * 8 - self.bits);
        encoded.extend(check);
        encoded.push(0xbc);
        (self.encoded)(&mut encoded);
        encoded
    }
}

#[test]
fn rsa_signatures_of_openssl_verify_and_altered_ones_fail() {
    let key = public(&private());
    assert_eq!(key.spki(), STANDARD.decode(SPKI).unwrap());
    for (hash, (pkcs1, pss)) in HASHES.into_iter().zip(PKCS1.into_iter().zip(PSS)) {
        let (pkcs1, pss) = (STANDARD.decode(pkcs1).unwrap(), STANDARD.decode(pss).unwrap());
        assert!(key.has_signed_pkcs1(hash, TEXT, &pkcs1) && key.has_signed_pss(hash, TEXT, &pss), "{hash:?}");
        assert!(!key.has_signed_pkcs1(hash, TEXT, &pss) && !key.has_signed_pss(hash, TEXT, &pkcs1), "{hash:?}");
        assert!(!key.has_signed_pkcs1(hash, b"", &pkcs1) && !key.has_signed_pss(hash, b"", &pss), "{hash:?}");
        for other in HASHES.into_iter().filter(|other| *other != hash) {
            assert!(!key.has_signed_pkcs1(other, TEXT, &pkcs1) && !key.has_signed_pss(other, TEXT, &pss), "{hash:?}");
        }
        for place in [0, 1, 100, 254, 255] {
            for bit in [1, 0x80] {
                let altered = |signature: &[u8]| {
                    let mut signature = signature.to_vec();
                    signature[place] ^= bit;
                    signature
                };
                assert!(!key.has_signed_pkcs1(hash, TEXT, &altered(&pkcs1)), "{hash:?} {place}");
                assert!(!key.has_signed_pss(hash, TEXT, &altered(&pss)), "{hash:?} {place}");
            }
        }
    }
}

#[test]
fn an_rsa_signature_is_below_the_modulus_and_of_its_length() {
    let (key, n) = (public(&private()), modulus(&private()));
    let signature = STANDARD.decode(PSS[0]).unwrap();
    let number = BoxedUint::from_be_slice_vartime;
    let one_more = (number(&padded(&signature, 264)) + number(&padded(&n, 264))).to_be_bytes();
    let one_more = der::without_zeros(&one_more);
    let mut last = n.clone();
    last[255] -= 1;
    let [zero, one] = [vec![0; 256], padded(&[1], 256)];
    let short: &[u8] = &signature[1..];
    let long = padded(&signature, 257);
    for wrong in [&[], short, &long, &zero, &one, &last, &n, one_more, &[0xff; 256]] {
        assert!(!key.has_signed_pss(HashFunction::Sha256, TEXT, wrong), "{wrong:02x?}");
        assert!(!key.has_signed_pkcs1(HashFunction::Sha256, TEXT, wrong), "{wrong:02x?}");
    }
}

#[test]
fn a_pss_encoding_with_any_wrong_part_is_refused() {
    type Change = fn(&mut PssEncoder);
    let wrong: [(&str, Change); 14] = [
        ("trailer", |it| it.encoded = |encoded| *encoded.last_mut().unwrap() = 0xcc),
        ("check", |it| it.check = |check| check[0] ^= 1),
        ("end of the check", |it| it.check = |check| *check.last_mut().unwrap() ^= 0x80),
        ("first zero", |it| it.block = |block| block[0] = 1),
        ("one in the zeros", |it| it.block = |block| block[9] = 1),
        ("no one", |it| it.block = |block| *block.iter_mut().find(|byte| **byte == 1).unwrap() = 0),
        ("another one", |it| it.block = |block| *block.iter_mut().find(|byte| **byte == 1).unwrap() = 0x81),
        ("another salt than checked", |it| it.block = |block| *block.last_mut().unwrap() ^= 1),
        ("empty salt", |it| it.salt.clear()),
        ("short salt", |it| it.salt.truncate(20)),
        ("salt a byte short", |it| it.salt.truncate(it.salt.len() - 1)),
        ("salt a byte long", |it| it.salt.push(7)),
        ("masked block", |it| it.encoded = |encoded| encoded[1] ^= 4),
        ("nothing but zeros", |it| it.encoded = |encoded| encoded.fill(0)),
    ];
    for private in [private(), odd()] {
        let key = public(&private);
        for hash in HASHES {
            let right = PssEncoder::new(&private, hash);
            let is_pss = |encoded: &[u8]| key.has_signed_pss(hash, TEXT, &sign(&private, encoded));
            assert!(is_pss(&right.encode(hash, TEXT)), "{hash:?}");
            assert!(!is_pss(&right.encode(hash, b"something else")), "{hash:?}");
            for (name, change) in wrong {
                let mut encoder = PssEncoder::new(&private, hash);
                change(&mut encoder);
                assert!(!is_pss(&encoder.encode(hash, TEXT)), "{name} {hash:?}");
            }
        }
    }
}

#[test]
fn a_pss_encoding_with_extra_leading_bits_is_refused() {
    // Key of 2048 bits: the encoding has 2047, so the top bit of its first byte is zero. Key of 2049 bits: the encoding
    // has 2048, so the byte before it is zero.
    for (private, beyond) in [(private(), 0x80), (odd(), 1)] {
        let (key, hash) = (public(&private), HashFunction::Sha256);
        // A salt for which the wrong encoding is below the modulus, so that it can be signed.
        let (right, wrong) = (0_u8..=255)
            .map(|salt| {
                let encoder = PssEncoder { salt: vec![salt; 32], ..PssEncoder::new(&private, hash) };
                let right = padded(&encoder.encode(hash, TEXT), private.size());
                let mut wrong = right.clone();
                wrong[0] |= beyond;
                (right, wrong)
            })
            .find(|(_, wrong)| *wrong < modulus(&private))
            .unwrap();
        assert!(key.has_signed_pss(hash, TEXT, &sign(&private, &right)));
        assert!(!key.has_signed_pss(hash, TEXT, &sign(&private, &wrong)));
    }
}

#[test]
fn a_pkcs1_encoding_must_match_byte_for_byte() {
    let key = private();
    let digest = digest(HashFunction::Sha256, &[TEXT]);
    let info = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    let encoded = |start: &[u8], padding: usize, info: &[u8], rest: &[u8]| {
        [start, &vec![0xff; padding], &[0], info, &digest, rest].concat()
    };
    let cases: [(&str, Vec<u8>, bool); 7] = [
        ("right", encoded(&[0, 1], 202, info, b""), true),
        ("another block type", encoded(&[0, 2], 202, info, b""), false),
        // Bleichenbacher 2006: short padding leaves room behind the digest for bytes that make the number a cube.
        ("rest behind the digest", encoded(&[0, 1], 8, info, &[7; 194]), false),
        ("a byte behind the digest", encoded(&[0, 1], 201, info, b"\0"), false),
        (
            "no parameters",
            encoded(&[0, 1], 204, b"\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20", b""),
            false,
        ),
        ("no DigestInfo", encoded(&[0, 1], 221, b"", b""), false),
        ("zero in the padding", encoded(&[0, 1, 0xff, 0], 200, info, b""), false),
    ];
    for (name, encoded, expected) in cases {
        assert_eq!(encoded.len(), 256, "{name}");
        let signature = sign(&key, &encoded);
        assert_eq!(public(&key).has_signed_pkcs1(HashFunction::Sha256, TEXT, &signature), expected, "{name}");
    }
}

#[test]
fn weak_rsa_keys_are_refused() {
    let n = modulus(&private());
    let exponents: [(&[u8], bool); 10] = [
        (&[1, 0, 1], true),
        (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 3], true),
        (&[1, 0xff, 0xff, 0xff, 0xff], true),
        (&[2, 0, 0, 0, 1], false),
        (&[1, 0, 0, 0, 0, 0, 0, 0, 3], false),
        (&[1, 0, 0], false),
        (&[2], false),
        (&[1], false),
        (&[0], false),
        (&[], false),
    ];
    for (exponent, expected) in exponents {
        assert_eq!(RsaKey::new(&n, exponent).is_some(), expected, "{exponent:?}");
    }
    let mut even = n.clone();
    even[255] ^= 1;
    let moduli: [(&str, Vec<u8>, bool); 8] = [
        ("zeros in front", padded(&n, 300), true),
        ("8192 bits", vec![0xff; 1024], true),
        ("more bits", vec![0xff; 1025], false),
        ("8193 bits", [vec![1], vec![0xff; 1024]].concat(), false),
        ("2047 bits", [vec![0x7f], vec![0xff; 255]].concat(), false),
        ("even", even, false),
        ("zero", vec![0; 256], false),
        ("nothing", Vec::new(), false),
    ];
    for (name, modulus, expected) in moduli {
        assert_eq!(RsaKey::new(&modulus, &[1, 0, 1]).is_some(), expected, "{name}");
    }
    assert_eq!(RsaKey::new(&padded(&n, 300), &[1, 0, 1]).unwrap().size(), 256);
}
