//! A server in threads: one that listens, one for each connection.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use super::{Connection, Request};
use crate::ports;

/// The state of a connection after its request was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is closed in order.
    Close,
    /// It waits for the next request.
    KeepAlive,
    /// It is reset.
    Reset,
}

/// A running server. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<Weak<TcpStream>>>>,
    listening: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on this port of the loopback interface (0: a free one). `handle` writes the answer itself.
    pub fn start<F>(port: u16, handle: F) -> Self
    where
        F: Fn(Request, &mut Connection) -> Outcome + Send + Sync + 'static,
    {
        // A free one of our own: the kernel would give away the port of a server that a test has just taken down.
        let listener = if port == 0 { ports::listener() } else { ports::listen(port) };
        let address = listener.local_addr().expect("the port it listens on");
        let stopping = Arc::new(AtomicBool::new(false));
        let open = Arc::new(Mutex::new(Vec::new()));
        let handle = Arc::new(handle);
        let listening = std::thread::spawn({
            let (stopping, open) = (Arc::clone(&stopping), Arc::clone(&open));
            move || {
                for stream in listener.incoming() {
                    if stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let stream = Arc::new(stream);
                    {
                        let mut open = open.lock().expect("no thread panicked");
                        open.retain(|stream: &Weak<TcpStream>| stream.strong_count() > 0);
                        open.push(Arc::downgrade(&stream));
                    }
                    let handle = Arc::clone(&handle);
                    std::thread::spawn(move || serve(stream, &*handle));
                }
            }
        });
        Self { address, stopping, open, listening: Some(listening) }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // The listening thread only looks at the flag after a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        for stream in self.open.lock().map(|mut open| std::mem::take(&mut *open)).unwrap_or_default() {
            if let Some(stream) = stream.upgrade() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

fn serve(stream: Arc<TcpStream>, handle: &dyn Fn(Request, &mut Connection) -> Outcome) {
    let mut connection = Connection::new(stream);
    while let Ok(Some(request)) = read(&mut connection) {
        match handle(request, &mut connection) {
            Outcome::KeepAlive => {}
            Outcome::Close => return,
            Outcome::Reset => {
                connection.reset();
                return;
            }
        }
    }
}

fn read(connection: &mut Connection) -> io::Result<Option<Request>> {
    let request = connection.read_request();
    if request.is_err() {
        // A test that sends malformed bytes expects a response, not a timeout.
        let _ = connection.send(&super::response(400, &[("connection", "close")], b""));
    }
    request
}
