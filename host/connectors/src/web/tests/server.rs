//! A web server that does what a test says, and keeps what it heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What the server does with a request that it has read.
pub(crate) enum Manner {
    /// Answers with these bytes and closes.
    Answer(Vec<u8>),
    /// Says this and then nothing more, without closing.
    Stall(Vec<u8>),
    /// Says this and then goes on with these bytes for as long as somebody takes them.
    Flood(Vec<u8>, Vec<u8>),
}

/// An answer with a status, headers and content.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Manner {
    let mut bytes = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    Manner::Answer(bytes)
}

type Behaviour = Box<dyn Fn(&str) -> Manner + Send + Sync>;

#[derive(Default)]
struct Kept {
    heard: Mutex<Vec<String>>,
    connections: AtomicUsize,
    told: AtomicU64,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    kept: Arc<Kept>,
    /// How many conversations have come to their end.
    ended: watch::Receiver<usize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(behaviour: impl Fn(&str) -> Manner + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", None, behaviour).await
    }

    pub(crate) async fn start_at(
        address: &str,
        tls: Option<Arc<ServerConfig>>,
        behaviour: impl Fn(&str) -> Manner + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (kept, behaviour): (Arc<Kept>, Arc<Behaviour>) = (Arc::default(), Arc::new(Box::new(behaviour)));
        let (end, ended) = watch::channel(0);
        let shared = Arc::clone(&kept);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (kept, behaviour, end, tls) = (Arc::clone(&shared), Arc::clone(&behaviour), end.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, &kept, &behaviour).await,
                        Some(config) => {
                            if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                                converse(stream, &kept, &behaviour).await;
                            }
                        }
                    }
                    end.send_modify(|ended| *ended += 1);
                });
            }
        });
        Self { port, kept, ended, task }
    }

    /// Gives the requests so far, each with head and content as they came.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.kept.heard.lock().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.kept.connections.load(Ordering::SeqCst)
    }

    /// Gives how many bytes of a flood were taken.
    pub(crate) fn told(&self) -> u64 {
        self.kept.told.load(Ordering::SeqCst)
    }

    /// Waits until so many conversations have come to their end.
    pub(crate) async fn ended(&self, count: usize) {
        self.ended.clone().wait_for(|ended| *ended >= count).await.unwrap();
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, kept: &Kept, behaviour: &Behaviour) {
    let Some(request) = read(&mut stream).await else { return };
    kept.heard.lock().push(request.clone());
    match behaviour(&request) {
        Manner::Answer(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Manner::Stall(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            // Ends when the other side goes.
            let mut rest = [0_u8; 1];
            while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        }
        Manner::Flood(head, piece) => {
            let _ = stream.write_all(&head).await;
            while stream.write_all(&piece).await.is_ok() {
                kept.told.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        }
    }
}

/// Reads one request, to the end of its content.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        let mut piece = [0_u8; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
    }
}
