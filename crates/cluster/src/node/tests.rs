use super::*;
use crate::double::{Api, Reply, node};
use crate::source::DEADLINE;

fn patch() -> NodePatch {
    NodePatch {
        resource_version: "7".into(),
        annotations: [
            ("cuo.coreos.com/reason".to_owned(), None),
            ("cuo.coreos.com/status".to_owned(), Some("x".to_owned())),
        ]
        .into(),
        labels: [("cuo.coreos.com/id".to_owned(), Some("fedora".to_owned()))].into(),
        unschedulable: Some(true),
    }
}

#[test]
fn a_patch_holds_the_version_and_only_what_changes() {
    let empty = NodePatch {
        resource_version: "7".into(),
        ..NodePatch::default()
    };
    let uncordon = NodePatch {
        unschedulable: Some(false),
        ..empty.clone()
    };
    let cases = [
        (empty, r#"{"metadata":{"resourceVersion":"7"}}"#),
        (
            uncordon,
            r#"{"metadata":{"resourceVersion":"7"},"spec":{"unschedulable":null}}"#,
        ),
        (
            patch(),
            r#"{"metadata":{"annotations":{"cuo.coreos.com/reason":null,"cuo.coreos.com/status":"x"},"labels":{"cuo.coreos.com/id":"fedora"},"resourceVersion":"7"},"spec":{"unschedulable":true}}"#,
        ),
    ];
    for (patch, expected) in cases {
        assert_eq!(body(&patch).to_string(), expected);
    }
}

#[tokio::test]
async fn a_patch_is_one_conditional_request_of_the_program() {
    let api = Api::start(|_| Reply::json(200, node("n1", "8"))).await;
    let written = patch_node(
        &api.source().await,
        "n1",
        &patch(),
        &Keep::default(),
        DEADLINE,
    )
    .await;
    assert_eq!(written.unwrap().resource_version, "8");
    let seen = api.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].line,
        "PATCH /api/v1/nodes/n1?&fieldManager=cuo-agent-cordon"
    );
    assert_eq!(
        seen[0].header("content-type"),
        "application/merge-patch+json"
    );
    assert_eq!(seen[0].header("user-agent"), "cuo-agent/0.0.0-test");
    assert_eq!(seen[0].body, body(&patch()).to_string());
}

#[tokio::test]
async fn a_patch_without_a_version_is_never_sent() {
    let api = Api::start(|_| Reply::json(200, node("n1", "8"))).await;
    let unconditional = NodePatch::default();
    let refused = patch_node(
        &api.source().await,
        "n1",
        &unconditional,
        &Keep::default(),
        DEADLINE,
    )
    .await;
    let message = "a change of node n1 that names no version was not sent".to_owned();
    assert_eq!(refused, Err(ApiError::Other { message }));
    assert!(api.seen().is_empty());
}

#[tokio::test]
async fn a_conflict_is_told_as_such_and_is_not_tried_again() {
    let api = Api::start(|_| Reply::failure(409, "Conflict", "the object has been modified")).await;
    let written = patch_node(
        &api.source().await,
        "n1",
        &patch(),
        &Keep::default(),
        DEADLINE,
    )
    .await;
    let message = "the object has been modified".to_owned();
    assert_eq!(written, Err(ApiError::Conflict { message }));
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test]
async fn an_absent_node_is_an_answer() {
    let api = Api::start(|_| Reply::failure(404, "NotFound", "nodes \"n1\" not found")).await;
    let read = get_node(&api.source().await, "n1", &Keep::default()).await;
    assert_eq!(read, Ok(None));
}

#[tokio::test]
async fn overload_is_told_at_once() {
    let api = Api::start(|_| Reply::failure(503, "ServiceUnavailable", "busy")).await;
    let read = get_node(&api.source().await, "n1", &Keep::default()).await;
    let message = "busy".to_owned();
    assert_eq!(read, Err(ApiError::Server { code: 503, message }));
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test]
async fn a_node_knows_its_name_from_its_credentials() {
    let api = Api::start(|_| {
        Reply::json(
            201,
            json!({"metadata": {}, "status": {"userInfo": {"username": "system:node:n1"}}}),
        )
    })
    .await;
    let identity = whoami(&api.source().await).await.unwrap();
    assert_eq!(identity.node(), Some("n1"));
    for (user, node) in [("cuo:agent:n1", Some("n1")), ("admin", None)] {
        let identity = ApiUser { user: user.into() };
        assert_eq!(identity.node(), node);
    }
}
