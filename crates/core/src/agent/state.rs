//! What the agent remembers across its own death and the host's.

mod file;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::backoff::Doubling;
use crate::host::Deployment;
use crate::ids::{BootId, ReleaseId};
use crate::reason::Reason;
use crate::release::Assigned;
use crate::time::Time;
use crate::values::{
    Cordoned, DrainPolicy, Failures, Grant, Names, Outcome, PodChecks, Progress, RebootResult,
};

pub use file::StateError;

/// How long to pause after failures.
pub type Retry = Doubling<SignedDuration>;

/// Everything that must survive. Written whole, before the act that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// What the Node's annotations knew was taken over: false only before the first look at the Node after the file was lost.
    pub adopted: bool,
    /// The accepted grant that is being acted on.
    pub attempt: Option<Attempt>,
    /// The answer to the last grant.
    pub result: Option<RebootResult>,
    /// Releases that failed on this host.
    pub failed: Failures,
    /// Why and until when no reboot is asked for.
    pub backoff: Option<Backoff>,
    /// `id` of the deployment that the agent itself made rpm-ostree stage: only that one may be replaced by a newer one.
    pub ours: Option<String>,
    /// A run that may stage an update, and whose end nobody has heard of.
    pub staging: Option<Intent>,
    /// An update that was gone after a boot.
    pub lost: Option<Lost>,
    /// `id` of a deployment that failed and has the release of what runs: that release is not to blame, nor is any other node.
    pub spoiled: Option<String>,
    /// The node is not healthy with what runs, and has given its slot back.
    pub unhealthy: Option<Unhealthy>,
    /// What a person went back from, and is newer than what runs.
    pub left: Vec<Left>,
    /// The pods that were in the way of the last drain, which was given up.
    pub stuck: Option<Stuck>,
    /// What the cluster assigned to the node when the last look began. It counts while the Node can't be read.
    pub assigned: Assigned,
}

/// One accepted grant, from acceptance to result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// What was accepted.
    pub grant: Accepted,
    /// How the host and its node were then.
    pub baseline: Baseline,
    /// The node was seen cordoned by somebody else since: if it is uncordoned now, that was a person.
    pub foreign: bool,
    /// How far it is.
    pub stage: Stage,
}

/// What a grant asks for, as far as it outlives the annotation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// The acceptance as it stands on the Node.
    pub progress: Progress,
    /// How to drain.
    pub drain: DrainPolicy,
    /// What else to look at among the pods of the node.
    pub pods: PodChecks,
    /// What the grant is worth while somebody else has cordoned the node.
    pub cordoned: Cordoned,
}

impl Accepted {
    /// A grant of which nothing else is known any more.
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

/// How the host and its node were when the grant was accepted: what comes after the boot is judged by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Baseline {
    /// What ran; unknown if the state was lost since.
    pub from: Option<ReleaseId>,
    /// The deployments themselves: what ran, and what was granted. They tell two of the same release apart.
    pub between: Option<[Exact; 2]>,
    /// How long the host had been up.
    pub uptime: Option<SignedDuration>,
    /// A deployment of the granted release was there besides the pending one, so that finding one after the boot proves nothing.
    pub twin: bool,
    /// The granted deployment itself was there already, and the host is to go back to it: that it is there after the boot proves nothing.
    pub back: bool,
    /// Which static pods of the control plane were Ready, where that is known.
    pub members: Option<Names>,
}

impl Baseline {
    /// Nothing is known of it but, perhaps, what ran; the verdict on the boot is the milder one.
    pub fn lost(from: Option<ReleaseId>) -> Self {
        Self {
            from,
            between: None,
            uptime: None,
            twin: true,
            back: false,
            members: None,
        }
    }
}

/// How far an attempt is, with what is known only there. [`TRANSITIONS`](super::TRANSITIONS) has what leads from one to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The node is to be cordoned and drained.
    Draining,
    /// The drain is over, and the pool wants some time before the reboot.
    Delaying {
        /// When the drain was found to be over.
        since: Time,
    },
    /// The reboot was asked for, or was about to be.
    Rebooting {
        /// The last request.
        request: Request,
        /// When the drain was found to be over, where a pause between it and the reboot was kept.
        drained: Option<Time>,
    },
    /// The host has booted, and the node was found healthy. Until then the memory stays as the boot left it, and the boot id tells.
    Verifying {
        /// The request for the reboot; `None` where somebody else rebooted the host before there was one.
        asked: Option<Request>,
        /// Since when the node has been healthy after the boot.
        good: Time,
    },
}

/// Finalizing and rebooting was about to be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// When.
    pub at: Time,
    /// How long the host had been up then.
    pub up: Option<SignedDuration>,
}

impl Stage {
    /// The last request for the reboot, whatever came of it.
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::Draining | Self::Delaying { .. } => None,
            Self::Rebooting { request, .. } => Some(request),
            Self::Verifying { asked, .. } => asked.as_ref(),
        }
    }
}

/// One deployment of this host, as far as it can be told from others of its release id: packages that are layered on it change the
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
    /// One that begins.
    pub fn new(grant: Accepted, baseline: Baseline) -> Self {
        Self {
            grant,
            baseline,
            foreign: false,
            stage: Stage::Draining,
        }
    }

    /// What may be booted.
    pub fn identity(&self) -> ReleaseId {
        self.grant.progress.identity
    }

    /// The update changes something else than the version.
    pub fn keeps_identity(&self) -> bool {
        self.baseline.from == Some(self.identity())
    }

    /// `found` is what was granted. Where the same release ran before, it has to be that very deployment.
    pub fn is_granted(&self, found: &Deployment) -> bool {
        if found.identity != self.identity() {
            return false;
        }
        if !self.keeps_identity() {
            return true;
        }
        let Some([left, wanted]) = &self.baseline.between else {
            return false;
        };
        let differ = left.checksum != wanted.checksum;
        found.id == wanted.id || (differ && found.checksum == wanted.checksum)
    }

    /// `found` is neither what ran nor what was granted.
    pub fn is_foreign(&self, found: &Deployment) -> bool {
        let from = self.baseline.from;
        let other = from.is_some_and(|from| from != found.identity);
        let left = self.baseline.between.as_ref().map(|[left, _]| &left.id);
        let changed = self.keeps_identity() && left.is_some_and(|left| *left != found.id);
        !self.is_granted(found) && (other || changed)
    }
}

/// A version that was left for an older one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Left {
    /// Which.
    pub identity: ReleaseId,
    /// When it was published, in seconds since 1970.
    pub published: u64,
}

/// A node that is not healthy and has given its slot back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unhealthy {
    /// What the grant of the update asked of its pods.
    pub pods: PodChecks,
    /// Since when it has been healthy after all.
    pub good: Option<Time>,
}

/// Pods that did not leave.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stuck {
    /// Their names.
    pub pods: BTreeSet<String>,
    /// For how many drains in a row these very pods did not.
    pub times: u32,
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
    pub identity: ReleaseId,
    /// How often ostree could not write it to the disk, by its own word.
    pub times: u32,
    /// How often nothing told why.
    #[serde(default)]
    pub unexplained: u32,
}

/// So many times longer is the pause after a drain that ended as the one before.
const AGAIN: i32 = 4;

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
    /// times as long, and `remedy` is reported: what did not change by itself until now takes a person. Gives the reason as it is reported.
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
                // A long text is cut at its end.
                let text = format!("{times} drains in a row ended so: {remedy}; {reported}");
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

    /// From this to `next` the accepted grant is given up, and nothing else happens that the disk has to know first.
    pub fn gives_up(&self, next: &Self) -> bool {
        let (Some(attempt), None) = (&self.attempt, &next.attempt) else {
            return false;
        };
        let answer = next.result.as_ref();
        answer.is_some_and(|answer| {
            (answer.id, answer.outcome) == (attempt.grant.progress.id, Outcome::Aborted)
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
