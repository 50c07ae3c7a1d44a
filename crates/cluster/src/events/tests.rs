use cuo_core::reason::Code;
use serde_json::json;

use super::*;
use crate::double::{Api as Double, Reply};

#[tokio::test]
async fn an_event_names_the_node_the_reason_and_who_says_so() {
    let api = Double::start(|request| {
        Reply::json(201, serde_json::from_str(&request.body).unwrap_or_default())
    })
    .await;
    let about = About {
        kind: Kind::Node,
        name: "n1".into(),
        uid: "u1".into(),
    };
    let reason = Reason::new(Code::DrainBlocked, "default/web-1 is blocked by web.");
    let at = "2026-11-23T21:00:00.5Z".parse().unwrap();
    let source = api.source().await;
    let note = Note {
        severity: Severity::Warning,
        action: "Drain",
        reason: &reason,
    };
    publish(&source, &about, note, "n1", at).await.unwrap();
    let seen = api.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].line,
        "POST /apis/events.k8s.io/v1/namespaces/default/events?"
    );
    let expected = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"generateName": "cuo-agent-", "namespace": "default"},
        "action": "Drain", "reason": "DrainBlocked", "type": "Warning",
        "note": "default/web-1 is blocked by web.",
        "eventTime": "2026-11-23T21:00:00.500000Z",
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1"},
        "reportingController": "cuo.coreos.com/cuo-agent", "reportingInstance": "n1",
    });
    let sent: serde_json::Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(sent, expected);
    assert_eq!(
        Kind::Pool.names(),
        ("cuo.coreos.com/v1alpha1".to_owned(), "UpdatePool")
    );
}
