//! Asking a pod to leave, within its disruption budget.

use std::time::Duration;

use cuo_core::drain::RawPod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::PostParams;
use kube::core::Request;

use crate::error::ApiError;
use crate::source::ClientSource;

/// Part of the refusal of a pod with two budgets, which has status 500 (seen with Kubernetes 1.37).
const TWO_BUDGETS: &str = "more than one PodDisruptionBudget";

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evicted {
    /// The pod is being deleted, or was.
    Accepted,
    /// There is no such pod any more: none, or another one of the same name.
    Gone,
    /// Not now: a disruption budget, two budgets for one pod (which the API server never evicts), or an overloaded API server.
    Refused {
        /// The API server's words; they name the budget.
        message: String,
        /// How long the API server asks to wait, if it says so.
        retry_after: Option<Duration>,
    },
}

/// Asks for the eviction of exactly this pod: one of the same name with another UID is left alone.
///
/// Send it only for a pod that was just seen: even where the UID does not match, the API server takes one disruption off the budget
/// (seen with Kubernetes 1.37).
///
/// # Errors
/// Any [`ApiError`] but those that [`Evicted`] stands for.
pub async fn evict(source: &ClientSource, pod: &RawPod) -> Result<Evicted, ApiError> {
    let body = serde_json::to_vec(&body(pod)).map_err(|error| ApiError::Other {
        message: error.to_string(),
    })?;
    let path = format!("/api/v1/namespaces/{}/pods", pod.namespace);
    // The library's own eviction sends the options under a name that the API server does not know, so the UID would be lost.
    let request = Request::new(path).create_subresource(
        "eviction",
        &pod.name,
        &PostParams::default(),
        body,
    )?;
    let asked = source.call(|client| async move { client.request_text(request).await });
    match asked.await {
        Ok(_) => Ok(Evicted::Accepted),
        Err(ApiError::NotFound { .. } | ApiError::Conflict { .. }) => Ok(Evicted::Gone),
        Err(ApiError::TooManyRequests {
            retry_after,
            message,
        }) => Ok(Evicted::Refused {
            message,
            retry_after,
        }),
        // A fault of the cluster's objects that the API server reports as its own.
        Err(ApiError::Server { code: 500, message }) if message.contains(TWO_BUDGETS) => {
            Ok(Evicted::Refused {
                message,
                retry_after: None,
            })
        }
        Err(error) => Err(error),
    }
}

fn body(pod: &RawPod) -> Eviction {
    Eviction {
        metadata: ObjectMeta {
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            ..ObjectMeta::default()
        },
        delete_options: Some(DeleteOptions {
            preconditions: Some(Preconditions {
                uid: Some(pod.uid.clone()),
                ..Preconditions::default()
            }),
            ..DeleteOptions::default()
        }),
    }
}

#[cfg(test)]
mod tests {
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

    #[tokio::test]
    async fn the_request_names_the_pod_by_its_uid() {
        let api = Api::start(|_| {
            Reply::json(
                201,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201}),
            )
        })
        .await;
        assert_eq!(
            evict(&api.source().await, &pod()).await,
            Ok(Evicted::Accepted)
        );
        let seen = api.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(
            seen[0].line,
            "POST /api/v1/namespaces/d/pods/web-1/eviction?"
        );
        assert_eq!(
            seen[0].body,
            r#"{"apiVersion":"policy/v1","kind":"Eviction","deleteOptions":{"preconditions":{"uid":"u1"}},"metadata":{"name":"web-1","namespace":"d"}}"#
        );
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
        let message = "m".to_owned();
        let two_budgets = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        let cases = [
            (Reply::failure(404, "NotFound", "m"), Ok(Evicted::Gone)),
            (Reply::failure(409, "Conflict", "m"), Ok(Evicted::Gone)),
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
                Ok(Evicted::Refused { message: two_budgets.into(), retry_after: None }),
            ),
            (Reply::failure(403, "Forbidden", "m"), Err(ApiError::Forbidden { message: message.clone() })),
            (Reply::failure(500, "InternalError", "m"), Err(ApiError::Server { code: 500, message })),
        ];
        for (reply, expected) in cases {
            let api = Api::start(move |_| reply.clone()).await;
            assert_eq!(evict(&api.source().await, &pod()).await, expected);
            assert_eq!(api.seen().len(), 1);
        }
    }
}
