//! What the running agent reports about itself, in a file that everybody on the host can read: `cuo-agent status` shows it.

use cuo_core::agent::state::{Attempt, State};
use cuo_core::agent::{Settings, StateTrouble, Step};
use cuo_core::ids::{GrantId, ReleaseId};
use cuo_core::look;
use cuo_core::node::NodeView;
use cuo_core::reason::{Attribute, Code, Reason};
use cuo_core::release::Following;
use cuo_core::time::Time;
use cuo_core::values::{Failure, Grant, Phase, RebootResult};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The agent's current state. Another version of the program may have written it, so unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The program's version.
    pub version: String,
    /// The agent's process id.
    pub pid: i32,
    /// The Node's name, once known.
    pub node: Option<String>,
    /// The agent's phase.
    pub phase: Phase,
    /// When the agent entered the phase.
    pub since: Time,
    /// Why the agent waits, if there is a reason.
    pub reason: Option<Reason>,
    /// The grant that is being acted on, or is to be answered.
    pub grant: Option<Granted>,
    /// The last and the next look for updates.
    pub check: LookState,
    /// The history of looks, for the next process.
    #[serde(default)]
    pub looks: look::Looks,
    /// Where releases come from.
    #[serde(default)]
    pub release: Option<Following>,
    /// What it will do next.
    pub next: Next,
    /// The answer to the last grant.
    pub result: Option<RebootResult>,
    /// Releases that failed here.
    pub failed: Vec<Failure>,
    /// Why the metrics can't be written, if so.
    #[serde(default)]
    pub textfile: Option<String>,
}

/// A grant, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The grant's id.
    pub id: GrantId,
    /// The release that may be booted.
    pub identity: ReleaseId,
    /// When it was accepted.
    pub accepted: Option<Time>,
    /// Until when it can be accepted, if it has not been.
    pub deadline: Option<Time>,
}

impl Granted {
    /// A grant that is being acted on.
    pub fn accepted(id: GrantId, identity: ReleaseId, at: Time) -> Self {
        Self {
            id,
            identity,
            accepted: Some(at),
            deadline: None,
        }
    }

    /// A grant that has not been answered yet.
    pub fn open(grant: &Grant) -> Self {
        Self {
            id: grant.id,
            identity: grant.identity,
            accepted: None,
            deadline: Some(grant.deadline),
        }
    }
}

/// The last and the next look for updates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LookState {
    /// When the agent last looked since the boot, and got an answer.
    pub last: Option<Time>,
    /// rpm-ostree's complete error, if that look failed.
    pub error: Option<String>,
    /// When the next look is due.
    pub next: Option<Time>,
}

/// Everything that is known about looks for updates.
#[derive(Debug, Clone)]
pub struct Looks {
    /// The last and the next look.
    pub check: LookState,
    /// The history of looks.
    pub looks: look::Looks,
    /// When an rpm-ostree that did not answer is asked again.
    pub asks_again: Option<Time>,
    /// Where releases come from.
    pub release: Option<Following>,
}

/// What the agent will do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The next step, in the imperative, such as `look for an update`.
    pub what: String,
    /// When at the latest, if a time is set.
    pub at: Option<Time>,
}

impl Next {
    /// The next step after `decision`.
    fn of(decision: &Step, settings: &Settings, looks: &Looks, now: Time) -> Self {
        let (what, at) = match &settings.state_unusable {
            Some(StateTrouble::Unreadable(_)) => ("nothing, until the state can be used", None),
            Some(StateTrouble::Unwritten(_)) => ("nothing, until the state can be written", None),
            None => follows(decision, settings, looks, now),
        };
        Self {
            what: what.to_owned(),
            at,
        }
    }
}

/// The next step and its latest time.
fn follows(
    decision: &Step,
    settings: &Settings,
    looks: &Looks,
    now: Time,
) -> (&'static str, Option<Time>) {
    let wake = decision.wake.map(|left| now.later(left));
    match decision.phase {
        Phase::Idle if settings.hold.is_some() => {
            ("nothing, until the configuration allows it", None)
        }
        Phase::Idle => idles(decision, looks, now),
        Phase::Staging | Phase::Staged => ("stage the update that is being looked for", None),
        Phase::Waiting => ("drain and reboot once the operator grants it", None),
        Phase::Draining => (
            "reboot once the node is drained, or give it up",
            decision.state.attempt.as_ref().map(drained_by),
        ),
        Phase::Rebooting => ("see whether the host goes down", wake),
        Phase::Verifying => ("report the outcome of the boot", wake),
        Phase::Held => held(decision, looks, now),
        Phase::Failed if decision.reason.as_ref().is_some_and(goes_back) => (
            "go back to what ran before once the operator grants it",
            None,
        ),
        Phase::Failed => ("wait for a person", None),
    }
}

fn idles(decision: &Step, looks: &Looks, now: Time) -> (&'static str, Option<Time>) {
    let reason = decision.reason.as_ref();
    let stopped = reason.is_some_and(|reason| reason.code.is(Attribute::StopsLooks));
    match looks.asks_again {
        Some(at) => ("ask rpm-ostree again", Some(at)),
        None if stopped => ("look for an update once nothing holds", None),
        None => ("look for an update", looks.after(now)),
    }
}

fn held(decision: &Step, looks: &Looks, now: Time) -> (&'static str, Option<Time>) {
    let code = decision.reason.as_ref().map(|reason| reason.code);
    if code.is_some_and(|code| code.is(Attribute::NeedsAnother)) {
        return ("look for another version", looks.after(now));
    }
    let pause = decision.state.backoff.as_ref().filter(|pause| {
        let of = pause.reason.code;
        code == Some(of) && !of.is(Attribute::Level) && pause.until > now
    });
    match pause {
        Some(pause) => ("ask for the reboot again", Some(pause.until)),
        None => ("ask for the reboot once nothing holds", None),
    }
}

impl Looks {
    /// When the next look is due; `None` if it is overdue, since it then waits for something without a known end.
    fn after(&self, now: Time) -> Option<Time> {
        self.check.next.filter(|next| *next > now)
    }
}

/// When the drain times out.
fn drained_by(attempt: &Attempt) -> Time {
    let grant = &attempt.grant;
    grant.progress.accepted.later(grant.drain.timeout())
}

/// Whether the host is about to leave what it runs.
fn goes_back(reason: &Reason) -> bool {
    reason.code == Code::RollbackWanted
}

/// `reason` with the complete error of the last look, if it is about that: only the Node and Events lack the room for it.
fn whole(reason: Reason, error: Option<&str>) -> Reason {
    let about = error.filter(|error| Reason::quoting(reason.code, error) == reason);
    let message = about.map(str::to_owned);
    Reason {
        message: message.unwrap_or(reason.message),
        ..reason
    }
}

impl Answer {
    /// The answer after `decision`; `before` is the previous answer, and `node` is the Node as far as it is known.
    pub fn of(
        decision: &Step,
        settings: &Settings,
        node: Option<&NodeView>,
        looks: Looks,
        before: Option<&Self>,
    ) -> Self {
        let now = Time::from(Timestamp::now());
        let State {
            attempt,
            result,
            failed,
            ..
        } = &decision.state;
        let (phase, reason) = (decision.phase, decision.reason.clone());
        let reason = reason.map(|reason| whole(reason, looks.check.error.as_deref()));
        let known = node.and_then(|node| node.agent.status.value());
        let known = known.map(|status| (status.phase, status.since));
        let since = [before.map(|before| (before.phase, before.since)), known];
        let since = since.into_iter().flatten().find(|(was, _)| *was == phase);
        let open = node.and_then(|node| node.operator.grant.value());
        let answered = result.as_ref().map(|result| result.id);
        let open = open.filter(|grant| Some(grant.id) != answered);
        let acted_on = attempt.as_ref().map(|attempt| &attempt.grant.progress);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id().cast_signed(),
            node: node.map(|node| node.name.to_string()),
            phase,
            since: since.map_or(now, |(_, since)| since),
            reason,
            grant: acted_on
                .map(|progress| {
                    Granted::accepted(progress.id, progress.identity, progress.accepted)
                })
                .or_else(|| open.map(Granted::open)),
            next: Next::of(decision, settings, &looks, now),
            check: looks.check,
            looks: looks.looks,
            release: looks.release,
            result: result.clone(),
            failed: failed.identities.clone(),
            textfile: None,
        }
    }
}

#[cfg(test)]
mod tests;
