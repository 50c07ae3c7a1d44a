use serde_json::json;

use super::*;
use crate::double::{Api as Double, Reply, Request};

fn asks(more: Value) -> Resources {
    let mut asks = json!({
        "apiVersion": "ceph.rook.io/v1", "kind": "CephCluster", "expr": "object.status.health == 'OK'",
    });
    for (key, value) in more.as_object().unwrap() {
        asks[key] = value.clone();
    }
    serde_json::from_value(asks).unwrap()
}

fn ceph(name: &str, status: Value) -> Value {
    json!({ "metadata": { "name": name, "namespace": "rook" }, "status": status })
}

/// An API server that knows this kind and these objects, two to a page.
fn server(objects: Vec<Value>) -> impl FnMut(&Request) -> Reply + Send {
    move |request| {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if path == "/apis/ceph.rook.io/v1" {
            return Reply::json(
                200,
                json!({
                    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "ceph.rook.io/v1",
                    "resources": [{
                        "name": "cephclusters", "singularName": "cephcluster", "namespaced": true,
                        "kind": "CephCluster", "verbs": ["get", "list"],
                    }],
                }),
            );
        }
        let list = "/apis/ceph.rook.io/v1/namespaces/rook/cephclusters";
        if let Some(name) = path.strip_prefix(&format!("{list}/")) {
            let mut found = objects.iter();
            return match found.find(|object| object["metadata"]["name"] == name) {
                Some(object) => Reply::json(200, object.clone()),
                None => Reply::failure(404, "NotFound", "not found"),
            };
        }
        if path != list && path != "/apis/ceph.rook.io/v1/cephclusters" {
            return Reply::failure(
                404,
                "NotFound",
                "the server could not find the requested resource",
            );
        }
        let from = if query.contains("continue=next") {
            2
        } else {
            0
        };
        let page: Vec<_> = objects.iter().skip(from).take(2).collect();
        let next = if objects.len() > from + 2 { "next" } else { "" };
        Reply::json(
            200,
            json!({
                "kind": "CephClusterList", "apiVersion": "ceph.rook.io/v1",
                "metadata": { "resourceVersion": "1", "continue": next }, "items": page,
            }),
        )
    }
}

async fn judged(objects: Vec<Value>, more: Value) -> Verdict {
    let api = Double::start(server(objects)).await;
    judge(&api.source().await, &asks(more)).await
}

#[tokio::test]
async fn resources_close_the_gate_as_the_configuration_says() {
    let well = || ceph("a", json!({ "health": "OK" }));
    let ill = || ceph("b", json!({ "health": "WARN" }));
    let new = || ceph("c", json!({}));
    let in_rook = |more: Value| {
        let mut all = json!({ "namespace": "rook" });
        for (key, value) in more.as_object().unwrap() {
            all[key] = value.clone();
        }
        all
    };
    let expr = "object.status.health == 'OK'";
    let seen = |open, text: String| Verdict::seen(open, text);
    let table = [
        (
            vec![well()],
            in_rook(json!({ "name": "a" })),
            seen(true, format!("CephCluster a in rook: {expr}")),
        ),
        (
            vec![ill()],
            in_rook(json!({ "name": "b" })),
            seen(
                false,
                format!("b of CephCluster b in rook: {expr} does not hold"),
            ),
        ),
        (
            vec![],
            in_rook(json!({ "name": "a" })),
            seen(false, "CephCluster a in rook: there is none".into()),
        ),
        (
            vec![],
            in_rook(json!({ "name": "a", "none": "Open" })),
            seen(true, "CephCluster a in rook: there is none".into()),
        ),
        (
            vec![],
            json!({}),
            seen(false, "CephClusters: there is none".into()),
        ),
        // The third is on another page, and lacks what the expression names.
        (
            vec![well(), ill(), new()],
            json!({}),
            seen(
                false,
                format!(
                    "rook/b, rook/c (No such key: health) of CephClusters: {expr} does not hold"
                ),
            ),
        ),
        (
            vec![well(), well(), well()],
            in_rook(json!({ "labelSelector": "app=ceph" })),
            seen(true, format!("CephClusters app=ceph in rook: {expr}")),
        ),
    ];
    for (objects, more, expected) in table {
        assert_eq!(judged(objects, more.clone()).await, expected, "{more}");
    }
}

#[tokio::test]
async fn what_can_not_be_read_closes_the_gate_unless_said_otherwise() {
    let unknown = judged(vec![], json!({ "kind": "Nothing" })).await;
    assert!(unknown.unknown && !unknown.open, "{unknown:?}");
    assert!(
        unknown.reason.starts_with("Nothings can't be read: "),
        "{unknown:?}"
    );

    let unnamed = judged(vec![], json!({ "name": "a", "unreachable": "Open" })).await;
    let text =
        "CephCluster a can't be read: CephClusters are in namespaces; add `namespace` to the gate";
    // Nobody asked the API server.
    assert_eq!(unnamed, Verdict::unseen(false, text.into()));

    let open = json!({ "unreachable": "Open" });
    let table = [
        (403, "Forbidden", open.clone(), false),
        (401, "Unauthorized", open.clone(), false),
        (500, "InternalError", json!({}), false),
        (500, "InternalError", open.clone(), true),
    ];
    for (code, reason, more, expected) in table {
        let refusing = Double::start(move |_| Reply::failure(code, reason, "no")).await;
        let verdict = judge(&refusing.source().await, &asks(more)).await;
        assert_eq!(
            (verdict.unknown, verdict.open),
            (true, expected),
            "{code} {verdict:?}"
        );
    }
    let gone = Double::start(|_| Reply::failure(500, "InternalError", "no")).await;
    let source = gone.source().await;
    drop(gone);
    let verdict = judge(&source, &asks(open)).await;
    assert!(verdict.unknown && verdict.open, "{verdict:?}");
}

#[tokio::test]
async fn an_expression_that_takes_long_closes_the_gate() {
    let list = "[0,1,2,3,4,5,6,7,8,9]";
    let slow = ["a", "b", "c", "d", "e"]
        .iter()
        .fold("true".to_owned(), |inner, name| {
            format!("{list}.all({name}, {inner})")
        });
    let asks = asks(json!({ "expr": slow, "unreachable": "Open" }));
    let objects = || vec![ceph("a", json!({}))];
    let late = evaluated(Tally::default(), &asks, objects(), Duration::from_millis(1))
        .await
        .unwrap_err();
    let text = "`expr` takes more than 5s for 20 of them; let it look at less";
    assert_eq!((late.to_string().as_str(), late.unasked()), (text, false));
    let patient = Duration::from_secs(600);
    let tally = evaluated(Tally::default(), &asks, objects(), patient).await;
    assert!(tally.unwrap().verdict(&asks).open);
}
