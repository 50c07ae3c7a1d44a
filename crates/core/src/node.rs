//! A Node as both programs understand it, and what each of them writes on it.
//!
//! Reading never fails: a key that holds something else than this build writes is a [`Field`] that says so, and a reason to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use crate::features::Feature;
use crate::ids::{BootId, GrantId, MachineId, NodeName, ParseNameError, ReleaseId};
use crate::keys;
use crate::raw::{Cordon, NodePatch, RawNode};
use crate::reason::{AnyCode, Reason};
use crate::values::{
    Booted, Failures, Field, Grant, Granted, Names, Progress, RebootResult, Reservation, Status,
    to_json,
};

/// One Node, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeView {
    /// `metadata.name`.
    pub name: NodeName,
    /// `metadata.uid`: a Node that was deleted and made again is another one.
    pub uid: String,
    /// `metadata.resourceVersion`, for conditional writes.
    pub resource_version: String,
    /// The condition `Ready` is `True`.
    pub ready: bool,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// The boot that the kubelet last reported.
    pub kubelet_boot: Option<BootId>,
    /// The host that the kubelet last reported.
    pub kubelet_machine: Option<MachineId>,
    /// Who cordoned it, where that is known. Nobody has if it is not [`NodeView::unschedulable`].
    pub cordon: Option<Cordon>,
    /// It has a label or a taint of control-plane nodes, or runs static pods of the control plane.
    pub control_plane: bool,
    /// Pods that tolerate nothing in particular could be scheduled to it, but for its state of the moment: nobody but its agent has cordoned
    /// it, and it has no taint but those that tell of conditions.
    pub takes_pods: bool,
    /// An administrator paused it.
    pub paused: bool,
    /// The protocol that the agent speaks: a value only if it is this build's.
    pub protocol: Field<u32>,
    /// Volumes that pods on the node have, or that are not let go of yet.
    pub volumes_in_use: BTreeSet<String>,
    /// What the agent wrote.
    pub agent: AgentFields,
    /// What the operator wrote.
    pub operator: OperatorFields,
    /// Annotations that are not of the protocol, such as those of reboot checks.
    pub others: BTreeMap<String, String>,
    /// Labels that are not of the protocol, such as those that pools select by.
    pub labels: BTreeMap<String, String>,
}

/// The agent's keys as found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AgentFields {
    /// [`keys::STATUS`].
    pub status: Field<Status>,
    /// [`keys::REASON`].
    pub reason: Field<Reason<AnyCode>>,
    /// [`keys::FEATURES`] of this boot; agents of the first release have none.
    pub features: Names,
    /// [`keys::CONTROL_PLANE_PODS`].
    pub control_plane_pods: Names,
    /// [`keys::REBOOT_NEEDED`], the annotation.
    pub needed: Field<ReleaseId>,
    /// [`keys::REBOOT_NEEDED`], the label, is `true`.
    pub needed_label: bool,
    /// [`keys::REBOOT_NEEDED_VERSION`].
    pub needed_version: Option<String>,
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
    /// Release ids that a [`keys::FAILED`] which can't be read mentions: each of them may have failed here.
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

/// The operator's keys as found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct OperatorFields {
    /// [`keys::REBOOT_RESERVED`].
    pub reserved: Field<Reservation>,
    /// [`keys::REBOOT_OK`].
    pub grant: Field<Grant>,
    /// [`keys::GRANTED`].
    pub granted: Field<Granted>,
    /// [`keys::ONLY_NODE`].
    pub only_node: bool,
    /// [`keys::BEFORE_REBOOT`] is there, whatever its value.
    pub before: bool,
    /// [`keys::AFTER_REBOOT`] is there, whatever its value.
    pub after: bool,
}

/// Annotations or labels.
type Map = BTreeMap<String, String>;

/// What is not of the protocol.
fn foreign(map: &Map) -> Map {
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
            only_node: is_true(annotations, keys::ONLY_NODE),
            before: labels.contains_key(keys::BEFORE_REBOOT),
            after: labels.contains_key(keys::AFTER_REBOOT),
        }
    }

    /// A reservation or a grant is there, understood or not.
    pub fn has_slot(&self) -> bool {
        !(self.reserved.is_absent() && self.grant.is_absent())
    }
}

/// Taints that Kubernetes itself sets, for cordons and conditions of nodes. `node.kubernetes.io/controller` would be Typhoon's, but as a
/// taint that is under `node-role.kubernetes.io`.
const CONDITIONS: &str = "node.kubernetes.io/";

fn version(found: Option<&String>) -> Field<u32> {
    match Field::text(found) {
        Field::Value(number) if number != keys::spoken() => Field::OtherVersion(number),
        field => field,
    }
}

impl NodeView {
    /// Parses what the API server told.
    ///
    /// # Errors
    /// Only when the Node's own name is none, which the API server does not let happen.
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
            others: foreign(annotations),
            labels: foreign(labels),
        })
    }

    /// Says so if the kubelet runs on another host than the one with these `boots` and this `machine` id. Either alone proves nothing: a
    /// host that has just booted is not yet reported, and a kubelet in a container may have a machine id of its own.
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

    /// Says who cordoned the node, and since when, if it was not its agent.
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

    /// The annotation `name` is `true`, as reboot checks set it.
    pub fn check_passed(&self, name: &str) -> bool {
        self.others.get(name).is_some_and(|value| value == "true")
    }
}

/// Everything the agent wants to stand on its Node. What is `None` is removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Published {
    /// [`keys::STATUS`].
    pub status: Status,
    /// [`keys::REASON`].
    pub reason: Option<Reason>,
    /// [`keys::FEATURES`].
    pub features: Names,
    /// [`keys::CONTROL_PLANE_PODS`].
    pub control_plane_pods: Names,
    /// [`keys::REBOOT_NEEDED`], annotation and label.
    pub needed: Option<ReleaseId>,
    /// [`keys::REBOOT_NEEDED_VERSION`].
    pub needed_version: Option<String>,
    /// [`keys::BOOTED`].
    pub booted: Option<Booted>,
    /// [`keys::REBOOT_IN_PROGRESS`].
    pub progress: Option<Progress>,
    /// [`keys::AGENT_MADE_UNSCHEDULABLE`].
    pub owned: Option<GrantId>,
    /// [`keys::REBOOT_RESULT`].
    pub result: Option<RebootResult>,
    /// [`keys::FAILED`]; an empty list is removed.
    pub failed: Failures,
    /// The labels that describe the system.
    pub system: SystemLabels,
    /// `spec.unschedulable`, when the agent changes it with the rest.
    pub unschedulable: Option<bool>,
}

/// Collects the differences between what is found and what is wanted.
struct Diff<'a> {
    patch: NodePatch,
    found: &'a NodeView,
}

impl Diff<'_> {
    fn new(found: &NodeView) -> Diff<'_> {
        Diff {
            patch: NodePatch {
                resource_version: found.resource_version.clone(),
                ..NodePatch::default()
            },
            found,
        }
    }

    fn annotation<F: PartialEq<T>, T>(
        &mut self,
        key: &str,
        found: &Field<F>,
        want: Option<&T>,
        write: impl Fn(&T) -> String,
    ) {
        let same = match want {
            None => found.is_absent(),
            Some(want) => found.value().is_some_and(|found| found == want),
        };
        if !same {
            self.patch
                .annotations
                .insert(key.to_owned(), want.map(write));
        }
    }

    /// A list; an empty one is removed.
    fn names(&mut self, key: &str, found: &Names, want: &Names) {
        if found != want {
            let text = (!want.is_empty()).then(|| want.to_string());
            self.patch.annotations.insert(key.to_owned(), text);
        }
    }

    fn label(&mut self, key: &str, found: Option<&str>, want: Option<&str>) {
        if found != want {
            self.patch
                .labels
                .insert(key.to_owned(), want.map(str::to_owned));
        }
    }

    /// The patch, unless nothing differs: no write when nothing changed.
    fn done(mut self, unschedulable: Option<bool>) -> Option<NodePatch> {
        self.patch.unschedulable = unschedulable.filter(|want| *want != self.found.unschedulable);
        let NodePatch {
            annotations,
            labels,
            unschedulable,
            ..
        } = &self.patch;
        let empty = annotations.is_empty() && labels.is_empty() && unschedulable.is_none();
        (!empty).then_some(self.patch)
    }
}

fn text<T: Display>(value: &T) -> String {
    value.to_string()
}

impl SystemLabels {
    /// Labels as these are, where `found` differ.
    fn label(&self, diff: &mut Diff<'_>, found: &Self) {
        for (key, found, want) in [
            (keys::ID, &found.id, &self.id),
            (keys::OS_VERSION, &found.version, &self.version),
            (keys::GROUP, &found.group, &self.group),
        ] {
            diff.label(key, found.as_deref(), want.as_deref());
        }
    }
}

impl Published {
    /// The conditional patch that makes `found` carry this; `None` when it already does.
    pub fn patch(&self, found: &NodeView) -> Option<NodePatch> {
        let mut diff = Diff::new(found);
        let agent = &found.agent;
        diff.annotation(keys::PROTOCOL, &found.protocol, Some(&keys::spoken()), text);
        diff.annotation(keys::STATUS, &agent.status, Some(&self.status), text);
        diff.annotation(keys::REASON, &agent.reason, self.reason.as_ref(), text);
        diff.names(keys::FEATURES, &agent.features, &self.features);
        diff.names(
            keys::CONTROL_PLANE_PODS,
            &agent.control_plane_pods,
            &self.control_plane_pods,
        );
        self.need(&mut diff, agent);
        diff.annotation(keys::BOOTED, &agent.booted, self.booted.as_ref(), to_json);
        diff.annotation(
            keys::REBOOT_IN_PROGRESS,
            &agent.progress,
            self.progress.as_ref(),
            to_json,
        );
        diff.annotation(
            keys::AGENT_MADE_UNSCHEDULABLE,
            &agent.owned,
            self.owned.as_ref(),
            text,
        );
        diff.annotation(
            keys::REBOOT_RESULT,
            &agent.result,
            self.result.as_ref(),
            to_json,
        );
        let failed = (!self.failed.identities.is_empty()).then_some(&self.failed);
        diff.annotation(keys::FAILED, &agent.failed, failed, to_json);
        self.system.label(&mut diff, &agent.system);
        diff.done(self.unschedulable)
    }

    /// What the node needs, as annotations and as a label.
    fn need(&self, diff: &mut Diff<'_>, agent: &AgentFields) {
        let needed = self.needed.as_ref();
        diff.annotation(keys::REBOOT_NEEDED, &agent.needed, needed, text);
        if agent.needed_version != self.needed_version {
            let key = keys::REBOOT_NEEDED_VERSION.to_owned();
            let version = self.needed_version.clone();
            diff.patch.annotations.insert(key, version);
        }
        diff.label(
            keys::REBOOT_NEEDED,
            agent.needed_label.then_some("true"),
            needed.is_some().then_some("true"),
        );
    }

    /// Writes this into a view as the API server would; the search through all states uses it in place of text.
    pub fn apply(&self, node: &mut NodeView) {
        fn field<T: Clone>(want: Option<&T>) -> Field<T> {
            want.map_or(Field::Absent, |want| Field::Value(want.clone()))
        }
        node.protocol = Field::Value(keys::VERSION);
        node.agent = AgentFields {
            status: Field::Value(self.status.clone()),
            reason: field(self.reason.clone().map(Reason::read).as_ref()),
            features: self.features.clone(),
            control_plane_pods: self.control_plane_pods.clone(),
            needed: field(self.needed.as_ref()),
            needed_label: self.needed.is_some(),
            needed_version: self.needed_version.clone(),
            booted: field(self.booted.as_ref()),
            progress: field(self.progress.as_ref()),
            owned: field(self.owned.as_ref()),
            result: field(self.result.as_ref()),
            failed: field((!self.failed.identities.is_empty()).then_some(&self.failed)),
            suspected: vec![],
            system: self.system.clone(),
        };
        node.unschedulable = self.unschedulable.unwrap_or(node.unschedulable);
    }
}

/// Everything the operator wants to stand on a Node. What is `None` or `false` is removed, unless it is said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Allotted {
    /// [`keys::REBOOT_RESERVED`].
    pub reserved: Option<Reservation>,
    /// [`keys::REBOOT_OK`].
    pub grant: Option<Grant>,
    /// [`keys::GRANTED`]; `None` leaves it as it is.
    pub granted: Option<Granted>,
    /// [`keys::ONLY_NODE`]; `None` leaves it as it is.
    pub only_node: Option<bool>,
    /// [`keys::BEFORE_REBOOT`].
    pub before: bool,
    /// [`keys::AFTER_REBOOT`].
    pub after: bool,
    /// Names of check annotations that are removed in the same write, so that an answer of an earlier update is not taken for a new one.
    pub reset: Vec<String>,
}

impl Allotted {
    /// The conditional patch that makes `found` carry this; `None` when it already does.
    pub fn patch(&self, found: &NodeView) -> Option<NodePatch> {
        let mut diff = Diff::new(found);
        let operator = &found.operator;
        diff.annotation(
            keys::REBOOT_RESERVED,
            &operator.reserved,
            self.reserved.as_ref(),
            to_json,
        );
        diff.annotation(
            keys::REBOOT_OK,
            &operator.grant,
            self.grant.as_ref(),
            to_json,
        );
        if let Some(granted) = &self.granted {
            diff.annotation(keys::GRANTED, &operator.granted, Some(granted), to_json);
        }
        if let Some(only) = self.only_node.filter(|only| *only != operator.only_node) {
            let value = only.then(|| true.to_string());
            diff.patch
                .annotations
                .insert(keys::ONLY_NODE.to_owned(), value);
        }
        for (key, found, want) in [
            (keys::BEFORE_REBOOT, operator.before, self.before),
            (keys::AFTER_REBOOT, operator.after, self.after),
        ] {
            diff.label(key, found.then_some("true"), want.then_some("true"));
        }
        for name in &self.reset {
            if found.others.contains_key(name) {
                diff.patch.annotations.insert(name.clone(), None);
            }
        }
        diff.done(None)
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
pub(crate) mod tests;
