//! A Node as read from the API server, and a change to one: the only shapes that cross between decisions and the Kubernetes client.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// The fields read from a Node object, not interpreted yet. As JSON it is a part of the files that `cuoctl plan --snapshot-out` writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawNode {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`, opaque.
    pub resource_version: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`, at least those that CUO reads.
    pub annotations: BTreeMap<String, String>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// The condition `Ready` is `True`.
    pub ready: bool,
    /// `status.nodeInfo.bootID`, as the kubelet reported it.
    pub boot_id: String,
    /// `status.nodeInfo.machineID`, as the kubelet reported it.
    pub machine_id: String,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Keys of those of `spec.taints` that keep pods away (`NoSchedule`, `NoExecute`).
    pub taints: BTreeSet<String>,
    /// Keys of those that only advise against it (`PreferNoSchedule`).
    pub soft_taints: BTreeSet<String>,
    /// Who set `spec.unschedulable`, if `metadata.managedFields` shows it.
    pub cordon: Option<Box<Cordon>>,
    /// `status.volumesInUse`: volumes that pods on the node use, or that are not released yet.
    pub volumes_in_use: Vec<String>,
}

/// Who cordoned a Node, and when; if several field managers own the cordon, the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cordon {
    /// The field manager: the program's name, such as `kubectl-cordon`.
    pub by: String,
    /// When it last wrote this or another of its fields, by the API server's clock.
    pub at: Option<Time>,
}

/// A conditional change to one Node: a merge patch that carries the resourceVersion it was decided on, so that it fails with a
/// conflict when anybody wrote the Node since.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NodePatch {
    /// The resourceVersion that the decision was made on.
    pub resource_version: String,
    /// Annotations to set, or with `None` to remove.
    pub annotations: BTreeMap<String, Option<String>>,
    /// Labels to set, or with `None` to remove.
    pub labels: BTreeMap<String, Option<String>>,
    /// `spec.unschedulable` to set; `None` leaves it alone.
    pub unschedulable: Option<bool>,
}
