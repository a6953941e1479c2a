//! Requests through Envoy, and their responses.

use std::{fmt, time::Duration};

use crate::quoted::Quoted;

/// The largest body of a provider's response that is read: 256 KiB.
pub const MAX_CALLOUT_BODY: usize = 256 * 1024;

/// The Envoy cluster of a host. It determines address and TLS of a connection, regardless of the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster(String);

impl Cluster {
    /// A cluster of this name, or `None` if it is empty.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        (!name.is_empty()).then_some(Self(name))
    }

    /// The cluster's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An HTTP request through Envoy. Its `Debug` omits headers and body, which hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct CalloutRequest {
    /// The target cluster.
    pub cluster: Cluster,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The `:authority`, from a configured or discovered URL, never from a client.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Headers beside the pseudo-headers and `User-Agent`.
    pub headers: Vec<(&'static str, String)>,
    /// The body. It may hold secrets and is never logged.
    pub body: Vec<u8>,
    /// The time until Envoy answers 504.
    pub timeout: Duration,
}

/// The header of a DPoP proof (RFC 9449, 4).
pub const DPOP: &str = "dpop";

/// `User-Agent` of every call: GitHub and many firewalls refuse requests without one.
const USER_AGENT: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));

impl CalloutRequest {
    /// All headers, pseudo-headers first.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = [
            (":method", self.method),
            (":path", self.path.as_str()),
            (":authority", self.authority.as_str()),
            ("user-agent", USER_AGENT),
        ];
        own.into_iter().chain(self.headers.iter().map(|(name, value)| (*name, value.as_str())))
    }

    fn has_dpop_proof(&self) -> bool {
        self.headers.iter().any(|(name, _)| *name == DPOP)
    }
}

impl fmt::Debug for CalloutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, method, authority, path, .. } = self;
        write!(f, "CalloutRequest({method} {authority}{path} by {})", cluster.as_str())
    }
}

/// The response to a callout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalloutResponse {
    /// The status code. Envoy itself answers 503 without a connection, and 504 after the timeout.
    pub status: u16,
    /// The complete body, at most [`MAX_CALLOUT_BODY`].
    pub body: Vec<u8>,
    /// `DPoP-Nonce`, where the request carried a DPoP proof (RFC 9449, 8.1).
    pub dpop_nonce: Option<String>,
}

impl CalloutResponse {
    /// A response without a DPoP nonce.
    pub const fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, dpop_nonce: None }
    }

    /// The response to this request, unless it is a redirect. Redirects are not followed, because credentials are meant for one
    /// host. A header is looked up only where it matters: each look-up is a call of the host.
    ///
    /// # Errors
    /// [`CalloutError::Redirected`]
    pub fn received(
        request: &CalloutRequest,
        status: u16,
        header: impl Fn(&str) -> Option<Vec<u8>>,
        body: Vec<u8>,
    ) -> Result<Self, CalloutError> {
        if (300..400).contains(&status)
            && let Some(location) = header("location")
        {
            let location = Quoted::new(&String::from_utf8_lossy(&location));
            return Err(CalloutError::Redirected { status, location });
        }
        let nonce = request.has_dpop_proof().then(|| header("dpop-nonce")).flatten();
        Ok(Self { status, body, dpop_nonce: nonce.and_then(|nonce| String::from_utf8(nonce).ok()) })
    }
}

/// Why a callout has no usable response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalloutError {
    /// Envoy did not start the request: the cluster has no endpoint, or is full.
    #[error(
        "Envoy did not start the request: the host name of its cluster does not resolve, no endpoint is healthy, or its circuit breaker is open"
    )]
    Dispatch,
    /// Envoy has no cluster of this name.
    #[error(
        "Envoy has no cluster {0}; ADMIN/clusters lists them: Istio calls that of a ServiceEntry outbound|443||HOST, Envoy \
         Gateway that of an HTTPRoute httproute/NAMESPACE/NAME/rule/NUMBER"
    )]
    NoCluster(Quoted),
    /// The stream was reset before the response was complete.
    #[error("the response broke off")]
    NoResponse,
    /// The response is a redirect.
    #[error(
        "the response is {status} with Location {location}, which is not followed: configure that issuer or address"
    )]
    Redirected {
        /// The redirect's status code.
        status: u16,
        /// The target in `Location`.
        location: Quoted,
    },
    /// The body is larger than [`MAX_CALLOUT_BODY`].
    #[error("the response is larger than {} bytes", MAX_CALLOUT_BODY)]
    TooLarge,
}

impl CalloutError {
    /// Whether Envoy did not start the request: nothing was sent.
    pub const fn was_not_sent(&self) -> bool {
        matches!(self, Self::Dispatch | Self::NoCluster(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_user_agent() {
        let request = CalloutRequest {
            cluster: Cluster::new("idp").unwrap(),
            method: "GET",
            authority: "idp.example.com".to_owned(),
            path: "/jwks".to_owned(),
            headers: vec![("accept", "application/json".to_owned())],
            body: Vec::new(),
            timeout: Duration::from_secs(1),
        };
        let headers: Vec<_> = request.all_headers().collect();
        let agent = format!("vestibule/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            headers,
            [
                (":method", "GET"),
                (":path", "/jwks"),
                (":authority", "idp.example.com"),
                ("user-agent", agent.as_str()),
                ("accept", "application/json"),
            ]
        );
    }

    fn call(headers: Vec<(&'static str, String)>) -> CalloutRequest {
        CalloutRequest {
            cluster: Cluster::new("idp").unwrap(),
            method: "POST",
            authority: "idp.example.com".to_owned(),
            path: "/token".to_owned(),
            headers,
            body: Vec::new(),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn the_dpop_nonce_header_is_read_only_for_calls_with_a_proof() {
        use std::cell::RefCell;
        let asked = RefCell::new(Vec::new());
        let header = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            Some(b"n".to_vec())
        };
        let plain = CalloutResponse::received(&call(Vec::new()), 200, header, Vec::new()).unwrap();
        assert_eq!((plain.dpop_nonce, asked.take().len()), (None, 0));
        let with_proof = call(vec![(DPOP, "proof".to_owned())]);
        let answer = CalloutResponse::received(&with_proof, 400, header, Vec::new()).unwrap();
        assert_eq!((answer.dpop_nonce.as_deref(), asked.take()), (Some("n"), vec!["dpop-nonce".to_owned()]));
    }

    #[test]
    fn a_redirect_response_is_an_error() {
        let received = |status, location: Option<&[u8]>| {
            let header = |name: &str| location.filter(|_| name == "location").map(<[u8]>::to_vec);
            CalloutResponse::received(&call(Vec::new()), status, header, Vec::new())
        };
        for status in [301, 302, 303, 307, 308] {
            let error = received(status, Some(b"https://new.example/\r\n")).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!(r#"the response is {status} with Location "https://new.example/\r\n", "#))
            );
            assert!(received(status, None).is_ok());
        }
        for status in [200, 201, 400, 401, 503] {
            assert!(received(status, Some(b"/")).is_ok());
        }
    }
}
