//! Punycode (RFC 3492), the part of a label behind `xn--`.

use alloc::vec::Vec;

/// The longest text that is read, far beyond the 63 bytes of DNS.
const MAX: usize = 2000;
/// The longest label that it may stand for.
const MAX_LABEL: usize = 1000;

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 0x80;

/// Whether this is the Punycode of a label with characters outside ASCII, in lower case.
pub(crate) fn is_valid(text: &str) -> bool {
    // The part behind the last hyphen encodes the characters outside ASCII; a joiner needs a character before it.
    let is_label = |label: Vec<char>| {
        label.len() <= MAX_LABEL
            && !matches!(label.first(), None | Some('\u{200c}' | '\u{200d}'))
            && !label.contains(&char::REPLACEMENT_CHARACTER)
    };
    text.len() <= MAX && !text.ends_with('-') && decode(text).is_some_and(is_label)
}

/// RFC 3492, 6.2
fn decode(text: &str) -> Option<Vec<char>> {
    let (basic, rest) = text.rsplit_once('-').filter(|(basic, _)| !basic.is_empty()).unwrap_or(("", text));
    let mut label: Vec<char> = basic.chars().collect();
    let (mut n, mut place, mut bias) = (INITIAL_N, 0_u32, INITIAL_BIAS);
    let mut digits = rest.chars().map(digit).peekable();
    while digits.peek().is_some() {
        let (before, mut weight, mut k) = (place, 1_u32, BASE);
        loop {
            let digit = digits.next()??;
            place = place.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
            k += BASE;
        }
        let length = u32::try_from(label.len()).ok()? + 1;
        bias = adapt(place - before, length, before == 0);
        n = n.checked_add(place / length)?;
        place %= length;
        label.insert(usize::try_from(place).ok()?, char::from_u32(n)?);
        place += 1;
    }
    Some(label)
}

const fn digit(char: char) -> Option<u32> {
    match char {
        'a'..='z' => Some(char as u32 - 'a' as u32),
        '0'..='9' => Some(char as u32 - '0' as u32 + 26),
        _ => None,
    }
}

/// RFC 3492, 6.1
const fn adapt(delta: u32, length: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / DAMP } else { delta / 2 };
    delta += delta / length;
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    #[test]
    fn decodes_the_punycode_samples_of_rfc_3492() {
        // RFC 3492, 7.1, and shorter ones.
        let labels = [
            ("egbpdaj6bu4bxfgehfvwxn", "ليهمابتكلموشعربي؟"),
            ("ihqwcrb4cv8a8dqg056pqjye", "他们为什么不说中文"),
            ("proprostnemluvesky-uyb24dma41a", "pročprostěnemluvíčesky"),
            ("b1abfaaepdrnnbgefbadotcwatmq2g4l", "почемужеонинеговорятпорусски"),
            ("3b-ww4c5e180e575a65lsy2b", "3年b組金八先生"),
            ("majikoi5-qd4gq601av3se", "majiでkoi5秒前"),
            ("and-x-nta0e", "ñandú-x"),
            ("mnchen-3ya", "münchen"),
            ("tda", "ü"),
        ];
        for (text, label) in labels {
            assert_eq!(decode(text).map(String::from_iter).as_deref(), Some(label));
            assert!(is_valid(text), "{text}");
        }
    }

    #[test]
    fn refuses_malformed_punycode() {
        let joiner_first = "1ug";
        let too_long = "a".repeat(MAX + 1);
        for text in ["", "-", "abc-", "-tda", "z", "99999999", "t!a", "zn7c", joiner_first, &too_long] {
            assert!(!is_valid(text), "{text}: {:?}", decode(text));
        }
    }
}
