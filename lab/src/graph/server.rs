//! The server itself.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::response::Response;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::answer::{Answers, Failure, Request};
use super::release::{Graphs, Scope, Vertex};
use crate::wait::until;

/// How long a port takes at most to be had, or to be free again.
const DEADLINE: Duration = Duration::from_secs(30);

/// An update graph server on loopback; it serves until it is dropped.
#[derive(Debug)]
pub struct GraphServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// All connections die with it, at once.
    runtime: Option<Runtime>,
}

#[derive(Debug, Default)]
struct State {
    answers: Answers,
    failure: Option<Failure>,
    /// How many more requests fail; all of them if absent.
    failures: Option<u32>,
    requests: Vec<Request>,
}

impl State {
    /// Keeps a request, and says how it fails.
    fn arrive(&mut self, request: &Request) -> Option<Failure> {
        self.requests.push(request.clone());
        match &mut self.failures {
            None => self.failure.clone(),
            Some(0) => None,
            Some(left) => {
                *left -= 1;
                self.failure.clone()
            }
        }
    }
}

impl Drop for GraphServer {
    fn drop(&mut self) {
        self.end();
    }
}

impl GraphServer {
    /// Serves on a port of its own, without any graph.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        let mut server = Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            state: Arc::default(),
            runtime: None,
        };
        server.restart().await?;
        Ok(server)
    }

    /// What stands before `/v1/graph`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves these releases, the oldest first, in place of what it served for the scope.
    pub fn serve(&self, scope: Scope, releases: Vec<Vertex>) {
        self.state().answers.graphs.insert(scope, releases);
    }

    /// Serves the [`Graphs`] of a JSON file.
    ///
    /// # Errors
    /// When it can't be read, or is not what it should be; the file is named.
    pub fn serve_file(&self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let graphs: Graphs =
            serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        self.state().answers.graphs.extend(graphs);
        Ok(())
    }

    /// Has no graph of the scope any more.
    pub fn forget(&self, scope: &Scope) {
        self.state().answers.graphs.remove(scope);
    }

    /// Fails like this until [`GraphServer::heal`].
    pub fn fail(&self, failure: Failure) {
        let mut state = self.state();
        (state.failure, state.failures) = (Some(failure), None);
    }

    /// Fails like this for so many requests.
    pub fn fail_times(&self, failure: Failure, times: u32) {
        let mut state = self.state();
        (state.failure, state.failures) = (Some(failure), Some(times));
    }

    /// Answers again.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.failure, state.failures) = (None, None);
    }

    /// Whether answers have an `ETag`, and clients that have the answer already are told so by 304.
    pub fn tag(&self, tags: bool) {
        self.state().answers.tags = tags;
    }

    /// What was asked, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Ends all connections, and refuses new ones.
    ///
    /// # Errors
    /// When its port does not close.
    pub async fn stop(&mut self) -> Result<()> {
        self.end();
        let refused = async || match TcpStream::connect(self.address).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Some(())),
            _ => Ok(None),
        };
        until("the end of the graph server", DEADLINE, refused).await
    }

    /// Serves again on the same port, what it served before.
    ///
    /// # Errors
    /// When the port can't be had any more.
    pub async fn restart(&mut self) -> Result<()> {
        self.end();
        let address = self.address;
        let bind = async || Ok(Some(std::net::TcpListener::bind(address)?));
        let listener = until("a port for the graph server", DEADLINE, bind).await?;
        listener.set_nonblocking(true).context("non-blocking")?;
        self.address = listener.local_addr().context("address")?;
        // A runtime of its own: to drop it is to end whatever a handler or a client waits for.
        let mut building = Builder::new_multi_thread();
        let building = building.worker_threads(1).enable_all();
        let runtime = building
            .thread_name("graph")
            .build()
            .context("graph server")?;
        let state = Arc::clone(&self.state);
        runtime.spawn(async move {
            let router = Router::new().fallback(async move |request| answer(&state, request).await);
            if let Ok(listener) = TcpListener::from_std(listener) {
                // It never ends by itself.
                let _ = axum::serve(listener, router).await;
            }
        });
        self.runtime = Some(runtime);
        Ok(())
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(state: &Mutex<State>, request: axum::extract::Request) -> Response {
    let request = Request::new(&request);
    let (answers, failure) = {
        let mut state = locked(state);
        let failure = state.arrive(&request);
        (state.answers.clone(), failure)
    };
    answers.answer(&request, failure).await
}
