//! `UpdatePool`, the one custom resource: its definition, what is read of it and its status.

mod parse;
pub mod releases;
pub(crate) mod rules;
pub mod schema;
pub mod spec;
pub mod status;

use cuo_core::ids::PoolName;
use cuo_core::pool::FoundPool;
use cuo_core::release::Rollout;
use futures::stream::BoxStream;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use cuo_cluster::ApiError;
use cuo_cluster::ClientSource;
use cuo_cluster::paths::POOLS;
use cuo_cluster::watch::Change;
use cuo_cluster::wire::Wire;

use crate::custom::{list_all, watch_all};

pub use cuo_cluster::paths::{GROUP, KIND, VERSION};
pub use parse::pool;
pub use releases::ReleaseStatus;
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

/// The fields of [`Meta`].
const META: [&str; 4] = ["name", "uid", "resourceVersion", "generation"];

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

impl PoolObject {
    /// How far it is with releases, as its status says.
    pub fn rollout(&self) -> Rollout {
        let release = self.status.release.clone().unwrap_or_default();
        release.rollout(&self.status.history)
    }
}

/// What is new about all pools.
pub type PoolsEvent = Change<PoolObject>;

/// Watches all pools, as [`watch_nodes`](cuo_cluster::watch::watch_nodes) does. Where the resource is not defined there are none, which is looked at again now and then.
pub fn watch_pools(source: ClientSource) -> BoxStream<'static, PoolsEvent> {
    watch_all(source, POOLS, WirePool::into_object)
}

/// Reads all pools; none where the resource is not defined.
///
/// # Errors
/// Any [`ApiError`] but [`ApiError::NotFound`].
pub async fn list_pools(source: &ClientSource) -> Result<Vec<PoolObject>, ApiError> {
    list_all(source, POOLS, WirePool::into_object).await
}

/// Reads all objects of the custom resource at `path` as they are, with of their metadata only what [`of_value`] reads; none where the
/// resource is not defined.
///
/// # Errors
/// Any [`ApiError`] but [`ApiError::NotFound`].
pub async fn list_values(source: &ClientSource, path: &str) -> Result<Vec<Value>, ApiError> {
    let request = Request::new(path).list(&ListParams::default())?;
    let read = source.call(|client| async move { client.request::<Value>(request).await });
    let mut found = match read.await {
        Ok(found) => found,
        Err(ApiError::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let items = found.get_mut("items").and_then(Value::as_array_mut);
    let mut items = items.map(std::mem::take).unwrap_or_default();
    for item in &mut items {
        if let Some(Value::Object(fields)) = item.get_mut("metadata") {
            fields.retain(|field, _| META.contains(&field.as_str()));
        }
    }
    Ok(items)
}

/// The pool that `value` holds, as the API server or a manifest has it.
///
/// # Errors
/// Where it is no pool at all; one with an invalid `spec` is a pool.
pub fn of_value(value: Value) -> Result<PoolObject, ApiError> {
    let pool = WirePool::deserialize(value).map_err(|error| ApiError::Other {
        message: format!("no UpdatePool: {error}"),
    })?;
    pool.into_object()
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
        if let Some(Value::Object(release)) = fields.get_mut("release") {
            let waiting = release.entry("waiting").or_insert(Value::Null);
            if let Value::Object(waiting) = waiting {
                waiting.entry("version").or_insert(Value::Null);
            }
        }
    }
    write(source, name, resource_version, fields)
        .await
        .map(drop)
}

/// Writes how far the pool `name` is with releases, if nobody wrote the pool since it was read as `resource_version`. Returns the version of
/// the pool afterwards.
///
/// # Errors
/// [`ApiError::Conflict`] if somebody did, [`ApiError::NotFound`] if it is gone; any other [`ApiError`], also where the API server does not
/// keep what was written.
pub async fn write_rollout(
    source: &ClientSource,
    name: &PoolName,
    resource_version: &str,
    rollout: &Rollout,
) -> Result<String, ApiError> {
    let release = ReleaseStatus::new(rollout);
    let history: Vec<_> = rollout
        .history
        .iter()
        .map(releases::PastStatus::from)
        .collect();
    let mut fields = json!(release);
    if let Value::Object(fields) = &mut fields {
        for gone in ["candidate", "promoted", "promotedAt", "givenUp"] {
            fields.entry(gone).or_insert(Value::Null);
        }
    }
    let fields = json!({ "release": replaced(fields), "history": history });
    let written = write(source, name, resource_version, fields).await?;
    let written = WirePool::deserialize(written).map_err(|error| ApiError::Other {
        message: format!("the answer is no UpdatePool: {error}"),
    })?;
    let written = written.into_object()?;
    if written.rollout() != *rollout {
        return Err(ApiError::Other {
            message: "it took the status of the pool, but does not keep `release`; see that the definition of UpdatePool is of this release (deploy/operator.yaml)".into(),
        });
    }
    Ok(written.resource_version)
}

/// The same with what is absent of a release as `null`: merging would leave what another one had.
fn replaced(mut release: Value) -> Value {
    for chosen in ["candidate", "promoted"] {
        if let Some(Value::Object(fields)) = release.get_mut(chosen) {
            for gone in ["version", "image"] {
                fields.entry(gone).or_insert(Value::Null);
            }
        }
    }
    release
}

/// Merges `fields` into the status of the pool `name`.
async fn write(
    source: &ClientSource,
    name: &PoolName,
    resource_version: &str,
    fields: Value,
) -> Result<Value, ApiError> {
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
    written.await
}

#[cfg(test)]
mod tests;
