//! `UpdateGate`: its definition, and what is read of it.

use cuo_core::gate::{FoundGate, Gate};
use cuo_core::time::Time;
use futures::stream::BoxStream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use cuo_cluster::ApiError;
use cuo_cluster::ClientSource;
use cuo_cluster::paths::GATES;
use cuo_cluster::watch::Change;

use crate::definition::{Resource, column, structural};
use crate::named::{Named, list_named, watch_named};
use crate::pool::rules;

/// Its kind.
pub const KIND: &str = "UpdateGate";
/// Its name in paths.
pub const PLURAL: &str = "updategates";

/// `spec` of an `UpdateGate`. Pools that name it in `gates` are granted nothing while it is closed or missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateSpec {
    /// Whether it is open.
    pub open: bool,
    /// When it closes by itself, by the operator's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::time")]
    pub until: Option<Time>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// The gate that `spec` describes, whatever its name.
pub fn gate(_: &str, spec: &Value) -> FoundGate {
    let spec = GateSpec::deserialize(spec).map_err(|error| error.to_string())?;
    Ok(Gate {
        open: spec.open,
        until: spec.until,
        reason: spec.reason,
    })
}

/// An `UpdateGate` as it was found.
pub type GateObject = Named<FoundGate>;

/// Watches all gates, as [`watch_pools`](crate::pool::watch_pools) does pools.
pub fn watch_gates(source: ClientSource) -> BoxStream<'static, Change<GateObject>> {
    watch_named(source, GATES, gate)
}

/// Reads all gates; none where the resource is not defined.
///
/// # Errors
/// Any [`ApiError`] but [`ApiError::NotFound`].
pub async fn list_gates(source: &ClientSource) -> Result<Vec<GateObject>, ApiError> {
    list_named(source, GATES, gate).await
}

/// The whole definition, as `deploy/operator.yaml` carries it.
pub fn definition() -> Value {
    let resource = Resource {
        kind: KIND,
        plural: PLURAL,
        short: &[],
        means: "Lets the pools that name it be granted while it is open.",
    };
    let columns = [
        column("Open", "boolean", ".spec.open"),
        column("Until", "string", ".spec.until"),
        column("Reason", "string", ".spec.reason"),
        column("Age", "date", ".metadata.creationTimestamp"),
    ];
    resource.definition(&columns, structural::<GateSpec>(), None)
}

#[cfg(test)]
mod tests;
