//! `status` of an `UpdatePool`: what the operator tells people about it. Nothing is decided on it but on its releases.

use cuo_core::ids::{GrantId, NodeName, ReleaseId};
use cuo_core::time::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::releases::{PastStatus, ReleaseStatus};
use super::rules;

/// What the operator that leads sees of a pool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolStatus {
    /// The `metadata.generation` that everything here is about.
    pub observed_generation: i64,
    /// How many nodes may be out of service at once; where the spec has a share, of the nodes as they are.
    pub max_unavailable: u32,
    /// How many nodes are in which state.
    pub nodes: NodeCounts,
    /// Grants that are out in this pool: a copy of the ledger's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
    /// What nodes of the pool run or wait to boot, at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
    /// Its nodes that count as control plane, at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub control_plane: Vec<NodeName>,
    /// How far the pool is with releases, where it has a candidate at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseStatus>,
    /// The last twenty candidates that are none any more, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PastStatus>,
    /// When the next window opens, while none is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::time")]
    pub next_window: Option<Time>,
    /// `Accepted`, `Progressing`, `Held`, `Degraded`, `SelectorTrusted` and `Drainable`; for tools `Ready`, `Reconciling` and `Stalled`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// How many nodes of a pool are in which state. One can be in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCounts {
    /// All.
    pub total: u32,
    /// They need no reboot.
    pub up_to_date: u32,
    /// They need a reboot.
    pub need_reboot: u32,
    /// They have a slot.
    pub rebooting: u32,
    /// They count against `maxUnavailable`, whatever the cause.
    pub unavailable: u32,
    /// They need a person.
    pub failed: u32,
}

/// A grant that is out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Slot {
    /// The node that has it.
    #[schemars(with = "String")]
    pub node: NodeName,
    /// The grant's name.
    #[schemars(with = "String")]
    pub grant: GrantId,
    /// What it allows to boot.
    #[schemars(with = "String")]
    pub identity: ReleaseId,
    /// Since when.
    #[schemars(schema_with = "rules::time")]
    pub since: Time,
}

/// Something that nodes run or wait to boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// What.
    #[schemars(with = "String")]
    pub identity: ReleaseId,
    /// Its version, where a node names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How many nodes run it or wait for it.
    pub nodes: u32,
}

/// One of the conditions, as everywhere in Kubernetes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its name.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, a word: where nodes wait, the code that `docs/protocol.md` lists.
    pub reason: String,
    /// Why, a sentence.
    pub message: String,
    /// Since when `status` is so.
    #[schemars(schema_with = "rules::time")]
    pub last_transition_time: Time,
    /// The `metadata.generation` that it is about.
    pub observed_generation: i64,
}
