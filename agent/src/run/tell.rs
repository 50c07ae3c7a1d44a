//! What a decision changes, for the journal: each change once, as one sentence with fields.

use std::fmt::Write;

use cuo_core::agent::Step;
use cuo_core::agent::state::State;
use cuo_core::drain;
use cuo_core::identity::{GrantId, Identity};
use cuo_core::look;
use cuo_core::node::NodeView;
use cuo_core::reason::{Code, Reason};
use cuo_core::values::{DrainMode, Outcome, Phase, RebootResult};
use tracing::{error, info, warn};

use crate::journal::Event;

/// Phase and reason that were told last.
pub type Shown = Option<(Phase, Option<Reason>)>;

/// What is to be told of `decision`. That a check failed is told when it does; that its update is held is not the same.
pub fn shown(decision: &Step) -> Shown {
    let held = decision.phase == Phase::Held;
    let reason = decision.reason.clone();
    Some((
        decision.phase,
        reason.filter(|reason| held || !look::failure(reason.code)),
    ))
}

/// One line for `systemctl status`: where the agent is, what a reboot would boot, what holds, and what rpm-ostree is at.
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

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Info,
    Warn,
    Error,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    level: Level,
    pub(super) event: Option<Event>,
    phase: Phase,
    pub(super) reason: Option<Code>,
    grant: Option<GrantId>,
    identity: Option<Identity>,
    pub(super) message: String,
}

impl Entry {
    /// One for tests.
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

    /// Writes it.
    pub fn tell(&self) {
        macro_rules! write {
            ($level:ident) => {
                $level!(
                    message_id = self.event.map(Event::id),
                    phase = %self.phase,
                    reason = self.reason.map(Code::as_str),
                    grant = self.grant.map(|grant| grant.to_string()),
                    identity = self.identity.map(|identity| identity.to_string()),
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

/// What `decision` changes of `before`: answers to grants first, then where the agent is. `target` is what a reboot would boot, for
/// people, and its identity.
pub fn news(
    before: &State,
    decision: &Step,
    shown: &Shown,
    node: Option<&NodeView>,
    target: Option<(String, Identity)>,
) -> Vec<Entry> {
    let answered = decision.state.result.as_ref();
    // After its state was lost the agent takes its own old answer from the Node.
    let known = node.and_then(|node| node.agent.result.value());
    let fresh =
        answered.filter(|result| before.result.as_ref() != Some(*result) && known != Some(*result));
    let answer = fresh.map(|result| answer(before, decision, result));
    let entered = shown.as_ref().map(|(phase, _)| *phase) != Some(decision.phase);
    let now = self::shown(decision);
    let reason = now.as_ref().and_then(|(_, reason)| reason.as_ref());
    let place = (*shown != now).then(|| place(decision, reason, entered, target));
    [answer, accepted(before, decision, node), place]
        .into_iter()
        .flatten()
        .collect()
}

/// A grant that was not acted on before.
fn accepted(before: &State, decision: &Step, node: Option<&NodeView>) -> Option<Entry> {
    let progress = &decision.state.attempt.as_ref()?.progress;
    let acted_on = before.attempt.as_ref().map(|attempt| attempt.progress.id);
    let adopted = node.is_some_and(|node| node.agent.progress.value() == Some(progress));
    if acted_on == Some(progress.id) || adopted {
        return None;
    }
    Some(Entry {
        level: Level::Info,
        event: Some(Event::Accepted),
        phase: decision.phase,
        reason: None,
        grant: Some(progress.id),
        identity: Some(progress.identity),
        message: format!(
            "accepts grant {} to reboot into {}",
            progress.id,
            progress.identity.short()
        ),
    })
}

fn answer(before: &State, decision: &Step, result: &RebootResult) -> Entry {
    let attempts = [&before.attempt, &decision.state.attempt];
    let attempt = attempts
        .into_iter()
        .flatten()
        .find(|attempt| attempt.progress.id == result.id);
    let identity = attempt.map(|attempt| attempt.progress.identity);
    let pause = decision.state.backoff.as_ref();
    let told = pause.map(|pause| &pause.reason);
    // On the Node stands a code that the release before knows, too.
    let told = told.filter(|told| result.gave(told.code.older()));
    let code = told.map(|told| told.code).or(result.known());
    let why = match (told, code) {
        (Some(reason), _) => reason.to_string(),
        (None, Some(code)) => Reason::from(code).to_string(),
        (None, None) => String::new(),
    };
    let id = result.id;
    let (level, event, message) = match (result.outcome, code) {
        (Outcome::Done, _) => {
            let what = identity.map_or("what was granted".to_owned(), |id| id.short());
            let text = format!("grant {id} is done: the host runs {what}");
            (Level::Info, Event::Done, text)
        }
        (Outcome::Refused, _) => {
            let text = format!("refuses grant {id}: {why}");
            (Level::Info, Event::Refused, text)
        }
        (Outcome::Aborted, code) => {
            let drain = matches!(code, Some(Code::DrainBlocked | Code::VolumesInUse));
            let event = if drain {
                Event::DrainGaveUp
            } else {
                Event::GivenUp
            };
            let text = format!("gives grant {id} up, and its slot back: {why}");
            (Level::Warn, event, text)
        }
        (Outcome::Failed, _) => {
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
        identity,
        message,
    }
}

/// More than pods that take their time, or time that has to pass.
fn in_the_way(decision: &Step, reason: &Reason) -> bool {
    match reason.code {
        Code::Draining => !decision.drain.blocked.is_empty(),
        code => code != Code::DrainDelay,
    }
}

/// Where the agent is now, and what holds it there.
fn place(
    decision: &Step,
    reason: Option<&Reason>,
    entered: bool,
    target: Option<(String, Identity)>,
) -> Entry {
    let attempt = decision.state.attempt.as_ref();
    let progress = attempt.map(|attempt| &attempt.progress);
    let (named, identity) = target.unzip();
    let named = named.unwrap_or_else(|| "another deployment".to_owned());
    let (event, text) = match decision.phase {
        Phase::Draining if entered => {
            let mode = attempt.map(|attempt| attempt.drain.mode);
            let text = match mode {
                Some(DrainMode::None) => "cordons the node, whose pods stay",
                Some(DrainMode::Evict) | None => "drains the node",
            };
            (Some(Event::DrainBegun), text.to_owned())
        }
        Phase::Draining if reason.is_some_and(|reason| in_the_way(decision, reason)) => {
            (Some(Event::DrainWaits), "the drain is held up".to_owned())
        }
        Phase::Draining => (None, "the drain goes on".to_owned()),
        Phase::Rebooting if entered => (
            Some(Event::DrainOver),
            match drain::stay(&decision.drain.newcomers) {
                None => format!("the drain is over; about to reboot into {named}"),
                Some(stay) => format!("the drain is over: {stay} About to reboot into {named}"),
            },
        ),
        Phase::Rebooting => (None, format!("about to reboot into {named}")),
        Phase::Verifying => (
            Some(Event::Verifying),
            "has booted; what runs and the node's health are being checked".to_owned(),
        ),
        Phase::Failed if reason.is_some_and(|reason| reason.code == Code::Unhealthy) => {
            let slot = match attempt {
                Some(_) => "keeps its slot",
                None => "has given its slot back",
            };
            let text = format!("is not healthy after the boot, and {slot}");
            (Some(Event::Unhealthy), text)
        }
        Phase::Failed if reason.is_some_and(|reason| reason.code == Code::RollbackWanted) => (
            Some(Event::Unhealthy),
            "is not healthy after the boot, and asks for the reboot back".to_owned(),
        ),
        Phase::Failed => (Some(Event::NeedsPerson), "needs a person".to_owned()),
        Phase::Held => (
            Some(Event::Held),
            format!("does not ask for the reboot into {named}"),
        ),
        Phase::Waiting => (
            Some(Event::RebootNeeded),
            format!("needs a reboot into {named} and waits for a grant"),
        ),
        Phase::Idle if reason.is_some() => (Some(Event::Held), "no update is staged".to_owned()),
        Phase::Idle => (None, "nothing to do until the next check".to_owned()),
        Phase::Staging => (None, "stages an update".to_owned()),
        Phase::Staged => (None, format!("{named} is staged")),
    };
    let level = match decision.phase {
        Phase::Failed => Level::Error,
        _ => Level::Info,
    };
    Entry {
        level,
        event,
        phase: decision.phase,
        reason: reason.map(|reason| reason.code),
        grant: progress.map(|progress| progress.id),
        identity: progress.map(|progress| progress.identity).or(identity),
        message: reason.map_or(text.clone(), |reason| format!("{text}: {reason}")),
    }
}

#[cfg(test)]
#[path = "tell_tests.rs"]
mod tests;
