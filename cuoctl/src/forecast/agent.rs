//! What an agent without troubles makes of its Node.

use cuo_core::ids::{BootId, ReleaseId};
use cuo_core::node::NodeView;
use cuo_core::release::NamedRelease;
use cuo_core::time::Time;
use cuo_core::values::{
    Booted, DrainMode, Field, Outcome, Phase, PlainReboots, Progress, RebootResult, Status,
};
use jiff::SignedDuration;

use super::said::{Assumed, Reboot};

/// What an agent is at, until when.
#[derive(Debug, Clone)]
pub enum Work {
    /// It stages what it was assigned.
    Stages(Time, NamedRelease),
    /// It drains its node.
    Drains(Time, Reboot),
    /// It reboots.
    Boots(Time, Reboot),
}

impl Work {
    /// When it is done with that.
    pub fn until(&self) -> Time {
        match self {
            Self::Stages(until, _) | Self::Drains(until, _) | Self::Boots(until, _) => *until,
        }
    }

    /// The reboot that it is at.
    pub fn reboot(&self) -> Option<&Reboot> {
        match self {
            Self::Stages(..) => None,
            Self::Drains(_, reboot) | Self::Boots(_, reboot) => Some(reboot),
        }
    }
}

/// What the agent of `node` begins at `now`, if anything.
pub fn begins(node: &mut NodeView, now: Time, assumed: Assumed) -> Option<Work> {
    if let Some(progress) = node.agent.progress.value().cloned() {
        return Some(continues(node, &progress, now, assumed));
    }
    let answered = node.agent.result.value().map(|result| result.id);
    if let Some(grant) = node.operator.grant.value().cloned() {
        if answered == Some(grant.id) {
            return None;
        }
        let progress = Progress {
            id: grant.id,
            identity: grant.identity,
            boot: grant.boot,
            accepted: now,
        };
        node.agent.progress = Field::Value(progress.clone());
        // Somebody else's cordon stays theirs.
        if node.cordoned_by_other().is_none() {
            node.agent.owned = Field::Value(grant.id);
            node.unschedulable = true;
        }
        is(node, Phase::Draining, now);
        return Some(continues(node, &progress, now, assumed));
    }
    let release = assigned(node)?;
    Some(Work::Stages(now.later(assumed.stage), release))
}

/// When the node is expected to be done with the grant that its agent has accepted, not before `now`; `None` where there is none.
pub fn expected(node: &NodeView, now: Time, assumed: Assumed) -> Option<Time> {
    let progress = node.agent.progress.value()?;
    let work = continues(node, progress, now, assumed);
    work.reboot().map(|reboot| reboot.done)
}

/// Goes on with an accepted grant.
fn continues(node: &NodeView, progress: &Progress, now: Time, assumed: Assumed) -> Work {
    let status = node.agent.status.value();
    let boots =
        status.is_some_and(|status| matches!(status.phase, Phase::Rebooting | Phase::Verifying));
    let grant = node.operator.grant.value();
    let drain = grant.map_or(assumed.drain, |grant| {
        let delay = SignedDuration::from_secs(grant.drain.delay_seconds.into());
        match grant.drain.mode {
            DrainMode::None => delay,
            DrainMode::Evict if assumed.with_delay => assumed.drain,
            DrainMode::Evict => assumed.drain.saturating_add(delay),
        }
    });
    let since = status.filter(|_| boots).map(|status| status.since);
    // Its clock may have been set back meanwhile.
    let since = since.map(|since| since.max(progress.accepted));
    let drained = since.unwrap_or_else(|| progress.accepted.later(drain).max(now));
    let reboot = Reboot {
        node: node.name.clone(),
        release: progress.identity,
        version: node.agent.needed_version.clone(),
        granted: progress.accepted,
        drained,
        done: drained.later(assumed.reboot).max(now),
    };
    match boots {
        true => Work::Boots(reboot.done, reboot),
        false => Work::Drains(drained, reboot),
    }
}

/// What the node was assigned, if it neither runs nor needs that yet.
fn assigned(node: &NodeView) -> Option<NamedRelease> {
    if node.only_reboots().is_some() {
        return None;
    }
    let assigned = node.operator.assigned.value()?;
    let identity = assigned.identity?;
    let runs = node.agent.booted.value().map(|booted| booted.identity);
    let needs = node.agent.needed.value().copied();
    let there = needs.or(runs) == Some(identity);
    let holds = node.agent.reason.value().is_some();
    (!there && !holds).then(|| NamedRelease {
        identity,
        version: assigned.version.clone(),
    })
}

/// `node` as it is after the work; `boot` is what it boots into.
pub fn ends(node: &mut NodeView, work: Work, boot: BootId, assumed: Assumed) -> Option<Work> {
    match work {
        Work::Stages(at, release) => {
            needs(node, release, at);
            None
        }
        Work::Drains(at, reboot) => {
            is(node, Phase::Rebooting, at);
            node.ready = false;
            Some(Work::Boots(at.later(assumed.reboot), reboot))
        }
        Work::Boots(at, reboot) => {
            booted(node, at, &reboot, boot);
            None
        }
    }
}

fn needs(node: &mut NodeView, release: NamedRelease, at: Time) {
    let agent = &mut node.agent;
    let runs = agent.booted.value().map(|booted| booted.identity);
    let back = runs == Some(release.identity);
    agent.needed = match back {
        true => Field::Absent,
        false => Field::Value(release.identity),
    };
    agent.needed_label = !back;
    agent.needed_version = release.version.filter(|_| !back);
    is(node, if back { Phase::Idle } else { Phase::Waiting }, at);
}

fn booted(node: &mut NodeView, at: Time, reboot: &Reboot, boot: BootId) {
    let version = |identity: &ReleaseId| reboot.version.clone().unwrap_or_else(|| identity.short());
    let only_reboots = node.only_reboots().is_some();
    let agent = &mut node.agent;
    if let Some(progress) = agent.progress.value() {
        agent.result = Field::Value(RebootResult {
            id: progress.id,
            outcome: Outcome::Done,
            code: None,
            at,
        });
    }
    let done = agent.progress.value().map(|progress| progress.id);
    let known = agent.booted.value().filter(|_| only_reboots);
    agent.booted = Field::Value(Booted {
        identity: reboot.release,
        version: version(&reboot.release),
        boot,
        since: known.map_or(at, |known| known.since),
    });
    if only_reboots {
        agent.reboots = Field::Value(PlainReboots { wanted: None, done });
    }
    agent.progress = Field::Absent;
    let own = !agent.owned.is_absent();
    agent.owned = Field::Absent;
    agent.needed = Field::Absent;
    agent.needed_label = false;
    agent.needed_version = None;
    // What an agent understands counts for the boot that announced it, and it is the same agent.
    node.kubelet_boot = Some(boot);
    node.unschedulable &= !own;
    node.ready = true;
    is(node, Phase::Idle, at);
}

fn is(node: &mut NodeView, phase: Phase, since: Time) {
    node.agent.status = Field::Value(Status { phase, since });
}
