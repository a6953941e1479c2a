//! Answers of our own: redirects, pages for people, JSON for programs, and the module for scripts.

pub(super) mod caller;

mod refusal;
mod reply;

pub(super) use refusal::{
    Offer, bug, headers_refused, misrouted, refuse, refuse_user, refuse_with_page, route_changed,
};
pub(super) use reply::{Redirect, empty, framed, json, page, redirect, script, with_cookies};
