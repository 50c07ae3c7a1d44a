//! What a decision rests on, and what follows from it at once. Nothing here decides, and nothing changes while it is looked at.

use jiff::SignedDuration;

use super::seen::{NodeSeen, Observation};
use super::settings::Settings;
use super::state::{Attempt, Backoff, State};
use super::target::target;
use crate::field::{Field, trouble};
use crate::host::{Deployment, Host};
use crate::keys;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::{Tick, Time};
use crate::values::Grant;

/// Deadlines are over once the second that they name is.
pub(super) const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// How often what is reported of a drain may change while the same pods block it, and how long nothing is reported of one that goes well, nor of
/// questions that take their time.
pub(super) const TOLD_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// Everything that a decision may depend on.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// What is remembered.
    pub state: &'a State,
    /// What is seen.
    pub seen: &'a Observation,
    /// How the agent is set up.
    pub settings: &'a Settings,
    /// The wall clock.
    pub now: Time,
    /// The clock that only goes forward.
    pub tick: Tick,
}

impl<'a> Facts<'a> {
    /// The same with another memory.
    pub fn with<'b>(self, state: &'b State) -> Facts<'b>
    where
        'a: 'b,
    {
        Facts { state, ..self }
    }

    /// The own Node, if it is there.
    pub fn node(&self) -> Option<&'a NodeView> {
        match &self.seen.node {
            NodeSeen::Present { view, .. } => Some(view),
            NodeSeen::Unknown(_) | NodeSeen::Absent => None,
        }
    }

    /// The deployments, if rpm-ostree tells.
    pub fn host(&self) -> Option<&'a Host> {
        self.seen.host.as_ref().ok()
    }

    /// What a granted reboot would boot.
    pub fn pending(&self) -> Option<&'a Deployment> {
        target(self.state, self.host()?, &self.settings.health)
    }

    /// The host has booted since the grant of `attempt` was accepted.
    pub fn has_booted_since(&self, attempt: &Attempt) -> bool {
        attempt.grant.progress.boot != self.seen.boot
    }

    /// How long it is until `time`; nothing if it is over.
    pub fn until(&self, time: Time) -> SignedDuration {
        time.since(self.now).max(SignedDuration::ZERO)
    }

    /// When `span` is over that began at `since`, with the host up for `uptime` then. A clock that is set meanwhile changes nothing
    /// about that, where the uptime is known.
    pub fn limit(&self, since: Time, uptime: Option<SignedDuration>, span: SignedDuration) -> Time {
        match (uptime, self.seen.uptime) {
            (Some(began), Some(up)) => {
                let gone = up.saturating_sub(began);
                self.now.later(span.saturating_sub(gone))
            }
            _ => since.later(span),
        }
    }

    /// The Node's grant, unless it was answered already.
    pub fn open_grant(&self) -> Option<&'a Grant> {
        let grant = self.node()?.operator.grant.value()?;
        let answered = self.state.result.as_ref();
        let answered = answered.is_some_and(|result| result.id == grant.id);
        (!answered).then_some(grant)
    }

    /// A slot is being prepared for the node, or there is something in its place that can't be read.
    pub fn is_reserved(&self) -> bool {
        self.node()
            .is_some_and(|node| !matches!(node.operator.reserved, Field::Absent))
    }

    /// rpm-ostree has noted that only a granted reboot may boot it.
    pub fn locked(&self, pending: &Deployment) -> bool {
        let survey = self.seen.survey.as_ref().ok();
        survey.and_then(|survey| survey.locked(pending)) == Some(true)
    }

    /// The agent itself made rpm-ostree stage it, so it may be replaced by a newer one. What is not staged any more was chosen by
    /// somebody: a rollback leads to what the agent once staged.
    pub fn is_ours(&self, pending: &Deployment) -> bool {
        pending.staged && self.state.ours.as_ref() == Some(&pending.id)
    }

    /// A reboot would boot it, once it is finalized where that is to be done. What a host goes back to is not, at first.
    pub fn is_first(&self, pending: &Deployment) -> bool {
        let first = self.host().and_then(|host| host.pending.as_ref());
        first.is_some_and(|first| first.id == pending.id)
    }

    /// Why updates of this host are not for this agent to make now: its configuration, or another program that makes them.
    pub fn held(&self) -> Option<Reason> {
        let rival = || self.seen.survey.as_ref().ok()?.rival();
        self.settings.hold.clone().or_else(rival)
    }

    /// What is wrong with the operator's keys, if something is.
    pub fn operator_trouble(&self) -> Option<Reason> {
        let operator = &self.node()?.operator;
        trouble(&operator.grant, keys::REBOOT_OK)
            .or_else(|| trouble(&operator.reserved, keys::REBOOT_RESERVED))
            .or_else(|| trouble(&operator.assigned, keys::RELEASE))
    }

    /// Why rpm-ostree does not tell.
    pub fn unavailable(&self) -> Reason {
        let why = self.seen.host.as_ref().err().map_or("", String::as_str);
        Reason::new(Code::RpmOstreeUnavailable, why)
    }

    /// Who holds shutdown up.
    pub fn inhibited(&self) -> Option<Reason> {
        let text = match &self.seen.inhibitors {
            Err(why) => format!("logind does not tell: {why}"),
            Ok(inhibitors) => {
                let first = inhibitors.first()?;
                format!("{} holds shutdown up: {}", first.who, first.why)
            }
        };
        Some(Reason::new(Code::Inhibited, text))
    }

    /// Why a reboot now would not do what was granted.
    pub fn obstructed(&self, pending: &Deployment) -> Option<Reason> {
        let survey = self.seen.survey.as_ref().ok();
        self.inhibited()
            .or_else(|| survey?.other_reboot())
            .or_else(|| self.would_lose(pending))
    }

    /// The pause that is still on. One that is because of a cordon ends with it.
    pub fn pause(&self) -> Option<&'a Backoff> {
        let uncordoned = || {
            let by = self.node().map(NodeView::cordoned_by_other);
            by == Some(None)
        };
        let backoff = self.state.backoff.as_ref();
        backoff.filter(|backoff| {
            let over = backoff.reason.code == Code::CordonedByOther && uncordoned();
            backoff.until > self.now && !over
        })
    }
}

/// The pods could not be listed; nothing is reported before the first answer.
pub(super) fn unknown(code: Code, why: &str) -> Option<Reason> {
    (!why.is_empty()).then(|| {
        let text = format!("the pods on the node are not known: {why}");
        Reason::new(code, text)
    })
}

/// When the node was cordoned, by the API server's clock.
pub(super) fn cordoned(node: &NodeView) -> Option<Time> {
    node.cordon.as_ref().and_then(|cordon| cordon.at)
}
