//! Just enough HTTP/2 over plain TCP, by prior knowledge: one connection for each request.

use std::{future::poll_fn, io, io::Cursor, net::SocketAddr, time::Duration};

use h2::{Reason, RecvStream, client, ext::Protocol};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, request::Builder};
use tokio::{net::TcpStream, runtime, time};

use crate::{
    http1::{Headers, Response},
    outgoing::Outgoing,
};

/// The header line of an [`Outgoing`] that makes its CONNECT an extended one (RFC 8441).
pub const PROTOCOL: &str = ":protocol";

/// The header line of an [`Outgoing`] that makes it end in a trailers frame: with this trailer (`name: value`), or without
/// any.
pub const TRAILERS: &str = ":trailers";

/// Sends a request and reads its response. Every cookie goes out as a crumb of its own (RFC 9113, 8.2.3), as browsers
/// send them. What follows a successful CONNECT is not read.
///
/// # Errors
/// When no response comes back.
pub fn exchange(address: SocketAddr, authority: &str, send: &Outgoing, timeout: Duration) -> io::Result<Response> {
    let request = request(authority, send)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { time::timeout(timeout, run(address, request, send)).await });
    answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn run(address: SocketAddr, request: Request<()>, send: &Outgoing) -> io::Result<Response> {
    let body = send.body.clone();
    let trailers = send.headers.iter().find(|(name, _)| name == TRAILERS.as_bytes());
    let trailers = trailers.map(|(_, line)| trailer(line)).transpose()?;
    let stream = TcpStream::connect(address).await?;
    let (client, connection) =
        client::Builder::new().handshake::<_, Cursor<Vec<u8>>>(stream).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let mut client = client.ready().await.map_err(io::Error::other)?;
    let connects = request.method() == http::Method::CONNECT;
    if request.extensions().get::<Protocol>().is_some() {
        // Extended CONNECT is available only after the server's SETTINGS frame.
        while !client.is_extended_connect_protocol_enabled() {
            time::sleep(Duration::from_millis(1)).await;
        }
    }
    let ends = body.is_empty() && !connects && trailers.is_none();
    let (response, mut sender) = client.send_request(request, ends).map_err(io::Error::other)?;
    if !body.is_empty() {
        // A server may refuse a request early without reading the rest; its answer counts.
        let _ = sender.send_data(Cursor::new(body), trailers.is_none());
    }
    if let Some(trailers) = trailers {
        let _ = sender.send_trailers(trailers);
    }
    let (head, stream) = response.await.map_err(io::Error::other)?.into_parts();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    let body =
        if connects && head.status.is_success() { Vec::new() } else { read(stream).await.map_err(io::Error::other)? };
    Ok(Response { status: head.status.as_u16(), headers: Headers(headers), body })
}

async fn read(mut stream: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = poll_fn(|context| stream.poll_data(context)).await {
        match data {
            Ok(data) => {
                stream.flow_control().release_capacity(data.len())?;
                body.extend_from_slice(&data);
            }
            // RFC 9113, 8.1: the answer is complete, and the rest of the request is not wanted.
            Err(error) if error.reason() == Some(Reason::NO_ERROR) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(body)
}

fn request(authority: &str, send: &Outgoing) -> io::Result<Request<()>> {
    let protocol = send.headers.iter().find(|(name, _)| name == PROTOCOL.as_bytes());
    let mut uri = Uri::builder().authority(authority);
    if send.method != "CONNECT" || protocol.is_some() {
        uri = uri.scheme("http").path_and_query(send.target.as_slice());
    }
    let uri = uri.build().map_err(io::Error::other)?;
    let mut request = Request::builder().method(send.method.as_str()).uri(uri);
    if let Some((_, protocol)) = protocol {
        request = request.extension(Protocol::from(String::from_utf8_lossy(protocol).as_ref()));
    }
    for (name, value) in &send.headers {
        request = line(request, name, value)?;
    }
    request.body(()).map_err(io::Error::other)
}

fn trailer(line: &[u8]) -> io::Result<HeaderMap> {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Ok(HeaderMap::new()) };
    let name = HeaderName::from_bytes(&line[..colon]).map_err(io::Error::other)?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(io::Error::other)?;
    Ok(HeaderMap::from_iter([(name, value)]))
}

fn line(request: Builder, name: &[u8], value: &[u8]) -> io::Result<Builder> {
    if name.starts_with(b":") || name.eq_ignore_ascii_case(b"host") {
        return Ok(request);
    }
    let name = HeaderName::from_bytes(name).map_err(io::Error::other)?;
    let crumbs: Vec<&[u8]> =
        if name == http::header::COOKIE { value.split(|byte| *byte == b';').collect() } else { vec![value] };
    crumbs.into_iter().try_fold(request, |request, crumb| {
        let value = HeaderValue::from_bytes(crumb.trim_ascii()).map_err(io::Error::other)?;
        Ok(request.header(&name, value))
    })
}
