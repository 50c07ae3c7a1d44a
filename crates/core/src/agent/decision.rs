//! The result of a decision: the state to remember, one act, and what the act is for.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::state::State;
use super::transitions::Place;
use crate::drain::{Blocked, Claim, RawPod, Removal};
use crate::host::Deployment;
use crate::ids::{GrantId, ReleaseId};
use crate::node::Published;
use crate::reason::Reason;
use crate::values::{Phase, Progress, RebootResult, RetryRequest};

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// Nothing until something changes or [`Step::wake`].
    Wait,
    /// Write this to the Node, provided that the Node has not changed since it was read.
    Publish(Says, Box<Published>),
    /// Make rpm-ostree look for and stage an update.
    Stage,
    /// Make rpm-ostree look for an update without staging it.
    Check,
    /// Ask the API server whether it would evict these pods, without evicting them.
    Preflight {
        /// The grant that the pods would be evicted for.
        grant: GrantId,
        /// At most [`AT_ONCE`](crate::drain::AT_ONCE) pods.
        pods: Vec<RawPod>,
    },
    /// Make these pods leave.
    Evict(Removal),
    /// Find out which volumes these claims are bound to.
    FindVolumes(BTreeSet<Claim>),
    /// Read the Node from the API server and decide again with [`NodeSeen::Present`](super::NodeSeen::Present) `live`.
    Confirm,
    /// Finalize this staged deployment, which reboots the host.
    Finalize(Deployment),
    /// Make rpm-ostree put this deployment, the next after the booted one, first in the boot order. This does not reboot the host.
    RollBack(Deployment),
    /// Reboot the host through logind.
    Reboot,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// The state to write to disk before [`Step::act`] is carried out.
    pub state: State,
    /// The next thing to do.
    pub act: Act,
    /// How long to wait at most before the next step.
    pub wake: Option<SignedDuration>,
    /// The agent's phase, as shown on the Node.
    pub phase: Phase,
    /// Why the agent waits in this phase, if there is a reason.
    pub reason: Option<Reason>,
    /// Progress of a drain that is still running.
    pub drain: DrainNews,
    /// Grants that this decision accepted or answered, and requests that it followed, in order.
    pub happened: Vec<Happened>,
    /// The place where the decision began, followed by each place that it moved to.
    pub course: Vec<Place>,
}

/// What a write to the Node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Says {
    /// The grant is answered; the slot is given back, and the node uncordoned if the agent had cordoned it.
    Answer,
    /// The grant is accepted.
    Accept,
    /// The node is cordoned, and the cordon is the agent's.
    Cordon,
    /// The reboot is coming.
    Rebooting,
    /// The host has booted.
    Verifying,
    /// Anything else: the running release, the pending release, or the reason for a hold.
    News,
}

/// A change to a grant, or to what may be granted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Happened {
    /// It was accepted.
    Accepted(Progress),
    /// It was answered.
    Answered(Answered),
    /// What failed before is tried again, because an administrator asked for it.
    TriesAgain(RetryRequest),
}

/// The answer to a grant, with details that are not on the Node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Answered {
    /// The answer as written on the Node, in a form that the previous release can read.
    pub result: RebootResult,
    /// The release that the grant was for; unknown where the grant was refused.
    pub identity: Option<ReleaseId>,
    /// Why the grant was not completed; `None` if it was.
    pub reason: Option<Reason>,
}

/// Progress of a drain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DrainNews {
    /// The pods that block the drain.
    pub blocked: Vec<Blocked>,
    /// Names of the pods that came after the cordon and stay.
    pub newcomers: Vec<String>,
}
