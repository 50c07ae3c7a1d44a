//! How a grant wants its node drained, and what else to look at among the pods.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::features::Feature;
use crate::selector::Selector;
use crate::values::Names;

/// What happens when a drain does not finish in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTimeout {
    /// Uncordon, give the slot back, say what blocked, try again later.
    Abort,
    /// Delete the pods that are left, whatever their disruption budgets say, and wait for them once more as long; then as `Abort`.
    Delete,
    /// As `Delete`, and if pods are still there then, delete them without any grace and reboot, gone or not.
    Force,
}

impl OnTimeout {
    /// What people do where the same pods keep every drain from its end.
    pub const fn way_out(self) -> &'static str {
        match self {
            Self::Abort => {
                "give their budgets room, move them, or set `drain.onTimeout: Delete` in the pool"
            }
            Self::Delete => "move them, or set `drain.onTimeout: Force` in the pool",
            Self::Force => "the policy keeps them, so move them",
        }
    }
}

/// Whether pods have to leave before the reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainMode {
    /// They are evicted.
    #[default]
    Evict,
    /// The node is cordoned and rebooted with its pods, which the kubelet ends at the shutdown: where there is nowhere else for them.
    None,
}

/// What a grant is worth where the API server says beforehand that it would refuse evictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreflightMode {
    /// It is reported, and the drain begins: much that refuses gives way once the node is cordoned or an eviction is real.
    #[default]
    Inform,
    /// The node is not cordoned before everything would be evicted.
    Require,
}

/// What a grant is worth on a node that somebody else has cordoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cordoned {
    /// Nothing: whoever cordoned it may be at work there.
    #[default]
    Hold,
    /// The node is updated, and stays cordoned.
    Update,
}

/// What is done about a pod that loses something by leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// It is evicted like any other.
    #[default]
    Evict,
    /// It is left alone, and so the node is not drained while it is there.
    Block,
}

/// How to drain, copied into each grant so that the agent needs no access to where policy is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrainPolicy {
    /// Whether pods have to leave.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: DrainMode,
    /// Whether the API server has to agree beforehand.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preflight: PreflightMode,
    /// How long it may take from acceptance, in seconds.
    pub timeout_seconds: u32,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// How long each pod has to end, in seconds; its own time where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<u32>,
    /// Pods with an emptyDir volume, whose content is lost.
    #[serde(default, skip_serializing_if = "is_default")]
    pub empty_dir: Treatment,
    /// Pods without a controller, which nobody recreates.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unmanaged: Treatment,
    /// Only pods that match have to leave; the others stay until the reboot.
    #[serde(default, skip_serializing_if = "Selector::is_empty")]
    pub pod_selector: Selector,
    /// Pods in these namespaces stay until the reboot.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub skip_namespaces: BTreeSet<String>,
    /// Whether volumes of the pods that left have to be let go of before the reboot.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub wait_for_volumes: bool,
    /// How long to wait between the end of the drain and the reboot, in seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delay_seconds: u32,
}

/// What the agent looks at among the pods of its node besides the drain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodChecks {
    /// While a pod that matches any of these runs on the node, a grant is not accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocking: Vec<PodMatch>,
    /// After the boot, the pods of DaemonSets on the node have to be Ready before the slot is given back.
    #[serde(default, skip_serializing_if = "is_default")]
    pub daemon_sets_ready: bool,
}

/// Pods by namespace and labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodMatch {
    /// Their namespace; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Their labels.
    #[serde(default, skip_serializing_if = "Selector::is_empty")]
    pub selector: Selector,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

impl Default for DrainPolicy {
    /// Ten minutes, as CLUO had it, but never a reboot after a drain that failed.
    fn default() -> Self {
        Self {
            mode: DrainMode::Evict,
            preflight: PreflightMode::Inform,
            timeout_seconds: 600,
            on_timeout: OnTimeout::Abort,
            grace_period_seconds: None,
            empty_dir: Treatment::Evict,
            unmanaged: Treatment::Evict,
            pod_selector: Selector::default(),
            skip_namespaces: BTreeSet::new(),
            wait_for_volumes: true,
            delay_seconds: 0,
        }
    }
}

impl DrainPolicy {
    /// The same as agents understand it that have not these `features`; what they can't do is left out.
    #[must_use]
    pub fn within(mut self, features: &Names) -> Self {
        // Without the field they do as `Require` says.
        if !Feature::Preflight.is_in(features) {
            self.preflight = PreflightMode::default();
        }
        if !Feature::DrainMode.is_in(features) {
            self.mode = DrainMode::default();
        }
        self
    }

    /// The time-out as a duration.
    pub fn timeout(&self) -> SignedDuration {
        SignedDuration::from_secs(self.timeout_seconds.into())
    }

    /// How long to wait between the end of the drain and the reboot.
    pub fn delay(&self) -> SignedDuration {
        SignedDuration::from_secs(self.delay_seconds.into())
    }

    /// How long it may take at most from acceptance to the moment when the reboot is asked for.
    pub fn longest(&self) -> SignedDuration {
        // For the last deletions, and what is between them and the reboot.
        const LAST: u64 = 60;
        let timeout = u64::from(self.timeout_seconds);
        let rungs = match self.on_timeout {
            OnTimeout::Abort => timeout,
            OnTimeout::Delete => timeout * 2,
            OnTimeout::Force => timeout * 2 + LAST,
        };
        let seconds = rungs + u64::from(self.delay_seconds);
        SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}
