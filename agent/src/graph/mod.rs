//! The update graph, over HTTP or from a file.
//!
//! What was fetched last is kept on disk with what identifies it for the server, so that a graph that has not changed costs a few bytes. A
//! server that is away leads nowhere: what is kept is then not looked at.

mod asks;
mod error;
mod kept;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cuo_core::reason::line;
use cuo_core::release::Graph;
use reqwest::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use reqwest::{Client, Proxy, Response, StatusCode, Url};
use rustls::crypto::ring;
use rustls_platform_verifier::BuilderVerifierExt;
use serde::Deserialize;

use crate::config;

pub use asks::{Asks, Platform, node_uuid};
pub use error::Error;

use error::LARGEST;
use kept::Kept;

/// The whole answer; Fedora's server sends some hundred kilobytes.
const DEADLINE: Duration = Duration::from_secs(60);
/// The connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Most characters of an error that are read of a server.
const QUOTED: usize = 300;

/// Fetches the graph that answers `asks`, as `config` says, for the host below `root`.
///
/// # Errors
/// Any of [`Error`]; none of them leads anywhere.
pub async fn fetch(root: &Path, config: &config::Graph, asks: &Asks) -> Result<Graph, Error> {
    let url = asks.url(config)?;
    if url.scheme() == "file" {
        return from_file(root, &url).await;
    }
    let shown = asks::shown(&url);
    let invalid = |why| Error::Invalid {
        url: shown.clone(),
        why,
    };
    let file = root.join(kept::FILE);
    let kept = Kept::read(&file, &url);
    let client = client(config)?;
    let mut request = client.get(url.clone()).header(ACCEPT, "application/json");
    if let Some(kept) = &kept {
        request = request.header(IF_NONE_MATCH, &kept.etag);
    }
    let answer = request.send().await;
    let mut answer = answer.map_err(|error| unreachable(&shown, &error))?;
    match (answer.status(), kept) {
        (StatusCode::NOT_MODIFIED, Some(kept)) => Graph::parse(&kept.graph).map_err(invalid),
        (StatusCode::OK, _) => {
            let etag = answer.headers().get(ETAG).cloned();
            let text = body(&mut answer, &shown).await?;
            let graph = Graph::parse(&text).map_err(invalid)?;
            if let Some(etag) = etag.as_ref().and_then(|etag| etag.to_str().ok()) {
                Kept::write(&file, &url, etag, text);
            }
            Ok(graph)
        }
        (status, _) => Err(Error::Refused {
            status: status.as_u16(),
            why: said(&mut answer, &shown).await,
            url: shown,
        }),
    }
}

async fn from_file(root: &Path, url: &Url) -> Result<Graph, Error> {
    let path = url
        .to_file_path()
        .map_err(|()| Error::Config(url.to_string()))?;
    let below = path.strip_prefix("/").map(PathBuf::from);
    let path = root.join(below.unwrap_or(path));
    let shown = path.display().to_string();
    match tokio::fs::read_to_string(&path).await {
        Ok(text) => Graph::parse(&text).map_err(|why| Error::Invalid { url: shown, why }),
        Err(error) => Err(Error::Unreachable {
            url: shown,
            why: error.to_string(),
        }),
    }
}

/// Made for each look, of which there are a few a day: certificates and proxies of the system may have changed since the last.
fn client(config: &config::Graph) -> Result<Client, Error> {
    let wrong = |error: &dyn std::error::Error| Error::Config(chain(error));
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| wrong(&error))?
        .with_no_client_auth();
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("cuo-agent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .timeout(DEADLINE);
    if let Some(proxy) = &config.proxy {
        let proxy = Proxy::all(proxy).map_err(|error| wrong(&error))?;
        builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_env()));
    }
    builder.build().map_err(|error| wrong(&error))
}

/// The body, of a size that a graph can have.
async fn body(answer: &mut Response, url: &str) -> Result<String, Error> {
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= LARGEST => bytes.extend(chunk),
            Ok(Some(_)) => {
                return Err(Error::TooLarge {
                    url: url.to_owned(),
                });
            }
            Err(error) => return Err(unreachable(url, &error)),
        }
    }
    // What is no text is no graph either, and is refused as such.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// An error as Cincinnati's servers write it.
#[derive(Deserialize)]
struct Refusal {
    kind: String,
    value: String,
}

/// What the server says of its refusal.
async fn said(answer: &mut Response, url: &str) -> String {
    let Ok(text) = body(answer, url).await else {
        return String::new();
    };
    match serde_json::from_str::<Refusal>(&text) {
        Ok(Refusal { kind, value }) => {
            let text = line(&format!(": {kind}: {value}"));
            text.chars().take(QUOTED).collect()
        }
        Err(_) => String::new(),
    }
}

fn unreachable(url: &str, error: &reqwest::Error) -> Error {
    Error::Unreachable {
        url: url.to_owned(),
        why: chain(error),
    }
}

/// An error with its causes, in one line; reqwest says itself which URL it is about.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    match causes.is_empty() {
        true => line(&error.to_string()),
        false => line(&causes.join(": ")),
    }
}

#[cfg(test)]
mod tests;
