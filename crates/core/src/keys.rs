//! Every label and annotation key of the protocol, with its writer. `docs/protocol.md` is generated from [`TABLE`], and so are the
//! admission policies in `deploy`, which let nobody else write the keys (`cargo xtask codegen`).

use std::fmt;

/// Prefix of all keys.
pub const PREFIX: &str = "cuo.coreos.com/";

/// The prefix that every new key of agents must have.
///
/// Agents are upgraded before the admission policies as often as after them. A policy lists the keys that existed when it was generated,
/// and refuses a whole write because of any other key without this prefix.
pub const AGENTS_PREFIX: &str = "cuo.coreos.com/agent-";

/// Version of the protocol that this build speaks, written by the agent as the value of [`PROTOCOL`] and as `v` in each JSON value.
///
/// Another version is a reason to hold, never a permission, so this number stays: agents are upgraded by the very updates that a newer
/// operator has to grant. Additions are announced as [features](crate::features).
pub const VERSION: u32 = 1;

/// One key, for the documentation and the admission policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The whole key.
    pub name: &'static str,
    /// `annotation`, `label`, or both.
    pub kind: &'static str,
    /// Its only writer.
    pub writer: Writer,
    /// What its value means, for the documentation.
    pub value: &'static str,
}

impl Key {
    /// Whether it is used as an annotation.
    pub fn is_annotation(&self) -> bool {
        self.kind.contains("annotation")
    }

    /// Whether it is used as a label.
    pub fn is_label(&self) -> bool {
        self.kind.contains("label")
    }
}

/// The writer of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// The agent on the node, with the node's credential or one of its own.
    Agent,
    /// The operator, and whoever else is allowed what its role calls `grant`.
    Operator,
    /// A person or program that may patch Nodes; never a node.
    Administrator,
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        })
    }
}

/// The operator's keys that anybody who may patch the Node may remove, since that only stops something.
pub const REVOCABLE: &[&str] = &[REBOOT_OK];

/// Annotations with a list that the agent only ever adds to.
pub const GROWING: &[&str] = &[CONTROL_PLANE_PODS];

/// The administrators' keys that a node may set when it is created, as labels by its kubelet's `--node-labels`, since they only stop
/// something.
pub const BROUGHT: &[&str] = &[REBOOT_PAUSED];

macro_rules! writer {
    ("agent") => {
        Writer::Agent
    };
    ("operator") => {
        Writer::Operator
    };
    ("administrator") => {
        Writer::Administrator
    };
}

macro_rules! keys {
    ($($konst:ident = $name:literal, $kind:literal, $writer:tt, $value:literal;)*) => {
        $(
            #[doc = concat!("`cuo.coreos.com/", $name, "` (", $kind, ", written by the ", $writer, "): ", $value)]
            pub const $konst: &str = concat!("cuo.coreos.com/", $name);
        )*

        /// All keys, in the order of the documentation.
        pub const TABLE: &[Key] = &[
            $(Key { name: $konst, kind: $kind, writer: writer!($writer), value: $value }),*
        ];
    };
}

keys! {
    PROTOCOL = "protocol", "annotation", "agent",
        "The protocol's version that the agent speaks, a number. Absent means that no agent has been here.";
    STATUS = "status", "annotation", "agent",
        "`PHASE since TIME`; the phases are listed below, the time is RFC 3339.";
    REASON = "reason", "annotation", "agent",
        "`CODE: one sentence`. Present only while something holds.";
    REBOOT_NEEDED = "reboot-needed", "annotation and label", "agent",
        "Annotation: the id of the release that a reboot will boot. Label: `true`. Absent means that no reboot is needed.";
    REBOOT_NEEDED_VERSION = "reboot-needed-version", "annotation", "agent",
        "The version of what a reboot will boot, as rpm-ostree names it; absent where it names none.";
    BOOTED = "booted", "annotation", "agent",
        "JSON: `identity`, `version` and `boot` (the boot id) of what runs, and `since` when this release was first seen to run.";
    REBOOT_IN_PROGRESS = "reboot-in-progress", "annotation", "agent",
        "JSON: the grant's `id` and `identity`, the `boot` id it was accepted under, and when (`accepted`). Written before the first act, removed with the result.";
    AGENT_MADE_UNSCHEDULABLE = "agent-made-unschedulable", "annotation", "agent",
        "The id of the grant for which the agent cordoned this node; written and removed in one write with `spec.unschedulable`.";
    REBOOT_RESULT = "reboot-result", "annotation", "agent",
        "JSON: what came of the last grant: its `id`, the `outcome`, a reason `code` unless it is `done`, and when (`at`). It gives the slot back.";
    FAILED = "failed", "annotation", "agent",
        "JSON list of releases that failed on this node, each with `identity`, `code` and `at`. This node is granted none of them, and others none that is on as many lists as their pools allow.";
    FEATURES = "features", "annotation", "agent",
        "What the agent understands beyond the first version of the protocol: a sorted list, separated by commas, with `boot-` and eight digits of the boot that it is from; in another one it counts no longer. It is written nothing else that is new.";
    CONTROL_PLANE_PODS = "control-plane", "annotation", "agent",
        "Static pods of the control plane that were seen on this node: `etcd`, `kube-apiserver`, or both. It makes the node one of the control plane. The agent only adds to it; an administrator may remove it.";
    AGENT_RELEASE = "agent-release", "annotation", "agent",
        "JSON: the `source` of the node's releases (`origin`, `graph` or `cluster`), the `reference` that the host follows, the `goal` that the source leads to, and how many releases the node is `behind` on a graph.";
    AGENT_DEAD_END = "agent-dead-end", "label", "agent",
        "`true` while the update graph leads nowhere from what the node runs, and says that it never will.";
    AGENT_REBOOT = "agent-reboot", "annotation", "agent",
        "JSON: reboots without an update: why the node wants or makes one (`wanted`), and the id of the last grant that it used for one (`done`).";
    RELEASE = "release", "annotation", "operator",
        "JSON: the release that the node is to go to, as far as a pool names one: `identity`, `version`, `image`; `declared` where the pool declares it, `downgrade` where an older one is meant, and the releases to `avoid`.";
    REBOOT_RESERVED = "reboot-reserved", "annotation", "operator",
        "JSON: a slot is being prepared for this node: the coming grant's `id`, its `identity` and the `boot` id it is for.";
    REBOOT_OK = "reboot-ok", "annotation", "operator",
        "JSON: the grant: `id`, `identity`, `boot`, `issued`, `deadline` to accept it by, and how to `drain`.";
    GRANTED = "granted", "annotation", "operator",
        "JSON list of the releases that this node had grants for, newest last, at most eight. A failure that the node reports counts for others only if it is about one of them.";
    ONLY_NODE = "only-node", "annotation", "operator",
        "`true` while no other node of the cluster could take this node's pods.";
    BEFORE_REBOOT = "before-reboot", "label", "operator",
        "`true` while the before-reboot checks run.";
    AFTER_REBOOT = "after-reboot", "label", "operator",
        "`true` while the after-reboot checks run.";
    REBOOT_PAUSED = "reboot-paused", "annotation or label", "administrator",
        "`true` holds this node.";
    REBOOT_REQUESTED = "reboot-requested", "annotation", "administrator",
        "JSON: the node is to reboot without an update: the `boot` id that the request is for, when it was made (`at`), and perhaps by whom and why (`by`, `reason`). After that boot it counts no longer.";
    RETRY = "retry", "annotation", "administrator",
        "JSON: the node is to try again what failed on it until `at`, all of it or the release `identity`; perhaps by whom it was asked for (`by`). Each time counts once.";
    ID = "id", "label", "agent", "`ID` of os-release.";
    OS_VERSION = "version", "label", "agent", "Version of the booted deployment.";
    GROUP = "group", "label", "agent", "Update stream: the last part of the branch, or the image's tag.";
}

/// Labels and taints that mark control-plane nodes: the current one, the one before Kubernetes 1.24, k3s's own for its etcd members, and
/// Typhoon's label and taint.
pub const CONTROL_PLANE: &[&str] = &[
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
    "node-role.kubernetes.io/etcd",
    "node.kubernetes.io/controller",
    "node-role.kubernetes.io/controller",
];

#[cfg(test)]
mod tests;
