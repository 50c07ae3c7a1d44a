//! What a decision says: the state to remember, one act, and what it means.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::state::State;
use super::transitions::Place;
use crate::drain::{Blocked, Claim, RawPod, Removal};
use crate::host::Deployment;
use crate::ids::{GrantId, ReleaseId};
use crate::node::Published;
use crate::reason::Reason;
use crate::values::{Phase, Progress, RebootResult};

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// Nothing until something changes or [`Step::wake`].
    Wait,
    /// Write this to the Node, on the condition that it is still the one that was seen.
    Publish(Says, Box<Published>),
    /// Make rpm-ostree look for and stage an update.
    Stage,
    /// Make rpm-ostree look for an update, and leave it at that.
    Check,
    /// Ask the API server whether it would evict these pods, without evicting them.
    Preflight {
        /// For which grant.
        grant: GrantId,
        /// Which, a handful.
        pods: Vec<RawPod>,
    },
    /// Make these pods leave.
    Evict(Removal),
    /// Find out which volumes these claims are bound to.
    FindVolumes(BTreeSet<Claim>),
    /// Read the Node from the API server and come back with [`NodeSeen::Present`](super::NodeSeen::Present) `live`.
    Confirm,
    /// Finalize this staged deployment, which reboots the host.
    Finalize(Deployment),
    /// Make rpm-ostree put this deployment, which is the next after the booted one, first again. No reboot comes of it.
    RollBack(Deployment),
    /// Reboot the host through logind.
    Reboot,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// To be on disk before [`Step::act`] is carried out.
    pub state: State,
    /// The next thing to do.
    pub act: Act,
    /// How soon to step again at the latest.
    pub wake: Option<SignedDuration>,
    /// Where the agent is.
    pub phase: Phase,
    /// What holds, if something does.
    pub reason: Option<Reason>,
    /// What is seen of a drain that goes on.
    pub drain: DrainNews,
    /// What became of grants by this decision, in order.
    pub happened: Vec<Happened>,
    /// Where the decision began, and every place that it went on to.
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
    /// Anything else: what runs, what a reboot would boot, what holds.
    News,
}

/// What became of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Happened {
    /// It was accepted.
    Accepted(Progress),
    /// It was answered.
    Answered(Answered),
}

/// The answer to a grant, with what does not stand on the Node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Answered {
    /// As it stands on the Node, where the release before can read it.
    pub result: RebootResult,
    /// What the grant allowed to boot; unknown where it was refused.
    pub identity: Option<ReleaseId>,
    /// Why, unless it is done.
    pub reason: Option<Reason>,
}

/// What is seen of a drain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DrainNews {
    /// The pods that are in its way.
    pub blocked: Vec<Blocked>,
    /// Names of the pods that came after the cordon and stay.
    pub newcomers: Vec<String>,
}
