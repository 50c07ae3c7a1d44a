//! `UpdateGate`s of the companion.

use cuo_cluster::paths::{GATES, GROUP, VERSION};
use cuo_cluster::{ApiError, ClientSource};
use cuo_coordination::gate::{GateObject, GateSpec, KIND};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{Request, request};
use serde_json::{Value, json};

/// The label of every gate that the companion made. It writes no other, and its admission policy does not let it.
pub const OWNER: (&str, &str) = ("app.kubernetes.io/managed-by", "cuo-companion");

/// Why a gate was not written.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The API server refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The gate is somebody else's.
    #[error(
        "the gate was not made by cuo-companion; delete it, set its label {key}={value}, or give another name to the one in `gates`",
        key = OWNER.0,
        value = OWNER.1
    )]
    Foreign,
    /// Without a version the write would be unconditional.
    #[error("the API server's answer has no version")]
    NoVersion,
    /// There is no resource to make one of.
    #[error(
        "the cluster does not know {KIND}s; `kubectl apply -f deploy/operator.yaml` of this release defines them"
    )]
    Undefined,
}

/// Makes the gate `name` where none is `known`, or changes the one that is, if nobody has since. False where somebody has: the watch brings
/// what it is now.
///
/// # Errors
/// Any [`PutError`].
pub async fn put(
    source: &ClientSource,
    name: &str,
    known: Option<&GateObject>,
    spec: &GateSpec,
) -> Result<bool, PutError> {
    let written = match known {
        None => make(source, name, spec).await,
        Some(known) => change(source, known, spec).await,
    };
    match written {
        Err(PutError::Api(ApiError::Conflict { .. })) => Ok(false),
        written => written.map(|()| true),
    }
}

async fn change(
    source: &ClientSource,
    known: &GateObject,
    spec: &GateSpec,
) -> Result<(), PutError> {
    let params = PatchParams {
        field_manager: Some(source.program().name.to_owned()),
        ..PatchParams::default()
    };
    let request = Request::new(GATES).patch(&known.name, &params, &patch(known, spec)?);
    match call(source, request).await {
        // It was deleted. The watch brings that, too.
        Err(ApiError::NotFound { message }) => Err(ApiError::Conflict { message }.into()),
        changed => Ok(changed.map(drop)?),
    }
}

async fn make(source: &ClientSource, name: &str, spec: &GateSpec) -> Result<(), PutError> {
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": { "name": name, "labels": { OWNER.0: OWNER.1 } },
        "spec": spec,
    });
    let params = PostParams {
        field_manager: Some(source.program().name.to_owned()),
        ..PostParams::default()
    };
    let request = Request::new(GATES).create(&params, body.to_string().into_bytes());
    match call(source, request).await {
        Err(ApiError::NotFound { .. }) => Err(PutError::Undefined),
        made => Ok(made.map(drop)?),
    }
}

async fn call(
    source: &ClientSource,
    built: Result<http::Request<Vec<u8>>, request::Error>,
) -> Result<Value, ApiError> {
    let request = built?;
    let called = source.call(|client| async move { client.request::<Value>(request).await });
    called.await
}

/// The change of `known` to `spec`, for as long as nobody else changes it.
fn patch(known: &GateObject, spec: &GateSpec) -> Result<Patch<Value>, PutError> {
    if known.labels.get(OWNER.0).map(String::as_str) != Some(OWNER.1) {
        return Err(PutError::Foreign);
    }
    let version = known.version.as_str();
    if version.is_empty() {
        return Err(PutError::NoVersion);
    }
    let GateSpec {
        open,
        until,
        reason,
    } = spec;
    Ok(Patch::Merge(json!({
        "metadata": { "resourceVersion": version },
        // What is not said this time is `null`, which removes it.
        "spec": { "open": open, "until": until, "reason": reason },
    })))
}

#[cfg(test)]
mod tests;
