//! Faulty answers of an endpoint.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::sleep,
    time::Duration,
};

use serde_json::Value;

use crate::http1::{Connection, Outcome, response};

/// Longer than any timeout of the tests; a hanging thread dies with its connection or after this.
const FOREVER: Duration = Duration::from_secs(60);

/// Holds answers back until it is opened. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everything pass from now on.
    pub fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open.
    pub(crate) fn pass(&self) {
        let closed = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.1.wait_while(closed, |is_open| !*is_open));
    }
}

/// An answer in place of, or on top of, the proper response of an endpoint.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The proper response, once this gate is open.
    Behind(Gate),
    /// This status and body.
    Body {
        /// The status code.
        status: u16,
        /// `Content-Type`
        content_type: &'static str,
        /// The body.
        body: Vec<u8>,
    },
    /// Chunk after chunk, without an end.
    ChunkedForever,
    /// The proper JSON, changed.
    Edited(fn(&mut Value)),
    /// Nothing at all.
    Hang,
    /// The proper response with these lines among its headers.
    Headers(Vec<u8>),
    /// These bytes as they are, then the connection is closed.
    Raw(Vec<u8>),
    /// The proper response, with a byte order mark before its body.
    Marked,
    /// A redirect to this place.
    Redirect(String),
    /// A reset before any byte.
    ResetBeforeHeaders,
    /// A reset in the middle of the body.
    ResetMidBody,
    /// The proper response, a byte every 100 ms.
    Slow,
    /// The head, then nothing.
    StallAfterHeaders,
    /// The proper response, after this time.
    Late(Duration),
}

impl Answer {
    /// This status, with a short page.
    pub fn status(status: u16) -> Self {
        Self::Body { status, content_type: "text/html", body: b"<h1>Sorry</h1>".to_vec() }
    }

    /// This JSON text.
    pub fn json(status: u16, text: impl Into<Vec<u8>>) -> Self {
        Self::Body { status, content_type: "application/json", body: text.into() }
    }

    /// A JSON string of this many bytes.
    pub fn huge(length: usize) -> Self {
        Self::json(200, format!("{{\"padding\":\"{}\"}}", "x".repeat(length)))
    }

    /// Arrays within arrays.
    pub fn nested(depth: usize) -> Self {
        Self::json(200, "[".repeat(depth) + &"]".repeat(depth))
    }

    pub(crate) fn give(self, proper: impl FnOnce() -> Vec<u8>, connection: &mut Connection) -> Outcome {
        let sent = match self {
            Self::Behind(gate) => {
                gate.pass();
                connection.send(&proper())
            }
            Self::Body { status, content_type, body } => {
                connection.send(&response(status, &[("content-type", content_type)], &body))
            }
            Self::ChunkedForever => {
                let mut sent = connection
                    .send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
                let chunk = [&b"1000\r\n"[..], &[b' '; 0x1000], b"\r\n"].concat();
                while sent.is_ok() {
                    sleep(Duration::from_millis(1));
                    sent = connection.send(&chunk);
                }
                sent
            }
            Self::Edited(edit) => connection.send(&edited(&proper(), edit)),
            Self::Hang => {
                connection.wait_for_close(FOREVER);
                return Outcome::Close;
            }
            Self::Headers(lines) => {
                let proper = proper();
                let at = proper.windows(2).position(|window| window == b"\r\n").expect("a status line") + 2;
                connection.send(&[&proper[..at], &lines, &proper[at..]].concat())
            }
            Self::Marked => {
                let proper = proper();
                let marked = [b"\xef\xbb\xbf", &proper[body_of(&proper)..]].concat();
                connection.send(&response(200, &[("content-type", "application/json")], &marked))
            }
            Self::Raw(bytes) => {
                let _ = connection.send(&bytes);
                return Outcome::Close;
            }
            Self::Redirect(target) => connection.send(&response(302, &[("location", &target)], b"")),
            Self::ResetBeforeHeaders => return Outcome::Reset,
            Self::ResetMidBody => {
                let proper = proper();
                let _ = connection.send(&proper[..proper.len() - 10]);
                // The client must read the head before the reset discards unread bytes.
                sleep(Duration::from_millis(50));
                return Outcome::Reset;
            }
            Self::Slow => {
                let mut sent = Ok(());
                for byte in proper() {
                    sent = sent.and_then(|()| connection.send(&[byte]));
                    if sent.is_err() {
                        break;
                    }
                    sleep(Duration::from_millis(100));
                }
                sent
            }
            Self::StallAfterHeaders => {
                let _ = connection
                    .send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n");
                connection.wait_for_close(FOREVER);
                return Outcome::Close;
            }
            Self::Late(delay) => {
                sleep(delay);
                connection.send(&proper())
            }
        };
        super::finish(sent)
    }
}

fn body_of(proper: &[u8]) -> usize {
    proper.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole response") + 4
}

fn edited(proper: &[u8], edit: fn(&mut Value)) -> Vec<u8> {
    let mut body = serde_json::from_slice(&proper[body_of(proper)..]).expect("a response in JSON");
    edit(&mut body);
    super::json_response(200, &body)
}
