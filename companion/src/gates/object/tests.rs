use cuo_core::time::Time;

use super::*;
use crate::double::{Api, Reply};

const GATE: &str = "/apis/cuo.coreos.com/v1alpha1/updategates";

fn open() -> GateSpec {
    GateSpec {
        open: true,
        until: Some(Time::EPOCH),
        reason: Some("well".into()),
    }
}

fn closed() -> GateSpec {
    GateSpec {
        open: false,
        until: None,
        reason: Some("alerts: A".into()),
    }
}

/// What is sent for `spec` while the API server answers a read with `known`, and what comes of it.
async fn sent(known: Reply, spec: GateSpec) -> (Vec<(String, Value)>, Option<String>) {
    let api = Api::start(move |request| match request.method() {
        "GET" => known.clone(),
        _ => Reply::json(200, json!({})),
    })
    .await;
    let error = put(&api.source().await, "quiet", &spec).await.err();
    let seen = api.seen().into_iter().skip(1);
    let seen = seen.map(|request| {
        let body = serde_json::from_str(&request.body).unwrap();
        (request.line, body)
    });
    (seen.collect(), error.map(|error| error.to_string()))
}

fn gate(labels: Value) -> Reply {
    let meta = json!({ "name": "quiet", "resourceVersion": "7", "labels": labels });
    Reply::json(200, json!({ "metadata": meta, "spec": { "open": false } }))
}

#[tokio::test]
async fn a_gate_is_made_as_the_companions_and_changed_only_as_it_was_read() {
    let missing = Reply::failure(404, "NotFound", "not found");
    let made = json!({
        "apiVersion": "cuo.coreos.com/v1alpha1",
        "kind": "UpdateGate",
        "metadata": { "name": "quiet", "labels": { "app.kubernetes.io/managed-by": "cuo-companion" } },
        "spec": { "open": true, "until": "1970-01-01T00:00:00Z", "reason": "well" },
    });
    let line = format!("POST {GATE}?&fieldManager=cuo-agent");
    assert_eq!(sent(missing, open()).await, (vec![(line, made)], None));

    let ours = || gate(json!({ "app.kubernetes.io/managed-by": "cuo-companion" }));
    let change = |spec: Value| json!({ "metadata": { "resourceVersion": "7" }, "spec": spec });
    let line = format!("PATCH {GATE}/quiet?&fieldManager=cuo-agent");
    let opened = change(json!({ "open": true, "until": "1970-01-01T00:00:00Z", "reason": "well" }));
    assert_eq!(
        sent(ours(), open()).await,
        (vec![(line.clone(), opened)], None)
    );
    let shut = change(json!({ "open": false, "until": null, "reason": "alerts: A" }));
    assert_eq!(sent(ours(), closed()).await, (vec![(line, shut)], None));
}

#[tokio::test]
async fn a_gate_of_somebody_else_is_left_alone() {
    for labels in [
        json!(null),
        json!({ "app.kubernetes.io/managed-by": "backup" }),
    ] {
        let (sent, error) = sent(gate(labels), open()).await;
        let why = "the gate was not made by cuo-companion; delete it, set its label app.kubernetes.io/managed-by=cuo-companion, or give another name to the one in `gates`";
        assert!(
            sent.is_empty() && error.as_ref().is_some_and(|error| error.contains(why)),
            "{error:?}"
        );
    }
}
