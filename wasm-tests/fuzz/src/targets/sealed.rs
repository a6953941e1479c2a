//! A seal: it opens for its purpose and label alone, and no other text opens.

use arbitrary::{Arbitrary, Unstructured};
use vestibule::session::seal::{Purpose, sealed_len};

use crate::fixture::{Host, config};

const PURPOSES: [Purpose; 4] = [Purpose::PendingSignIn, Purpose::Session, Purpose::State, Purpose::StoredSession];

pub(crate) fn run(bytes: &[u8]) {
    // A text from a client, such as a cookie, does not open without our key.
    let sealer = &config().session.sealer;
    assert!(PURPOSES.iter().all(|purpose| sealer.open(*purpose, "label", bytes).is_none()));
    let _ = altered(&mut Unstructured::new(bytes));
}

/// Seals something, and alters the text as the input says.
fn altered(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let (sealer, host) = (&config().session.sealer, Host::default());
    let (purpose, other_purpose) = (*input.choose(&PURPOSES)?, *input.choose(&PURPOSES)?);
    let (label, other_label) = (<&str>::arbitrary(input)?, <&str>::arbitrary(input)?);
    let plaintext = <&[u8]>::arbitrary(input)?;
    let sealed = sealer.seal(purpose, label, plaintext, &host).expect("there is randomness");
    assert_eq!(sealed.len(), sealed_len(plaintext.len()));
    assert!(!sealer.has_retired_key(sealed.as_bytes()));
    let opened = sealer.open(other_purpose, other_label, sealed.as_bytes());
    if purpose == other_purpose && label == other_label {
        assert_eq!(opened.expect("what was sealed opens").as_slice(), plaintext);
    } else {
        assert!(opened.is_none());
    }

    let mut text = sealed.clone().into_bytes();
    while !input.is_empty() && !text.is_empty() {
        let place = input.choose_index(text.len())?;
        match u8::arbitrary(input)? {
            0 => drop(text.remove(place)),
            1 => text.truncate(place),
            byte => text[place] = byte,
        }
    }
    if let Some(opened) = sealer.open(purpose, label, &text) {
        assert_eq!((opened.as_slice(), text.as_slice()), (plaintext, sealed.as_bytes()));
    }
    Ok(())
}
