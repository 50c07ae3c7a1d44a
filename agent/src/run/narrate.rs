//! Reports decisions: each change once, as a journal entry with fields, and as an Event on the Node where people look for one.

use std::fmt::Write;

use cuo_cluster::events::Severity;
use cuo_core::agent::{Act, Answered, Happened, Step};
use cuo_core::drain;
use cuo_core::host::Deployment;
use cuo_core::ids::{GrantId, ReleaseId};
use cuo_core::reason::{Attribute, Code, Reason};
use cuo_core::values::{DrainMode, Outcome, Phase, Progress, RetryRequest};
use tracing::{error, info, warn};

use crate::journal::Event;

/// The phase and reason that were last reported.
pub type Shown = Option<(Phase, Option<Reason>)>;

/// What to report about `decision`. A failed check is reported on its own; that its update is held is something else.
pub fn shown(decision: &Step) -> Shown {
    let held = decision.phase == Phase::Held;
    let reason = decision.reason.clone();
    Some((
        decision.phase,
        reason.filter(|reason| held || !reason.code.is(Attribute::FailsLook)),
    ))
}

/// A line for `systemctl status`: the phase, what a reboot would boot, the reason, and rpm-ostree's progress.
pub fn status(decision: &Step, target: Option<&str>, progress: Option<&str>) -> String {
    let mut line = decision.phase.to_string();
    // Writing to a String can't fail.
    if let Some(target) = target {
        let _ = write!(line, ", to boot {target}");
    }
    if let Some(reason) = &decision.reason {
        let _ = write!(line, ": {reason}");
    }
    if let Some(progress) = progress {
        let _ = write!(line, "; rpm-ostree: {progress}");
    }
    line
}

/// The severity of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Info,
    Warn,
    Error,
}

/// A journal entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    level: Level,
    pub(super) event: Option<Event>,
    phase: Phase,
    pub(super) reason: Option<Code>,
    grant: Option<GrantId>,
    identity: Option<ReleaseId>,
    pub(super) message: String,
}

impl Entry {
    /// An entry for tests.
    #[cfg(test)]
    pub(super) fn of(event: Event, reason: Option<Code>, message: &str) -> Self {
        Self {
            level: Level::Info,
            event: Some(event),
            phase: Phase::Draining,
            reason,
            grant: None,
            identity: None,
            message: message.into(),
        }
    }

    /// Writes the entry.
    pub fn tell(&self) {
        macro_rules! write {
            ($level:ident) => {
                $level!(
                    message_id = self.event.map(Event::id),
                    cuo_phase = %self.phase,
                    cuo_reason = self.reason.map(Code::as_str),
                    cuo_grant = self.grant.map(|grant| grant.to_string()),
                    cuo_identity = self.identity.map(|identity| identity.to_string()),
                    "{}", self.message
                )
            };
        }
        match self.level {
            Level::Info => write!(info),
            Level::Warn => write!(warn),
            Level::Error => write!(error),
        }
    }
}

/// The entries for `decision`: first what became of grants, then the phase and reason if they differ from what was `shown`. `target` is
/// what a reboot would boot, for people, and its release id.
pub fn news(decision: &Step, shown: &Shown, target: Option<(String, ReleaseId)>) -> Vec<Entry> {
    let happened = decision.happened.iter().map(|one| match one {
        Happened::Accepted(progress) => accepted(decision, progress),
        Happened::Answered(answer) => answered(decision, answer),
        Happened::TriesAgain(request) => tries_again(decision, request),
    });
    let entered = shown.as_ref().map(|(phase, _)| *phase) != Some(decision.phase);
    let now = self::shown(decision);
    let reason = now.as_ref().and_then(|(_, reason)| reason.as_ref());
    let place = (*shown != now).then(|| place(decision, reason, entered, target));
    happened.chain(place).collect()
}

/// The entry for a reboot request for `grant`, which is for `identity`; `None` for other acts, which people need not know of.
pub fn asks(act: &Act, grant: GrantId, identity: ReleaseId) -> Option<Entry> {
    let named = |deployment: &Deployment| {
        let Deployment {
            version, identity, ..
        } = deployment;
        format!("{version} ({})", identity.short())
    };
    let (event, message) = match act {
        Act::Finalize(deployment) => {
            let named = named(deployment);
            let text = format!("asks rpm-ostree to finalize {named} and to reboot");
            (Event::RebootAsked, text)
        }
        Act::RollBack(deployment) => {
            let text = format!("asks rpm-ostree to go back to {}", named(deployment));
            (Event::RollbackAsked, text)
        }
        Act::Reboot => (Event::RebootAsked, "asks logind to reboot".to_owned()),
        Act::Wait
        | Act::Publish(..)
        | Act::Stage
        | Act::Check
        | Act::Preflight { .. }
        | Act::Evict(_)
        | Act::FindVolumes(_)
        | Act::Confirm => return None,
    };
    Some(Entry {
        level: Level::Info,
        event: Some(event),
        phase: Phase::Rebooting,
        reason: None,
        grant: Some(grant),
        identity: Some(identity),
        message,
    })
}

fn accepted(decision: &Step, progress: &Progress) -> Entry {
    let (id, into) = (progress.id, progress.identity.short());
    Entry {
        level: Level::Info,
        event: Some(Event::Accepted),
        phase: decision.phase,
        reason: None,
        grant: Some(id),
        identity: Some(progress.identity),
        message: format!("accepts grant {id} to reboot into {into}"),
    }
}

fn tries_again(decision: &Step, request: &RetryRequest) -> Entry {
    Entry {
        level: Level::Info,
        event: Some(Event::TriesAgain),
        phase: decision.phase,
        reason: None,
        grant: None,
        identity: request.identity,
        message: request.to_string(),
    }
}

fn answered(decision: &Step, answer: &Answered) -> Entry {
    let Answered {
        result,
        identity,
        reason,
    } = answer;
    let (id, code) = (result.id, reason.as_ref().map(|reason| reason.code));
    let why = reason.as_ref().map_or_else(String::new, Reason::to_string);
    let (level, event, message) = match result.outcome {
        Outcome::Done => {
            let what = identity.map_or("what was granted".to_owned(), |id| id.short());
            let text = format!("grant {id} is done: the host runs {what}");
            (Level::Info, Event::Done, text)
        }
        Outcome::Refused => {
            let text = format!("refuses grant {id}: {why}");
            (Level::Info, Event::Refused, text)
        }
        Outcome::Aborted => {
            let event = match code.is_some_and(|code| code.is(Attribute::EndsDrain)) {
                true => Event::DrainGaveUp,
                false => Event::GivenUp,
            };
            let text = format!("gives grant {id} up, and its slot back: {why}");
            (Level::Warn, event, text)
        }
        Outcome::Failed => {
            let text = format!("grant {id} failed: {why}");
            (Level::Error, Event::Failed, text)
        }
    };
    Entry {
        level,
        event: Some(event),
        phase: decision.phase,
        reason: code,
        grant: Some(id),
        identity: *identity,
        message,
    }
}

/// Whether the reason is an obstacle, not just pods that take their time or a delay.
fn in_the_way(decision: &Step, reason: &Reason) -> bool {
    let leaving = reason.code == Code::Draining && decision.drain.blocked.is_empty();
    !leaving && reason.code != Code::DrainDelay
}

/// The entry about the agent's phase and reason; `entered` if the phase is new.
fn place(
    decision: &Step,
    reason: Option<&Reason>,
    entered: bool,
    target: Option<(String, ReleaseId)>,
) -> Entry {
    let attempt = decision.state.attempt.as_ref();
    let progress = attempt.map(|attempt| &attempt.grant.progress);
    let (named, identity) = target.unzip();
    let named = named.unwrap_or_else(|| "another deployment".to_owned());
    let held = reason.is_some();
    let (event, text) = match decision.phase {
        Phase::Draining => drains(decision, reason, entered),
        Phase::Rebooting => reboots(decision, entered, &named),
        Phase::Verifying => (
            Some(Event::Verifying),
            "has booted; what runs and the node's health are being checked".to_owned(),
        ),
        Phase::Failed => fails(decision, reason),
        Phase::Held => (
            Some(Event::Held),
            format!("does not ask for the reboot into {named}"),
        ),
        Phase::Waiting => (
            Some(Event::RebootNeeded),
            format!("needs a reboot into {named} and waits for a grant"),
        ),
        Phase::Idle if held => (Some(Event::Held), "no update is staged".to_owned()),
        Phase::Idle => (None, "nothing to do until the next check".to_owned()),
        Phase::Staging => (None, "stages an update".to_owned()),
        Phase::Staged => (None, format!("{named} is staged")),
    };
    let failed = decision.phase == Phase::Failed;
    Entry {
        level: if failed { Level::Error } else { Level::Info },
        event,
        phase: decision.phase,
        reason: reason.map(|reason| reason.code),
        grant: progress.map(|progress| progress.id),
        identity: progress.map(|progress| progress.identity).or(identity),
        message: reason.map_or(text.clone(), |reason| format!("{text}: {reason}")),
    }
}

fn drains(decision: &Step, reason: Option<&Reason>, entered: bool) -> (Option<Event>, String) {
    let attempt = decision.state.attempt.as_ref();
    let mode = attempt.map(|attempt| attempt.grant.drain.mode);
    let (event, text) = match mode {
        Some(DrainMode::None) if entered => {
            (Some(Event::DrainBegun), "cordons the node, whose pods stay")
        }
        Some(DrainMode::Evict) | None if entered => (Some(Event::DrainBegun), "drains the node"),
        _ if reason.is_some_and(|reason| in_the_way(decision, reason)) => {
            (Some(Event::DrainWaits), "the drain is blocked")
        }
        _ => (None, "the drain continues"),
    };
    (event, text.to_owned())
}

fn reboots(decision: &Step, entered: bool, named: &str) -> (Option<Event>, String) {
    if !entered {
        return (None, format!("about to reboot into {named}"));
    }
    let text = match drain::stay(&decision.drain.newcomers) {
        None => format!("the drain is over; about to reboot into {named}"),
        Some(stay) => format!("the drain is over: {stay} About to reboot into {named}"),
    };
    (Some(Event::DrainOver), text)
}

fn fails(decision: &Step, reason: Option<&Reason>) -> (Option<Event>, String) {
    let because = |code| reason.is_some_and(|reason| reason.code == code);
    let then = match decision.state.attempt {
        _ if because(Code::RollbackWanted) => "asks for the reboot back",
        Some(_) => "keeps its slot",
        None => "has given its slot back",
    };
    match because(Code::Unhealthy) || because(Code::RollbackWanted) {
        true => (
            Some(Event::Unhealthy),
            format!("is not healthy after the boot, and {then}"),
        ),
        false => (Some(Event::NeedsPerson), "needs a person".to_owned()),
    }
}

/// An Event on the Node.
#[derive(Debug, PartialEq, Eq)]
pub struct Announcement {
    pub severity: Severity,
    pub code: Code,
    pub message: String,
    pub topic: Topic,
}

/// What an Event is about. It is not published again for the same topic, although the number of remaining pods and the API server's
/// messages may change all the time.
#[derive(Debug, PartialEq, Eq)]
pub enum Topic {
    /// Pods that block the drain.
    Pods(Vec<String>),
    /// The text itself.
    Text(String),
}

/// What of `entry` is worth an Event: that a drain begins, what is in its way, and how it ends; and what keeps the node from any update.
pub fn announcement(entry: &Entry, decision: &Step) -> Option<Announcement> {
    let why = decision.reason.as_ref();
    let why = || why.map_or_else(String::new, |why| why.message.clone());
    let text = || entry.message.clone();
    let blocked = &decision.drain.blocked;
    let (severity, code, message) = match (entry.event?, entry.reason) {
        (Event::DrainBegun, Some(code @ Code::PreflightBlocked)) => {
            (Severity::Warning, code, why())
        }
        (Event::DrainBegun, _) => (Severity::Normal, Code::Draining, text()),
        (Event::DrainOver, _) => (Severity::Normal, Code::Drained, text()),
        (Event::DrainWaits, Some(code @ Code::Draining)) => {
            let pods = blocked.iter().map(|one| one.pod.clone());
            return Some(Announcement {
                severity: Severity::Warning,
                code,
                message: drain::few(blocked),
                topic: Topic::Pods(pods.collect()),
            });
        }
        (Event::DrainWaits, Some(code)) => (Severity::Warning, code, why()),
        (Event::DrainGaveUp, Some(code)) => (Severity::Warning, code, text()),
        (Event::Refused, Some(code)) if code.is(Attribute::RefusalIsNews) => {
            (Severity::Warning, code, text())
        }
        (Event::Held, Some(code)) if code.is(Attribute::HoldIsNews) => {
            (Severity::Warning, code, why())
        }
        _ => return None,
    };
    Some(Announcement {
        severity,
        code,
        topic: Topic::Text(message.clone()),
        message,
    })
}

#[cfg(test)]
mod tests;
