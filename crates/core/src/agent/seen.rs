//! What the agent observes at one moment: the input of a decision.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::decision::Act;
use crate::control_plane;
use crate::drain::{Claim, EvictionTry, RawPod};
use crate::host::{Host, Inhibitor};
use crate::ids::{BootId, GrantId};
use crate::node::{NodeView, SystemLabels};
use crate::reason::Reason;
use crate::release::Following;
use crate::skew::Skew;
use crate::survey::Survey;
use crate::time::Tick;

/// What the agent knows at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observation {
    /// The id of the current boot.
    pub boot: BootId,
    /// How long the host has been up, if known. Setting the clock does not change it.
    pub uptime: Option<SignedDuration>,
    /// The deployments, or why they are not known.
    pub host: Result<Host, String>,
    /// rpm-ostree was seen at work on something.
    pub busy: bool,
    /// This host's Node.
    pub node: NodeSeen,
    /// Pods on this node, or why they are not known (empty before the first answer). Needed only while [`wants_pods`] says so.
    pub pods: Result<Vec<RawPod>, String>,
    /// The API server's answers to whether it would evict the pods.
    pub preflight: Option<Questions>,
    /// Tries to evict or delete pods in this attempt, oldest first.
    pub evictions: Vec<EvictionTry>,
    /// The result of the last [`Act::FindVolumes`].
    pub volumes: Option<VolumesSeen>,
    /// The reason that this process last wrote on the Node.
    pub reported: Option<Reported>,
    /// Blocking inhibitor locks on shutdown, or why they are not known.
    pub inhibitors: Result<Vec<Inhibitor>, String>,
    /// What else runs on the host, or why that is not known.
    pub survey: Result<Survey, String>,
    /// The system labels that the Node should have.
    pub system: SystemLabels,
    /// Whether rpm-ostree is being made to look for and stage an update.
    pub staging: Staging,
    /// A look is due: the period has passed, or somebody asked for one.
    pub check_due: bool,
    /// The reason to report about looks for updates, if any.
    pub looked: Option<Reason>,
    /// What the pending update does to the kubelet, where that is known.
    pub skew: Option<Skew>,
    /// Where the host's releases come from, as of the last look; nothing before the first.
    pub following: Option<Following>,
    /// What this process asked for to get the host rebooted.
    pub asked: Option<Asked>,
}

impl Observation {
    /// Whether the pods are known, and the Node shows the static pods of the control plane among them.
    pub fn marked(&self) -> bool {
        let (Ok(pods), NodeSeen::Present { view, .. }) = (&self.pods, &self.node) else {
            return false;
        };
        let shown = &view.agent.control_plane_pods;
        let there = control_plane::parts(pods, &view.name);
        there.iter().all(|part| shown.contains(part))
    }
}

/// Preflight questions that [`Act::Preflight`] asked, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Questions {
    /// The grant that they were asked for.
    pub grant: GrantId,
    /// One answer for each pod.
    pub answers: Vec<EvictionTry>,
}

/// A reason that was written on the Node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reported {
    /// When it was written.
    pub at: Tick,
    /// The reason; `None` if one was removed.
    pub reason: Option<Reason>,
    /// Names of the pods that blocked the drain at that time.
    pub blocked: Vec<String>,
}

/// The result of [`Act::FindVolumes`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VolumesSeen {
    /// The claims that were looked up.
    pub claims: BTreeSet<Claim>,
    /// The volumes' names as in a Node's `status.volumesInUse`, or why they are not known.
    pub volumes: Result<BTreeSet<String>, String>,
    /// When the lookup ended.
    pub at: Tick,
}

/// A run of looking for, downloading and staging an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Staging {
    /// There is no run.
    Idle,
    /// The run has just begun. Most find nothing and end within seconds, which is not worth a write to the Node.
    Begun,
    /// The run takes longer, and is reported.
    Lasting,
}

/// This host's Node, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeSeen {
    /// The API server can't be reached or refuses, with the reason.
    Unknown(String),
    /// The Node does not exist.
    Absent,
    /// The Node exists.
    Present {
        /// The Node as last seen.
        view: Box<NodeView>,
        /// Whether it was just read from the API server, because of [`Act::Confirm`], rather than from a cache.
        live: bool,
    },
}

/// A reboot that this process asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The grant that the reboot was requested for.
    pub id: GrantId,
    /// When rpm-ostree was last asked, or logind where nothing is staged.
    pub at: Tick,
    /// How often rpm-ostree was asked.
    pub times: u32,
    /// rpm-ostree reported the deployment as finalized: any reboot boots it.
    pub unlocked: bool,
    /// When logind was asked as well, after the first request had no effect.
    pub again: Option<Tick>,
    /// The refusal, as rpm-ostree or logind put it: no reboot is in progress.
    pub refused: Option<Reason>,
    /// rpm-ostree was busy with somebody else's transaction, and is asked again later.
    pub busy: Option<Reason>,
    /// rpm-ostree went away without an answer, and none will come.
    pub unheard: bool,
}

impl Asked {
    /// The note of a request `act` made at `now` for the grant `id`; `before` is the previous note.
    pub fn next(before: Option<Self>, id: GrantId, act: &Act, now: Tick) -> Self {
        let before = before.filter(|asked| asked.id == id);
        let finalizes = matches!(act, Act::Finalize(_) | Act::RollBack(_));
        let times = before.as_ref().map_or(0, |asked| asked.times);
        Self {
            id,
            at: match &before {
                Some(asked) if !finalizes => asked.at,
                _ => now,
            },
            times: times.saturating_add(finalizes.into()),
            unlocked: before.as_ref().is_some_and(|asked| asked.unlocked),
            again: (before.is_some() && !finalizes).then_some(now),
            refused: None,
            busy: None,
            unheard: false,
        }
    }
}
