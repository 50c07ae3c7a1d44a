//! The agent's settings.

use jiff::SignedDuration;

use super::state::Retry;
use crate::look::Mode;
use crate::reason::Reason;

/// Settings that change only when the configuration is read again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Why the agent neither stages nor reboots: the configuration says so or can't be read.
    pub hold: Option<Reason>,
    /// Whether to stage updates or only report them.
    pub mode: Mode,
    /// Pauses after grants that were refused or given up.
    pub retry: Retry,
    /// What makes a node healthy after a boot.
    pub health: Health,
    /// Pause between two evictions of one pod.
    pub evict_every: SignedDuration,
    /// How long the host may take to go down before the reboot is requested in another way, and again before that is reported.
    pub shutdown: SignedDuration,
    /// A kubelet that is newer than the API server is no reason to hold.
    pub any_kubelet: bool,
    /// The cluster may declare an older release.
    pub allow_downgrade: bool,
    /// The state file can't be used.
    pub state_unusable: Option<StateTrouble>,
}

/// Why the state file can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StateTrouble {
    /// It can't be read or understood, and must not be overwritten.
    Unreadable(String),
    /// It can't be written.
    Unwritten(String),
}

/// What a healthy node needs besides a complete boot and a kubelet that reports Ready.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Health {
    /// Units that have to be active.
    pub units: Vec<String>,
    /// How long the node has to stay healthy before that counts.
    pub settle: SignedDuration,
    /// How long the node may take to become healthy before it counts as failed.
    pub deadline: SignedDuration,
    /// Whether a node that failed goes back to what it ran before.
    pub rollback: bool,
}
