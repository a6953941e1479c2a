//! Why a server did not answer, as Envoy says in its own answer, and as the log says it.

use super::callout::CalloutResponse;

/// Why a server gave Envoy no answer. Envoy says so in the body of its own 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// The connection was closed before an answer.
    Closed,
    /// No connection or no TLS handshake: newer Envoys do not say which.
    NoConnection,
    /// The cluster has no address that could be tried.
    NoAddress,
    /// No connection within the cluster's `connect_timeout`.
    NotInTime,
    /// Nothing listens at the address.
    Refused,
    /// No TLS handshake.
    Tls(TlsFault),
}

/// Why there is no TLS handshake, as BoringSSL says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate is not trusted.
    Certificate,
    /// The server does not speak TLS.
    NotTls,
    /// Another reason.
    Other,
}

impl Unreachable {
    /// Reads the answer; `None` where it is that of a server, as far as its body tells.
    pub fn of(response: &CalloutResponse) -> Option<Self> {
        const BEGINNING: &[u8] = b"upstream connect error or disconnect/reset before headers. reset reason: ";
        if response.status != 503 {
            return None;
        }
        if response.body == b"no healthy upstream" {
            return Some(Self::NoAddress);
        }
        let reason = response.body.strip_prefix(BEGINNING)?;
        let begins = |text: &[u8]| reason.starts_with(text);
        if begins(b"connection timeout") {
            Some(Self::NotInTime)
        } else if begins(b"connection termination") {
            Some(Self::Closed)
        } else if begins(b"remote connection failure") || begins(b"local connection failure") {
            let reason = String::from_utf8_lossy(reason);
            let detail = reason.split_once(", transport failure reason: ").map(|(_, detail)| detail);
            Some(match detail {
                None => Self::NoConnection,
                Some(detail) => match TlsFault::of(detail) {
                    Some(fault) => Self::Tls(fault),
                    None if detail.contains("Connection refused") => Self::Refused,
                    None => Self::NoConnection,
                },
            })
        } else {
            None
        }
    }

    fn describe(self, who: &str) -> String {
        match self {
            Self::Closed => {
                format!(
                    "{who} closed the connection without an answer; does its cluster use TLS exactly where the server does?"
                )
            }
            Self::NoConnection => format!(
                "Envoy could not connect to {who}: nothing listens at the address of its cluster, or the TLS handshake failed; \
                 ADMIN/stats?filter=ssl counts why (fail_verify_error, fail_verify_san, connection_error)"
            ),
            Self::NoAddress => format!(
                "Envoy has no address for {who}: the host name of its cluster does not resolve, or no endpoint is healthy"
            ),
            Self::NotInTime => {
                format!(
                    "{who} did not take the connection in time; check the address of its cluster, firewalls, and whether TLS is spoken there"
                )
            }
            Self::Refused => {
                format!("Envoy could not connect to {who}: nothing listens at the address of its cluster")
            }
            Self::Tls(fault) => format!("there is no TLS handshake with {who}: {}", fault.describe()),
        }
    }
}

impl TlsFault {
    /// Reads the reason of a failed connection; `None` where it is not TLS.
    fn of(reason: &str) -> Option<Self> {
        let error = reason.strip_prefix("TLS_error:")?;
        Some(if error.contains("CERTIFICATE_VERIFY_FAILED") {
            Self::Certificate
        } else if error.contains("WRONG_VERSION_NUMBER") {
            Self::NotTls
        } else {
            Self::Other
        })
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Certificate => {
                "its cluster does not trust the certificate; compare trusted_ca, sni and the names in the certificate"
            }
            Self::NotTls => "the address of its cluster does not speak TLS; compare the port, and transport_socket",
            Self::Other => "compare the cluster's tls_params and sni with what the server takes",
        }
    }
}

/// The log text for an error status of `who`. Envoy itself answers 503 without a connection, and 504 after the timeout.
pub fn describe_status(who: &str, status: u16, unreachable: Option<Unreachable>) -> String {
    match (status, unreachable) {
        (_, Some(unreachable)) => unreachable.describe(who),
        (503, None) => format!("Envoy could not reach {who}, or it answered 503; check the cluster's address and TLS"),
        (504, None) => format!("{who} did not answer in time"),
        (404 | 410, None) => format!("{who} answered {status}: nothing is at its URL"),
        (other, None) => format!("{who} answered {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_replies_of_envoy_give_the_reason_of_the_failure() {
        let of = |status, body: &str| Unreachable::of(&CalloutResponse::new(status, body.as_bytes().to_vec()));
        let reset = |reason: &str| {
            of(503, &format!("upstream connect error or disconnect/reset before headers. reset reason: {reason}"))
        };
        assert_eq!(of(503, "no healthy upstream"), Some(Unreachable::NoAddress));
        assert_eq!(reset("remote connection failure"), Some(Unreachable::NoConnection));
        assert_eq!(
            reset("remote connection failure, transport failure reason: delayed connect error: Connection refused"),
            Some(Unreachable::Refused)
        );
        for (error, fault) in [
            ("|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end", TlsFault::Certificate),
            ("|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end", TlsFault::NotTls),
            ("|268436496:SSL routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE:TLS_error_end", TlsFault::Other),
        ] {
            let reason = format!("remote connection failure, transport failure reason: TLS_error:{error}");
            assert_eq!(reset(&reason), Some(Unreachable::Tls(fault)), "{error}");
        }
        assert_eq!(reset("connection termination"), Some(Unreachable::Closed));
        assert_eq!(reset("connection timeout"), Some(Unreachable::NotInTime));
        for other in [reset("overflow"), of(503, "down for maintenance"), of(502, "no healthy upstream"), of(503, "")] {
            assert_eq!(other, None);
        }
        assert_eq!(
            describe_status("the provider", 503, Some(Unreachable::NoAddress)),
            "Envoy has no address for the provider: the host name of its cluster does not resolve, or no endpoint is healthy"
        );
        assert_eq!(describe_status("the provider", 504, None), "the provider did not answer in time");
    }
}
