//! One request and its answer, on a connection of their own to an address that was checked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::error::{BudgetKind, CallError, GuestError};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::config::Bounds;
use super::crowd::{Crowd, MAX_AT_ONE, Open};
use super::reach::Reach;
use super::request::{Request, Server};
use super::resolve::{self, NoAddress, Resolve};
use crate::thread::Work;

/// Connections that are open at one time, of one connector.
const MAX_CONNECTIONS: usize = 64;

/// Addresses of one name that are tried, one after the other; each gets its share of the time.
const MAX_TRIED: usize = 4;

/// Most bytes of status and headers of an answer.
pub(crate) const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Most headers of an answer.
pub(crate) const MAX_ANSWER_HEADERS: usize = 100;

/// How servers are reached.
pub(crate) struct Reacher {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) reach: Reach,
    pub(crate) bounds: Bounds,
    tls: TlsConnector,
    places: Arc<Semaphore>,
    crowd: Crowd,
}

/// A connection to a server that was asked nothing yet.
pub(crate) struct Ready {
    sender: SendRequest<Full<Bytes>>,
    /// Moves bytes between `sender` and the socket, as long as somebody waits for an answer.
    _driver: Work<()>,
    _place: OwnedSemaphorePermit,
    _open: Open,
    /// The address that was checked and dialled.
    pub(crate) address: IpAddr,
    deadline: Instant,
}

/// What a server answered, whole and within its bounds.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reacher {
    pub(crate) fn new(resolver: Arc<dyn Resolve>, reach: Reach, bounds: Bounds, tls: Arc<ClientConfig>) -> Self {
        Self {
            resolver,
            reach,
            bounds,
            tls: TlsConnector::from(tls),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            crowd: Crowd::default(),
        }
    }

    /// Finds the server, checks all its addresses, connects to one of them. Nothing is asked by that.
    ///
    /// # Errors
    /// `denied` when an address may not be reached, `timeout`, or `unavailable`.
    pub(crate) async fn prepare(&self, request: &Request, left: Duration) -> Result<Ready, CallError> {
        let now = Instant::now();
        let deadline = now + left.min(self.bounds.total);
        let connecting = self.connect(request, deadline);
        timeout_at(deadline.min(now + self.bounds.connect), connecting)
            .await
            .unwrap_or_else(|_| Err(too_late(format!("no connection to {} in time; nothing was asked", place(request)))))
    }

    async fn connect(&self, request: &Request, deadline: Instant) -> Result<Ready, CallError> {
        let open = self.crowd.join(&request.host, request.port).ok_or_else(|| {
            CallError::unavailable(format!("{MAX_AT_ONE} requests to {} are open already; nothing was asked", place(request)))
        })?;
        let closed = |_| CallError::unavailable("the host is stopping");
        let permit = Arc::clone(&self.places).acquire_owned().await.map_err(closed)?;
        let found = resolve::addresses(&*self.resolver, &self.reach, &request.server).await;
        let addresses = found.map_err(|why| match why {
            // The gate gives the guest a reference in place of the empty one.
            NoAddress::Refused(why) => CallError::new(GuestError::Denied(String::new()), why),
            NoAddress::NotFound(why) => CallError::unavailable(why),
        })?;
        let tried = addresses.len().clamp(1, MAX_TRIED);
        let share = self.bounds.connect / u32::try_from(tried).unwrap_or(1);
        let mut last = String::new();
        for address in addresses.into_iter().take(MAX_TRIED) {
            match timeout(share, self.speak(request, address)).await.unwrap_or_else(|_| Err("no connection in time".to_owned())) {
                Ok((sender, driver)) => return Ok(Ready { sender, _driver: driver, _place: permit, _open: open, address, deadline }),
                Err(why) => last = format!("{address}: {why}"),
            }
        }
        Err(CallError::unavailable(format!("no connection to {}: {last}", place(request))))
    }

    async fn speak(&self, request: &Request, address: IpAddr) -> Result<(SendRequest<Full<Bytes>>, Work<()>), String> {
        let stream = TcpStream::connect(SocketAddr::new(address, request.port)).await.map_err(|error| error.to_string())?;
        // A request is one small write that waits for its answer.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        if !request.is_secure {
            return handshake(stream).await;
        }
        let name = match &request.server {
            Server::Name(name) => ServerName::try_from(name.clone()).map_err(|error| error.to_string())?,
            Server::Address(address) => ServerName::IpAddress((*address).into()),
        };
        handshake(self.tls.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?).await
    }

    /// Asks, and takes the answer if it is within its bounds.
    ///
    /// # Errors
    /// `timeout`, `bad-upstream`, `budget(bytes-in)`; whatever it is, the server may have done what it was asked for.
    pub(crate) async fn ask(&self, mut ready: Ready, request: Request, most: u64) -> Result<Reply, CallError> {
        let place = place(&request);
        let late = |what: &str| too_late(format!("{place} gave no {what} in time"));
        let deadline = ready.deadline;
        let message = to_message(request).map_err(|error| CallError::bad_upstream(format!("the request cannot be written: {error}")))?;
        let answered = ready.sender.send_request(message);
        let answer = timeout_at(deadline.min(Instant::now() + self.bounds.first_byte), answered).await.map_err(|_| late("answer"))?;
        let (head, body) = answer.map_err(|error| CallError::bad_upstream(format!("{place}: {}", chain(&error))))?.into_parts();
        check_size(&head.headers)
            .and_then(|()| check_encodings(&head.headers))
            .map_err(|why| CallError::bad_upstream(format!("{place}: {why}")))?;
        if head.status.is_informational() {
            return Err(CallError::bad_upstream(format!("{place} wants to go on in another protocol")));
        }
        let body = timeout_at(deadline, self.read(body, most)).await.map_err(|_| late("whole answer"))?;
        Ok(Reply { status: head.status, headers: head.headers, body: body? })
    }

    async fn read(&self, mut body: Incoming, most: u64) -> Result<Vec<u8>, CallError> {
        let bound = self.bounds.response_bytes.min(most);
        let check = |bytes: u64| match bytes {
            bytes if bytes > most => Err(CallError::new(
                GuestError::Budget(BudgetKind::BytesIn),
                format!("the answer has more than the {most} bytes that are left"),
            )),
            bytes if bytes > bound => {
                Err(CallError::bad_upstream(format!("the answer has more than {bound} bytes, which `max-response` allows")))
            }
            _ => Ok(()),
        };
        // What the server says before it sends anything; a lie is found below.
        check(body.size_hint().lower())?;
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| CallError::bad_upstream(format!("the answer broke off: {}", chain(&error))))?;
            if let Ok(data) = frame.into_data() {
                check(bytes.len() as u64 + data.len() as u64)?;
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes)
    }
}

async fn handshake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<(SendRequest<Full<Bytes>>, Work<()>), String> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_ANSWER_HEADERS);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // Its error is that of the request, which says it too.
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok((sender, Work(driver)))
}

fn to_message(request: Request) -> Result<http::Request<Full<Bytes>>, http::Error> {
    let mut message = http::Request::builder().method(request.method).uri(request.target).body(Full::new(request.body))?;
    *message.headers_mut() = request.headers;
    Ok(message)
}

/// Checks the size of headers once more: while they are read, the bound is only that of a buffer, which may hold twice as much.
fn check_size(headers: &HeaderMap) -> Result<(), String> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    match bytes <= MAX_HEAD_BYTES {
        true => Ok(()),
        false => Err(format!("the headers of the answer have {bytes} bytes, at most {MAX_HEAD_BYTES} are taken")),
    }
}

/// What was packed cannot be bounded, or looked through for secrets, by looking at it; so it was asked not to be, and is refused.
fn check_encodings(headers: &HeaderMap) -> Result<(), String> {
    for (name, plain) in [(CONTENT_ENCODING, "identity"), (TRANSFER_ENCODING, "chunked")] {
        if let Some(other) =
            headers.get_all(&name).iter().find(|value| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(plain.as_bytes()))
        {
            return Err(format!("the answer is encoded as {other:?} by `{name}`, and only `{plain}` is read"));
        }
    }
    Ok(())
}

fn too_late(detail: String) -> CallError {
    CallError::new(GuestError::Timeout, detail)
}

fn place(request: &Request) -> String {
    format!("`{}://{}`", if request.is_secure { "https" } else { "http" }, request.authority())
}

/// Gives an error with what caused it: hyper's own says only what it was doing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
