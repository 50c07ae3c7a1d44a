//! What each of the two programs wants a Node to show, and the patch for that.

use std::fmt::Display;

use super::{AgentFields, NodeView, SystemLabels};
use crate::ids::{GrantId, ReleaseId};
use crate::keys;
use crate::raw::NodePatch;
use crate::reason::Reason;
use crate::release::{Assigned, Following};
use crate::values::{
    Booted, Failures, Field, Grant, Granted, Names, PlainReboots, Progress, RebootResult,
    Reservation, Status, to_json,
};

/// Everything that the agent wants its Node to show. What is `None` is removed.
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
    /// [`keys::AGENT_RELEASE`].
    pub following: Option<Following>,
    /// [`keys::AGENT_DEAD_END`].
    pub dead_end: bool,
    /// [`keys::AGENT_REBOOT`]; an empty one is removed.
    pub reboots: PlainReboots,
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

    /// The patch; `None` if nothing differs.
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
    /// Adds the labels that differ from `found`.
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
        diff.annotation(keys::PROTOCOL, &found.protocol, Some(&keys::VERSION), text);
        diff.annotation(keys::STATUS, &agent.status, Some(&self.status), text);
        diff.annotation(keys::REASON, &agent.reason, self.reason.as_ref(), text);
        diff.names(keys::FEATURES, &agent.features, &self.features);
        diff.names(
            keys::CONTROL_PLANE_PODS,
            &agent.control_plane_pods,
            &self.control_plane_pods,
        );
        self.need(&mut diff, agent);
        diff.annotation(
            keys::AGENT_RELEASE,
            &agent.following,
            self.following.as_ref(),
            to_json,
        );
        let label = |is: bool| is.then_some("true");
        diff.label(
            keys::AGENT_DEAD_END,
            label(agent.dead_end),
            label(self.dead_end),
        );
        let reboots = (self.reboots != PlainReboots::default()).then_some(&self.reboots);
        diff.annotation(keys::AGENT_REBOOT, &agent.reboots, reboots, to_json);
        diff.annotation(keys::BOOTED, &agent.booted, self.booted.as_ref(), to_json);
        self.slot(&mut diff, agent);
        let failed = (!self.failed.identities.is_empty()).then_some(&self.failed);
        diff.annotation(keys::FAILED, &agent.failed, failed, to_json);
        self.system.label(&mut diff, &agent.system);
        diff.done(self.unschedulable)
    }

    /// Adds annotations about the accepted grant, and the answer to the last one.
    fn slot(&self, diff: &mut Diff<'_>, agent: &AgentFields) {
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
    }

    /// Adds annotations and label for the pending release.
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
}

/// Everything that the operator wants a Node to show. What is `None` or `false` is removed, except as noted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Allotted {
    /// [`keys::REBOOT_RESERVED`].
    pub reserved: Option<Reservation>,
    /// [`keys::REBOOT_OK`].
    pub grant: Option<Grant>,
    /// [`keys::GRANTED`]; `None` leaves it as it is.
    pub granted: Option<Granted>,
    /// [`keys::RELEASE`]; `None` leaves it as it is, and `Some(None)` removes it.
    pub assigned: Option<Option<Assigned>>,
    /// [`keys::ONLY_NODE`]; `None` leaves it as it is.
    pub only_node: Option<bool>,
    /// [`keys::BEFORE_REBOOT`].
    pub before: bool,
    /// [`keys::AFTER_REBOOT`].
    pub after: bool,
    /// Names of check annotations to remove in the same write, so that the answer for an earlier update is not taken for a new one.
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
        if let Some(assigned) = &self.assigned {
            diff.annotation(
                keys::RELEASE,
                &operator.assigned,
                assigned.as_ref(),
                to_json,
            );
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

    /// Puts this into `node` as the API server would, for simulations.
    pub fn apply(&self, node: &mut NodeView) {
        fn field<T: Clone>(want: Option<&T>) -> Field<T> {
            want.map_or(Field::Absent, |want| Field::Value(want.clone()))
        }
        let operator = &mut node.operator;
        operator.reserved = field(self.reserved.as_ref());
        operator.grant = field(self.grant.as_ref());
        if let Some(granted) = &self.granted {
            operator.granted = Field::Value(granted.clone());
        }
        if let Some(assigned) = &self.assigned {
            operator.assigned = field(assigned.as_ref());
        }
        operator.only_node = self.only_node.unwrap_or(operator.only_node);
        (operator.before, operator.after) = (self.before, self.after);
        node.others.retain(|name, _| !self.reset.contains(name));
    }
}
