mod callback;
mod callers;
mod id_token;
mod identity;
mod properties;
mod providers;
mod sign_in;
mod world;
