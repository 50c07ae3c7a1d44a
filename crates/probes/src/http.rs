//! `/metrics`, `/healthz` and `/readyz`, for everybody who can reach the port.
//!
//! There is no authentication, so no client may take resources that the program needs for its work: connections are few, short, and closed
//! by this side, and a crowd of them never keeps a new one out. Kubelets open a connection for each probe anyway, and a scrape or two a
//! minute do not justify keep-alive.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, warn};

use crate::health::Probe;

/// The most connections at a time. A kubelet and a Prometheus or two have one each, and an answer takes a millisecond.
const CONNECTIONS: usize = 64;
/// One of this many files that the process may open can be a connection here: the rest is for the API server, which needs some twenty.
const SHARE: u64 = 4;
/// How long a connection may last, from its first byte to the last of the answer: as long as Prometheus waits for a scrape. Kubelets wait
/// for a second.
const LIFE: Duration = Duration::from_secs(10);
/// The most bytes of a request: hyper's minimum for its buffer, and many times what a scrape sends.
const REQUEST: usize = 8192;
/// Pause after a connection could not be accepted, usually for lack of file descriptors; axum and hyper use the same.
const PAUSE: Duration = Duration::from_secs(1);

/// Binds the address and listens.
///
/// # Errors
/// When the address is not available.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("can't listen on {address}; choose another with --listen"))
}

/// Serves requests without end; `metrics` gives what a scrape is answered with, in the text format of OpenMetrics.
pub async fn serve<M>(listener: TcpListener, metrics: M, probe: Probe)
where
    M: Fn() -> String + Clone + Send + Sync + 'static,
{
    let (alive, ready) = (probe.clone(), probe);
    let router = Router::new()
        .route("/metrics", get(async move || exposed(metrics())))
        .route(
            "/healthz",
            get(async move || answer(alive.alive(Instant::now()))),
        )
        .route("/readyz", get(async move || answer(ready.ready())));
    let mut crowd = Crowd::of(most(getrlimit(Resource::Nofile).current));
    loop {
        let stream = accept(&listener).await;
        crowd.admit(converse(stream, router.clone())).await;
    }
}

/// The most connections for a process that may open this many `files`.
fn most(files: Option<u64>) -> usize {
    let share = files.map_or(u64::MAX, |files| files / SHARE);
    usize::try_from(share).map_or(CONNECTIONS, |share| share.clamp(1, CONNECTIONS))
}

/// Waits for the next connection, and retries after errors.
async fn accept(listener: &TcpListener) -> TcpStream {
    let mut reported = false;
    loop {
        let error = match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => error,
        };
        // The client has gone away, which is no problem.
        if matches!(
            error.kind(),
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
        ) {
            continue;
        }
        if !reported {
            warn!(%error, "no connection can be accepted, so probes and metrics are not answered until one can");
            reported = true;
        }
        sleep(PAUSE).await;
    }
}

/// Reads one request and answers it.
async fn converse(stream: TcpStream, router: Router) {
    let serving = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(REQUEST)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(LIFE, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection failed"),
        Err(_) => debug!("a connection was closed after {} s", LIFE.as_secs()),
    }
}

/// The open connections.
#[derive(Debug)]
struct Crowd {
    most: usize,
    tasks: JoinSet<()>,
    /// Their handles, oldest first.
    order: VecDeque<AbortHandle>,
}

impl Crowd {
    fn of(most: usize) -> Self {
        Self {
            most,
            tasks: JoinSet::new(),
            order: VecDeque::new(),
        }
    }

    /// Admits `connection`. At the limit, the oldest is closed for it: a client with a question has asked it by then.
    async fn admit(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        while let Some(ended) = self.tasks.try_join_next() {
            reported(ended);
        }
        self.order.retain(|task| !task.is_finished());
        if self.tasks.len() >= self.most {
            if let Some(oldest) = self.order.pop_front() {
                oldest.abort();
            }
            // The socket is closed only once the task has ended.
            if let Some(ended) = self.tasks.join_next().await {
                reported(ended);
            }
        }
        self.order.push_back(self.tasks.spawn(connection));
    }
}

/// Logs a connection that ended in a panic.
fn reported(ended: Result<(), JoinError>) {
    match ended {
        Err(error) if !error.is_cancelled() => error!(%error, "a connection ended in a panic"),
        Ok(()) | Err(_) => {}
    }
}

fn exposed(metrics: String) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics)
}

fn answer(found: Result<(), String>) -> (StatusCode, String) {
    match found {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

#[cfg(test)]
mod tests;
