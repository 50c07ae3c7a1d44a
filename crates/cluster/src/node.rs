//! This host's Node: finding its name, reading it, and changing it conditionally.

use std::time::Duration;

use cuo_core::raw::{NodePatch, RawNode};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Api;
use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::paths::NODES;
use crate::source::ClientSource;
use crate::wire::WireNode;

pub use crate::keep::Keep;

/// The user that the API server sees in this program's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUser {
    /// The user name, for people.
    pub user: String,
}

impl ApiUser {
    /// The name of the node, if the credentials belong to a kubelet, or to an agent with an identity of its own
    /// (`deploy/agent-identity.yaml`).
    pub fn node(&self) -> Option<&str> {
        ["system:node:", "cuo:agent:"]
            .iter()
            .find_map(|prefix| self.user.strip_prefix(prefix))
    }
}

/// Asks the API server for this program's user (`SelfSubjectReview`, which everybody may create).
///
/// # Errors
/// Any [`ApiError`].
pub async fn whoami(source: &ClientSource) -> Result<ApiUser, ApiError> {
    let review = source
        .call(|client| async move {
            Api::<SelfSubjectReview>::all(client)
                .create(&PostParams::default(), &SelfSubjectReview::default())
                .await
        })
        .await?;
    let user = review.status.and_then(|status| status.user_info);
    Ok(ApiUser {
        user: user.and_then(|user| user.username).unwrap_or_default(),
    })
}

/// Reads the Node `name`; `None` if it does not exist.
///
/// # Errors
/// Any [`ApiError`] but [`ApiError::NotFound`].
pub async fn get_node(
    source: &ClientSource,
    name: &str,
    keep: &Keep,
) -> Result<Option<RawNode>, ApiError> {
    let request = Request::new(NODES).get(name, &GetParams::default())?;
    let read = source.call(|client| async move { client.request::<WireNode>(request).await });
    match read.await {
        Ok(node) => Ok(Some(node.into_raw(keep))),
        Err(ApiError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Changes the Node `name` within `deadline` if nobody else has since it was read, and returns it as changed.
///
/// # Errors
/// [`ApiError::Conflict`] if somebody wrote it in between, [`ApiError::NotFound`] if it is gone; any other [`ApiError`]. After a time-out
/// or a broken connection the change may have been made: read again.
pub async fn patch_node(
    source: &ClientSource,
    name: &str,
    patch: &NodePatch,
    keep: &Keep,
    deadline: Duration,
) -> Result<RawNode, ApiError> {
    if patch.resource_version.is_empty() {
        // An empty version would make the change unconditional.
        return Err(ApiError::Other {
            message: format!("a change of node {name} that names no version was not sent"),
        });
    }
    let params = PatchParams {
        field_manager: Some(manager(source.program().name, patch)),
        ..PatchParams::default()
    };
    let request = Request::new(NODES).patch(name, &params, &Patch::Merge(body(patch)))?;
    let write = source.call_within(deadline, |client| async move {
        client.request::<WireNode>(request).await
    });
    Ok(write.await?.into_raw(keep))
}

/// Whether the API server would accept a change of the Node `name`: a dry run, which goes through all checks and changes nothing.
///
/// # Errors
/// The refusal; any [`ApiError`].
pub async fn try_node(
    source: &ClientSource,
    name: &str,
    deadline: Duration,
) -> Result<(), ApiError> {
    let params = PatchParams {
        dry_run: true,
        field_manager: Some(source.program().name.to_owned()),
        ..PatchParams::default()
    };
    let request = Request::new(NODES).patch(name, &params, &Patch::Merge(json!({})))?;
    let tried = source.call_within(deadline, |client| async move {
        client.request::<WireNode>(request).await
    });
    tried.await.map(drop)
}

/// The field manager of the write, in `metadata.managedFields`. A cordon has a manager of its own, whose time no other write changes, so
/// that it is the API server's time of the cordon.
fn manager(program: &str, patch: &NodePatch) -> String {
    match patch.unschedulable {
        Some(true) => format!("{program}-cordon"),
        Some(false) | None => program.to_owned(),
    }
}

/// The merge patch: only what changes, and the version that it is based on.
fn body(patch: &NodePatch) -> Value {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), json!(patch.resource_version));
    for (field, changes) in [
        ("annotations", &patch.annotations),
        ("labels", &patch.labels),
    ] {
        if !changes.is_empty() {
            metadata.insert(field.into(), json!(changes));
        }
    }
    let mut body = Map::new();
    body.insert("metadata".into(), Value::Object(metadata));
    if let Some(unschedulable) = patch.unschedulable {
        // As `kubectl uncordon` does: schedulable means that the field is absent.
        let value = if unschedulable { Some(true) } else { None };
        body.insert("spec".into(), json!({ "unschedulable": value }));
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests;
