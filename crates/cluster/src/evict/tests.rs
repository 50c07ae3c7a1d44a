use serde_json::json;

use super::*;
use crate::double::{Api, Reply};

fn pod() -> RawPod {
    RawPod {
        namespace: "d".into(),
        name: "web-1".into(),
        uid: "u1".into(),
        ..RawPod::default()
    }
}

fn success() -> Reply {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201});
    Reply::json(201, status)
}

#[tokio::test]
async fn each_request_names_the_pod_by_its_uid_and_its_time_to_end() {
    let api = Api::start(|_| success()).await;
    let source = api.source().await;
    let accepted = Ok(Evicted::Accepted);
    assert_eq!(remove(&source, &pod(), How::Evict, None).await, accepted);
    assert_eq!(remove(&source, &pod(), How::Evict, Some(7)).await, accepted);
    assert_eq!(ask(&source, &pod(), None).await, accepted);
    assert_eq!(remove(&source, &pod(), How::Delete, None).await, accepted);
    assert_eq!(remove(&source, &pod(), How::Kill, Some(0)).await, accepted);
    let eviction = "POST /api/v1/namespaces/d/pods/web-1/eviction?";
    let deletion = "DELETE /api/v1/namespaces/d/pods/web-1?";
    let evict = |options: &str| {
        format!(
            r#"{{"apiVersion":"policy/v1","kind":"Eviction","deleteOptions":{options},"metadata":{{"name":"web-1","namespace":"d"}}}}"#
        )
    };
    let uid = r#"{"preconditions":{"uid":"u1"}}"#;
    let within = |seconds: u32| {
        format!(r#"{{"gracePeriodSeconds":{seconds},"preconditions":{{"uid":"u1"}}}}"#)
    };
    let expected = [
        (eviction.to_owned(), evict(uid)),
        (eviction.to_owned(), evict(&within(7))),
        (format!("{eviction}&dryRun=All"), evict(uid)),
        (deletion.to_owned(), uid.to_owned()),
        (deletion.to_owned(), within(0)),
    ];
    let seen = api.seen().into_iter();
    let seen: Vec<_> = seen.map(|request| (request.line, request.body)).collect();
    assert_eq!(seen, expected);
}

/// With a webhook that does something at every request there is no preflight.
#[tokio::test]
async fn where_nobody_may_ask_the_answer_is_yes() {
    let message = "admission webhook \"w\" does not support dry run";
    let api = Api::start(move |_| Reply::failure(400, "BadRequest", message)).await;
    let source = api.source().await;
    assert_eq!(ask(&source, &pod(), None).await, Ok(Evicted::Accepted));
    let done = remove(&source, &pod(), How::Evict, None).await;
    assert!(matches!(done, Ok(Evicted::Refused { .. })), "{done:?}");
}

#[tokio::test]
async fn every_answer_has_its_outcome() {
    let refused = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 429, "reason": "TooManyRequests",
        "message": "Cannot evict pod as it would violate the pod's disruption budget.",
        "details": {
            "causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 1 healthy pods and has 1 currently"}],
            "retryAfterSeconds": 10,
        },
    });
    let refused_so = |message: &str| {
        Ok(Evicted::Refused {
            message: message.into(),
            retry_after: None,
        })
    };
    let denied = "admission webhook \"w\" denied the request: m";
    let by_policy = "pods \"web-1\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: m";
    let two_budgets = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    let cases = [
            (Reply::failure(404, "NotFound", "m"), Ok(Evicted::Gone)),
            (Reply::failure(409, "Conflict", "m"), Ok(Evicted::Gone)),
            (Reply::failure(409, "Conflict", denied), refused_so(denied)),
            (
                Reply::failure(401, "Unauthorized", by_policy),
                refused_so(by_policy),
            ),
            (
                Reply::json(429, refused),
                Ok(Evicted::Refused {
                    message: "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget web needs 1 healthy pods and has 1 currently".into(),
                    retry_after: Some(Duration::from_secs(10)),
                }),
            ),
            (
                // Overload is refused without a Status body (priority and fairness).
                Reply::text(429, "Too many requests, please try again later."),
                Ok(Evicted::Refused {
                    message: "Too many requests, please try again later.".into(),
                    retry_after: None,
                }),
            ),
            (
                Reply::failure(500, "InternalError", two_budgets),
                refused_so(two_budgets),
            ),
            // A namespace that is being deleted, webhooks.
            (Reply::failure(403, "Forbidden", "m"), refused_so("m")),
            (Reply::failure(500, "InternalError", "m"), refused_so("m")),
            (Reply::failure(422, "Invalid", "m"), refused_so("422 m")),
            (
                Reply::failure(401, "Unauthorized", "m"),
                Err(ApiError::Unauthorized { message: "m".into() }),
            ),
        ];
    for (reply, expected) in cases {
        let api = Api::start(move |_| reply.clone()).await;
        let done = remove(&api.source().await, &pod(), How::Evict, None).await;
        assert_eq!(done, expected);
        assert_eq!(api.seen().len(), 1);
    }
}
