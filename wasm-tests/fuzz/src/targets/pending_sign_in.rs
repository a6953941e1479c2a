//! A pending sign-in and its `state`: the input is the plaintext of the seal.

use vestibule::session::{
    pending::{PendingSignIn, State},
    seal::Purpose,
};

use crate::{
    fixture::{Host, config},
    targets::return_to::check,
};

const NAME: &str = "__Host-vestibule-p-x";

pub(crate) fn run(bytes: &[u8]) {
    let (config, host) = (config(), Host::default());
    let (sealer, targets) = (&config.session.sealer, config.return_targets());
    // Neither opens without a seal, or with the seal of another purpose or name.
    assert!(PendingSignIn::open(NAME, bytes, sealer, targets).is_none());

    let sealed = sealer.seal(Purpose::State, "state", bytes, &host).expect("there is randomness");
    assert!(PendingSignIn::open(NAME, sealed.as_bytes(), sealer, targets).is_none());
    if let Some(state) = State::open(&sealed, sealer, targets) {
        check(&state.return_to, config);
    }

    let sealed = sealer.seal(Purpose::PendingSignIn, NAME, bytes, &host).expect("there is randomness");
    assert!(State::open(&sealed, sealer, targets).is_none());
    assert!(PendingSignIn::open("__Host-vestibule-p-y", sealed.as_bytes(), sealer, targets).is_none());
    let Some(pending) = PendingSignIn::open(NAME, sealed.as_bytes(), sealer, targets) else { return };
    check(&pending.state.return_to, config);
    assert!(!pending.nonce.expose().is_empty() && !pending.verifier.expose().is_empty());
    let sealed = pending.seal(NAME, sealer, &host).expect("there is randomness");
    let again = PendingSignIn::open(NAME, sealed.as_bytes(), sealer, targets).expect("what was sealed opens");
    assert_eq!(again.state, pending.state);

    let parameter = pending.state_parameter(sealer, &host).expect("there is randomness");
    assert!(parameter.len() < 512);
    let state = State::open(&parameter, sealer, targets).expect("what was sealed opens");
    assert!(pending.matches(&state).is_some() && state.provider == pending.state.provider);
}
