//! Everything that can be configured, section by section.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::release::{Graph, Release};
use super::values::{Delay, HostPath, Span, Textfile, UnitName};

/// Everything that can be configured; each default is good enough for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Neither stage updates nor reboot.
    pub hold: bool,
    /// What to do about updates.
    pub mode: Mode,
    /// The Node's name; by default what the API server says of the credential, else the host's name.
    pub node_name: Option<String>,
    /// The kubeconfig; by default the first that is found of the agent's own and the kubelet's.
    pub kubeconfig: Option<PathBuf>,
    /// Looking for updates.
    pub check: Check,
    /// Pausing after a grant that came to nothing.
    pub retry: RetryConfig,
    /// Draining.
    pub drain: Drain,
    /// Rebooting.
    pub reboot: Reboot,
    /// Vouching for what was booted.
    pub health: Health,
    /// Leaving a host alone that somebody else updates.
    pub drivers: Drivers,
    /// Where releases come from.
    pub release: Release,
    /// The update graph.
    pub graph: Graph,
    /// Metrics of the agent.
    pub metrics: Metrics,
}

/// `[check]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// How often to look for an update.
    pub period: Span,
    /// At most this much is added to each period, at random, so that hosts don't ask all at once.
    pub jitter: Delay,
    /// How long after the boot to look for the first time, and at most as much again, at random.
    pub start: Delay,
    /// What to do while NetworkManager says that the network is metered.
    pub metered: Metered,
}

/// `check.metered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metered {
    /// Wait for another network, as desktops and dnf's timer do.
    #[default]
    Wait,
    /// Look for updates all the same.
    Ignore,
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Download and stage updates.
    #[default]
    Stage,
    /// Tell of them.
    Check,
}

/// `[retry]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Pause after the first failure; it doubles with each.
    pub first: Span,
    /// Longest pause.
    pub cap: Span,
}

/// `[drain]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Pause between two evictions of one pod.
    pub evict_every: Span,
}

/// `[reboot]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reboot {
    /// How long the host may take to go down before the reboot is asked for in another way, and again before it is reported.
    pub shutdown: Span,
    /// The file that asks for a reboot of the host, if one does, such as `/run/reboot-required`. It counts if it was made since the boot.
    pub sentinel: Option<HostPath>,
}

/// `[health]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Units that have to be active after a boot, besides a complete boot and a Node that is Ready.
    pub units: Vec<UnitName>,
    /// How long all of it has to last before the slot is given back.
    pub settle: Delay,
    /// How long it may take before the node counts as failed, and keeps its slot.
    pub deadline: Span,
    /// A node that failed goes back to what it ran before, by a reboot that is granted as any other.
    pub rollback: bool,
}

/// `[drivers]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drivers {
    /// Units that update this host while they run, besides those that the agent knows.
    pub units: Vec<UnitName>,
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where to write them for node_exporter's textfile collector.
    pub textfile: Textfile,
}

impl Drivers {
    /// The names of the units.
    pub fn names(&self) -> Vec<String> {
        self.units.iter().map(|unit| unit.0.clone()).collect()
    }
}

impl Default for Health {
    fn default() -> Self {
        // Kubelets flap in their first seconds, and slow hosts pull images for their network before they are Ready.
        Self {
            units: Vec::new(),
            settle: Delay(SignedDuration::from_secs(30)),
            deadline: minutes(30),
            rollback: false,
        }
    }
}

impl Default for Check {
    fn default() -> Self {
        // Fedora CoreOS publishes every other week; four looks a day see an urgent fix soon enough and cost next to nothing.
        Self {
            period: minutes(6 * 60),
            jitter: Delay(SignedDuration::from_mins(30)),
            start: Delay(SignedDuration::from_mins(1)),
            metered: Metered::Wait,
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            first: minutes(1),
            cap: minutes(60),
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        // What kubectl drain does, too.
        Self {
            evict_every: Span(SignedDuration::from_secs(5)),
        }
    }
}

impl Default for Reboot {
    fn default() -> Self {
        // systemd lets a unit take 90 s to stop, ostree-finalize-staged 5 min.
        Self {
            shutdown: minutes(10),
            sentinel: None,
        }
    }
}

pub(super) fn minutes(count: i64) -> Span {
    Span(SignedDuration::from_mins(count))
}
