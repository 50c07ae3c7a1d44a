//! An API server for tests: answers each request as the test says, and remembers all of them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use futures::stream;
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::credentials::Credentials;
use crate::source::{ClientSource, Program};

pub(crate) const PROGRAM: Program = Program {
    name: "cuo-agent",
    version: "0.0.0-test",
};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Method, path and query.
    pub line: String,
    pub body: String,
    headers: HeaderMap,
}

impl Request {
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    code: u16,
    body: String,
    then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The answer is complete.
    End,
    /// Nothing more comes, and the connection stays open.
    Stay,
    /// The connection breaks in the middle of the answer.
    Break,
}

impl Reply {
    fn new(code: u16, body: String, then: Then) -> Self {
        Self { code, body, then }
    }

    pub fn text(code: u16, body: &str) -> Self {
        Self::new(code, body.to_owned(), Then::End)
    }

    pub fn json(code: u16, body: Value) -> Self {
        Self::text(code, &body.to_string())
    }

    /// A `Status`, as the API server answers what it refuses.
    pub fn failure(code: u16, reason: &str, message: &str) -> Self {
        Self::json(
            code,
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "code": code, "reason": reason, "message": message,
            }),
        )
    }

    /// A watch that brings these events and stays open.
    pub fn watch(events: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let line = |(kind, object)| format!("{}\n", json!({"type": kind, "object": object}));
        let lines: String = events.into_iter().map(line).collect();
        Self::new(200, lines, Then::Stay)
    }

    /// The same, but the answer ends after the last event.
    pub fn then_end(mut self) -> Self {
        self.then = Then::End;
        self
    }

    /// The same, but the connection breaks after the last event.
    pub fn then_break(mut self) -> Self {
        self.then = Then::Break;
        self
    }

    fn stream(self) -> impl Stream<Item = Result<String, std::io::Error>> + Send {
        let then = self.then;
        let rest = stream::once(async move {
            match then {
                Then::End => Ok(String::new()),
                Then::Stay => std::future::pending().await,
                Then::Break => {
                    // Let the events go out first.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Err(std::io::Error::other("broken by the test"))
                }
            }
        });
        stream::iter([Ok(self.body)]).chain(rest)
    }
}

/// A running server.
pub(crate) struct Api {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
    dir: tempfile::TempDir,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Api {
    pub async fn start(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (remember, answer) = (Arc::clone(&seen), Arc::new(Mutex::new(answer)));
        let router = axum::Router::new().fallback(move |request: axum::extract::Request| {
            let (remember, answer) = (Arc::clone(&remember), Arc::clone(&answer));
            async move {
                let request = received(request).await;
                remember.lock().unwrap().push(request.clone());
                let reply = answer.lock().unwrap()(&request);
                Ok::<_, Infallible>(respond(reply))
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let dir = tempfile::tempdir().unwrap();
        Self {
            address,
            seen,
            task,
            dir,
        }
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Writes a kubeconfig for this server.
    pub fn kubeconfig(&self) -> Credentials {
        let path = self.dir.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig(&format!("http://{}", self.address))).unwrap();
        Credentials::File {
            path,
            root: "/".into(),
        }
    }

    /// A source of clients for this server.
    pub async fn source(&self) -> ClientSource {
        let source = ClientSource::start(self.kubeconfig(), PROGRAM).await;
        assert_eq!(source.status().problem, None);
        source
    }
}

async fn received(request: axum::extract::Request) -> Request {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Request {
        line: format!("{} {}", parts.method, parts.uri),
        body: String::from_utf8(body.to_vec()).unwrap(),
        headers: parts.headers,
    }
}

fn respond(reply: Reply) -> Response {
    Response::builder()
        .status(StatusCode::from_u16(reply.code).unwrap())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from_stream(reply.stream()))
        .unwrap()
}

/// A kubeconfig for `server`, with a CA so that it does not matter whether this system has any.
pub(crate) fn kubeconfig(server: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {
            "server": server,
            "certificate-authority-data": k8s_openapi::ByteString(certificate("ca").0.into_bytes()),
        }}],
        "users": [{"name": "u", "user": {}}],
    })
    .to_string()
}

/// A self-signed certificate and its key, both PEM.
pub(crate) fn certificate(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// The same, good from the beginning of one year to that of another.
pub(crate) fn certificate_of(name: &str, years: (i32, i32)) -> (String, String) {
    let mut asked = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    asked.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    asked.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = asked.self_signed(&key).unwrap();
    (made.pem(), key.serialize_pem())
}

/// The smallest Node.
pub(crate) fn node(name: &str, version: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name, "resourceVersion": version}})
}

/// Waits until `done` holds, for ten seconds at most.
pub(crate) async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within ten seconds");
}
