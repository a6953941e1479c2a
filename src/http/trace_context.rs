//! The trace that a request belongs to, for the calls that are made for it: W3C Trace Context, or B3 as Zipkin sends it. A client
//! can write these headers, so only values of the right form are passed on. `baggage` never is: it may hold anything.

use std::rc::Rc;

/// Length of `traceparent` in version 00 (Trace Context, 3.2.2).
const PARENT_LENGTH: usize = 55;
/// Upper bound of `tracestate`: a participant must pass on this many bytes, and may drop longer values (Trace Context, 3.3.1.5).
const MAX_STATE: usize = 512;
/// Upper bound of a B3 value: two ids of 32 and 16 digits, the sampling state and the parent's id.
const MAX_B3: usize = 32 + 1 + 16 + 1 + 1 + 1 + 16;
/// The headers of B3 beside `b3` and `x-b3-traceid`.
const B3: [&str; 4] = ["x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"];

/// The headers that carry a trace; empty where there is none.
pub type TraceContext = Rc<Vec<(&'static str, String)>>;

/// Reads the trace of a request; `header` gives the value of a header by its name.
pub fn trace_context(header: &dyn Fn(&str) -> Option<Vec<u8>>) -> TraceContext {
    let read = |name: &'static str, is_valid: fn(&[u8]) -> bool| {
        let value = header(name).filter(|value| is_valid(value))?;
        Some((name, String::from_utf8(value).ok()?))
    };
    let first = read("traceparent", is_parent).or_else(|| read("b3", is_b3)).or_else(|| read("x-b3-traceid", is_b3));
    let Some(first) = first else { return TraceContext::default() };
    let mut headers = Vec::new();
    match first.0 {
        "traceparent" => headers.extend(read("tracestate", is_state)),
        "x-b3-traceid" => B3.into_iter().for_each(|name| headers.extend(read(name, is_b3))),
        _ => {}
    }
    headers.push(first);
    Rc::new(headers)
}

/// Whether this is `traceparent` of version 00 (Trace Context, 3.2.2).
fn is_parent(value: &[u8]) -> bool {
    let is_right = |(at, byte): (usize, &u8)| match at {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    let is_set = |id: Option<&[u8]>| id.is_some_and(|id| id.iter().any(|digit| *digit != b'0'));
    value.len() == PARENT_LENGTH
        && value.starts_with(b"00")
        && value.iter().enumerate().all(is_right)
        && is_set(value.get(3..35))
        && is_set(value.get(36..52))
}

fn is_state(value: &[u8]) -> bool {
    (1..=MAX_STATE).contains(&value.len()) && value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

fn is_b3(value: &[u8]) -> bool {
    (1..=MAX_B3).contains(&value.len()) && value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(headers: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let header =
            |name: &str| headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_bytes().to_vec());
        let mut read = trace_context(&header).to_vec();
        read.sort();
        read
    }

    /// The names of the headers that are passed on.
    fn passed(headers: &[(&'static str, &str)]) -> Vec<&'static str> {
        read(headers).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn trace_headers_of_one_format_are_propagated() {
        let baggage = ("baggage", "user=alice");
        let expected = [("traceparent", PARENT.to_owned()), ("tracestate", "a=1, b=2".to_owned())];
        let b3 = ("b3", "0af7651916cd43dd-b7ad6b7169203331-1");
        assert_eq!(read(&[("traceparent", PARENT), ("tracestate", "a=1, b=2"), baggage, b3]), expected);
        assert_eq!(passed(&[("traceparent", PARENT), baggage]), ["traceparent"]);
        assert_eq!(passed(&[b3, ("x-b3-traceid", "0af7651916cd43dd"), baggage]), ["b3"]);
        for state in ["0", "1", "d"] {
            assert_eq!(passed(&[("b3", state)]), ["b3"], "{state}");
        }
        let several = [
            ("x-b3-traceid", "0af7651916cd43dd8448eb211c80319c"),
            ("x-b3-spanid", "b7ad6b7169203331"),
            ("x-b3-parentspanid", "00f067aa0ba902b7"),
            ("x-b3-sampled", "1"),
        ];
        assert_eq!(passed(&several), ["x-b3-parentspanid", "x-b3-sampled", "x-b3-spanid", "x-b3-traceid"]);
        for without_id in [&[("tracestate", "a=1")][..], &several[1..], &[baggage], &[]] {
            assert_eq!(passed(without_id), [""; 0]);
        }
    }

    #[test]
    fn malformed_trace_headers_are_not_propagated() {
        let long = "f".repeat(MAX_B3 + 1);
        for parent in [
            "",
            PARENT.strip_suffix('1').unwrap(),
            &format!("{PARENT}0"),
            &format!("{PARENT}-more"),
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &PARENT.replacen("00", "01", 1),
            &PARENT.replace('-', "_"),
            &PARENT.replace("b7ad6b7169203331", "0000000000000000"),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replacen('7', "\r", 1),
            &PARENT.replacen("d4", "é", 1),
        ] {
            assert_eq!(passed(&[("traceparent", parent), ("tracestate", "a=1")]), [""; 0], "{parent:?}");
        }
        for state in ["", "a=\r\nx: y", "a=\u{7f}", "a=é", &"a".repeat(MAX_STATE + 1)] {
            assert_eq!(passed(&[("traceparent", PARENT), ("tracestate", state)]), ["traceparent"], "{state:?}");
        }
        for value in ["", "x", "1 ", "1\n", "é", &long] {
            assert_eq!(passed(&[("b3", value)]), [""; 0], "{value:?}");
            assert_eq!(passed(&[("x-b3-traceid", value), ("x-b3-sampled", "1")]), [""; 0], "{value:?}");
        }
        assert_eq!(passed(&[("x-b3-traceid", "1f"), ("x-b3-sampled", "yes")]), ["x-b3-traceid"]);
    }
}
