//! What the agent sees at one moment: the input of a decision.

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
    /// This boot.
    pub boot: BootId,
    /// How long the host has been up, where that is known: no clock that is set changes it.
    pub uptime: Option<SignedDuration>,
    /// The deployments, or why they are not known.
    pub host: Result<Host, String>,
    /// rpm-ostree was seen at work on something.
    pub busy: bool,
    /// The own Node.
    pub node: NodeSeen,
    /// Pods on this node, or why they are not known (nothing before the first answer); needed only while [`wants_pods`] says so.
    pub pods: Result<Vec<RawPod>, String>,
    /// What the API server said to whether it would evict the pods.
    pub preflight: Option<Questions>,
    /// Evictions of this attempt, oldest first.
    pub evictions: Vec<EvictionTry>,
    /// The volumes that were last asked for.
    pub volumes: Option<VolumesSeen>,
    /// The reason that this process last wrote on the Node.
    pub reported: Option<Reported>,
    /// Block inhibitors on shutdown, or why they are not known.
    pub inhibitors: Result<Vec<Inhibitor>, String>,
    /// What else runs on the host, or why that is not known.
    pub survey: Result<Survey, String>,
    /// What the labels shall say.
    pub system: SystemLabels,
    /// Whether rpm-ostree is being made to look for and stage an update.
    pub staging: Staging,
    /// The period is over, or somebody asked for a check.
    pub check_due: bool,
    /// What is to be reported of the looks for updates.
    pub looked: Option<Reason>,
    /// What the pending update does to the kubelet, where that is known.
    pub skew: Option<Skew>,
    /// Where the host's releases come from, as of the last look; nothing before the first.
    pub following: Option<Following>,
    /// What this process asked for to get the host rebooted.
    pub asked: Option<Asked>,
}

impl Observation {
    /// The pods are known, and the Node shows those of the control plane among them.
    pub fn marked(&self) -> bool {
        let (Ok(pods), NodeSeen::Present { view, .. }) = (&self.pods, &self.node) else {
            return false;
        };
        let shown = &view.agent.control_plane_pods;
        let there = control_plane::parts(pods, &view.name);
        there.iter().all(|part| shown.contains(part))
    }
}

/// Questions that were asked because of [`Act::Preflight`], oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Questions {
    /// For which grant.
    pub grant: GrantId,
    /// One for each pod.
    pub answers: Vec<EvictionTry>,
}

/// A reason that was written on the Node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reported {
    /// When.
    pub at: Tick,
    /// What; `None` where it was taken away.
    pub reason: Option<Reason>,
    /// Names of the pods that were in the way of the drain then.
    pub blocked: Vec<String>,
}

/// What came of [`Act::FindVolumes`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VolumesSeen {
    /// Of which claims.
    pub claims: BTreeSet<Claim>,
    /// As a Node's `status.volumesInUse` calls them, or why they are not known.
    pub volumes: Result<BTreeSet<String>, String>,
    /// When it was answered.
    pub at: Tick,
}

/// A run of looking for, downloading and staging an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Staging {
    /// None.
    Idle,
    /// Just begun. Most runs find nothing and end within seconds, which is not worth a write to the Node.
    Begun,
    /// It takes its time.
    Lasting,
}

/// The own Node, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeSeen {
    /// The API server can't be asked or refuses.
    Unknown(String),
    /// There is no such Node.
    Absent,
    /// It is there.
    Present {
        /// As last seen.
        view: Box<NodeView>,
        /// Read from the API server just now, because of [`Act::Confirm`]: no cache.
        live: bool,
    },
}

/// A reboot that this process asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// For which grant.
    pub id: GrantId,
    /// When rpm-ostree was asked last, or logind where nothing is staged.
    pub at: Tick,
    /// How often rpm-ostree was asked.
    pub times: u32,
    /// rpm-ostree has said that it is finalized: any reboot boots it.
    pub unlocked: bool,
    /// When logind was asked too, after nothing had happened.
    pub again: Option<Tick>,
    /// The refusal, in the words of rpm-ostree or logind: nothing is under way.
    pub refused: Option<Reason>,
    /// rpm-ostree was at work for somebody else, and is asked again in a while.
    pub busy: Option<Reason>,
    /// rpm-ostree went away without an answer, and none will come.
    pub unheard: bool,
}

impl Asked {
    /// The note of `act` being asked for `now`, because of grant `id`; `before` is what was asked for until now.
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
