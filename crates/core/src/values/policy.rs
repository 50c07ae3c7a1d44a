//! How a grant wants its node drained, and which pods to check besides.

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
    /// Delete the remaining pods in spite of their disruption budgets, and wait for them as long again; then as `Abort`.
    Delete,
    /// As `Delete`, and if pods are still there then, delete them without a grace period and reboot, gone or not.
    Force,
}

impl OnTimeout {
    /// What a person can do where the same pods keep blocking the drain.
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
    /// Pods stay while the node is cordoned and rebooted, and the kubelet ends them at shutdown: for clusters without room elsewhere.
    None,
}

/// What to do if the API server would refuse evictions, according to the preflight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreflightMode {
    /// Report it and begin the drain: many refusals end once the node is cordoned or an eviction is real.
    #[default]
    Inform,
    /// Do not cordon the node until everything would be evicted.
    Require,
}

/// What to do about a node that somebody else has cordoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cordoned {
    /// Nothing: whoever cordoned it may be working on it.
    #[default]
    Hold,
    /// Update the node, and leave it cordoned.
    Update,
}

/// How to treat pods that would lose something by leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// Evict them like any other.
    #[default]
    Evict,
    /// Leave them alone. The node is not drained while there are any.
    Block,
}

/// How to drain. Copied into each grant, so that the agent needs no access to pools.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrainPolicy {
    /// Whether pods have to leave.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: DrainMode,
    /// What to do if the API server would refuse evictions, according to the preflight.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preflight: PreflightMode,
    /// How long the drain may take from acceptance, in seconds.
    pub timeout_seconds: u32,
    /// What to do when that time is over.
    pub on_timeout: OnTimeout,
    /// Grace period of each pod, in seconds; the pod's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<u32>,
    /// How to treat pods with an emptyDir volume, whose content is lost.
    #[serde(default, skip_serializing_if = "is_default")]
    pub empty_dir: Treatment,
    /// How to treat pods without a controller, which nobody recreates.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unmanaged: Treatment,
    /// Only pods that match have to leave; the others stay until the reboot.
    #[serde(default, skip_serializing_if = "Selector::is_empty")]
    pub pod_selector: Selector,
    /// Pods in these namespaces stay until the reboot.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub skip_namespaces: BTreeSet<String>,
    /// Whether to wait until the volumes of pods that left are released.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub wait_for_volumes: bool,
    /// Delay between the end of the drain and the reboot, in seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delay_seconds: u32,
}

/// What to check among the pods of a node besides the drain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodChecks {
    /// While a pod that matches any of these runs on the node, no grant is accepted.
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
    /// Their namespace; all namespaces where absent.
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
    /// Ten minutes, as CLUO had it, but no reboot after a drain that failed.
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
    /// The same policy as an agent with these `features` understands it, without what it can't do.
    #[must_use]
    pub fn within(mut self, features: &Names) -> Self {
        // Without the field, agents behave as `Require` says.
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

    /// The delay between the end of the drain and the reboot.
    pub fn delay(&self) -> SignedDuration {
        SignedDuration::from_secs(self.delay_seconds.into())
    }

    /// The longest time from acceptance to the reboot request.
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
