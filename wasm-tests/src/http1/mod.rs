//! Just enough HTTP/1.1 over plain TCP, on both sides. Our own, because the tests need bytes that no client or server
//! library would send or show.

mod server;

use std::{
    fmt,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use crate::keys::{base64url, sha256};
pub use server::{Outcome, Server};

/// No message of the tests has a longer head.
const MAX_HEAD: usize = 2 * 1024 * 1024;
/// No message of the tests has more header lines.
const MAX_LINES: usize = 2048;

/// Header lines in the order of the wire; names in lower case, values as bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Vec<u8>)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, value)| format!("{name}: {}", readable(value)))).finish()
    }
}

/// Bytes for a failure's text: cut, and readable where they are.
fn readable(bytes: &[u8]) -> String {
    const SHOWN: usize = 600;
    let ellipsis = if bytes.len() > SHOWN { "..." } else { "" };
    format!("{}{ellipsis}", bytes[..bytes.len().min(SHOWN)].escape_ascii())
}

impl Headers {
    /// The values of every line of this name.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_slice()).collect()
    }

    /// Whether there is such a line.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// The first line of this name as text, bytes that are no UTF-8 replaced.
    pub fn text(&self, name: &str) -> Option<String> {
        self.all(name).first().map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// A request as it stood on the wire.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target: path and query.
    pub target: String,
    /// Every header line.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Vec<String>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{} {}", self.method, readable(self.target.as_bytes()));
        f.debug_tuple("Request").field(&line).field(&self.headers).field(&readable(&self.body)).finish()
    }
}

impl Request {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The parameters of the query, decoded.
    pub fn query(&self) -> Vec<(String, String)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        form(query.as_bytes())
    }

    /// Length and hash of the body: what a failure should say of a large one.
    pub fn digest(&self) -> String {
        digest(&self.body)
    }

    /// The parameters of a form in the body, decoded.
    pub fn form(&self) -> Vec<(String, String)> {
        form(&self.body)
    }
}

/// Length and hash.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("{} bytes, SHA-256 {}", bytes.len(), base64url(&sha256(bytes)))
}

/// Decodes a form or a query.
pub fn form(bytes: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(bytes).into_owned().collect()
}

/// The parameter of this name, which must be there at most once.
pub fn single<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = parameters.iter().filter(|(key, _)| key == name);
    let first = found.next();
    assert!(found.next().is_none(), "{name} stands twice in {parameters:?}");
    first.map(|(_, value)| value.as_str())
}

/// A response as it stood on the wire.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Every header line.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Response").field(&self.status).field(&self.headers).field(&readable(&self.body)).finish()
    }
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `Location` header.
    pub fn location(&self) -> Option<String> {
        self.headers.text("location")
    }

    /// The values of its `Set-Cookie` lines.
    pub fn set_cookies(&self) -> Vec<String> {
        self.headers.all("set-cookie").iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The stable code that the filter puts on its own replies.
    pub fn code(&self) -> Option<String> {
        self.headers.text("vestibule-code")
    }
}

/// The kind of request that a response answers: some responses have no body in spite of their headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// A `HEAD` request.
    Head,
    /// Any other request.
    Other,
}

/// One TCP connection, with what was read too far.
#[derive(Debug)]
pub struct Connection {
    stream: Arc<TcpStream>,
    ahead: Vec<u8>,
}

impl Connection {
    /// Connects as a client.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn open(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self::new(Arc::new(stream)))
    }

    /// Takes over a stream.
    pub fn new(stream: Arc<TcpStream>) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, ahead: Vec::new() }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self.stream).write_all(bytes)
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Waits until the other side closes, at most this long.
    pub fn wait_for_close(&mut self, at_most: Duration) {
        let _ = self.stream.set_read_timeout(Some(at_most));
        while matches!(self.fill(), Ok(length) if length > 0) {}
    }

    /// Whether the other side has sent more than was asked for, or sends it within this time.
    pub fn has_more(&mut self, within: Duration) -> bool {
        let usual = self.stream.read_timeout().ok().flatten();
        let _ = self.stream.set_read_timeout(Some(within));
        let more = !self.ahead.is_empty() || matches!(self.fill(), Ok(length) if length > 0);
        let _ = self.stream.set_read_timeout(usual);
        more
    }

    /// Reads the next request; nothing when the other side has closed.
    ///
    /// # Errors
    /// A broken connection, or a head that does not parse.
    pub fn read_request(&mut self) -> io::Result<Option<Request>> {
        let Some(head) = self.read_head()? else { return Ok(None) };
        let mut lines = vec![httparse::EMPTY_HEADER; MAX_LINES];
        let mut parsed = httparse::Request::new(&mut lines);
        parsed.parse(&head).map_err(io::Error::other)?;
        let mut request = Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            headers: owned(parsed.headers),
            body: Vec::new(),
            trailers: Vec::new(),
        };
        if request.headers.text("expect").is_some() {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        (request.body, request.trailers) = match framing(&request.headers) {
            Framing::Chunked => self.read_chunks()?,
            Framing::Length(length) => (self.read_exactly(length)?, Vec::new()),
            Framing::None => (Vec::new(), Vec::new()),
        };
        Ok(Some(request))
    }

    /// Reads the next response that is not interim.
    ///
    /// # Errors
    /// A broken connection, or a head that does not parse.
    pub fn read_response(&mut self, answering: Answering) -> io::Result<Response> {
        loop {
            let Some(head) = self.read_head()? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            let mut lines = vec![httparse::EMPTY_HEADER; MAX_LINES];
            let mut parsed = httparse::Response::new(&mut lines);
            parsed.parse(&head).map_err(io::Error::other)?;
            let status = parsed.code.unwrap_or_default();
            let headers = owned(parsed.headers);
            if status == 100 {
                continue;
            }
            let body = match framing(&headers) {
                _ if answering == Answering::Head || matches!(status, 101 | 204 | 304) => Vec::new(),
                Framing::Chunked => self.read_chunks()?.0,
                Framing::Length(length) => self.read_exactly(length)?,
                Framing::None => self.read_to_end()?,
            };
            return Ok(Response { status, headers, body });
        }
    }

    fn read_head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                return Ok(Some(self.ahead.drain(..end + 4).collect()));
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(io::Error::other("the head does not end"));
            }
            if self.fill()? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The body, and the lines after it.
    fn read_chunks(&mut self) -> io::Result<(Vec<u8>, Vec<String>)> {
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            if size == 0 {
                loop {
                    match self.read_line()? {
                        line if line.is_empty() => return Ok((body, trailers)),
                        line => trailers.push(line),
                    }
                }
            }
            body.extend(self.read_exactly(size)?);
            self.read_line()?;
        }
    }

    fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.ahead))
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let length = (&*self.stream).read(&mut chunk)?;
        self.ahead.extend(&chunk[..length]);
        Ok(length)
    }
}

enum Framing {
    Chunked,
    Length(usize),
    None,
}

fn framing(headers: &Headers) -> Framing {
    if headers.text("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        return Framing::Chunked;
    }
    headers.text("content-length").and_then(|value| value.parse().ok()).map_or(Framing::None, Framing::Length)
}

fn owned(lines: &[httparse::Header]) -> Headers {
    Headers(lines.iter().map(|line| (line.name.to_ascii_lowercase(), line.value.to_vec())).collect())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A response on the wire, its length stated.
pub fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(request: &[u8], answer: &'static [u8]) -> (Option<Request>, io::Result<Response>) {
        let (sender, receiver) = std::sync::mpsc::channel();
        let server = Server::start(0, move |request, connection| {
            sender.send(request).unwrap();
            connection.send(answer).unwrap();
            Outcome::Close
        });
        let mut client = Connection::open(server.address(), Duration::from_secs(5)).unwrap();
        client.send(request).unwrap();
        let response = client.read_response(Answering::Other);
        (receiver.recv().ok(), response)
    }

    #[test]
    fn requests_and_responses_keep_every_header_line_and_byte() {
        let (request, response) = exchange(
            b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\nCookie: b=\xff\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: \xfe\r\nx: 2\r\ncontent-length: 2\r\n\r\nok",
        );
        let request = request.unwrap();
        assert_eq!(request.headers.all("cookie"), [&b"a=1"[..], b"b=\xff"]);
        assert_eq!((request.path(), request.query()), ("/a", vec![("b".to_owned(), "c".to_owned())]));
        let response = response.unwrap();
        assert_eq!((response.headers.all("x"), response.body), (vec![&b"\xfe"[..], b"2"], b"ok".to_vec()));
    }

    #[test]
    fn reads_chunks_lengths_and_bodies_up_to_the_end() {
        let (request, response) = exchange(
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nto the end",
        );
        assert_eq!(request.unwrap().body, b"abcd");
        assert_eq!(response.unwrap().text(), "to the end");
    }

    #[test]
    fn a_truncated_response_is_an_error() {
        let (_, response) = exchange(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        assert!(response.is_err());
    }
}
