//! The parts of Nodes and Pods that are taken from the wire. Everything else, such as the list of images, is skipped while reading, so
//! that a thousand Nodes stay small.

use std::collections::{BTreeMap, BTreeSet};

use cuo_core::drain::RawPod;
use cuo_core::keys;
use cuo_core::raw::{Cordon, RawNode};
use cuo_core::time::Time;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use crate::node::Keep;

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

/// Go leaves out what is empty, and now and then writes `null`.
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

/// Who wrote what of the object. Of the fields only those matter that tell of a cordon, and of a pod that was bound without the scheduler:
/// the scheduler's own binding leaves no trace here (seen with Kubernetes 1.37).
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

/// An object on the wire, of a kind that is watched.
pub(crate) trait Wire: Clone + DeserializeOwned + Send + 'static {
    /// `metadata.resourceVersion`.
    fn resource_version(&self) -> &str;

    /// What it is known by once it is gone.
    fn key(&self) -> &str;
}

/// A Node on the wire.
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
    /// What decisions need of it.
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
        let mut writers = managed_fields.into_iter();
        let cordon = writers.find(|owner| owner.fields.spec.unschedulable.is_some());
        let taints = self.spec.taints.into_iter();
        let taints = taints.filter(Taint::keeps_pods_away);
        RawNode {
            cordon: cordon.map(|owner| {
                let (by, at) = (owner.manager, owner.time);
                Box::new(Cordon { by, at })
            }),
            taints: taints.map(|taint| taint.key).collect(),
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

fn is_ready(conditions: &[Condition]) -> bool {
    let mut conditions = conditions.iter();
    conditions.any(|c| c.kind == "Ready" && c.status == "True")
}

/// A Pod on the wire.
#[derive(Clone, Deserialize)]
pub(crate) struct WirePod {
    metadata: Meta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Clone, Default, Deserialize)]
struct PodSpec {
    #[serde(default, deserialize_with = "or_default")]
    tolerations: Vec<Toleration>,
    #[serde(default, deserialize_with = "or_default")]
    volumes: Vec<Volume>,
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
    /// Tolerates the taint of a cordoned node, `node.kubernetes.io/unschedulable:NoSchedule`, as the scheduler sees it: an empty key with
    /// `Exists` is any key, and an empty effect any effect. The taint has no value.
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
    /// The claim that it is bound by; an ephemeral volume has one that is called after its pod.
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
    /// What decisions need of it.
    pub fn into_raw(self) -> RawPod {
        let meta = self.metadata;
        let mut tolerations = self.spec.tolerations.iter();
        let mut writers = meta.managed_fields.iter();
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
            placed: writers.any(|owner| owner.fields.spec.node_name.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(k, v): &(&str, &str)| (k.to_string(), v.to_string());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_node_is_read_with_what_decisions_need_and_nothing_else() {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": "n1", "uid": "u1", "resourceVersion": "7", "generation": 3,
                "creationTimestamp": "2026-11-23T21:00:00Z", "deletionTimestamp": "2026-11-23T22:00:00Z",
                "labels": {
                    "cuo.coreos.com/id": "fedora", "kubernetes.io/os": "linux",
                    "node-role.kubernetes.io/control-plane": "", "zone": "a",
                },
                "annotations": {
                    "cuo.coreos.com/status": "idle since 2026-11-23T21:00:00Z",
                    "example.com/check": "true", "example.com/other": "x",
                },
                "managedFields": [
                    {"manager": "kubelet", "time": "2026-11-23T21:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {".": {}}}}},
                    {"manager": "kubectl-cordon", "operation": "Update", "time": "2026-11-23T21:30:00Z",
                     "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:unschedulable": {}}}},
                ],
            },
            "spec": {
                "unschedulable": true, "podCIDR": "10.0.0.0/24",
                "taints": [
                    {"key": "example.com/gpu", "effect": "NoSchedule", "value": "x"},
                    {"key": "example.com/soft", "effect": "PreferNoSchedule"},
                ],
            },
            "status": {
                "conditions": [
                    {"type": "MemoryPressure", "status": "False"},
                    {"type": "Ready", "status": "True", "reason": "KubeletReady"},
                ],
                "images": [{"names": ["a"], "sizeBytes": 1}],
                "volumesInUse": ["kubernetes.io/csi/d^v"],
                "nodeInfo": {"bootID": "b1", "machineID": "m1", "kernelVersion": "6"},
            },
        });
        let expected = RawNode {
            cordon: Some(Box::new(Cordon {
                by: "kubectl-cordon".into(),
                at: Some("2026-11-23T21:30:00Z".parse().unwrap()),
            })),
            taints: ["example.com/gpu".to_owned()].into(),
            name: "n1".into(),
            uid: "u1".into(),
            resource_version: "7".into(),
            labels: map(&[
                ("cuo.coreos.com/id", "fedora"),
                ("node-role.kubernetes.io/control-plane", ""),
                ("zone", "a"),
            ]),
            annotations: map(&[
                ("cuo.coreos.com/status", "idle since 2026-11-23T21:00:00Z"),
                ("example.com/check", "true"),
            ]),
            unschedulable: true,
            ready: true,
            boot_id: "b1".into(),
            machine_id: "m1".into(),
            deleting: true,
            volumes_in_use: vec!["kubernetes.io/csi/d^v".into()],
        };
        let read: WireNode = serde_json::from_value(node).unwrap();
        let mut keep = Keep::new(["example.com/check"]);
        assert!(keep.grow([], ["zone"]));
        assert!(!keep.grow(["example.com/check"], ["zone"]));
        assert_eq!(read.into_raw(&keep), expected);

        let bare = json!({
            "metadata": {"name": "n2", "uid": "u2", "resourceVersion": "8", "annotations": null},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
        });
        let expected = RawNode {
            name: "n2".into(),
            uid: "u2".into(),
            resource_version: "8".into(),
            ..RawNode::default()
        };
        let read: WireNode = serde_json::from_value(bare).unwrap();
        assert_eq!(read.into_raw(&Keep::default()), expected);
    }

    #[test]
    fn a_pod_is_read_with_its_controller_and_its_end() {
        let pod = json!({
            "metadata": {
                "name": "web-1", "namespace": "default", "uid": "p1", "resourceVersion": "9",
                "annotations": {"kubernetes.io/config.mirror": "abc"},
                "labels": {"app": "web"}, "finalizers": ["example.com/stay"],
                "creationTimestamp": "2026-11-23T21:00:00Z",
                "deletionTimestamp": "2026-11-23T22:00:00Z",
                "managedFields": [{"manager": "someone", "fieldsV1": {"f:spec": {"f:nodeName": {}}}}],
                "ownerReferences": [
                    {"kind": "Thing", "name": "t", "uid": "1"},
                    {"kind": "ReplicaSet", "name": "web", "uid": "2", "controller": true},
                ],
            },
            "spec": {"containers": [], "tolerations": [{"operator": "Exists"}], "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "pages"}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}},
                {"name": "token", "projected": {"sources": []}},
            ]},
            "status": {"phase": "Failed", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        let expected = RawPod {
            namespace: "default".into(),
            name: "web-1".into(),
            uid: "p1".into(),
            labels: map(&[("app", "web")]),
            controller: Some("ReplicaSet".into()),
            mirror: true,
            completed: true,
            terminating: true,
            finalizers: vec!["example.com/stay".into()],
            ready: true,
            empty_dir: true,
            claims: ["pages".into(), "web-1-scratch".into()].into(),
            created: Some("2026-11-23T21:00:00Z".parse().unwrap()),
            tolerates_cordon: true,
            placed: true,
        };
        let read: WirePod = serde_json::from_value(pod).unwrap();
        assert_eq!(read.into_raw(), expected);
    }

    #[test]
    fn a_toleration_is_for_cordons_as_the_scheduler_sees_it() {
        let cases = [
            (json!({"operator": "Exists"}), true),
            (
                json!({"key": CORDONED, "operator": "Exists", "effect": "NoSchedule"}),
                true,
            ),
            (json!({"key": CORDONED, "effect": "NoSchedule"}), true),
            (
                json!({"key": CORDONED, "operator": "Equal", "value": ""}),
                true,
            ),
            (
                json!({"key": CORDONED, "operator": "Equal", "value": "x"}),
                false,
            ),
            (
                json!({"key": CORDONED, "operator": "Exists", "effect": "NoExecute"}),
                false,
            ),
            (
                json!({"key": "example.com/gpu", "operator": "Exists"}),
                false,
            ),
            (json!({"operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"effect": "NoSchedule"}), false),
        ];
        for (toleration, expected) in cases {
            let read: Toleration = serde_json::from_value(toleration.clone()).unwrap();
            assert_eq!(read.is_for_cordons(), expected, "{toleration}");
        }
    }
}
