//! The input of a decision, and what follows directly from it. Nothing in here decides or changes anything.

use jiff::SignedDuration;

use super::seen::{NodeSeen, Observation};
use super::settings::Settings;
use super::state::{Attempt, Backoff, State};
use super::target::Wishes;
use crate::field::{Field, trouble};
use crate::host::{Deployment, Host};
use crate::keys;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::{Tick, Time};
use crate::values::Grant;

/// Deadlines have whole seconds, and the second that a deadline names still belongs to it.
pub(super) const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// How often a drain's report may change while the same pods block it. Also how long a drain without obstacles, or a preflight without
/// answers, goes unreported.
pub(super) const REPORT_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// Everything that a decision may depend on.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// What the agent remembers.
    pub state: &'a State,
    /// What the agent observed.
    pub seen: &'a Observation,
    /// The agent's settings.
    pub settings: &'a Settings,
    /// The wall clock.
    pub now: Time,
    /// The monotonic clock.
    pub tick: Tick,
}

impl<'a> Facts<'a> {
    /// The same facts with another state.
    pub fn with<'b>(self, state: &'b State) -> Facts<'b>
    where
        'a: 'b,
    {
        Facts { state, ..self }
    }

    /// This host's Node, if it exists and is known.
    pub fn node(&self) -> Option<&'a NodeView> {
        match &self.seen.node {
            NodeSeen::Present { view, .. } => Some(view),
            NodeSeen::Unknown(_) | NodeSeen::Absent => None,
        }
    }

    /// The deployments, if rpm-ostree reported them.
    pub fn host(&self) -> Option<&'a Host> {
        self.seen.host.as_ref().ok()
    }

    /// The deployment that a granted reboot would boot.
    pub fn pending(&self) -> Option<&'a Deployment> {
        self.wishes().target(self.host()?)
    }

    /// The pending update, whether or not the next granted reboot boots it.
    pub fn update(&self) -> Option<&'a Deployment> {
        self.wishes().update(self.host()?)
    }

    /// Whether the next granted reboot is one without an update.
    pub fn only_reboots(&self) -> bool {
        self.host()
            .is_some_and(|host| self.wishes().only_reboots(host))
    }

    /// Why it is one, as far as that is known at this moment.
    pub fn reboot_wanted(&self) -> Option<String> {
        self.only_reboots().then(|| self.wishes().reboot())?
    }

    fn wishes(&self) -> Wishes<'a> {
        Wishes {
            state: self.state,
            health: &self.settings.health,
            node: self.node(),
            boot: &self.seen.boot,
            survey: self.seen.survey.as_ref().ok(),
        }
    }

    /// Whether the host has booted since the grant of `attempt` was accepted.
    pub fn has_booted_since(&self, attempt: &Attempt) -> bool {
        attempt.grant.progress.boot != self.seen.boot
    }

    /// How long it is until `time`; zero once it has passed.
    pub fn until(&self, time: Time) -> SignedDuration {
        time.since(self.now).max(SignedDuration::ZERO)
    }

    /// The end of a `span` that began at `since`, when the host had been up for `uptime`. Setting the wall clock does not change the result
    /// if the uptime is known.
    pub fn limit(&self, since: Time, uptime: Option<SignedDuration>, span: SignedDuration) -> Time {
        match (uptime, self.seen.uptime) {
            (Some(began), Some(up)) => {
                let gone = up.saturating_sub(began);
                self.now.later(span.saturating_sub(gone))
            }
            _ => since.later(span),
        }
    }

    /// The Node's grant, unless it has been answered.
    pub fn open_grant(&self) -> Option<&'a Grant> {
        let grant = self.node()?.operator.grant.value()?;
        let answered = self.state.result.as_ref();
        let answered = answered.is_some_and(|result| result.id == grant.id);
        (!answered).then_some(grant)
    }

    /// Whether the operator is preparing a slot for the node. An unreadable reservation counts as one.
    pub fn is_reserved(&self) -> bool {
        self.node()
            .is_some_and(|node| !matches!(node.operator.reserved, Field::Absent))
    }

    /// Whether rpm-ostree has noted that only a finalization may boot `pending`.
    pub fn locked(&self, pending: &Deployment) -> bool {
        let survey = self.seen.survey.as_ref().ok();
        survey.and_then(|survey| survey.locked(pending)) == Some(true)
    }

    /// Whether the agent itself made rpm-ostree stage `pending`, so that a newer one may replace it. A pending deployment that is not
    /// staged was chosen by a person: a rollback can lead to what the agent once staged.
    pub fn is_ours(&self, pending: &Deployment) -> bool {
        pending.staged && self.state.ours.as_ref() == Some(&pending.id)
    }

    /// Whether a reboot would boot `pending`, once it is finalized where that is needed. A rollback target is not, until it is put first.
    pub fn is_first(&self, pending: &Deployment) -> bool {
        let first = self.host().and_then(|host| host.pending.as_ref());
        first.is_some_and(|first| first.id == pending.id)
    }

    /// Why this agent must not update this host: its configuration says so, or another program updates it.
    pub fn held(&self) -> Option<Reason> {
        let rival = || self.seen.survey.as_ref().ok()?.rival();
        self.settings.hold.clone().or_else(rival)
    }

    /// What is wrong with the operator's annotations, if anything.
    pub fn operator_trouble(&self) -> Option<Reason> {
        let operator = &self.node()?.operator;
        trouble(&operator.grant, keys::REBOOT_OK)
            .or_else(|| trouble(&operator.reserved, keys::REBOOT_RESERVED))
            .or_else(|| trouble(&operator.assigned, keys::RELEASE))
    }

    /// The reason to report while rpm-ostree does not answer.
    pub fn unavailable(&self) -> Reason {
        let why = self.seen.host.as_ref().err().map_or("", String::as_str);
        Reason::new(Code::RpmOstreeUnavailable, why)
    }

    /// Which program blocks shutdown.
    pub fn inhibited(&self) -> Option<Reason> {
        let text = match &self.seen.inhibitors {
            Err(why) => format!("logind did not answer: {why}"),
            Ok(inhibitors) => {
                let first = inhibitors.first()?;
                format!("{} blocks shutdown: {}", first.who, first.why)
            }
        };
        Some(Reason::new(Code::Inhibited, text))
    }

    /// Why a reboot now would not boot what was granted.
    pub fn obstructed(&self, pending: &Deployment) -> Option<Reason> {
        let survey = self.seen.survey.as_ref().ok();
        self.inhibited()
            .or_else(|| survey?.other_reboot())
            .or_else(|| self.would_lose(pending))
            .or_else(|| self.would_update())
    }

    /// Why a reboot that is to be one without an update may boot one.
    fn would_update(&self) -> Option<Reason> {
        let next = self.host()?.pending.as_ref()?;
        let unsure = self.only_reboots() && !self.locked(next);
        unsure.then(|| {
            let why = match &self.seen.survey {
                Err(why) => why.as_str(),
                Ok(_) => "it is not known to be locked",
            };
            let text = format!("a reboot may boot {}: {why}", next.version);
            Reason::new(Code::UnitsUnknown, text)
        })
    }

    /// The pause after a grant, if it is not over. A pause because of another's cordon ends with that cordon.
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

/// The reason to report if the pods could not be listed; `None` before the first answer.
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
