//! Bugs to be found: if the search did not find them, it would find nothing.

use cuo_core::agent::state::{Attempt, State};
use cuo_core::agent::{NodeSeen, Observation};
use cuo_core::ids::GrantId;
use cuo_core::node::NodeView;
use cuo_core::time::Time;
use cuo_core::values::{DrainPolicy, Failures, Field, Grant};

use crate::world::{NEW, OLD, Scope, deployment};
use crate::{ALONE, CLUSTER, POOLS, RELEASES, SICK, WIDE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The agent takes whatever is granted for what it has pending.
    IgnoresIdentity,
    /// The operator drops a slot without a look at the Node.
    DropsUnseen,
    /// Nobody's writes are conditional.
    WritesWithoutCondition,
    /// The operator takes every node for in service.
    OverlooksUnavailable,
    /// The operator takes every node for a worker.
    OverlooksControlPlane,
    /// The operator grants on pools as the watch told.
    TrustsOldPools,
    /// The agent takes any boot for success.
    TrustsAnyBoot,
    /// The agent takes what it asks rpm-ostree to go back to for what the next boot boots.
    TrustsRollbacks,
    /// The agent takes every cordon for its own.
    OwnsEveryCordon,
    /// The agent takes a drain that did not end for one that did.
    OverlooksPods,
    /// The agent asks its cache instead of the API server before it reboots.
    ConfirmsFromCache,
    /// The agent writes its own grant.
    AgentGrantsItself,
    /// The operator does not look at what failed.
    ForgetsFailures,
    /// The operator lets all nodes try a candidate at once.
    TakesAllForCanaries,
    /// The operator lets all nodes boot what canaries have yet to try.
    TakesCandidatesForPromoted,
}

impl Bug {
    pub const ALL: &[Self] = &[
        Self::IgnoresIdentity,
        Self::DropsUnseen,
        Self::WritesWithoutCondition,
        Self::OverlooksUnavailable,
        Self::OverlooksControlPlane,
        Self::TrustsOldPools,
        Self::TrustsAnyBoot,
        Self::TrustsRollbacks,
        Self::OwnsEveryCordon,
        Self::OverlooksPods,
        Self::ConfirmsFromCache,
        Self::AgentGrantsItself,
        Self::ForgetsFailures,
        Self::TakesAllForCanaries,
        Self::TakesCandidatesForPromoted,
    ];

    /// Where it shows, and as which invariant: one of these, where a bug breaks several.
    pub fn hunt(self) -> (Scope, &'static [&'static str]) {
        match self {
            Self::IgnoresIdentity => (ALONE, &["I1"]),
            Self::TrustsRollbacks => (SICK, &["I1"]),
            Self::DropsUnseen | Self::OverlooksUnavailable => (CLUSTER, &["I2"]),
            Self::WritesWithoutCondition => (CLUSTER, &["I2", "I4"]),
            Self::OverlooksControlPlane => (WIDE, &["I2"]),
            Self::TrustsOldPools => (POOLS, &["I2"]),
            Self::TrustsAnyBoot => (ALONE, &["I3"]),
            Self::OwnsEveryCordon => (ALONE, &["I4"]),
            Self::OverlooksPods => (ALONE, &["I5"]),
            Self::ConfirmsFromCache => (ALONE, &["I6"]),
            Self::AgentGrantsItself => (ALONE, &["I9"]),
            Self::ForgetsFailures => (CLUSTER, &["I10"]),
            Self::TakesAllForCanaries | Self::TakesCandidatesForPromoted => (RELEASES, &["I11"]),
        }
    }

    /// Falsifies what the agent sees.
    pub fn blind_agent(self, seen: &mut Observation, disk: &State) {
        let NodeSeen::Present { view, .. } = &mut seen.node else {
            return;
        };
        match self {
            Self::IgnoresIdentity => {
                let pending = seen
                    .host
                    .as_ref()
                    .ok()
                    .and_then(|host| host.pending.as_ref());
                if let (Field::Value(grant), Some(pending)) = (&mut view.operator.grant, pending) {
                    grant.identity = pending.identity;
                }
            }
            Self::TrustsAnyBoot => {
                let granted = disk
                    .attempt
                    .as_ref()
                    .filter(|attempt| attempt.grant.progress.boot != seen.boot);
                if let (Ok(host), Some(attempt)) = (&mut seen.host, granted) {
                    host.booted = deployment(attempt.grant.progress.identity, false);
                }
            }
            Self::TrustsRollbacks => {
                let goes = |attempt: &Attempt| attempt.grant.progress.boot == seen.boot;
                let back = disk.attempt.as_ref().filter(|attempt| goes(attempt));
                let back = back.filter(|attempt| attempt.grant.progress.identity == OLD);
                if let (Ok(host), Some(_)) = (&mut seen.host, back) {
                    host.pending = Some(deployment(OLD, false));
                }
            }
            Self::OwnsEveryCordon if view.unschedulable => {
                view.agent.owned = Field::Value(GrantId { seq: 1, salt: 1 });
            }
            Self::OverlooksPods => seen.pods = Ok(vec![]),
            _ => {}
        }
    }

    /// Falsifies what the operator sees.
    pub fn blind_operator(self, node: &mut NodeView) {
        match self {
            Self::OverlooksUnavailable => (node.ready, node.unschedulable) = (true, false),
            Self::OverlooksControlPlane => node.control_plane = false,
            Self::ForgetsFailures => node.agent.failed = Field::Value(Failures::default()),
            _ => {}
        }
    }

    /// [`Bug::AgentGrantsItself`] at work.
    pub fn grant_itself(node: &mut NodeView) {
        let boot = node.kubelet_boot.unwrap();
        node.operator.grant = Field::Value(Grant {
            id: GrantId {
                seq: 1,
                salt: boot.salt(),
            },
            identity: NEW,
            boot,
            issued: Time::EPOCH,
            deadline: Time::last(),
            drain: DrainPolicy::default(),
            pods: Default::default(),
            cordoned: Default::default(),
        });
    }
}
