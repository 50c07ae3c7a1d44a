use serde_json::json;

use super::*;
use crate::double::{Api, Reply};

fn pod(name: &str) -> serde_json::Value {
    json!({"metadata": {"name": name, "namespace": "d", "uid": format!("u-{name}"), "resourceVersion": "6"}})
}

fn raw(name: &str) -> RawPod {
    RawPod {
        namespace: "d".into(),
        name: name.into(),
        uid: format!("u-{name}"),
        ..RawPod::default()
    }
}

#[tokio::test]
async fn pods_of_this_node_are_told_as_they_come_and_go_and_are_gone_by_their_uid() {
    let api = Api::start(|request| {
        if request.line.contains("watch=true") {
            return Reply::watch([("ADDED", pod("c")), ("DELETED", pod("a"))]);
        }
        let second = request.line.contains("continue=more");
        let name = if second { "b" } else { "a" };
        let next = if second { "" } else { "more" };
        Reply::json(
            200,
            json!({"metadata": {"resourceVersion": "5", "continue": next}, "items": [pod(name)]}),
        )
    })
    .await;
    let mut events = watch_pods(api.source().await, "n1");
    for expected in [
        Change::Reset(vec![raw("a"), raw("b")]),
        Change::Changed(raw("c")),
        Change::Gone("u-a".into()),
    ] {
        assert_eq!(events.next().await, Some(expected));
    }
    for request in api.seen() {
        let own = "fieldSelector=spec.nodeName%3Dn1";
        assert!(request.line.contains(own), "{}", request.line);
    }
}

#[tokio::test]
async fn a_claim_leads_to_the_name_that_the_node_calls_its_volume_by() {
    let api = Api::start(|request| {
            let meta = |name: &str| json!({"name": name});
            let last = request.line.trim_end_matches('?').rsplit('/').next().unwrap_or_default();
            match last {
                "bound" | "old" => {
                    let volume = format!("pv-{last}");
                    Reply::json(200, json!({"metadata": meta(last), "spec": {"volumeName": volume}}))
                }
                "open" => Reply::json(200, json!({"metadata": meta(last), "spec": {}})),
                "pv-bound" => Reply::json(200, json!({"metadata": meta(last), "spec": {"csi": {"driver": "csi.example.com", "volumeHandle": "v1"}}})),
                "pv-old" => Reply::json(200, json!({"metadata": meta(last), "spec": {"nfs": {"path": "/", "server": "s"}}})),
                "forbidden" => Reply::failure(403, "Forbidden", "m"),
                _ => Reply::failure(404, "NotFound", "m"),
            }
        })
        .await;
    let source = api.source().await;
    let claims = |names: &[&str]| {
        let claim = |name: &&str| Claim {
            namespace: "d".into(),
            name: (*name).to_owned(),
        };
        names.iter().map(claim).collect()
    };
    let found = volumes_of(&source, &claims(&["bound", "old", "open", "gone"])).await;
    assert_eq!(
        found,
        Ok(["kubernetes.io/csi/csi.example.com^v1".to_owned()].into())
    );
    let found = volumes_of(&source, &claims(&["bound", "forbidden"])).await;
    let message = "m".to_owned();
    assert_eq!(found, Err(ApiError::Forbidden { message }));
}
