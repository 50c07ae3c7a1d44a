//! A way to the API server that counts what goes through it. TLS stays between the two ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes so far, from the side of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    /// To the server.
    pub sent: u64,
    /// From the server.
    pub received: u64,
    /// TCP connections.
    pub connections: u64,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
    connections: AtomicU64,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Starts one before `server`, a `https://` URL.
    ///
    /// # Errors
    /// When the URL is none, or no port can be had.
    pub async fn start(server: &str) -> Result<Self> {
        let target = server.strip_prefix("https://").context("an https URL")?;
        let target = target.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port")?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let into = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                into.connections.fetch_add(1, Ordering::Relaxed);
                let (target, counts) = (target.clone(), Arc::clone(&into));
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(target).await else {
                        return;
                    };
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    tokio::select! {
                        () = pass(&mut from_client, &mut to_server, &counts.sent) => {}
                        () = pass(&mut from_server, &mut to_client, &counts.received) => {}
                    }
                });
            }
        });
        Ok(Self {
            address,
            counts,
            task,
        })
    }

    /// The URL to use in place of the server's.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// What has passed so far.
    pub fn bytes(&self) -> Bytes {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Bytes {
            sent: read(&self.counts.sent),
            received: read(&self.counts.received),
            connections: read(&self.counts.connections),
        }
    }
}

/// Returns when either end has closed.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: &AtomicU64,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        count.fetch_add(length as u64, Ordering::Relaxed);
        let Some(part) = buffer.get(..length) else {
            return;
        };
        if to.write_all(part).await.is_err() {
            return;
        }
    }
}
