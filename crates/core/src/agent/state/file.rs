//! The format of the state file, and its compatibility with agents of other releases.
//!
//! Agents are replaced by the very updates that the file describes, and a host can go back to an older agent in the middle of an update.
//! So the part under `state` stays as the first release wrote it, whose agents refuse unknown fields. Later additions are stored beside it.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{
    Accepted, Attempt, Backoff, Baseline, Exact, Intent, Left, Lost, Request, Stage, State, Stuck,
    Unhealthy,
};
use crate::ids::{BootId, GrantId, ReleaseId};
use crate::reason::Code;
use crate::release::Assigned;
use crate::time::Time;
use crate::values::{
    Cordoned, DrainPolicy, Failures, Names, PodChecks, Progress, RebootResult, is_default,
};

/// Version of the part under `state`. It never changes: additions go into [`Beyond`].
const VERSION: u32 = 5;

#[derive(Serialize, Deserialize)]
struct File<T> {
    version: u32,
    state: T,
    #[serde(default, skip_serializing_if = "is_default")]
    beyond: Beyond,
}

/// [`State`] as the first release writes and reads it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    adopted: bool,
    attempt: Option<FlatAttempt>,
    result: Option<RebootResult>,
    failed: Failures,
    backoff: Option<Backoff>,
    ours: Option<String>,
    #[serde(default)]
    staging: Option<Intent>,
    lost: Option<Lost>,
    #[serde(default)]
    spoiled: Option<String>,
    #[serde(default, rename = "ailing")]
    unhealthy: Option<Unhealthy>,
}

/// [`Attempt`] as the first release writes and reads it: the stage follows from which fields have a value.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatAttempt {
    progress: Progress,
    drain: DrainPolicy,
    from: Option<ReleaseId>,
    #[serde(default)]
    between: Option<[Exact; 2]>,
    #[serde(default)]
    uptime: Option<SignedDuration>,
    twin: bool,
    #[serde(default)]
    back: bool,
    /// When the reboot was requested.
    requested: Option<Time>,
    #[serde(default)]
    requested_up: Option<SignedDuration>,
    /// Since when the node has been healthy after the boot.
    #[serde(default)]
    good: Option<Time>,
    #[serde(default)]
    pods: PodChecks,
    #[serde(default)]
    foreign: bool,
    /// When the drain was found to be over.
    #[serde(default)]
    drained: Option<Time>,
}

/// What the file holds that agents of the first release do not know. They ignore it, and files that they write lack it, so each field has a
/// default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Beyond {
    /// [`State::left`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<Left>,
    /// The accepted grant's drain policy, if the attempt does not hold all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<DrainPolicy>,
    /// [`Accepted::cordoned`].
    #[serde(skip_serializing_if = "is_default")]
    cordoned: Cordoned,
    /// [`Baseline::members`].
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Names>,
    /// The actual code of the pause, if another one stands for it under `state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<Code>,
    /// [`State::stuck`].
    #[serde(skip_serializing_if = "Option::is_none")]
    stuck: Option<Stuck>,
    /// [`State::assigned`].
    #[serde(skip_serializing_if = "is_default")]
    assigned: Assigned,
    /// [`Baseline::plain`].
    #[serde(skip_serializing_if = "is_default")]
    plain: bool,
    /// [`State::rebooted`].
    #[serde(skip_serializing_if = "Option::is_none")]
    rebooted: Option<GrantId>,
    /// [`State::retried`].
    #[serde(skip_serializing_if = "Option::is_none")]
    retried: Option<Time>,
    /// [`State::looked`].
    #[serde(skip_serializing_if = "Option::is_none")]
    looked: Option<Time>,
}

impl FlatAttempt {
    fn new(attempt: Attempt) -> Self {
        let Attempt {
            grant,
            baseline,
            others_cordon,
            stage,
        } = attempt;
        let request = stage.request().cloned();
        let (drained, good) = match stage {
            Stage::Draining => (None, None),
            Stage::Delaying { since } => (Some(since), None),
            Stage::Rebooting { drained, .. } => (drained, None),
            Stage::Verifying { good, .. } => (None, Some(good)),
        };
        Self {
            progress: grant.progress,
            drain: grant.drain.within(&Names::default()),
            from: baseline.from,
            between: baseline.between,
            uptime: baseline.uptime,
            twin: baseline.was_there,
            back: baseline.back,
            requested: request.as_ref().map(|request| request.at),
            requested_up: request.and_then(|request| request.up),
            good,
            pods: grant.pods,
            foreign: others_cordon,
            drained,
        }
    }

    /// The stage of the attempt. The end of the drain is kept after the reboot was requested.
    fn stage(&self) -> Stage {
        let request = self.requested.map(|at| Request {
            at,
            up: self.requested_up,
        });
        match (self.good, request, self.drained) {
            (Some(good), asked, _) => Stage::Verifying { asked, good },
            (None, Some(request), drained) => Stage::Rebooting { request, drained },
            (None, None, Some(since)) => Stage::Delaying { since },
            (None, None, None) => Stage::Draining,
        }
    }

    fn whole(self, beyond: &mut Beyond) -> Attempt {
        let stage = self.stage();
        Attempt {
            grant: Accepted {
                progress: self.progress,
                drain: beyond.drain.take().unwrap_or(self.drain),
                pods: self.pods,
                cordoned: beyond.cordoned,
            },
            baseline: Baseline {
                from: self.from,
                between: self.between,
                uptime: self.uptime,
                was_there: self.twin,
                back: self.back,
                plain: beyond.plain,
                members: beyond.members.take(),
            },
            others_cordon: self.foreign,
            stage,
        }
    }
}

impl Beyond {
    /// The parts of `state` that an older agent would not read.
    fn of(state: &State) -> Self {
        let pause = state.backoff.as_ref().map(|backoff| backoff.reason.code);
        let mut beyond = Self {
            left: state.left.clone(),
            stuck: state.stuck.clone(),
            assigned: state.assigned.clone(),
            rebooted: state.rebooted,
            retried: state.retried,
            looked: state.looked,
            pause: pause.filter(|code| *code != code.older()),
            ..Self::default()
        };
        if let Some(attempt) = &state.attempt {
            let flat = FlatAttempt::new(attempt.clone());
            let whole = &attempt.grant.drain;
            beyond.drain = (*whole != flat.drain).then(|| whole.clone());
            beyond.cordoned = attempt.grant.cordoned;
            beyond.plain = attempt.baseline.plain;
            beyond.members.clone_from(&attempt.baseline.members);
        }
        beyond
    }
}

impl From<State> for Flat {
    fn from(state: State) -> Self {
        let mut backoff = state.backoff;
        if let Some(backoff) = &mut backoff {
            backoff.reason.code = backoff.reason.code.older();
        }
        Self {
            adopted: state.adopted,
            attempt: state.attempt.map(FlatAttempt::new),
            result: state.result,
            failed: state.failed,
            backoff,
            ours: state.ours,
            staging: state.staging,
            lost: state.lost,
            spoiled: state.spoiled,
            unhealthy: state.unhealthy,
        }
    }
}

impl Flat {
    fn whole(self, mut beyond: Beyond) -> State {
        let mut backoff = self.backoff;
        if let (Some(backoff), Some(code)) = (&mut backoff, beyond.pause) {
            backoff.reason.code = code;
        }
        State {
            adopted: self.adopted,
            attempt: self.attempt.map(|attempt| attempt.whole(&mut beyond)),
            result: self.result,
            failed: self.failed,
            backoff,
            ours: self.ours,
            staging: self.staging,
            lost: self.lost,
            spoiled: self.spoiled,
            unhealthy: self.unhealthy,
            left: beyond.left,
            stuck: beyond.stuck,
            rebooted: beyond.rebooted,
            retried: beyond.retried,
            assigned: beyond.assigned,
            looked: beyond.looked,
        }
    }
}

/// Why a state file can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A newer agent wrote it. It must not be overwritten, since it may describe an update in progress.
    #[error("it has version {0}, this agent knows version {VERSION}")]
    Newer(u32),
    /// The file is no state file or is truncated; everything that matters can be read from the Node again.
    #[error("{0}")]
    Garbage(String),
}

impl State {
    /// Serializes the state for the file.
    ///
    /// # Errors
    /// Never in practice: the types have no value that JSON can't hold.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&File {
            version: VERSION,
            state: Flat::from(self.clone()),
            beyond: Beyond::of(self),
        })
    }

    /// Parses the file in the boot `boot`. A newer agent's file without an update of this boot counts as garbage: the host has gone back to
    /// an older agent, and everything that matters is on the Node.
    ///
    /// # Errors
    /// [`StateError`] if the text is of another version, or is no state file.
    pub fn from_text(text: &str, boot: Option<&BootId>) -> Result<Self, StateError> {
        let garbage = |error: serde_json::Error| StateError::Garbage(error.to_string());
        let file: File<serde_json::Value> = serde_json::from_str(text).map_err(garbage)?;
        match file.version {
            // Fields that earlier versions lack have a default.
            1..=VERSION => {
                let flat = Flat::deserialize(file.state).map_err(garbage)?;
                Ok(flat.whole(file.beyond))
            }
            0 => Err(StateError::Garbage("it has version 0".into())),
            newer if boot.is_some_and(|boot| !concerns(&file.state, boot)) => {
                let text = format!("it has version {newer} and is about no update of this boot");
                Err(StateError::Garbage(text))
            }
            newer => Err(StateError::Newer(newer)),
        }
    }
}

/// Whether a state of another version describes an accepted grant in progress in this `boot`, as far as can be determined.
fn concerns(state: &serde_json::Value, boot: &BootId) -> bool {
    let attempt = state.get("attempt");
    let under = attempt.and_then(|attempt| attempt.pointer("/progress/boot")?.as_str());
    match under.and_then(|under| under.parse::<BootId>().ok()) {
        Some(under) => under == *boot,
        None => attempt != Some(&serde_json::Value::Null),
    }
}

#[cfg(test)]
mod tests;
