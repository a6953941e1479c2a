//! The kinds of visits: what is sent, and what answers are right for it at that moment.

mod ask;
mod cut;
mod pages;
mod sign_in;
mod sign_out;
mod tokens;

use std::time::Instant;

use fastrand::Rng;

use crate::{client::Client, measures::Latency, plan::SESSIONS, soak::Soak};

/// What came of a visit, or why that is wrong.
type Checked = Result<&'static str, String>;

/// A kind of visit.
struct Kind {
    name: &'static str,
    /// How often it is chosen, in relation to the others.
    weight: u32,
    /// How its latency counts.
    latency: Latency,
    visit: fn(&mut Visitor<'_>) -> Checked,
}

const fn kind(name: &'static str, weight: u32, visit: fn(&mut Visitor<'_>) -> Checked) -> Kind {
    Kind { name, weight, latency: Latency::Free, visit }
}

const fn steady(name: &'static str, weight: u32, visit: fn(&mut Visitor<'_>) -> Checked) -> Kind {
    Kind { name, weight, latency: Latency::Steady, visit }
}

/// Every kind. The first is also what fills up the sessions.
const KINDS: [Kind; 32] = [
    kind("sign-in", 2, sign_in::whole),
    Kind {
        name: "refused by Envoy before the filter",
        weight: 60,
        latency: Latency::Control,
        visit: pages::before_the_filter,
    },
    steady("public page", 250, pages::public),
    steady("session, page", 200, pages::page),
    steady("session, script", 160, pages::script),
    steady("session, image", 60, pages::image),
    kind("session, four tabs at once", 10, pages::tabs),
    kind("session, user information", 10, pages::userinfo),
    kind("session, HTTP/2", 4, pages::http2),
    kind("public page, HTTP/2", 4, pages::public_http2),
    steady("session, claims to be another user", 20, pages::spoofed),
    steady("public page, large headers", 10, pages::large_headers),
    steady("headers too large for Envoy", 2, pages::too_large_headers),
    steady("no session, program", 30, pages::without_session_program),
    steady("no session, image", 20, pages::without_session_image),
    kind("no session, page: a sign-in abandoned", 20, sign_in::abandoned),
    steady("no session, path that is closed to all", 10, pages::closed),
    kind("no session, form", 10, pages::form),
    steady("session expired or signed out", 20, pages::over),
    steady("tampered session", 20, pages::tampered),
    kind("path that is public by turns", 20, pages::flip),
    kind("sign-in, forged state", 4, sign_in::forged_state),
    kind("sign-in, callback in another browser", 4, sign_in::other_browser),
    kind("sign-in, callback twice", 4, sign_in::replayed),
    kind("sign-out, and copies 3 s later", 2, sign_out::by_user),
    kind("back-channel logout", 2, sign_out::by_provider),
    kind("back-channel logout, forged", 2, sign_out::forged),
    steady("token, seen", 100, tokens::seen),
    kind("token, new", 10, tokens::fresh),
    kind("token, invalid", 20, tokens::invalid),
    kind("token, signature of another key", 2, tokens::bad_signature),
    kind("connection cut", 12, cut::any),
];

/// One client.
pub struct Visitor<'a> {
    soak: &'a Soak,
    client: Client,
    rng: Rng,
    /// The number of the visit.
    number: u64,
}

impl<'a> Visitor<'a> {
    /// A client of this run.
    pub fn new(soak: &'a Soak) -> Self {
        Self { soak, client: Client::new(soak.port()), rng: Rng::with_seed(0), number: 0 }
    }

    /// Makes the visit of this number, whose kind follows from it and from the seed.
    pub fn visit(&mut self, number: u64) {
        self.number = number;
        self.rng = Rng::with_seed(self.soak.plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        let kind = self.choose();
        let begun = Instant::now();
        match (kind.visit)(self) {
            Ok(outcome) => self.soak.measures.add(kind.name, kind.latency, outcome, begun.elapsed()),
            Err(wrong) => {
                let seed = self.soak.plan.seed;
                self.soak.fail(format!("visit {number} of seed {seed}, {}: {wrong}", kind.name));
            }
        }
    }

    fn choose(&mut self) -> &'static Kind {
        // At the start, and as sessions end.
        if self.soak.users.count() < SESSIONS && self.rng.u8(0..8) == 0 {
            return &KINDS[0];
        }
        let all: u32 = KINDS.iter().map(|kind| kind.weight).sum();
        let mut at = self.rng.u32(0..all);
        let chosen = KINDS.iter().find(|kind| {
            let is_here = at < kind.weight;
            at = at.saturating_sub(kind.weight);
            is_here
        });
        chosen.expect("a number below the sum of all weights")
    }
}
