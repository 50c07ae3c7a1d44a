//! Removes a pod: by eviction within its disruption budget, or by deletion.

use std::time::Duration;

use cuo_core::drain::{How, RawPod};
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::{DeleteParams, PostParams};
use kube::core::Request;

use crate::error::ApiError;
use crate::source::ClientSource;

/// Part of the message when a dry run is refused because a webhook has side effects (400, seen with Kubernetes 1.37).
const NO_QUESTIONS: &str = "does not support dry run";

/// How long an eviction may take: longer than the API server allows for a request (`--request-timeout`, by default a minute), in which a
/// webhook may take 30 s.
pub const LIMIT: Duration = Duration::from_secs(65);

/// The API server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evicted {
    /// The pod is being deleted, or was; after a question, it would be.
    Accepted,
    /// The pod is gone: there is none of this name, or one with another UID.
    Gone,
    /// Not this pod, or not now: a disruption budget, two budgets for one pod (which the API server never evicts), a webhook, a missing
    /// right, or an API server that is overloaded or fails.
    Refused {
        /// The API server's message, which names the budget.
        message: String,
        /// How long the API server asks to wait, if it says so.
        retry_after: Option<Duration>,
    },
}

/// Removes exactly this pod: one of the same name with another UID is left alone. It has `grace` seconds to end, or its own grace period.
///
/// Only for a pod that was just seen: even if the UID does not match, the API server takes one disruption off the budget (seen with
/// Kubernetes 1.37).
///
/// # Errors
/// If the API server could not be asked: [`ApiError::Unreachable`], [`ApiError::Credentials`] and [`ApiError::Unauthorized`].
pub async fn remove(
    source: &ClientSource,
    pod: &RawPod,
    how: How,
    grace: Option<u32>,
) -> Result<Evicted, ApiError> {
    match how {
        How::Evict => evict(source, pod, grace, &PostParams::default()).await,
        How::Delete | How::Kill => delete(source, pod, grace).await,
    }
}

/// Whether the API server would evict this pod now, without doing it: budgets stay as they are.
///
/// # Errors
/// As [`remove`].
pub async fn ask(
    source: &ClientSource,
    pod: &RawPod,
    grace: Option<u32>,
) -> Result<Evicted, ApiError> {
    let question = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match evict(source, pod, grace, &question).await? {
        // Nobody can answer that, and the drain will show it.
        Evicted::Refused { message, .. } if message.contains(NO_QUESTIONS) => Ok(Evicted::Accepted),
        answer => Ok(answer),
    }
}

async fn evict(
    source: &ClientSource,
    pod: &RawPod,
    grace: Option<u32>,
    params: &PostParams,
) -> Result<Evicted, ApiError> {
    let eviction = Eviction {
        metadata: ObjectMeta {
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            ..ObjectMeta::default()
        },
        delete_options: Some(options(pod, grace)),
    };
    let body = json(&eviction)?;
    // The library's own eviction sends the options under a wrong name, which the API server ignores, so the UID would be lost.
    let request = pods(pod).create_subresource("eviction", &pod.name, params, body)?;
    send(source, request).await
}

async fn delete(
    source: &ClientSource,
    pod: &RawPod,
    grace: Option<u32>,
) -> Result<Evicted, ApiError> {
    let mut request = pods(pod).delete(&pod.name, &DeleteParams::default())?;
    *request.body_mut() = json(&options(pod, grace))?;
    send(source, request).await
}

fn pods(pod: &RawPod) -> Request {
    Request::new(format!("/api/v1/namespaces/{}/pods", pod.namespace))
}

fn json(body: &impl serde::Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(body).map_err(|error| ApiError::Other {
        message: error.to_string(),
    })
}

fn options(pod: &RawPod, grace: Option<u32>) -> DeleteOptions {
    DeleteOptions {
        grace_period_seconds: grace.map(i64::from),
        preconditions: Some(Preconditions {
            uid: Some(pod.uid.clone()),
            ..Preconditions::default()
        }),
        ..DeleteOptions::default()
    }
}

async fn send(source: &ClientSource, request: http::Request<Vec<u8>>) -> Result<Evicted, ApiError> {
    let asked = source.call_within(
        LIMIT,
        |client| async move { client.request_text(request).await },
    );
    let refused = |message, retry_after| {
        Ok(Evicted::Refused {
            message,
            retry_after,
        })
    };
    match asked.await {
        Ok(_) => Ok(Evicted::Accepted),
        Err(ApiError::NotFound { .. } | ApiError::Conflict { .. }) => Ok(Evicted::Gone),
        Err(ApiError::TooManyRequests {
            retry_after,
            message,
        }) => refused(message, retry_after),
        // A namespace that is being deleted refuses with 403, a webhook with anything, two budgets for one pod with 500: each concerns this
        // pod only, and the others continue.
        Err(
            ApiError::Forbidden { message }
            | ApiError::Server { message, .. }
            | ApiError::Gone { message }
            | ApiError::Other { message },
        ) => refused(message, None),
        // So does a call without an answer while others get one: only a broken connection concerns the API server itself.
        Err(error @ ApiError::Timeout { .. }) => refused(error.to_string(), None),
        Err(
            error @ (ApiError::Unreachable { .. }
            | ApiError::Credentials(_)
            | ApiError::Unauthorized { .. }),
        ) => Err(error),
    }
}

#[cfg(test)]
mod tests;
