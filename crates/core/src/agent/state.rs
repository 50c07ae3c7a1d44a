//! What the agent keeps in a file across its own death and the host's.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Ailing, Left};
use crate::host::Deployment;
use crate::identity::{BootId, Identity};
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{
    Cordoned, DrainPolicy, Failures, Names, Outcome, PodChecks, Progress, RebootResult, is_default,
};

/// Version of what is under `state` in the file. It stays: a host can go back to a version with an older agent in the middle of an update,
/// and that reads no fields that it does not know. What is new goes into [`Beyond`].
const VERSION: u32 = 5;

/// Everything that must survive. Written whole, before the act that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// What the Node's annotations knew was taken over: false only before the first look at the Node after this file was lost.
    pub adopted: bool,
    /// The accepted grant that is being acted on.
    pub attempt: Option<Attempt>,
    /// The answer to the last grant.
    pub result: Option<RebootResult>,
    /// Identities that failed on this host.
    pub failed: Failures,
    /// Why and until when no reboot is asked for.
    pub backoff: Option<Backoff>,
    /// `id` of the deployment that the agent itself made rpm-ostree stage: only that one may be replaced by a newer one.
    pub ours: Option<String>,
    /// A run that may stage an update, and whose end nobody has heard of.
    #[serde(default)]
    pub staging: Option<Intent>,
    /// An update that was gone after a boot.
    pub lost: Option<Lost>,
    /// `id` of a deployment that failed and has the identity of what runs: that identity is not to blame, nor is any other node.
    #[serde(default)]
    pub spoiled: Option<String>,
    /// The node is not healthy with what runs, and has given its slot back.
    #[serde(default)]
    pub ailing: Option<Ailing>,
    /// What a person went back from, and is newer than what runs.
    #[serde(skip)]
    pub left: Vec<Left>,
    /// The pods that were in the way of the last drain, which was given up.
    #[serde(skip)]
    pub stuck: Option<Stuck>,
}

/// Pods that did not leave.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stuck {
    /// Their names.
    pub pods: BTreeSet<String>,
    /// For how many drains in a row these very pods did not.
    pub times: u32,
}

/// What the file tells that agents of the first release did not know. They take no notice of it, and a file that one of them has written
/// lacks it: each field has a value for that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Beyond {
    /// [`State::left`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<Left>,
    /// How the accepted grant wants its node drained, where that is not all in the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<DrainPolicy>,
    /// [`Attempt::cordoned`].
    #[serde(skip_serializing_if = "is_default")]
    cordoned: Cordoned,
    /// [`Attempt::members`].
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Names>,
    /// The code of the pause, where it has another in its place there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<Code>,
    /// [`State::stuck`].
    #[serde(skip_serializing_if = "Option::is_none")]
    stuck: Option<Stuck>,
}

impl Beyond {
    /// Takes out of `state` what an older agent would not read.
    fn take(state: &mut State) -> Self {
        let stuck = state.stuck.take();
        let mut beyond = Self {
            stuck,
            left: std::mem::take(&mut state.left),
            ..Self::default()
        };
        if let Some(attempt) = &mut state.attempt {
            let plain = attempt.drain.clone().within(&Names::default());
            let whole = std::mem::replace(&mut attempt.drain, plain);
            beyond.drain = (whole != attempt.drain).then_some(whole);
            beyond.cordoned = attempt.cordoned;
            beyond.members = attempt.members.take();
        }
        if let Some(backoff) = &mut state.backoff {
            let (code, older) = (backoff.reason.code, backoff.reason.code.older());
            backoff.reason.code = older;
            beyond.pause = (code != older).then_some(code);
        }
        beyond
    }

    /// Puts it back.
    fn put(self, state: &mut State) {
        state.stuck = self.stuck;
        if let Some(attempt) = &mut state.attempt {
            attempt.cordoned = self.cordoned;
            attempt.members = self.members;
            if let Some(drain) = self.drain {
                attempt.drain = drain;
            }
        }
        if let (Some(backoff), Some(code)) = (&mut state.backoff, self.pause) {
            backoff.reason.code = code;
        }
        state.left = self.left;
    }
}

/// That rpm-ostree was about to be asked to stage an update.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// In this boot: what is staged does not outlive it.
    pub boot: BootId,
    /// `id` of what the next boot would have booted.
    pub before: String,
}

/// One accepted grant, from acceptance to result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// As it stands on the Node.
    pub progress: Progress,
    /// How to drain.
    pub drain: DrainPolicy,
    /// What ran when it was accepted; unknown if this file was lost since.
    pub from: Option<Identity>,
    /// The deployments themselves: what ran, and what was granted. They tell two of the same identity apart.
    #[serde(default)]
    pub between: Option<[Exact; 2]>,
    /// How long the host had been up when it was accepted.
    #[serde(default)]
    pub uptime: Option<SignedDuration>,
    /// A deployment of the granted identity was there besides the pending one, so that finding one after the boot proves nothing.
    pub twin: bool,
    /// The granted deployment itself was there already, and the host is to go back to it: that it is there after the boot proves nothing.
    #[serde(default)]
    pub back: bool,
    /// When finalizing and rebooting was about to be asked for.
    pub requested: Option<Time>,
    /// How long the host had been up then.
    #[serde(default)]
    pub requested_up: Option<SignedDuration>,
    /// Since when the node has been healthy after the boot.
    #[serde(default)]
    pub good: Option<Time>,
    /// What else to look at among the pods of the node.
    #[serde(default)]
    pub pods: PodChecks,
    /// What the grant is worth while somebody else has cordoned the node.
    #[serde(skip)]
    pub cordoned: Cordoned,
    /// Which static pods of the control plane were Ready when it was accepted, where that is known.
    #[serde(skip)]
    pub members: Option<Names>,
    /// The node was seen cordoned by somebody else: if it is uncordoned now, that was a person.
    #[serde(default)]
    pub foreign: bool,
    /// When the drain was found to be over.
    #[serde(default)]
    pub drained: Option<Time>,
}

/// One deployment of this host, as far as it can be told from others of its identity: packages that are layered on it change the
/// checksum, kernel arguments only the id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exact {
    /// rpm-ostree's `id`.
    pub id: String,
    /// What is deployed.
    pub checksum: String,
}

impl From<&Deployment> for Exact {
    fn from(deployment: &Deployment) -> Self {
        Self {
            id: deployment.id.clone(),
            checksum: deployment.checksum.clone(),
        }
    }
}

impl Attempt {
    /// The update changes something else than the version.
    pub fn keeps_identity(&self) -> bool {
        self.from == Some(self.progress.identity)
    }

    /// `found` is what was granted. Where the same identity ran before, it has to be that very deployment.
    pub fn is_granted(&self, found: &Deployment) -> bool {
        if found.identity != self.progress.identity {
            return false;
        }
        if !self.keeps_identity() {
            return true;
        }
        let Some([left, wanted]) = &self.between else {
            return false;
        };
        let differ = left.checksum != wanted.checksum;
        found.id == wanted.id || (differ && found.checksum == wanted.checksum)
    }

    /// `found` is neither what ran nor what was granted.
    pub fn is_foreign(&self, found: &Deployment) -> bool {
        let other = self.from.is_some_and(|from| from != found.identity);
        let left = self.between.as_ref().map(|[left, _]| &left.id);
        let changed = self.keeps_identity() && left.is_some_and(|left| *left != found.id);
        !self.is_granted(found) && (other || changed)
    }
}

/// A pause after a grant that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// How many in a row came to nothing.
    pub tries: u32,
    /// Until when.
    pub until: Time,
    /// Why.
    pub reason: Reason,
}

/// How often one update was gone after the boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// The update.
    pub identity: Identity,
    /// How often ostree could not write it to the disk, by its own word.
    pub times: u32,
    /// How often nothing told why.
    #[serde(default)]
    pub unexplained: u32,
}

/// How long to pause after failures: doubling from `first` to `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Retry {
    /// After the first failure.
    pub first: SignedDuration,
    /// At most.
    pub cap: SignedDuration,
}

impl Retry {
    /// The pause after failure number `tries`, counted from 1.
    pub fn pause(&self, tries: u32) -> SignedDuration {
        let factor = 1 << tries.saturating_sub(1).min(20);
        self.first
            .checked_mul(factor)
            .unwrap_or(self.cap)
            .min(self.cap)
    }
}

impl State {
    /// Pauses because of `reason`, longer than the last time.
    pub(super) fn back_off(&mut self, reason: Reason, retry: &Retry, now: Time) {
        let tries = self
            .backoff
            .as_ref()
            .map_or(0, |backoff| backoff.tries)
            .saturating_add(1);
        self.backoff = Some(Backoff {
            tries,
            until: now.later(retry.pause(tries)),
            reason,
        });
    }

    /// Pauses because a drain was given up, in whose way were `pods`. Where some of these were so the last time, too, the pause is four
    /// times as long, and `remedy` is told: what did not change by itself until now takes a person.
    pub(super) fn back_off_drain(
        &mut self,
        reason: Reason,
        pods: BTreeSet<String>,
        remedy: &str,
        retry: &Retry,
        now: Time,
    ) {
        let before = self.stuck.take();
        let both = |before: &Stuck| &before.pods & &pods;
        let same = before.filter(|before| !both(before).is_empty());
        let times = same.as_ref().map_or(0, |before| before.times);
        let times = times.saturating_add(1);
        let pods = same.as_ref().map(both).unwrap_or(pods);
        let (factor, reason) = match times {
            1 => (1, reason),
            times => {
                let told = &reason.message;
                // A long text is cut at its end.
                let text = format!("{times} drains in a row ended so: {remedy}; {told}");
                (AGAIN, Reason::new(reason.code, text))
            }
        };
        self.back_off(reason, retry, now);
        if let Some(backoff) = &mut self.backoff {
            let pause = retry.pause(backoff.tries).saturating_mul(factor);
            backoff.until = now.later(pause.min(retry.cap.saturating_mul(AGAIN)));
        }
        self.stuck = Some(Stuck { pods, times });
    }

    /// The step from this to `next` gives the accepted grant up, and does nothing else that this file has to know first.
    pub fn gives_up(&self, next: &Self) -> bool {
        let (Some(attempt), None) = (&self.attempt, &next.attempt) else {
            return false;
        };
        let answer = next.result.as_ref();
        answer.is_some_and(|answer| {
            (answer.id, answer.outcome) == (attempt.progress.id, Outcome::Aborted)
        })
    }

    /// Brings a pause back within the cap, for the case that the clock was ahead when it was written.
    pub(super) fn bound_backoff(&mut self, retry: &Retry, now: Time) {
        if let Some(backoff) = &mut self.backoff {
            let longer = self.stuck.as_ref().is_some_and(|stuck| stuck.times > 1);
            let longest = retry.cap.saturating_mul(if longer { AGAIN } else { 1 });
            backoff.until = backoff.until.min(now.later(longest));
        }
    }
}

/// So many times longer is the pause after a drain that ended as the one before.
const AGAIN: i32 = 4;

/// Why a state file can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Written by a newer agent: it must not be overwritten, since an update may be under way in it.
    #[error("it has version {0}, this agent knows version {VERSION}")]
    Newer(u32),
    /// Not a state file, or cut short; what matters can be read from the Node again.
    #[error("{0}")]
    Garbage(String),
}

#[derive(Serialize, Deserialize)]
struct File<T> {
    version: u32,
    state: T,
    #[serde(default, skip_serializing_if = "is_default")]
    beyond: Beyond,
}

impl State {
    /// The text of the file.
    ///
    /// # Errors
    /// Never in practice: the types have no value that JSON can't hold.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        let mut state = self.clone();
        let beyond = Beyond::take(&mut state);
        serde_json::to_string_pretty(&File {
            version: VERSION,
            state,
            beyond,
        })
    }

    /// Reads the text of the file, under this `boot`. What a newer agent wrote is garbage if it is about no update of this boot: the host
    /// has gone back to a version with an older agent, and all that matters now is on the Node.
    ///
    /// # Errors
    /// When it is of another version, or none.
    pub fn from_text(text: &str, boot: Option<&BootId>) -> Result<Self, StateError> {
        let garbage = |error: serde_json::Error| StateError::Garbage(error.to_string());
        let file: File<serde_json::Value> = serde_json::from_str(text).map_err(garbage)?;
        match file.version {
            // Earlier versions lack what has a default.
            1..=VERSION => {
                let mut state = Self::deserialize(file.state).map_err(garbage)?;
                file.beyond.put(&mut state);
                Ok(state)
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

/// A state of another version is about an accepted grant that is being acted on in this `boot`, as far as can be told.
fn concerns(state: &serde_json::Value, boot: &BootId) -> bool {
    let attempt = state.get("attempt");
    let under = attempt.and_then(|attempt| attempt.pointer("/progress/boot")?.as_str());
    match under.and_then(|under| under.parse::<BootId>().ok()) {
        Some(under) => under == *boot,
        None => attempt != Some(&serde_json::Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap() {
        let retry = Retry {
            first: SignedDuration::from_secs(60),
            cap: SignedDuration::from_secs(3600),
        };
        let seconds: Vec<_> = [1, 2, 3, 7, 40, u32::MAX]
            .map(|tries| retry.pause(tries).as_secs())
            .into();
        assert_eq!(seconds, [60, 120, 240, 3600, 3600, 3600]);
    }

    #[test]
    fn what_a_newer_agent_wrote_in_an_earlier_boot_is_no_obstacle() {
        let (before, boot) = (BootId::from_bytes([1; 16]), BootId::from_bytes([2; 16]));
        let under = |boot: BootId| format!(r#"{{"progress": {{"boot": "{boot}", "more": 1}}}}"#);
        for (attempt, newer) in [
            ("null".to_owned(), false),
            (under(before), false),
            (under(boot), true),
            (r#"{"progress": {}}"#.to_owned(), true),
            (r#""somewhere else""#.to_owned(), true),
        ] {
            let text = format!(r#"{{"version": 99, "state": {{"attempt": {attempt}}}}}"#);
            let found = State::from_text(&text, Some(&boot)).unwrap_err();
            assert_eq!(found == StateError::Newer(99), newer, "{text}: {found}");
            let unknown = State::from_text(&text, None);
            assert_eq!(unknown, Err(StateError::Newer(99)));
        }
        let elsewhere = State::from_text(r#"{"version": 99, "state": {}}"#, Some(&boot));
        assert_eq!(elsewhere, Err(StateError::Newer(99)));
    }

    /// As an agent of the first release reads and writes it: without what is beside `state`.
    #[test]
    fn what_is_new_is_no_obstacle_for_an_older_agent() {
        #[derive(Serialize, Deserialize)]
        struct First {
            version: u32,
            state: serde_json::Value,
        }
        let left = Left {
            identity: Identity::Commit([7; 32]),
            published: 3,
        };
        let plain = State {
            ours: Some("fedora-coreos-aa.0".into()),
            ..State::default()
        };
        let state = State {
            left: vec![left],
            ..plain.clone()
        };
        let text = state.to_text().unwrap();
        assert_eq!(State::from_text(&text, None), Ok(state));
        let first: First = serde_json::from_str(&text).unwrap();
        let before: First = serde_json::from_str(&plain.to_text().unwrap()).unwrap();
        assert_eq!(
            (first.version, &first.state),
            (before.version, &before.state)
        );
        let text = serde_json::to_string(&first).unwrap();
        assert_eq!(State::from_text(&text, None), Ok(plain));
    }

    #[test]
    fn a_state_is_read_back_and_nothing_else_is_taken_for_one() {
        let state = State {
            ours: Some("fedora-coreos-aa.0".into()),
            backoff: Some(Backoff {
                tries: 2,
                until: Time::EPOCH,
                reason: Reason::new(crate::reason::Code::DrainBlocked, "default/web"),
            }),
            ..State::default()
        };
        let text = state.to_text().unwrap();
        let read = |text: &str| State::from_text(text, None);
        assert_eq!(read(&text), Ok(state.clone()));
        let of = |version| text.replace("\"version\": 5", &format!("\"version\": {version}"));
        assert_eq!(read(&of(6)), Err(StateError::Newer(6)));
        for earlier in [1, 2, 3, 4] {
            assert_eq!(read(&of(earlier)), read(&text));
        }
        for text in [
            "",
            "garbage",
            &text[..text.len() / 2],
            &text.replace("\"ours\"", "\"theirs\""),
        ] {
            assert!(matches!(read(text), Err(StateError::Garbage(_))), "{text}");
        }
    }
}
