//! A Node as both programs understand it, and what each of them wants it to show (`wants`).
//!
//! Parsing never fails because of a key: one with an unexpected value becomes a [`Field`] that says so, and is a reason to hold.

mod wants;

use std::collections::{BTreeMap, BTreeSet};

use crate::features::Feature;
use crate::ids::{BootId, GrantId, MachineId, NodeName, ParseNameError, ReleaseId};
use crate::keys;
use crate::raw::{Cordon, RawNode};
use crate::reason::{AnyCode, Code, Reason};
use crate::release::{Assigned, Following};
use crate::values::{
    Booted, Failures, Field, Grant, Granted, Names, PlainReboots, Progress, RebootRequest,
    RebootResult, Reservation, RetryRequest, Status,
};

pub use wants::{Allotted, Published};

/// One Node, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeView {
    /// `metadata.name`.
    pub name: NodeName,
    /// `metadata.uid`: a recreated Node is another one.
    pub uid: String,
    /// `metadata.resourceVersion`, for conditional writes.
    pub resource_version: String,
    /// The condition `Ready` is `True`.
    pub ready: bool,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// The boot id that the kubelet last reported.
    pub kubelet_boot: Option<BootId>,
    /// The machine id that the kubelet last reported.
    pub kubelet_machine: Option<MachineId>,
    /// Who cordoned it, if known. Nobody has unless it is [`NodeView::unschedulable`].
    pub cordon: Option<Cordon>,
    /// It has a label or a taint of control-plane nodes, or runs static pods of the control plane.
    pub control_plane: bool,
    /// Whether ordinary pods, without tolerations, could be scheduled to it, apart from its current state: only its agent may have cordoned
    /// it, and it has no taints except for those that report conditions.
    pub takes_pods: bool,
    /// Whether an administrator paused it.
    pub paused: bool,
    /// The agent's protocol version: a value only if it is this build's.
    pub protocol: Field<u32>,
    /// Volumes that pods on the node use, or that are not released yet.
    pub volumes_in_use: BTreeSet<String>,
    /// The agent's keys.
    pub agent: AgentFields,
    /// The operator's keys.
    pub operator: OperatorFields,
    /// The administrators' keys that the agent follows.
    pub requests: Requests,
    /// Annotations outside the protocol, such as those of reboot checks.
    pub others: BTreeMap<String, String>,
    /// Labels outside the protocol, such as those that pools select by.
    pub labels: BTreeMap<String, String>,
}

/// The agent's keys, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AgentFields {
    /// [`keys::STATUS`].
    pub status: Field<Status>,
    /// [`keys::REASON`].
    pub reason: Field<Reason<AnyCode>>,
    /// [`keys::FEATURES`] of this boot; empty for agents of the first release.
    pub features: Names,
    /// [`keys::CONTROL_PLANE_PODS`].
    pub control_plane_pods: Names,
    /// [`keys::REBOOT_NEEDED`], the annotation.
    pub needed: Field<ReleaseId>,
    /// Whether the label [`keys::REBOOT_NEEDED`] is `true`.
    pub needed_label: bool,
    /// [`keys::REBOOT_NEEDED_VERSION`].
    pub needed_version: Option<String>,
    /// [`keys::AGENT_RELEASE`].
    pub following: Field<Following>,
    /// [`keys::AGENT_DEAD_END`].
    pub dead_end: bool,
    /// [`keys::AGENT_REBOOT`].
    pub reboots: Field<PlainReboots>,
    /// [`keys::BOOTED`].
    pub booted: Field<Booted>,
    /// [`keys::REBOOT_IN_PROGRESS`].
    pub progress: Field<Progress>,
    /// [`keys::AGENT_MADE_UNSCHEDULABLE`].
    pub owned: Field<GrantId>,
    /// [`keys::REBOOT_RESULT`].
    pub result: Field<RebootResult>,
    /// [`keys::FAILED`].
    pub failed: Field<Failures>,
    /// Release ids mentioned in an unreadable [`keys::FAILED`]: each of them may have failed here.
    pub suspected: Vec<ReleaseId>,
    /// The labels that describe the system.
    pub system: SystemLabels,
}

/// Labels that describe the running system; absent ones are removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SystemLabels {
    /// [`keys::ID`].
    pub id: Option<String>,
    /// [`keys::OS_VERSION`].
    pub version: Option<String>,
    /// [`keys::GROUP`].
    pub group: Option<String>,
}

/// The operator's keys, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct OperatorFields {
    /// [`keys::REBOOT_RESERVED`].
    pub reserved: Field<Reservation>,
    /// [`keys::REBOOT_OK`].
    pub grant: Field<Grant>,
    /// [`keys::GRANTED`].
    pub granted: Field<Granted>,
    /// [`keys::RELEASE`].
    pub assigned: Field<Assigned>,
    /// [`keys::ONLY_NODE`].
    pub only_node: bool,
    /// Whether [`keys::BEFORE_REBOOT`] exists, whatever its value.
    pub before: bool,
    /// Whether [`keys::AFTER_REBOOT`] exists, whatever its value.
    pub after: bool,
}

/// What administrators ask of the agent, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Requests {
    /// [`keys::REBOOT_REQUESTED`].
    pub reboot: Field<RebootRequest>,
    /// [`keys::RETRY`].
    pub retry: Field<RetryRequest>,
}

impl AgentFields {
    /// What the agent says that its node waits for. That a reboot was requested is not that.
    pub fn waits_for(&self) -> Option<&Reason<AnyCode>> {
        let own = self.reason.value();
        own.filter(|own| own.code != Code::RebootRequested)
    }
}

/// Annotations or labels.
type Map = BTreeMap<String, String>;

/// The entries whose keys are not of the protocol.
fn beyond_protocol(map: &Map) -> Map {
    let own = |key: &String| keys::TABLE.iter().any(|known| known.name == key);
    let found = map.iter().filter(|(key, _)| !own(key));
    found
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn is_true(map: &Map, key: &str) -> bool {
    map.get(key).is_some_and(|value| value == "true")
}

impl AgentFields {
    fn read(annotations: &Map, labels: &Map) -> Self {
        let at = |key: &str| annotations.get(key);
        let failed = Field::json(at(keys::FAILED));
        let suspected = match (&failed, at(keys::FAILED)) {
            (Field::OtherVersion(_) | Field::Malformed(_), Some(text)) => {
                ReleaseId::mentioned(text)
            }
            _ => vec![],
        };
        let booted = Field::json(at(keys::BOOTED));
        Self {
            status: Field::text(at(keys::STATUS)),
            reason: Field::text(at(keys::REASON)),
            features: Feature::current(Names::read(at(keys::FEATURES)), &booted),
            control_plane_pods: Names::read(at(keys::CONTROL_PLANE_PODS)),
            needed: Field::text(at(keys::REBOOT_NEEDED)),
            needed_label: is_true(labels, keys::REBOOT_NEEDED),
            needed_version: at(keys::REBOOT_NEEDED_VERSION).cloned(),
            following: Field::json(at(keys::AGENT_RELEASE)),
            dead_end: is_true(labels, keys::AGENT_DEAD_END),
            reboots: Field::json(at(keys::AGENT_REBOOT)),
            booted,
            progress: Field::json(at(keys::REBOOT_IN_PROGRESS)),
            owned: Field::text(at(keys::AGENT_MADE_UNSCHEDULABLE)),
            result: Field::json(at(keys::REBOOT_RESULT)),
            failed,
            suspected,
            system: SystemLabels {
                id: labels.get(keys::ID).cloned(),
                version: labels.get(keys::OS_VERSION).cloned(),
                group: labels.get(keys::GROUP).cloned(),
            },
        }
    }
}

impl OperatorFields {
    fn read(annotations: &Map, labels: &Map) -> Self {
        let at = |key: &str| annotations.get(key);
        Self {
            reserved: Field::json(at(keys::REBOOT_RESERVED)),
            grant: Field::json(at(keys::REBOOT_OK)),
            granted: Field::json(at(keys::GRANTED)),
            assigned: Field::json(at(keys::RELEASE)),
            only_node: is_true(annotations, keys::ONLY_NODE),
            before: labels.contains_key(keys::BEFORE_REBOOT),
            after: labels.contains_key(keys::AFTER_REBOOT),
        }
    }

    /// Whether a reservation or a grant is on the Node, understood or not.
    pub fn has_slot(&self) -> bool {
        !(self.reserved.is_absent() && self.grant.is_absent())
    }
}

/// Taints that Kubernetes itself sets, for cordons and conditions of nodes. `node.kubernetes.io/controller` would be Typhoon's, but as a
/// taint that is under `node-role.kubernetes.io`.
const CONDITIONS: &str = "node.kubernetes.io/";

fn version(found: Option<&String>) -> Field<u32> {
    match Field::text(found) {
        Field::Value(number) if number != keys::VERSION => Field::OtherVersion(number),
        field => field,
    }
}

impl NodeView {
    /// Parses a Node as read from the API server.
    ///
    /// # Errors
    /// Only when the Node's own name is invalid, which the API server does not allow.
    pub fn parse(raw: &RawNode) -> Result<Self, ParseNameError> {
        let (annotations, labels) = (&raw.annotations, &raw.labels);
        let agent = AgentFields::read(annotations, labels);
        let own_cordon = annotations.contains_key(keys::AGENT_MADE_UNSCHEDULABLE);
        Ok(Self {
            name: raw.name.parse()?,
            uid: raw.uid.clone(),
            resource_version: raw.resource_version.clone(),
            ready: raw.ready,
            unschedulable: raw.unschedulable,
            deleting: raw.deleting,
            kubelet_boot: raw.boot_id.parse().ok(),
            kubelet_machine: raw.machine_id.parse().ok(),
            cordon: raw.cordon.as_deref().filter(|_| raw.unschedulable).cloned(),
            control_plane: keys::CONTROL_PLANE.iter().any(|key| {
                let tainted = raw.taints.contains(*key) || raw.soft_taints.contains(*key);
                labels.contains_key(*key) || tainted
            }) || !agent.control_plane_pods.is_empty(),
            takes_pods: !raw.deleting
                && (!raw.unschedulable || own_cordon)
                && raw.taints.iter().all(|key| key.starts_with(CONDITIONS)),
            paused: is_true(annotations, keys::REBOOT_PAUSED)
                || is_true(labels, keys::REBOOT_PAUSED),
            protocol: version(annotations.get(keys::PROTOCOL)),
            volumes_in_use: raw.volumes_in_use.iter().cloned().collect(),
            agent,
            operator: OperatorFields::read(annotations, labels),
            requests: Requests {
                reboot: Field::json(annotations.get(keys::REBOOT_REQUESTED)),
                retry: Field::json(annotations.get(keys::RETRY)),
            },
            others: beyond_protocol(annotations),
            labels: beyond_protocol(labels),
        })
    }

    /// Why the Node is not of the host with these `boots` and this `machine` id; `None` unless both differ. One alone proves nothing: after
    /// a boot the kubelet may not have reported yet, and a kubelet in a container may have a machine id of its own.
    pub fn elsewhere(&self, boots: &[BootId], machine: MachineId) -> Option<String> {
        let boot = self.kubelet_boot?;
        let other = self.kubelet_machine?;
        (!boots.contains(&boot) && other != machine).then(|| {
            format!(
                "the kubelet of {} runs on another host, whose machine id is {other}",
                self.name
            )
        })
    }

    /// Why the node wants to reboot without an update, into what it runs, if it does.
    pub fn only_reboots(&self) -> Option<&str> {
        let agent = &self.agent;
        let wanted = agent.reboots.value()?.wanted.as_deref()?;
        let runs = agent.booted.value().map(|booted| &booted.identity);
        (runs.is_some() && agent.needed.value() == runs).then_some(wanted)
    }

    /// Who cordoned the node, and since when, if that was not its agent.
    pub fn cordoned_by_other(&self) -> Option<String> {
        if !self.unschedulable || !self.agent.owned.is_absent() {
            return None;
        }
        Some(match &self.cordon {
            Some(Cordon { by, at: Some(at) }) => format!("cordoned by {by} since {at}"),
            Some(Cordon { by, at: None }) => format!("cordoned by {by}"),
            None => "cordoned by somebody else".to_owned(),
        })
    }

    /// Whether the annotation `name` is `true`, as reboot checks set it.
    pub fn check_passed(&self, name: &str) -> bool {
        self.others.get(name).is_some_and(|value| value == "true")
    }
}

#[cfg(test)]
pub(crate) mod tests;
