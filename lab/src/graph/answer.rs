//! One request and what is answered.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::edges::{edges, wariness};
use super::release::{Scope, Vertex};

/// How long a connection that is about to end takes to send what it has.
const FLUSH: Duration = Duration::from_millis(50);

/// A request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Path, `/v1/graph` if all is well.
    pub path: String,
    /// Query, decoded. Of a key that comes twice, the last value.
    pub query: BTreeMap<String, String>,
    /// Header fields, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// When it arrived.
    pub at: SystemTime,
}

/// How the server fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// This status, with an error as the protocol has it: `kind` and `value`.
    Status(u16, String, String),
    /// This status and no more, as the real server refuses a query that it can't read.
    Bare(u16),
    /// Success, and something that is no JSON.
    Garbage,
    /// Success, and this text in place of a graph.
    Text(String),
    /// Half of the graph, then the connection ends.
    Truncated,
    /// The graph in so many bytes, as far as it is shorter.
    Large(usize),
    /// Nothing for so long, then the graph.
    Slow(Duration),
    /// The graph in two halves, with so much time between them.
    Halting(Duration),
    /// Nothing, without end.
    Silent,
}

/// What a graph is answered from.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) graphs: BTreeMap<Scope, Vec<Vertex>>,
    /// Whether answers have an `ETag`, and 304 is given to who has it. The real server has none.
    pub(super) tags: bool,
}

impl Request {
    pub(super) fn new(request: &axum::extract::Request) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self {
            path: request.uri().path().to_owned(),
            query: pairs
                .map(|(key, value)| (decode(key), decode(value)))
                .collect(),
            headers: texts(request.headers()),
            at: SystemTime::now(),
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str)
    }

    /// Which graph it asks for; the real server refuses a request that does not say so.
    fn scope(&self) -> Option<Scope> {
        let text = |key| self.get(key).filter(|text| !text.is_empty());
        Some(Scope {
            stream: text("stream")?.to_owned(),
            basearch: text("basearch")?.to_owned(),
            oci: match self.get("oci") {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return None,
            },
        })
    }
}

fn texts(headers: &HeaderMap) -> BTreeMap<String, String> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

/// Percent and plus signs of a query.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let coded = after.get(..2).filter(|_| *first == b'%');
        let coded = coded.and_then(|digits| std::str::from_utf8(digits).ok());
        let coded = coded.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, coded) {
            (_, Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', None) => bytes.push(b' '),
            (byte, None) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Answers {
    /// The answer to a request that is not made to fail; the body alone if there is a graph.
    fn graph(&self, request: &Request) -> Result<String, StatusCode> {
        if request.path != "/v1/graph" {
            return Err(StatusCode::NOT_FOUND);
        }
        let scope = request.scope().ok_or(StatusCode::BAD_REQUEST)?;
        // The part of the real server that knows the streams refuses, and the part that is asked passes that on so.
        let releases = self.graphs.get(&scope);
        let releases = releases.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        let said = request.get("rollout_wariness");
        let wariness = wariness(said, request.get("node_uuid"));
        let now = request.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let nodes = releases.iter().enumerate();
        let nodes: Vec<_> = nodes.map(|(at, one)| one.node(at, scope.oci)).collect();
        let graph = json!({"nodes": nodes, "edges": edges(releases, wariness, now)});
        Ok(format!("{graph:#}"))
    }

    fn whole(&self, request: &Request) -> Response {
        let body = match self.graph(request) {
            Ok(body) => body,
            Err(status) => return status.into_response(),
        };
        let json = (CONTENT_TYPE, "application/json");
        if !self.tags {
            return ([json], body).into_response();
        }
        let tag = tag(&body);
        match request.headers.get(IF_NONE_MATCH.as_str()) {
            Some(has) if *has == tag => (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response(),
            _ => ([(ETAG, tag)], [json], body).into_response(),
        }
    }

    /// The answer with this failure, if any.
    pub(super) async fn answer(&self, request: &Request, failure: Option<Failure>) -> Response {
        let graph = || self.graph(request).unwrap_or_default();
        match failure {
            None => self.whole(request),
            Some(Failure::Status(code, kind, value)) => {
                let error = json!({"kind": kind, "value": value}).to_string();
                let json = [(CONTENT_TYPE, "application/json")];
                (status(code), json, error).into_response()
            }
            Some(Failure::Bare(code)) => status(code).into_response(),
            Some(Failure::Garbage) => "<html>Welcome to the hotel's network</html>".into_response(),
            Some(Failure::Text(text)) => text.into_response(),
            Some(Failure::Truncated) => halves(graph(), None),
            Some(Failure::Large(length)) => {
                let graph = graph();
                let rest = length.saturating_sub(graph.len());
                (graph + &" ".repeat(rest)).into_response()
            }
            Some(Failure::Slow(time)) => {
                tokio::time::sleep(time).await;
                self.whole(request)
            }
            Some(Failure::Halting(time)) => halves(graph(), Some(time)),
            Some(Failure::Silent) => std::future::pending().await,
        }
    }
}

/// The first half of a body, and after this time the second; without a time the connection ends in place of it.
fn halves(body: String, time: Option<Duration>) -> Response {
    let length = [(CONTENT_LENGTH, body.len())].map(|(name, one)| (name, one.to_string()));
    let mut first = Bytes::from(body);
    let second = first.split_off(first.len() / 2);
    let second = async move {
        // What was written goes out while nothing else is there to be written.
        tokio::time::sleep(time.unwrap_or(FLUSH)).await;
        match time {
            Some(_) => Ok(second),
            None => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        }
    };
    let both =
        futures::StreamExt::chain(stream::once(async move { Ok(first) }), stream::once(second));
    (length, Body::from_stream(both)).into_response()
}

/// A status that is none is the test's mistake.
fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::NOT_IMPLEMENTED)
}

fn tag(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    let hex = digest.iter().take(8).fold(String::new(), |mut out, byte| {
        // Writing to a String can't fail.
        let _ = write!(out, "{byte:02x}");
        out
    });
    format!("\"{hex}\"")
}
