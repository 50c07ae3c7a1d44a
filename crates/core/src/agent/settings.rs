//! How an agent is set up.

use jiff::SignedDuration;

use super::state::Retry;
use crate::look::Mode;
use crate::reason::Reason;

/// What does not change while the agent runs, or only on request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Why neither to stage nor to reboot, where the configuration says so or can't be read.
    pub hold: Option<Reason>,
    /// What to do about updates.
    pub mode: Mode,
    /// Pauses after a grant that came to nothing.
    pub retry: Retry,
    /// What a node has to be before its slot is given back after a boot.
    pub health: Health,
    /// Pause between two evictions of one pod.
    pub evict_every: SignedDuration,
    /// How long a host may take from the request to being down, before it is asked for in another way, and again before it is reported.
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

/// What is asked of a node besides a complete boot and a kubelet that reports Ready.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Health {
    /// Units that have to be active.
    pub units: Vec<String>,
    /// How long all of it has to last.
    pub settle: SignedDuration,
    /// How long it may take before the node counts as failed.
    pub deadline: SignedDuration,
    /// A node that failed goes back to what it ran before.
    pub rollback: bool,
}
