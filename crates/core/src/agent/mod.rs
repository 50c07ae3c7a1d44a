//! The agent's decision: what is known goes in, one act with its reason comes out.
//!
//! [`step`] is level-triggered: it looks at how things are, never at how they came to be, so every act can be repeated and the agent may
//! die between any two. The loop around it writes [`State`] to disk if it changed, then carries out the one [`Act`], looks again, and
//! steps again.

mod act;
mod drain;
pub mod health;
mod left;
mod publish;
mod rest;
mod rollback;
mod staging;
pub mod state;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeSet;

use jiff::SignedDuration;

use crate::control_plane;
use crate::drain::{Blocked, Claim, EvictionTry, RawPod, Removal};
use crate::host::{Deployment, Host, Inhibitor};
use crate::identity::{BootId, GrantId};
use crate::look::Mode;
use crate::node::{NodeView, Published, SystemLabels};
use crate::reason::{Code, Reason};
use crate::survey::Survey;
use crate::time::{Now, Tick, Time};
use crate::values::{Field, Outcome, Phase, RebootResult};

use health::Health;
pub use left::Left;
pub use rollback::{Ailing, target};
use state::{Attempt, Retry, State};

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
    pub told: Option<Told>,
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
    /// What is to be told of the looks for updates.
    pub looked: Option<Reason>,
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
pub struct Told {
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

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// Nothing until something changes or [`Step::wake`].
    Wait,
    /// Write this to the Node, on the condition that it is still the one that was seen.
    Publish(Box<Published>),
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
    /// Read the Node from the API server and come back with [`NodeSeen::Present`] `live`.
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
}

/// What is seen of a drain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DrainNews {
    /// The pods that are in its way.
    pub blocked: Vec<Blocked>,
    /// Names of the pods that came after the cordon and stay.
    pub newcomers: Vec<String>,
}

/// The pods of this node are needed for the next step: there is a grant to be answered, the node is being drained, the reboot is still to
/// be asked for, or pods have to be Ready for the node to be healthy.
pub fn wants_pods(
    state: &State,
    node: Option<&NodeView>,
    boot: &BootId,
    asked: Option<&Asked>,
) -> bool {
    let marked = node.is_some_and(|node| !node.agent.control_plane_pods.is_empty());
    let Some(attempt) = &state.attempt else {
        let ailing = state.ailing.as_ref();
        if ailing.is_some_and(|ailing| marked || ailing.pods.daemon_sets_ready) {
            return true;
        }
        let grant = node.and_then(|node| node.operator.grant.value());
        let answered = state.result.as_ref().map(|result| result.id);
        return grant.is_some_and(|grant| grant.boot == *boot && Some(grant.id) != answered);
    };
    if attempt.progress.boot != *boot {
        return marked || attempt.pods.daemon_sets_ready;
    }
    let asked = asked.is_some_and(|asked| asked.id == attempt.progress.id && asked.busy.is_none());
    attempt.requested.is_none() || !asked
}

/// Decides. `now` is what the host's clocks show; that of the wall is trusted only for deadlines, never for what has happened.
pub fn step(state: &State, seen: &Observation, settings: &Settings, now: Now) -> Step {
    let mut work = Work {
        state: state.clone(),
        seen,
        settings,
        now: now.time,
        tick: now.tick,
        drain: DrainNews::default(),
    };
    match &settings.state_unusable {
        None => {}
        Some(StateTrouble::Unreadable(why)) => {
            return work.keep(Phase::Held, Reason::new(Code::StateUnreadable, why));
        }
        Some(StateTrouble::Unwritten(why)) => {
            let phase = work.phase();
            return work.keep(phase, Reason::new(Code::StateUnwritable, why));
        }
    }
    work.state.bound_backoff(&settings.retry, now.time);
    work.adopt();
    work.notes_step_back();
    match work.state.attempt.clone() {
        Some(attempt) if attempt.progress.boot != seen.boot => work.verify(attempt),
        Some(attempt) => work.act(attempt),
        None => work.rest(),
    }
}

/// One step in the making.
#[derive(Clone)]
struct Work<'a> {
    state: State,
    seen: &'a Observation,
    settings: &'a Settings,
    now: Time,
    tick: Tick,
    drain: DrainNews,
}

impl<'a> Work<'a> {
    /// The own Node, if it is there.
    fn node(&self) -> Option<&'a NodeView> {
        match &self.seen.node {
            NodeSeen::Present { view, .. } => Some(view),
            NodeSeen::Unknown(_) | NodeSeen::Absent => None,
        }
    }

    /// How long it is until `time`; nothing if it is over.
    fn until(&self, time: Time) -> SignedDuration {
        time.since(self.now).max(SignedDuration::ZERO)
    }

    /// When `span` is over that began at `since`, with the host up for `uptime` then. A clock that is set meanwhile changes nothing
    /// about that, where the uptime is known.
    fn limit(&self, since: Time, uptime: Option<SignedDuration>, span: SignedDuration) -> Time {
        match (uptime, self.seen.uptime) {
            (Some(began), Some(up)) => {
                let gone = up.saturating_sub(began);
                self.now.later(span.saturating_sub(gone))
            }
            _ => since.later(span),
        }
    }

    /// Where the agent is, if nothing of what is decided can be written down. It accepts no grant then, so it does not wait for one.
    fn phase(&self) -> Phase {
        let mut known = self.clone();
        known.adopt();
        let status = self.node().and_then(|node| node.agent.status.value());
        if status.is_some_and(|status| status.phase == Phase::Failed) {
            return Phase::Failed;
        }
        match &known.state.attempt {
            Some(attempt) if attempt.progress.boot != self.seen.boot => Phase::Verifying,
            Some(attempt) if attempt.requested.is_some() => Phase::Rebooting,
            Some(_) => Phase::Draining,
            None if known.pending().is_some() => Phase::Held,
            None => Phase::Idle,
        }
    }

    /// Rebuilds from the Node what a lost state file knew.
    fn adopt(&mut self) {
        let Some(node) = self.node() else { return };
        if !self.state.adopted {
            let known = self.state.result.take();
            self.state.result = known.or_else(|| node.agent.result.value().cloned());
            for failure in node
                .agent
                .failed
                .value()
                .into_iter()
                .flat_map(|failed| &failed.identities)
            {
                self.state.failed.add(failure.clone());
            }
            // Whether the agent staged what is locked is not known any more; nobody else locks.
            let pending = self.seen.host.as_ref().ok();
            let pending = pending.and_then(|host| host.pending.as_ref());
            let locked = pending.filter(|pending| self.locked(pending));
            let known = self.state.ours.take();
            self.state.ours = known.or_else(|| locked.map(|pending| pending.id.clone()));
            self.state.adopted = true;
        }
        self.answered_already(node);
        let Some(progress) = node.agent.progress.value() else {
            return;
        };
        let answered = self
            .state
            .result
            .as_ref()
            .is_some_and(|result| result.id == progress.id);
        if self.state.attempt.is_some() || answered {
            return;
        }
        let status = node.agent.status.value();
        let asked =
            status.filter(|status| matches!(status.phase, Phase::Rebooting | Phase::Verifying));
        let grant = node
            .operator
            .grant
            .value()
            .filter(|grant| grant.id == progress.id);
        // What was told since the reboot is what came of it.
        let before = node.agent.booted.value();
        let before = before.filter(|booted| booted.boot == progress.boot);
        self.state.attempt = Some(Attempt {
            progress: progress.clone(),
            drain: grant.map_or_else(Default::default, |grant| grant.drain.clone()),
            from: before.map(|booted| booted.identity),
            between: None,
            uptime: None,
            twin: true, // unknown, and the milder verdict
            good: None,
            back: false,
            requested: asked.map(|status| status.since),
            requested_up: None,
            pods: grant.map_or_else(Default::default, |grant| grant.pods.clone()),
            cordoned: grant.map_or_else(Default::default, |grant| grant.cordoned),
            foreign: false,
            members: None,
            drained: None,
        });
    }

    /// An attempt that the Node shows an answer to is over, whatever the disk says: giving up does not wait for a disk that is full.
    fn answered_already(&mut self, node: &NodeView) {
        let answer = node.agent.result.value();
        let over = |attempt: &Attempt| {
            answer.filter(|answer| {
                answer.id == attempt.progress.id && node.agent.progress.is_absent()
            })
        };
        if let Some(answer) = self.state.attempt.as_ref().and_then(over) {
            self.state.result = Some(answer.clone());
            self.state.attempt = None;
        }
    }

    /// Answers the grant and gives the slot back.
    fn answer(&mut self, outcome: Outcome, reason: Option<Reason>) {
        let Some(attempt) = self.state.attempt.take() else {
            return;
        };
        self.state.result = Some(RebootResult {
            id: attempt.progress.id,
            outcome,
            code: reason.as_ref().map(|reason| reason.code.older().into()),
            at: self.now,
        });
        match reason {
            Some(reason) => self.state.back_off(reason, &self.settings.retry, self.now),
            None => self.state.backoff = None,
        }
    }

    /// Gives an accepted grant up.
    fn abort(mut self, reason: Reason) -> Step {
        self.answer(Outcome::Aborted, Some(reason));
        self.rest()
    }

    /// Gives an accepted grant up, because these pods did not leave.
    fn abort_drain(mut self, reason: Reason, pods: Vec<String>) -> Step {
        let (retry, now) = (&self.settings.retry, self.now);
        let before = self.state.backoff.clone();
        let attempt = self.state.attempt.as_ref();
        let remedy = attempt.map_or("", |attempt| attempt.drain.on_timeout.way_out());
        self.answer(Outcome::Aborted, Some(reason.clone()));
        self.state.backoff = before;
        let pods = pods.into_iter().collect();
        let state = &mut self.state;
        state.back_off_drain(reason, pods, remedy, retry, now);
        self.rest()
    }

    /// The Node's grant, unless it was answered already.
    fn open_grant(&self) -> Option<&'a crate::values::Grant> {
        let grant = self.node()?.operator.grant.value()?;
        let answered = self
            .state
            .result
            .as_ref()
            .is_some_and(|result| result.id == grant.id);
        (!answered).then_some(grant)
    }

    /// Why updates of this host are not for this agent to make now: its configuration, or another program that makes them.
    fn held(&self) -> Option<Reason> {
        let rival = || self.seen.survey.as_ref().ok()?.rival();
        self.settings.hold.clone().or_else(rival)
    }

    /// What is wrong with the operator's keys, if something is.
    fn operator_trouble(&self) -> Option<Reason> {
        let operator = &self.node()?.operator;
        trouble(&operator.grant, crate::keys::REBOOT_OK)
            .or_else(|| trouble(&operator.reserved, crate::keys::REBOOT_RESERVED))
    }
}

/// Why `field`, found under `key`, is no value; `None` if it is one or absent.
pub(crate) fn trouble<T>(field: &Field<T>, key: &str) -> Option<Reason> {
    match field {
        Field::Absent | Field::Value(_) => None,
        Field::OtherVersion(version) => {
            let known = crate::keys::spoken();
            let text = format!("{key} is of protocol version {version}, this side speaks {known}");
            Some(Reason::new(Code::ProtocolUnknown, text))
        }
        Field::Malformed(why) => Some(Reason::new(
            Code::MalformedAnnotation,
            format!("{key}: {why}"),
        )),
    }
}
