//! One file for each parser.

mod access_token;
mod callback_query;
mod configuration;
mod cookie_header;
mod discovery;
mod flow;
mod header_map;
mod id_token;
mod introspection;
mod jwks;
mod jws;
mod logout_token;
mod pending_sign_in;
mod private_key;
mod provisioning;
mod pushed_response;
mod record;
mod return_to;
mod rule_path;
mod sealed;
mod security_event;
mod session;
mod store;
mod token_response;
mod userinfo;

use crate::Target;

/// Every target, by name.
pub(crate) const ALL: &[(&str, Target)] = &[
    ("access_token", access_token::run),
    ("callback_query", callback_query::run),
    ("configuration", configuration::run),
    ("cookie_header", cookie_header::run),
    ("discovery", discovery::run),
    ("flow", flow::run),
    ("header_map", header_map::run),
    ("id_token", id_token::run),
    ("introspection", introspection::run),
    ("jwks", jwks::run),
    ("jws", jws::run),
    ("logout_token", logout_token::run),
    ("pending_sign_in", pending_sign_in::run),
    ("private_key", private_key::run),
    ("provisioning", provisioning::run),
    ("pushed_response", pushed_response::run),
    ("record", record::run),
    ("return_to", return_to::run),
    ("rule_path", rule_path::run),
    ("sealed", sealed::run),
    ("security_event", security_event::run),
    ("session", session::run),
    ("store", store::run),
    ("token_response", token_response::run),
    ("userinfo", userinfo::run),
];
