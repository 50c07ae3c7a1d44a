use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::double::{Api, Reply, Request as Seen, node};

/// Answers lists with the Nodes of `nodes`, and each watch with the next of `watches`; the last one stays.
fn server(nodes: Arc<Mutex<Vec<Value>>>, watches: Vec<Reply>) -> impl FnMut(&Seen) -> Reply + Send {
    let mut watches = watches.into_iter();
    move |request| {
        if request.line.contains("watch=true") {
            return watches.next().unwrap_or_else(|| Reply::watch([]));
        }
        let items = nodes.lock().unwrap().clone();
        Reply::json(
            200,
            json!({"metadata": {"resourceVersion": "10"}, "items": items}),
        )
    }
}

fn raw(name: &str, version: &str) -> RawNode {
    let read: WireNode = serde_json::from_value(node(name, version)).unwrap();
    read.into_raw(&Keep::default())
}

async fn next<T>(feed: &mut BoxStream<'static, T>) -> T {
    let waited = timeout(Duration::from_secs(10), feed.next()).await;
    waited
        .expect("an event within ten seconds")
        .expect("the feed never ends")
}

/// The requests so far, without the part of a watch that is random.
fn lines(api: &Api) -> Vec<String> {
    let seen = api.seen().into_iter();
    seen.map(|request| {
        let (before, rest) = request
            .line
            .split_once("timeoutSeconds=")
            .unwrap_or((&request.line, ""));
        let rest = rest.split_once('&').map_or("", |(_, rest)| rest);
        format!("{before}{rest}")
    })
    .collect()
}

const LIST: &str = "GET /api/v1/nodes?&fieldSelector=metadata.name%3Dn1&limit=100";

fn opened(version: &str) -> String {
    format!(
        "GET /api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion={version}&fieldSelector=metadata.name%3Dn1"
    )
}

#[tokio::test]
async fn the_own_node_is_told_as_it_is_and_as_it_changes() {
    let nodes = Arc::new(Mutex::new(vec![node("n1", "9")]));
    let events = [
        ("MODIFIED", node("n1", "11")),
        (
            "BOOKMARK",
            json!({"kind": "Node", "apiVersion": "v1", "metadata": {"resourceVersion": "12"}}),
        ),
        ("DELETED", node("n1", "13")),
        ("ADDED", node("n1", "14")),
    ];
    let api = Api::start(server(nodes, vec![Reply::watch(events)])).await;
    let mut feed = watch_node(api.source().await, "n1", Keep::default());
    for expected in [
        NodeEvent::Present(raw("n1", "9")),
        NodeEvent::Present(raw("n1", "11")),
        NodeEvent::Absent,
        NodeEvent::Present(raw("n1", "14")),
    ] {
        assert_eq!(next(&mut feed).await, expected);
    }
    assert_eq!(lines(&api), [LIST.to_owned(), opened("10")]);
}

#[tokio::test]
async fn after_every_kind_of_failure_the_present_is_told_again() {
    let gone = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": 410, "reason": "Expired", "message": "too old resource version: 10 (50)",
    });
    let failed = |code, reason, message: &str, error: ApiError| {
        (Reply::failure(code, reason, message), error)
    };
    let text = || "m".to_owned();
    let cases = [
        (
            Reply::watch([("ERROR", gone)]),
            ApiError::Gone {
                message: "too old resource version: 10 (50)".into(),
            },
        ),
        (
            Reply::watch([]).then_end(),
            ApiError::Unreachable {
                message: "the watch ended as soon as it had begun".into(),
            },
        ),
        failed(
            401,
            "Unauthorized",
            "m",
            ApiError::Unauthorized { message: text() },
        ),
        failed(
            403,
            "Forbidden",
            "m",
            ApiError::Forbidden { message: text() },
        ),
        failed(410, "Expired", "m", ApiError::Gone { message: text() }),
        failed(
            429,
            "TooManyRequests",
            "m",
            ApiError::TooManyRequests {
                retry_after: None,
                message: text(),
            },
        ),
        failed(
            500,
            "InternalError",
            "m",
            ApiError::Server {
                code: 500,
                message: text(),
            },
        ),
    ];
    for (reply, error) in cases {
        let nodes = Arc::new(Mutex::new(vec![node("n1", "9")]));
        let api = Api::start(server(Arc::clone(&nodes), vec![reply])).await;
        let mut feed = watch_node(api.source().await, "n1", Keep::default());
        assert_eq!(next(&mut feed).await, NodeEvent::Present(raw("n1", "9")));
        assert_eq!(
            next(&mut feed).await,
            NodeEvent::Disconnected(error.clone())
        );
        nodes.lock().unwrap().clear();
        assert_eq!(next(&mut feed).await, NodeEvent::Absent, "after {error}");
    }
}

#[tokio::test]
async fn a_broken_connection_is_not_the_end() {
    let nodes = Arc::new(Mutex::new(vec![node("n1", "9")]));
    let broken = Reply::watch([("MODIFIED", node("n1", "11"))]).then_break();
    let api = Api::start(server(nodes, vec![broken])).await;
    let mut feed = watch_node(api.source().await, "n1", Keep::default());
    assert_eq!(next(&mut feed).await, NodeEvent::Present(raw("n1", "9")));
    assert_eq!(next(&mut feed).await, NodeEvent::Present(raw("n1", "11")));
    let lost = next(&mut feed).await;
    assert!(
        matches!(lost, NodeEvent::Disconnected(ApiError::Unreachable { .. })),
        "{lost:?}"
    );
    assert_eq!(next(&mut feed).await, NodeEvent::Present(raw("n1", "9")));
}

#[tokio::test]
async fn a_new_client_takes_the_watch_over_where_it_was() {
    let nodes = Arc::new(Mutex::new(vec![node("n1", "9")]));
    let first = Reply::watch([("MODIFIED", node("n1", "11"))]);
    let second = Reply::watch([("MODIFIED", node("n1", "12"))]);
    let api = Api::start(server(nodes, vec![first, second])).await;
    let source = api.source().await;
    let mut feed = watch_node(source.clone(), "n1", Keep::default());
    assert_eq!(next(&mut feed).await, NodeEvent::Present(raw("n1", "9")));
    assert_eq!(next(&mut feed).await, NodeEvent::Present(raw("n1", "11")));
    // The same contents in a new file.
    let _ = api.kubeconfig();
    source.unauthorized(1);
    assert_eq!(next(&mut feed).await, NodeEvent::Present(raw("n1", "12")));
    assert_eq!(lines(&api), [LIST.to_owned(), opened("10"), opened("11")]);
}

#[tokio::test]
async fn all_nodes_are_read_in_pages_and_told_as_one() {
    let api = Api::start(|request| {
        if request.line.contains("watch=true") {
            return Reply::watch([("DELETED", node("a", "11")), ("ADDED", node("c", "12"))]);
        }
        let (name, next) = match request.line.contains("continue=more") {
            true => ("b", ""),
            false => ("a", "more"),
        };
        let metadata = json!({"resourceVersion": "10", "continue": next});
        Reply::json(
            200,
            json!({"metadata": metadata, "items": [node(name, "1")]}),
        )
    })
    .await;
    let mut feed = watch_nodes(api.source().await, Keep::default());
    for expected in [
        NodesEvent::Reset(vec![raw("a", "1"), raw("b", "1")]),
        NodesEvent::Gone("a".into()),
        NodesEvent::Changed(raw("c", "12")),
    ] {
        assert_eq!(next(&mut feed).await, expected);
    }
    assert_eq!(
        lines(&api),
        [
            "GET /api/v1/nodes?&limit=100",
            "GET /api/v1/nodes?&limit=100&continue=more",
            "GET /api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion=10",
        ]
    );
}

/// What asks for it may be anybody between here and the API server.
#[test]
fn nobody_asks_for_a_pause_that_stops_everything() {
    let asks = |seconds| ApiError::TooManyRequests {
        retry_after: Some(Duration::from_secs(seconds)),
        message: "no".into(),
    };
    let own = Duration::from_secs(10);
    for (seconds, expected) in [(1, 10), (60, 60), (300, 300), (4_000_000_000, 300)] {
        assert_eq!(
            pause(own, &asks(seconds)),
            Duration::from_secs(expected),
            "{seconds}"
        );
    }
    let gone = ApiError::Gone {
        message: "no".into(),
    };
    assert_eq!(pause(own, &gone), own);
}
