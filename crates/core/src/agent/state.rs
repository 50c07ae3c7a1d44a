//! What the agent remembers across restarts and reboots.

mod file;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::backoff::Doubling;
use crate::host::Deployment;
use crate::ids::{BootId, GrantId, ReleaseId};
use crate::reason::Reason;
use crate::release::Assigned;
use crate::time::Time;
use crate::values::{
    Cordoned, DrainPolicy, Failure, Failures, Grant, Names, Outcome, PodChecks, Progress,
    RebootResult,
};

pub use file::StateError;

/// How long to pause after failures.
pub type Retry = Doubling<SignedDuration>;

/// Everything that must survive a restart. The whole state is written before the act that it describes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// Whether the Node's annotations were read into this state: false only until the Node is first seen after the file was lost.
    pub adopted: bool,
    /// The accepted grant that is being acted on.
    pub attempt: Option<Attempt>,
    /// The answer to the last grant.
    pub result: Option<RebootResult>,
    /// Releases that failed on this host.
    pub failed: Failures,
    /// The current pause: why, and until when no reboot is asked for.
    pub backoff: Option<Backoff>,
    /// `id` of the deployment that the agent itself staged: only that one may be replaced by a newer one.
    pub ours: Option<String>,
    /// A run that may stage an update, and whose end was not observed.
    pub staging: Option<Intent>,
    /// An update that was missing after a boot.
    pub lost: Option<Lost>,
    /// `id` of a deployment that failed although its release already ran here: neither that release nor any other node is to blame.
    pub spoiled: Option<String>,
    /// Set if the node is unhealthy with the running release and has given its slot back.
    pub unhealthy: Option<Unhealthy>,
    /// Releases that a person went back from, newer than the running one.
    pub left: Vec<Left>,
    /// The pods that blocked the last drain, if that was given up.
    pub stuck: Option<Stuck>,
    /// The last grant that was used for a reboot without an update.
    pub rebooted: Option<GrantId>,
    /// The last request to try again that was followed, by its time.
    pub retried: Option<Time>,
    /// What the cluster assigned to the node when the last look began. It counts while the Node can't be read.
    pub assigned: Assigned,
    /// When a look for updates last succeeded. Nothing is decided on it.
    pub looked: Option<Time>,
}

/// One accepted grant, from acceptance to answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The accepted grant.
    pub grant: Accepted,
    /// The host and its node at acceptance.
    pub baseline: Baseline,
    /// Somebody else's cordon was seen since: if the node is uncordoned now, a person did that.
    pub others_cordon: bool,
    /// How far the attempt is.
    pub stage: Stage,
}

/// The parts of a grant that are needed after its annotation is gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// The acceptance as written on the Node.
    pub progress: Progress,
    /// How to drain.
    pub drain: DrainPolicy,
    /// Further checks of the node's pods.
    pub pods: PodChecks,
    /// What to do while somebody else has cordoned the node.
    pub cordoned: Cordoned,
}

impl Accepted {
    /// An accepted grant of which only `progress` is known.
    pub fn bare(progress: Progress) -> Self {
        Self {
            progress,
            drain: DrainPolicy::default(),
            pods: PodChecks::default(),
            cordoned: Cordoned::default(),
        }
    }

    /// `grant`, accepted as `progress` says.
    pub fn new(grant: &Grant, progress: Progress) -> Self {
        Self {
            progress,
            drain: grant.drain.clone(),
            pods: grant.pods.clone(),
            cordoned: grant.cordoned,
        }
    }
}

/// The host and its node when the grant was accepted, for comparison after the boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Baseline {
    /// The running release; unknown if the state was lost since.
    pub from: Option<ReleaseId>,
    /// The running and the granted deployment, to tell two deployments of the same release apart.
    pub between: Option<[Exact; 2]>,
    /// How long the host had been up.
    pub uptime: Option<SignedDuration>,
    /// Whether another deployment of the granted release existed, so that finding one after the boot proves nothing.
    pub was_there: bool,
    /// Whether the granted deployment is the rollback target and existed already, so that finding it after the boot proves nothing.
    pub back: bool,
    /// The reboot is one without an update: the granted release is the running one.
    pub plain: bool,
    /// Which static pods of the control plane were Ready, if known.
    pub members: Option<Names>,
}

impl Baseline {
    /// A baseline of which at most the running release is known; the boot is then judged mildly.
    pub fn lost(from: Option<ReleaseId>) -> Self {
        Self {
            from,
            between: None,
            uptime: None,
            was_there: true,
            back: false,
            plain: false,
            members: None,
        }
    }
}

/// How far an attempt is, with what is known only in that stage. [`TRANSITIONS`](super::TRANSITIONS) lists the ways between stages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The node is being cordoned and drained.
    Draining,
    /// The drain is over, and the pool demands a delay before the reboot.
    Delaying {
        /// When the drain was found to be over.
        since: Time,
    },
    /// The reboot was requested, or was about to be.
    Rebooting {
        /// The last request.
        request: Request,
        /// When the drain was found to be over, if a delay between it and the reboot was kept.
        drained: Option<Time>,
    },
    /// The host has booted, and was found healthy. Until then the state stays as the boot left it, and the boot id shows the boot.
    Verifying {
        /// The request for the reboot; `None` if somebody else rebooted the host before there was one.
        asked: Option<Request>,
        /// Since when the node has been healthy after the boot.
        good: Time,
    },
}

/// A request for the reboot, noted before it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// When it was noted.
    pub at: Time,
    /// How long the host had been up by then.
    pub up: Option<SignedDuration>,
}

impl Stage {
    /// The last request for the reboot, whatever its result.
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::Draining | Self::Delaying { .. } => None,
            Self::Rebooting { request, .. } => Some(request),
            Self::Verifying { asked, .. } => asked.as_ref(),
        }
    }
}

/// One deployment, distinguished from others of the same release on this host: layered packages change the checksum, kernel arguments
/// only the id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exact {
    /// rpm-ostree's `id`.
    pub id: String,
    /// Checksum of the deployed commit.
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
    /// A new attempt.
    pub fn new(grant: Accepted, baseline: Baseline) -> Self {
        Self {
            grant,
            baseline,
            others_cordon: false,
            stage: Stage::Draining,
        }
    }

    /// The granted release.
    pub fn identity(&self) -> ReleaseId {
        self.grant.progress.identity
    }

    /// Whether the granted release is the running one, so that the update changes something else.
    pub fn keeps_identity(&self) -> bool {
        self.baseline.from == Some(self.identity())
    }

    /// Whether `found` is what was granted. If the same release ran before, it has to be the granted deployment itself.
    pub fn is_granted(&self, found: &Deployment) -> bool {
        if found.identity != self.identity() {
            return false;
        }
        if !self.keeps_identity() || self.baseline.plain {
            return true;
        }
        let Some([left, wanted]) = &self.baseline.between else {
            return false;
        };
        let differ = left.checksum != wanted.checksum;
        found.id == wanted.id || (differ && found.checksum == wanted.checksum)
    }

    /// Whether `found` is neither what ran nor what was granted.
    pub fn is_foreign(&self, found: &Deployment) -> bool {
        let from = self.baseline.from;
        let other = from.is_some_and(|from| from != found.identity);
        let left = self.baseline.between.as_ref().map(|[left, _]| &left.id);
        let changed = self.keeps_identity() && left.is_some_and(|left| *left != found.id);
        !self.is_granted(found) && (other || changed)
    }
}

/// A release that somebody went back from, to an older one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Left {
    /// The release that was left.
    pub identity: ReleaseId,
    /// When it was published, in seconds since 1970.
    pub published: u64,
}

/// A node that is not healthy and has given its slot back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unhealthy {
    /// The pod checks of the update's grant.
    pub pods: PodChecks,
    /// Since when the node has been healthy after all, if it is.
    pub good: Option<Time>,
}

/// Pods that did not leave.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stuck {
    /// Their names.
    pub pods: BTreeSet<String>,
    /// For how many drains in a row these same pods did not leave.
    pub times: u32,
}

/// A note that rpm-ostree was about to be asked to stage an update.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The boot of the note: a staged deployment does not outlive its boot.
    pub boot: BootId,
    /// `id` of the deployment that the next boot would have booted.
    pub before: String,
}

/// A pause after a grant that was refused or given up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// How many grants in a row ended so.
    pub tries: u32,
    /// The end of the pause.
    pub until: Time,
    /// The reason for the pause.
    pub reason: Reason,
}

/// How often one update was missing after the boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// The release that was lost.
    pub identity: ReleaseId,
    /// How often ostree reported that it could not write it to the disk.
    pub times: u32,
    /// How often the cause was unknown.
    #[serde(default)]
    pub unexplained: u32,
}

/// Factor by which the pause is longer if the same pods blocked the previous drain.
const AGAIN: i32 = 4;

impl State {
    /// Starts a pause because of `reason`, longer than the previous one.
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

    /// Starts a pause because a drain was given up that `pods` blocked. If some of them also blocked the previous drain, the pause is four
    /// times as long, and `remedy` is reported, because a person has to act. Returns the reason to report.
    pub(super) fn back_off_drain(
        &mut self,
        (reason, pods): (Reason, BTreeSet<String>),
        remedy: &str,
        retry: &Retry,
        now: Time,
    ) -> Reason {
        let before = self.stuck.take();
        let both = |before: &Stuck| &before.pods & &pods;
        let same = before.filter(|before| !both(before).is_empty());
        let times = same.as_ref().map_or(0, |before| before.times);
        let times = times.saturating_add(1);
        let pods = same.as_ref().map(both).unwrap_or(pods);
        let (factor, reason) = match times {
            1 => (1, reason),
            times => {
                let reported = &reason.message;
                // Long texts are cut at the end, so the remedy comes first.
                let text = format!("{times} drains in a row ended like this: {remedy}; {reported}");
                (AGAIN, Reason::new(reason.code, text))
            }
        };
        self.back_off(reason.clone(), retry, now);
        if let Some(backoff) = &mut self.backoff {
            let pause = retry.pause(backoff.tries).saturating_mul(factor);
            backoff.until = now.later(pause.min(retry.cap.saturating_mul(AGAIN)));
        }
        self.stuck = Some(Stuck { pods, times });
        reason
    }

    /// Takes off its lists the failures that are `over`, and the releases that people went back from and that this is `about`; ends the pause.
    pub fn forget(&mut self, over: impl Fn(&Failure) -> bool, about: impl Fn(&ReleaseId) -> bool) {
        self.failed.identities.retain(|failure| !over(failure));
        self.left.retain(|left| !about(&left.identity));
        (self.backoff, self.stuck) = (None, None);
    }

    /// Whether `next` only gives the accepted grant up, with nothing else that has to be on disk first.
    pub fn gives_up(&self, next: &Self) -> bool {
        let (Some(attempt), None) = (&self.attempt, &next.attempt) else {
            return false;
        };
        let answer = next.result.as_ref();
        answer.is_some_and(|answer| {
            (answer.id, answer.outcome) == (attempt.grant.progress.id, Outcome::Aborted)
        })
    }

    /// Shortens a pause to at most the cap, in case the clock was ahead when it was written.
    pub(super) fn bound_backoff(&mut self, retry: &Retry, now: Time) {
        if let Some(backoff) = &mut self.backoff {
            let longer = self.stuck.as_ref().is_some_and(|stuck| stuck.times > 1);
            let longest = retry.cap.saturating_mul(if longer { AGAIN } else { 1 });
            backoff.until = backoff.until.min(now.later(longest));
        }
    }
}
