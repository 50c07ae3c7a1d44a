//! The fields of Nodes and Pods that are parsed. All others, such as the list of images, are skipped while reading, so that a thousand
//! Nodes stay small.

use std::collections::{BTreeMap, BTreeSet};

use cuo_core::drain::RawPod;
use cuo_core::keys;
use cuo_core::raw::{Cordon, RawNode};
use cuo_core::time::Time;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use crate::keep::Keep;

/// One page of a list.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(crate) struct Page<T> {
    pub metadata: PageMeta,
    #[serde(deserialize_with = "or_default")]
    pub items: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageMeta {
    pub resource_version: String,
    #[serde(rename = "continue", default, deserialize_with = "or_default")]
    pub next: String,
}

/// Go omits empty values, and sometimes writes `null`.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    #[serde(default)]
    namespace: String,
    uid: String,
    resource_version: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    annotations: BTreeMap<String, String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "or_default")]
    owner_references: Vec<Owner>,
    #[serde(default, deserialize_with = "or_default")]
    finalizers: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    managed_fields: Vec<FieldOwner>,
}

/// Who wrote which fields of the object. Only fields that show a cordon matter, or a pod that was created with its node's name: a binding,
/// whichever scheduler makes it, leaves no trace here (seen with Kubernetes 1.37).
#[derive(Clone, Deserialize)]
struct FieldOwner {
    #[serde(default)]
    manager: String,
    time: Option<Time>,
    #[serde(rename = "fieldsV1", default)]
    fields: Fields,
}

#[derive(Clone, Default, Deserialize)]
struct Fields {
    #[serde(rename = "f:spec", default)]
    spec: SpecFields,
}

#[derive(Clone, Default, Deserialize)]
struct SpecFields {
    #[serde(rename = "f:unschedulable")]
    unschedulable: Option<IgnoredAny>,
    #[serde(rename = "f:nodeName")]
    node_name: Option<IgnoredAny>,
}

#[derive(Clone, Deserialize)]
struct Owner {
    kind: String,
    #[serde(default)]
    controller: bool,
}

/// An object of a watched kind, as parsed.
pub trait Wire: Clone + DeserializeOwned + Send + 'static {
    /// `metadata.resourceVersion`.
    fn resource_version(&self) -> &str;

    /// Its key once it is gone.
    fn key(&self) -> &str;
}

/// A Node as parsed.
#[derive(Clone, Deserialize)]
pub(crate) struct WireNode {
    metadata: Meta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Clone, Default, Deserialize)]
struct NodeSpec {
    #[serde(default, deserialize_with = "or_default")]
    unschedulable: bool,
    #[serde(default, deserialize_with = "or_default")]
    taints: Vec<Taint>,
}

#[derive(Clone, Deserialize)]
struct Taint {
    key: String,
    effect: String,
}

impl Taint {
    fn keeps_pods_away(&self) -> bool {
        matches!(self.effect.as_str(), "NoSchedule" | "NoExecute")
    }

    /// Whether the taint only advises against the node: pods come if there is no better place.
    fn advises(&self) -> bool {
        self.effect == "PreferNoSchedule"
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeStatus {
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    #[serde(default)]
    node_info: NodeInfo,
    #[serde(default, deserialize_with = "or_default")]
    volumes_in_use: Vec<String>,
}

#[derive(Clone, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Clone, Default, Deserialize)]
struct NodeInfo {
    #[serde(rename = "bootID", default)]
    boot_id: String,
    #[serde(rename = "machineID", default)]
    machine_id: String,
}

impl Wire for WireNode {
    fn resource_version(&self) -> &str {
        &self.metadata.resource_version
    }

    fn key(&self) -> &str {
        &self.metadata.name
    }
}

impl WireNode {
    /// The fields that decisions need.
    pub fn into_raw(self, keep: &Keep) -> RawNode {
        let Meta {
            name,
            uid,
            resource_version,
            mut labels,
            mut annotations,
            deletion_timestamp,
            managed_fields,
            ..
        } = self.metadata;
        let own = |key: &String| key.starts_with(keys::PREFIX);
        annotations.retain(|key, _| own(key) || keep.annotation(key));
        labels.retain(|key, _| own(key) || keep.label(key));
        let ready = is_ready(&self.status.conditions);
        let NodeInfo {
            boot_id,
            machine_id,
        } = self.status.node_info;
        let tainted = |is: fn(&Taint) -> bool| {
            let taints = self.spec.taints.iter().filter(|taint| is(taint));
            taints.map(|taint| taint.key.clone()).collect()
        };
        RawNode {
            cordon: cordon(managed_fields).map(Box::new),
            taints: tainted(Taint::keeps_pods_away),
            soft_taints: tainted(Taint::advises),
            name,
            uid,
            resource_version,
            labels,
            annotations,
            unschedulable: self.spec.unschedulable,
            ready,
            boot_id,
            machine_id,
            deleting: deletion_timestamp.is_some(),
            volumes_in_use: self.status.volumes_in_use,
        }
    }
}

/// Who cordoned the node. An owner's time changes with each of its writes, so of several the earliest is the nearest to the truth: a cordon
/// that seems newer than it is makes pods that came after it look as if they had been there before.
fn cordon(owners: Vec<FieldOwner>) -> Option<Cordon> {
    let cordons = owners
        .into_iter()
        .filter(|owner| owner.fields.spec.unschedulable.is_some());
    let first = cordons.min_by_key(|owner| (owner.time.is_none(), owner.time))?;
    Some(Cordon {
        by: first.manager,
        at: first.time,
    })
}

fn is_ready(conditions: &[Condition]) -> bool {
    let mut conditions = conditions.iter();
    conditions.any(|c| c.kind == "Ready" && c.status == "True")
}

/// A Pod as parsed.
#[derive(Clone, Deserialize)]
pub(crate) struct WirePod {
    metadata: Meta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    #[serde(default, deserialize_with = "or_default")]
    scheduler_name: String,
    #[serde(default, deserialize_with = "or_default")]
    tolerations: Vec<Toleration>,
    #[serde(default, deserialize_with = "or_default")]
    volumes: Vec<Volume>,
}

/// The scheduler of pods that name none. It places no pod on a cordoned node unless the pod tolerates that.
const SCHEDULER: &str = "default-scheduler";

impl PodSpec {
    /// Whether another scheduler placed it. That one may ignore cordons, and its binding leaves no trace, so for a cordon the pod counts as
    /// bound without the scheduler.
    fn is_placed_by_another(&self) -> bool {
        !["", SCHEDULER].contains(&self.scheduler_name.as_str())
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Toleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
}

impl Toleration {
    /// Whether it tolerates the taint of a cordoned node, `node.kubernetes.io/unschedulable:NoSchedule`, as the scheduler sees it: an empty
    /// key with `Exists` matches any key, and an empty effect any effect. The taint has no value.
    fn is_for_cordons(&self) -> bool {
        let exists = self.operator == "Exists";
        let key = self.key == CORDONED || (self.key.is_empty() && exists);
        let effect = matches!(self.effect.as_str(), "" | "NoSchedule");
        key && effect && (exists || self.value.is_empty())
    }
}

/// The taint that comes with a cordon.
const CORDONED: &str = "node.kubernetes.io/unschedulable";

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    name: String,
    empty_dir: Option<IgnoredAny>,
    ephemeral: Option<IgnoredAny>,
    persistent_volume_claim: Option<ClaimSource>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSource {
    claim_name: String,
}

impl Volume {
    /// The name of its claim; an ephemeral volume has one that is named after its pod.
    fn claim(&self, pod: &str) -> Option<String> {
        let named = self.persistent_volume_claim.as_ref();
        named.map(|claim| claim.claim_name.clone()).or_else(|| {
            self.ephemeral.as_ref()?;
            Some(format!("{pod}-{}", self.name))
        })
    }
}

#[derive(Clone, Default, Deserialize)]
struct PodStatus {
    #[serde(default)]
    phase: String,
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

impl Wire for WirePod {
    fn resource_version(&self) -> &str {
        &self.metadata.resource_version
    }

    fn key(&self) -> &str {
        &self.metadata.uid
    }
}

impl WirePod {
    /// The fields that decisions need.
    pub fn into_raw(self) -> RawPod {
        let meta = self.metadata;
        let mut tolerations = self.spec.tolerations.iter();
        let mut writers = meta.managed_fields.iter();
        let by_hand = writers.any(|owner| owner.fields.spec.node_name.is_some());
        let placed = by_hand || self.spec.is_placed_by_another();
        let volumes = self.spec.volumes;
        let claims: BTreeSet<_> = volumes
            .iter()
            .filter_map(|one| one.claim(&meta.name))
            .collect();
        let mut owners = meta.owner_references.into_iter();
        RawPod {
            labels: meta.labels,
            finalizers: meta.finalizers,
            ready: is_ready(&self.status.conditions),
            empty_dir: volumes.iter().any(|volume| volume.empty_dir.is_some()),
            claims,
            namespace: meta.namespace,
            name: meta.name,
            uid: meta.uid,
            controller: owners
                .find(|owner| owner.controller)
                .map(|owner| owner.kind),
            mirror: meta.annotations.contains_key("kubernetes.io/config.mirror"),
            completed: matches!(self.status.phase.as_str(), "Succeeded" | "Failed"),
            terminating: meta.deletion_timestamp.is_some(),
            created: meta.creation_timestamp,
            tolerates_cordon: tolerations.any(Toleration::is_for_cordons),
            placed,
        }
    }
}

#[cfg(test)]
mod tests;
