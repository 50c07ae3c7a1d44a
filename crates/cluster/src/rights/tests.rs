use serde_json::{Value, json};

use super::*;
use crate::double::{Api, Reply};

#[tokio::test]
async fn a_right_is_asked_for_as_the_request_would_be() {
    let api = Api::start(|request| {
        let granted = request.body.contains("eviction");
        Reply::json(
            201,
            json!({"metadata": {}, "spec": {}, "status": {"allowed": granted}}),
        )
    })
    .await;
    let source = api.source().await;
    let pods = Right {
        verb: "list",
        resource: "pods",
        subresource: None,
        name: None,
        only: Some(("spec.nodeName", "n1")),
    };
    let evictions = Right {
        verb: "create",
        subresource: Some("eviction"),
        only: None,
        ..pods
    };
    assert_eq!(allowed(&source, &pods).await, Ok(false));
    assert_eq!(allowed(&source, &evictions).await, Ok(true));
    let seen = api.seen();
    let spec = |index: usize| -> Value {
        let body: Value = serde_json::from_str(&seen[index].body).unwrap();
        body["spec"]["resourceAttributes"].clone()
    };
    let selector =
        json!({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]});
    assert_eq!(
        spec(0),
        json!({"verb": "list", "resource": "pods", "version": "v1", "fieldSelector": selector})
    );
    assert_eq!(
        spec(1),
        json!({"verb": "create", "resource": "pods", "version": "v1", "subresource": "eviction"})
    );
    assert_eq!(pods.to_string(), "list pods with spec.nodeName=n1");
    assert_eq!(evictions.to_string(), "create pods/eviction");
}

#[test]
fn a_clock_is_told_to_the_second() {
    let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
    let ahead = |theirs, before, after| outside(at(theirs), at(before), at(after)).as_millis();
    assert_eq!(ahead(10_000, 10_500, 10_900), 0);
    assert_eq!(ahead(10_000, 9_900, 10_100), 0);
    assert_eq!(ahead(20_000, 9_900, 10_100), 9_900);
    assert_eq!(ahead(10_000, 20_000, 20_100), -9_000);
}
