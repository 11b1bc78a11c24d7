//! A proxy between one run and the S3 server: one request per connection, with faults.
//!
//! ```text
//! dayport ── http ──> Proxy (a port per run) ── hold? fault? ── http ──> server
//!                                              before | after
//! ```
//! The `Host` header stays as it was signed. A request that the proxy has read in full reaches the server
//! even if the run that sent it is dead by then, as it may in a real network.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::faults::{Fault, FaultPlan, Hold, Side};

/// The interval at which states are polled.
const POLL: Duration = Duration::from_millis(3);

/// The number of polls in a row that find the network idle.
const IDLE_POLLS: u32 = 4;

/// The end of the headers.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The way to a server: what is common to all proxies.
pub(crate) struct Network {
    runtime: Handle,
    server: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The number of requests on their way.
    in_flight: AtomicUsize,
    requests: AtomicU64,
    faults: Mutex<BTreeMap<Fault, u64>>,
}

/// The proxy of one run. Dropping it refuses new connections.
pub(crate) struct Proxy {
    port: u16,
    gate: Arc<Gate>,
    accepting: JoinHandle<()>,
}

/// The place where a request is held.
struct Gate {
    hold: Mutex<Option<Hold>>,
    faults: Mutex<Option<FaultPlan>>,
    is_held: AtomicBool,
    /// Set if the request is dropped instead of passed on when it is released.
    is_dropped: AtomicBool,
    released: Semaphore,
}

/// One request on its way.
struct InFlight(Arc<Shared>);

impl InFlight {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Network {
    pub(crate) fn new(runtime: Handle, server: SocketAddr) -> Self {
        Self {
            runtime,
            server,
            shared: Arc::default(),
        }
    }

    /// Starts the proxy of a run.
    pub(crate) fn proxy(&self, faults: Option<FaultPlan>, hold: Option<Hold>) -> Proxy {
        let bind = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = self.runtime.block_on(bind).expect("bind to loopback");
        let port = listener.local_addr().expect("an address").port();
        let gate = Arc::new(Gate {
            hold: Mutex::new(hold),
            faults: Mutex::new(faults),
            is_held: AtomicBool::new(false),
            is_dropped: AtomicBool::new(false),
            released: Semaphore::new(0),
        });
        let (accepting_gate, shared) = (Arc::clone(&gate), Arc::clone(&self.shared));
        let server = self.server;
        let accepting = self.runtime.spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    continue;
                };
                let connection = Connection {
                    gate: Arc::clone(&accepting_gate),
                    shared: Arc::clone(&shared),
                    server,
                };
                // A connection that fails is one that its client gave up.
                tokio::spawn(async move { connection.serve(client).await });
            }
        });
        Proxy {
            port,
            gate,
            accepting,
        }
    }

    /// Waits until no request is on its way.
    pub(crate) fn wait_until_idle(&self) {
        let started = Instant::now();
        let mut idle = 0;
        while idle < IDLE_POLLS {
            std::thread::sleep(POLL);
            idle = match self.shared.in_flight.load(Ordering::SeqCst) {
                0 => idle + 1,
                _ => 0,
            };
            let waited = started.elapsed();
            assert!(
                waited < Duration::from_secs(120),
                "the server does not answer"
            );
        }
    }

    /// Returns the number of requests, and the number of faults by kind.
    pub(crate) fn counts(&self) -> (u64, BTreeMap<Fault, u64>) {
        let requests = self.shared.requests.load(Ordering::SeqCst);
        (requests, self.shared.faults.lock().clone())
    }
}

impl Proxy {
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns true if a request is held or was held.
    pub(crate) fn is_held(&self) -> bool {
        self.gate.is_held.load(Ordering::SeqCst)
    }

    /// Releases a request that is held: passes it on, or drops it.
    pub(crate) fn release(&self, passes_on: bool) {
        self.gate.is_dropped.store(!passes_on, Ordering::SeqCst);
        self.gate.released.close();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.gate.released.close();
    }
}

impl Gate {
    /// Holds a request until it is released. Returns false if it is dropped.
    async fn wait(&self) -> bool {
        self.is_held.store(true, Ordering::SeqCst);
        // It is closed, never acquired.
        let _ = self.released.acquire().await;
        !self.is_dropped.load(Ordering::SeqCst)
    }
}

struct Connection {
    gate: Arc<Gate>,
    shared: Arc<Shared>,
    server: SocketAddr,
}

impl Connection {
    async fn serve(self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        // Idle connections are not on their way.
        if client.peek(&mut [0]).await? == 0 {
            return Ok(());
        }
        let mut in_flight = InFlight::new(&self.shared);
        let Some(request) = Request::read(&mut client).await? else {
            return Ok(());
        };
        self.shared.requests.fetch_add(1, Ordering::SeqCst);
        let line = request.head.lines().next().unwrap_or_default();
        let hold = {
            let mut hold = self.gate.hold.lock();
            let is_it = hold.as_mut().is_some_and(|hold| hold.counts(line));
            hold.filter(|_| is_it).map(|hold| hold.side)
        };
        if hold == Some(Side::Before) {
            drop(in_flight);
            if !self.gate.wait().await {
                return Ok(());
            }
            in_flight = InFlight::new(&self.shared);
        }
        let fault = match hold {
            Some(_) => None,
            None => self.gate.faults.lock().as_mut().and_then(FaultPlan::next),
        };
        if let Some((fault, delay)) = fault {
            *self.shared.faults.lock().entry(fault).or_default() += 1;
            if fault.is_before() {
                return end(client, fault, &[]).await;
            }
            if fault == Fault::Delay {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
        }
        let response = request.forward(self.server).await?;
        if hold == Some(Side::After) {
            drop(in_flight);
            if !self.gate.wait().await {
                return Ok(());
            }
        }
        match fault {
            Some((fault, _)) if fault != Fault::Delay => end(client, fault, &response).await,
            _ => {
                client.write_all(&response).await?;
                client.shutdown().await
            }
        }
    }
}

/// Ends a connection with a fault. `response` is what the server answered.
async fn end(mut client: TcpStream, fault: Fault, response: &[u8]) -> io::Result<()> {
    match fault {
        Fault::CloseBefore | Fault::CloseAfter | Fault::Delay => {}
        Fault::ResetBefore | Fault::ResetAfter => client.set_zero_linger()?,
        Fault::CutResponse => client.write_all(&response[..response.len() / 2]).await?,
        Fault::Answer500Before | Fault::Answer500After => {
            client
                .write_all(&error_response(
                    "500 Internal Server Error",
                    "InternalError",
                ))
                .await?;
        }
        Fault::Answer503Before | Fault::Answer503After => {
            client
                .write_all(&error_response("503 Slow Down", "SlowDown"))
                .await?;
        }
    }
    Ok(())
}

fn error_response(status: &str, code: &str) -> Vec<u8> {
    let body =
        format!("<Error><Code>{code}</Code><Message>a fault of the campaign</Message></Error>");
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request as it is passed on.
struct Request {
    /// The request line and the headers, with an empty line at the end.
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// Reads a request. Returns `None` if the client ends before its end.
    async fn read(client: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let head_length = loop {
            let position = bytes
                .windows(HEAD_END.len())
                .position(|end| end == HEAD_END);
            if let Some(position) = position {
                break position + HEAD_END.len();
            }
            if client.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let mut body = bytes.split_off(head_length);
        let received = String::from_utf8_lossy(&bytes);
        let mut head = String::new();
        let mut length = 0;
        for line in received.trim_end().lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                // The end of the response is the end of the connection.
                "connection" => continue,
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                "transfer-encoding" => return Err(io::Error::other("chunked")),
                _ => {}
            }
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str("connection: close\r\n\r\n");
        while body.len() < length {
            if client.read_buf(&mut body).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Self { head, body }))
    }

    /// Sends the request to the server, and returns its whole response.
    async fn forward(&self, server: SocketAddr) -> io::Result<Vec<u8>> {
        let mut upstream = TcpStream::connect(server).await?;
        upstream.set_nodelay(true)?;
        let sent = [self.head.as_bytes(), &self.body].concat();
        upstream.write_all(&sent).await?;
        let mut response = Vec::new();
        let read = upstream.read_to_end(&mut response).await;
        // A server may reset a connection after its response.
        match read {
            Err(error) if response.is_empty() => Err(error),
            _ => Ok(response),
        }
    }
}
