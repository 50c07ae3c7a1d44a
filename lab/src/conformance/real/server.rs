//! Serves a folder as an ostree remote, on loopback, and fails as a case says.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::conformance::subject::Server;

/// A folder that is served. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Folder {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    answers: watch::Sender<Server>,
}

impl Folder {
    pub(super) async fn serve(folder: &Path) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("listen on loopback")?;
        let address = listener.local_addr().context("the server's address")?;
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            answers: watch::Sender::new(Server::Up),
        });
        let serving = Some(start(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How it answers from now on.
    pub(super) async fn answer(&mut self, how: Server) -> Result<()> {
        self.shared.answers.send_replace(how);
        match (how, self.serving.take()) {
            (Server::Down, Some(serving)) => {
                serving.abort();
                // Until it has, the port is open.
                drop(serving.await);
            }
            (Server::Down, None) => {}
            (_, Some(serving)) => self.serving = Some(serving),
            (_, None) => {
                let listener = TcpListener::bind(self.address).await;
                let listener =
                    listener.with_context(|| format!("listen on {} again", self.address))?;
                self.serving = Some(start(listener, self.shared.clone()));
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

fn start(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    let service = Router::new().fallback(answer).with_state(shared);
    tokio::spawn(async move {
        // It ends with the task.
        drop(axum::serve(listener, service).await);
    })
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let how = *shared.answers.borrow();
    let path = Path::new(request.uri().path().trim_start_matches('/'));
    let status = |status: StatusCode| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    };
    if let Server::Status(code) = how {
        return status(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    }
    let content = path.extension().is_some_and(|end| end == "filez");
    if how == Server::Stuck && content {
        let mut answers = shared.answers.subscribe();
        // The sender is in what is shared, so that it outlives this.
        drop(answers.wait_for(|how| *how != Server::Stuck).await);
    }
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return status(StatusCode::NOT_FOUND);
    }
    match tokio::fs::read(shared.folder.join(path)).await {
        Ok(bytes) => Response::new(Body::from(bytes)),
        Err(_) => status(StatusCode::NOT_FOUND),
    }
}
