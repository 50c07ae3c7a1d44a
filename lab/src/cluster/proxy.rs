//! A way to the API server that counts what goes through, and fails as a test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::serve::Listener;
use futures::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};
use kube::Client;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::controlplane::ControlPlane;
use crate::cluster::tls::Tls;

/// More than any object has.
const LARGEST: usize = 8 << 20;

/// What goes wrong from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Every request is answered with this status and these words.
    Refused {
        /// The HTTP status.
        code: u16,
        /// What the `Status` says.
        message: &'static str,
        /// How long to wait, for the header and the `Status`.
        retry_after: Option<u32>,
    },
    /// What a watch asks to go on from has been compacted away.
    Expired,
}

impl Fault {
    fn code(&self) -> u16 {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Expired => 410,
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::Refused { message, .. } => message,
            Self::Expired => "too old resource version: 1 (2)",
        }
    }

    /// The answer to a request that meets it; as Kubernetes 1.37 has it.
    fn answer(&self) -> Response {
        let code = self.code();
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "code": code, "message": self.message(), "reason": "Fault",
        });
        let mut answer = Response::builder().header("Content-Type", "application/json");
        if let Self::Refused {
            retry_after: Some(seconds),
            ..
        } = self
        {
            status["details"] = json!({"retryAfterSeconds": seconds});
            answer = answer.header("Retry-After", *seconds);
        }
        let (answer, body) = match self {
            // The watch itself is answered well, and its first event is the error.
            Self::Expired => {
                let event = json!({"type": "ERROR", "object": status});
                (answer.status(200), format!("{event}\n"))
            }
            Self::Refused { .. } => (answer.status(code), status.to_string()),
        };
        answer.body(Body::from(body)).unwrap_or_default()
    }
}

/// What was asked for: verb and resource, as in `patch nodes`.
pub type What = String;

/// What went through so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Requests.
    pub requests: u64,
    /// Bytes of both directions, as they are without TLS.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    traffic: BTreeMap<What, Traffic>,
    fault: Option<Fault>,
    /// What met a fault, and when.
    refused: Vec<(What, Instant)>,
}

struct Shared {
    client: Client,
    state: Mutex<State>,
    cut: watch::Sender<()>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, what: &str, requests: u64, bytes: usize) {
        let mut state = self.state();
        let traffic = state.traffic.entry(what.to_owned()).or_default();
        traffic.requests += requests;
        traffic.bytes += bytes as u64;
    }

    async fn handle(self: Arc<Self>, request: Request) -> Response {
        let what = what(request.method(), request.uri());
        let fault = {
            let mut state = self.state();
            let meets = |fault: &&Fault| **fault != Fault::Expired || what.starts_with("watch ");
            let fault = state.fault.as_ref().filter(meets).cloned();
            if fault.is_some() {
                state.refused.push((what.clone(), Instant::now()));
            }
            fault
        };
        if let Some(fault) = fault {
            return fault.answer();
        }
        match self.pass(&what, request).await {
            Ok(response) => response,
            Err(error) => {
                let mut response = Response::new(Body::from(format!("{error:#}")));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }
        }
    }

    async fn pass(self: Arc<Self>, what: &str, request: Request) -> Result<Response> {
        let (mut head, body) = request.into_parts();
        let body = to_bytes(body, LARGEST).await.context("read the request")?;
        let line = head
            .uri
            .path_and_query()
            .map_or(0, |path| path.as_str().len());
        self.count(what, 1, line + size(&head.headers) + body.len());
        // The API server is reported who asks by the connection that is made for it here.
        for own in [HOST, AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            head.headers.remove(own);
        }
        let request = http::Request::from_parts(head, body.to_vec().into());
        let cut = self.cut.subscribe();
        let response = self
            .client
            .send(request)
            .await
            .context("ask the API server")?;
        let (mut head, body) = response.into_parts();
        self.count(what, 0, size(&head.headers));
        head.headers.remove(TRANSFER_ENCODING);
        let (shared, what) = (Arc::clone(&self), what.to_owned());
        let parts = Body::new(body).into_data_stream().inspect(move |part| {
            shared.count(&what, 0, part.as_ref().map_or(0, |bytes| bytes.len()));
        });
        let parts = parts.take_until(cut_off(cut));
        Ok(Response::from_parts(head, Body::from_stream(parts)))
    }
}

/// Returns when the connections are cut.
async fn cut_off(mut cut: watch::Receiver<()>) {
    if cut.changed().await.is_err() {
        std::future::pending().await
    }
}

fn size(headers: &HeaderMap) -> usize {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + 4
    };
    headers.iter().map(line).sum()
}

/// What is asked for, as the API server's own metrics name it.
fn what(method: &Method, uri: &http::Uri) -> What {
    let mut parts: Vec<_> = uri
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    parts.drain(
        ..parts
            .len()
            .min(if parts.first() == Some(&"api") { 2 } else { 3 }),
    );
    if parts.first() == Some(&"namespaces") && parts.len() > 2 {
        parts.drain(..2);
    }
    let query = uri.query().unwrap_or_default();
    let verb = match (method.as_str(), parts.len()) {
        ("GET", _) if query.split('&').any(|part| part == "watch=true") => "watch",
        ("GET", 0..=1) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        (other, _) => &other.to_lowercase(),
    };
    let resource = parts.first().copied().unwrap_or("other");
    match parts.get(2) {
        Some(sub) => format!("{verb} {resource}/{sub}"),
        None => format!("{verb} {resource}"),
    }
}

/// Listens until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({})", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Puts one between the API server and whoever uses the file `kubeconfig` from now on. It speaks to the API server with the
    /// credentials in there.
    ///
    /// # Errors
    /// When the file can't be used or changed, or no port can be had.
    pub async fn start(plane: &ControlPlane, kubeconfig: &Path) -> Result<Self> {
        let tls = Tls::listen(plane).await?;
        let address = tls.local_addr()?;
        let shared = Arc::new(Shared {
            client: plane.client(kubeconfig).await?,
            state: Mutex::default(),
            cut: watch::Sender::new(()),
        });
        let handler = Arc::clone(&shared);
        let router = axum::Router::new()
            .fallback(move |request: Request| Arc::clone(&handler).handle(request));
        let task = tokio::spawn(async move {
            // It never ends by itself.
            let _ = axum::serve(tls, router).await;
        });
        let own = std::fs::read_to_string(kubeconfig).context("read the kubeconfig")?;
        let changed = own.replace(&plane.server(), &format!("https://{address}"));
        std::fs::write(kubeconfig, changed).context("write the kubeconfig")?;
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// What has passed so far, by what was asked for.
    pub fn traffic(&self) -> BTreeMap<What, Traffic> {
        self.shared.state().traffic.clone()
    }

    /// Lets everything fail from now on, or nothing.
    pub fn fail(&self, fault: Option<Fault>) {
        self.shared.state().fault = fault;
    }

    /// Ends all watches that are open.
    pub fn cut(&self) {
        self.shared.cut.send_replace(());
    }

    /// What has met a fault so far, and when.
    pub fn refused(&self) -> Vec<(What, Instant)> {
        self.shared.state().refused.clone()
    }
}

#[cfg(test)]
mod tests;
