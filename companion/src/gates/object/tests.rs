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

/// What is sent for `spec` where `known` is known, what comes of it, and the answer's code.
async fn sent(
    known: Option<GateObject>,
    spec: GateSpec,
    answer: Reply,
) -> (Vec<(String, Value)>, Result<bool, String>) {
    let api = Api::start(move |_| answer.clone()).await;
    let put = put(&api.source().await, "quiet", known.as_ref(), &spec).await;
    let seen = api.seen().into_iter().map(|request| {
        let body = serde_json::from_str(&request.body).unwrap();
        (request.line, body)
    });
    (seen.collect(), put.map_err(|error| error.to_string()))
}

fn well() -> Reply {
    Reply::json(200, json!({}))
}

fn gate(owner: Option<&str>, version: &str) -> Option<GateObject> {
    let labels = owner.map(|owner| (OWNER.0.to_owned(), owner.to_owned()));
    Some(GateObject {
        name: "quiet".into(),
        version: version.into(),
        labels: labels.into_iter().collect(),
        found: Err("not understood".into()),
    })
}

fn ours() -> Option<GateObject> {
    gate(Some("cuo-companion"), "7")
}

#[tokio::test]
async fn a_gate_is_made_as_the_companions_and_changed_only_as_it_is_known() {
    let made = json!({
        "apiVersion": "cuo.coreos.com/v1alpha1",
        "kind": "UpdateGate",
        "metadata": { "name": "quiet", "labels": { "app.kubernetes.io/managed-by": "cuo-companion" } },
        "spec": { "open": true, "until": "1970-01-01T00:00:00Z", "reason": "well" },
    });
    let line = format!("POST {GATE}?&fieldManager=cuo-agent");
    assert_eq!(
        sent(None, open(), well()).await,
        (vec![(line, made)], Ok(true))
    );

    let change = |spec: Value| json!({ "metadata": { "resourceVersion": "7" }, "spec": spec });
    let line = format!("PATCH {GATE}/quiet?&fieldManager=cuo-agent");
    let opened = change(json!({ "open": true, "until": "1970-01-01T00:00:00Z", "reason": "well" }));
    assert_eq!(
        sent(ours(), open(), well()).await,
        (vec![(line.clone(), opened)], Ok(true))
    );
    let shut = change(json!({ "open": false, "until": null, "reason": "alerts: A" }));
    assert_eq!(
        sent(ours(), closed(), well()).await,
        (vec![(line, shut)], Ok(true))
    );
}

#[tokio::test]
async fn what_somebody_else_wrote_meanwhile_is_no_error() {
    let conflict = || Reply::failure(409, "Conflict", "the object has been modified");
    let exists = Reply::failure(409, "AlreadyExists", "it exists");
    let gone = || Reply::failure(404, "NotFound", "it is gone");
    let broken = Reply::failure(500, "InternalError", "no");
    let table = [
        (ours(), conflict(), Ok(false)),
        (ours(), gone(), Ok(false)),
        (None, exists, Ok(false)),
        (None, gone(), Err(PutError::Undefined.to_string())),
        (
            ours(),
            broken,
            Err("the API server failed with 500: no".to_owned()),
        ),
    ];
    for (known, answer, expected) in table {
        let text = format!("{known:?} {answer:?}");
        assert_eq!(sent(known, closed(), answer).await.1, expected, "{text}");
    }
}

#[tokio::test]
async fn a_gate_of_somebody_else_is_left_alone() {
    for owner in [None, Some("backup")] {
        let (sent, put) = sent(gate(owner, "7"), open(), well()).await;
        let why = "the gate was not made by cuo-companion; delete it, set its label app.kubernetes.io/managed-by=cuo-companion, or give another name to the one in `gates`";
        assert_eq!((sent, put), (vec![], Err(why.to_owned())));
    }
    // Without a version, the write would not be for this one.
    let (sent, put) = sent(gate(Some("cuo-companion"), ""), open(), well()).await;
    let why = "the API server's answer has no version";
    assert_eq!((sent, put), (vec![], Err(why.to_owned())));
}
