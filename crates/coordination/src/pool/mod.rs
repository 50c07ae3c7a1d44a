//! `UpdatePool`, the one custom resource: its definition, what is read of it and its status.

mod parse;
mod rules;
pub mod schema;
pub mod spec;
pub mod status;

use cuo_core::ids::PoolName;
use cuo_core::pool::FoundPool;
use futures::StreamExt;
use futures::stream::BoxStream;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use cuo_cluster::ApiError;
use cuo_cluster::ClientSource;
use cuo_cluster::paths::POOLS;
use cuo_cluster::watch::{Change, Objects, feed, list};
use cuo_cluster::wire::Wire;

pub use cuo_cluster::paths::{GROUP, KIND, VERSION};
pub use parse::pool;
pub use spec::PoolSpec;
pub use status::PoolStatus;

/// Its name in paths.
pub const PLURAL: &str = "updatepools";
/// Its short name for `kubectl`.
pub const SHORT: &str = "up";

/// A pool on the wire.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct WirePool {
    metadata: Meta,
    /// Parsed later, so that an invalid pool does not hide the others.
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    uid: String,
    resource_version: String,
    #[serde(default)]
    generation: i64,
}

/// An `UpdatePool` as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolObject {
    /// Its name.
    pub name: PoolName,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`, for conditional writes.
    pub resource_version: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// The pool as parsed.
    pub found: FoundPool,
    /// The status that the operator wrote last; an unreadable one counts as empty, and is written again.
    pub status: PoolStatus,
}

impl Wire for WirePool {
    fn resource_version(&self) -> &str {
        &self.metadata.resource_version
    }

    fn key(&self) -> &str {
        &self.metadata.name
    }
}

impl WirePool {
    /// When the name is invalid, which the API server does not allow.
    pub fn into_object(self) -> Result<PoolObject, ApiError> {
        let name = self.metadata.name.parse::<PoolName>();
        let name = name.map_err(|error| ApiError::Other {
            message: error.to_string(),
        })?;
        Ok(PoolObject {
            found: pool(name.clone(), &self.spec),
            name,
            uid: self.metadata.uid,
            resource_version: self.metadata.resource_version,
            generation: self.metadata.generation,
            status: PoolStatus::deserialize(&self.status).unwrap_or_default(),
        })
    }
}

/// A change of the pools.
pub type PoolsEvent = Change<PoolObject>;

/// Watches all pools, as [`watch_nodes`](cuo_cluster::watch::watch_nodes) does. Where the resource is not defined there are none, which is looked at again now and then.
pub fn watch_pools(source: ClientSource) -> BoxStream<'static, PoolsEvent> {
    let pools = Objects {
        source,
        path: POOLS,
        selector: None,
        may_be_undefined: true,
        read: Box::new(WirePool::into_object),
    };
    feed(pools).boxed()
}

/// Reads all pools; none where the resource is not defined.
///
/// # Errors
/// Any [`ApiError`] but [`ApiError::NotFound`].
pub async fn list_pools(source: &ClientSource) -> Result<Vec<PoolObject>, ApiError> {
    match list(source, POOLS, None, WirePool::into_object).await {
        Ok((pools, _)) => Ok(pools),
        Err(ApiError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes the status of the pool `name`, if nobody wrote the pool since it was read as `resource_version`.
///
/// # Errors
/// [`ApiError::Conflict`] if somebody did, [`ApiError::NotFound`] if it is gone; any other [`ApiError`]. Nothing depends on a status.
pub async fn write_status(
    source: &ClientSource,
    name: &PoolName,
    resource_version: &str,
    status: &PoolStatus,
) -> Result<(), ApiError> {
    // A list is replaced as a whole, and so is what is absent: the API server merges objects only.
    let mut fields = json!(status);
    if let Value::Object(fields) = &mut fields {
        for gone in [
            "slots",
            "targets",
            "controlPlane",
            "nextWindow",
            "conditions",
        ] {
            fields.entry(gone).or_insert(Value::Null);
        }
    }
    let body = json!({ "metadata": { "resourceVersion": resource_version }, "status": fields });
    let params = PatchParams {
        field_manager: Some(source.program().name.to_owned()),
        ..PatchParams::default()
    };
    let request = Request::new(POOLS).patch_subresource(
        "status",
        name.as_str(),
        &params,
        &Patch::Merge(body),
    )?;
    let written = source.call(|client| async move { client.request::<Value>(request).await });
    written.await.map(drop)
}

#[cfg(test)]
mod tests;
