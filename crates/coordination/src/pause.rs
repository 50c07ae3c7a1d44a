//! `UpdatePause`: its definition, and what is read of it.

use std::collections::BTreeSet;

use cuo_core::pause::{FoundPause, Pause, Scope};
use cuo_core::time::Time;
use futures::stream::BoxStream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use cuo_cluster::ApiError;
use cuo_cluster::ClientSource;
use cuo_cluster::paths::PAUSES;
use cuo_cluster::watch::Change;

use crate::definition::{Resource, column, structural};
use crate::named::{Named, list_named, watch_named};
use crate::pool::rules;

/// Its kind.
pub const KIND: &str = "UpdatePause";
/// Its name in paths.
pub const PLURAL: &str = "updatepauses";

/// `spec` of an `UpdatePause`. The operator grants nothing to the nodes that it is about, and takes back what their agents have not accepted
/// yet, until it is deleted or its time is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.pool) == (self.scope == 'Pool')",
    "message": "`pool` goes with `scope: Pool`, and only with that",
}, {
    "rule": "(has(self.nodes) && size(self.nodes) > 0) == (self.scope == 'Nodes')",
    "message": "`nodes` goes with `scope: Nodes`, and only with that",
}]))]
pub struct PauseSpec {
    /// Which nodes.
    pub scope: ScopeSpec,
    /// The name of the pool whose nodes are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pool: Option<String>,
    /// The names of the nodes that are held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(max = 253)))]
    pub nodes: Vec<String>,
    /// When it ends by itself, by the operator's clock; without it, once it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::time")]
    pub until: Option<Time>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
    /// Who paused: the name of the user that writes this, and nobody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub by: Option<String>,
}

/// Which nodes a pause is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScopeSpec {
    /// All.
    All,
    /// Those of one pool.
    Pool,
    /// Some, by name.
    Nodes,
}

/// The pause `name` as its `spec` describes it.
pub fn pause(name: &str, spec: &Value) -> FoundPause {
    let parsed = PauseSpec::deserialize(spec).map_err(|error| error.to_string());
    match parsed.and_then(|spec| valid(name, spec)) {
        Ok(pause) => FoundPause::Valid(pause),
        Err(why) => FoundPause::Invalid {
            name: name.to_owned(),
            why,
        },
    }
}

fn valid(name: &str, spec: PauseSpec) -> Result<Pause, String> {
    let scope = match (spec.scope, spec.pool, &spec.nodes[..]) {
        (ScopeSpec::All, None, []) => Scope::All,
        (ScopeSpec::Pool, Some(pool), []) => {
            Scope::Pool(pool.parse().map_err(|error| format!("pool: {error}"))?)
        }
        (ScopeSpec::Nodes, None, nodes @ [_, ..]) => {
            let nodes = nodes.iter().map(|node| node.parse());
            let nodes: Result<BTreeSet<_>, _> = nodes.collect();
            Scope::Nodes(nodes.map_err(|error| format!("nodes: {error}"))?)
        }
        (ScopeSpec::All | ScopeSpec::Pool | ScopeSpec::Nodes, ..) => {
            return Err("`pool` goes with `scope: Pool`, and `nodes` with `scope: Nodes`".into());
        }
    };
    Ok(Pause {
        name: name.to_owned(),
        scope,
        until: spec.until,
        reason: spec.reason,
        by: spec.by,
    })
}

/// An `UpdatePause` as it was found.
pub type PauseObject = Named<FoundPause>;

/// Watches all pauses, as [`watch_pools`](crate::pool::watch_pools) does pools.
pub fn watch_pauses(source: ClientSource) -> BoxStream<'static, Change<PauseObject>> {
    watch_named(source, PAUSES, pause)
}

/// Reads all pauses; none where the resource is not defined.
///
/// # Errors
/// Any [`ApiError`] but [`ApiError::NotFound`].
pub async fn list_pauses(source: &ClientSource) -> Result<Vec<PauseObject>, ApiError> {
    list_named(source, PAUSES, pause).await
}

/// The whole definition, as `deploy/operator.yaml` carries it.
pub fn definition() -> Value {
    let resource = Resource {
        kind: KIND,
        plural: PLURAL,
        short: &[],
        means: "Holds the updates of some nodes, or of all.",
    };
    let columns = [
        column("Scope", "string", ".spec.scope"),
        column("Pool", "string", ".spec.pool"),
        column("Nodes", "string", ".spec.nodes"),
        column("By", "string", ".spec.by"),
        column("Until", "string", ".spec.until"),
        column("Reason", "string", ".spec.reason"),
        column("Age", "date", ".metadata.creationTimestamp"),
    ];
    resource.definition(&columns, structural::<PauseSpec>(), None)
}

#[cfg(test)]
mod tests;
