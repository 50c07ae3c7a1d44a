//! Draining: which pods must leave, how each is made to, and what is told of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::values::{DrainPolicy, PodMatch, Treatment};

/// What is taken from a Pod object on this node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RawPod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`: a new pod of the same name is another pod.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Kind of the controlling owner, when there is one.
    pub controller: Option<String>,
    /// Has the annotation `kubernetes.io/config.mirror`: a static pod's picture, which can't be evicted.
    pub mirror: bool,
    /// `status.phase` is `Succeeded` or `Failed`: nothing of it runs.
    pub completed: bool,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// `metadata.finalizers`: it is not gone before all of them are.
    pub finalizers: Vec<String>,
    /// The condition `Ready` is `True`.
    pub ready: bool,
    /// Has an `emptyDir` volume.
    pub empty_dir: bool,
    /// Names of the claims whose volumes it has, in its own namespace.
    pub claims: BTreeSet<String>,
}

impl RawPod {
    fn has_controller(&self, kind: &str) -> bool {
        self.controller.as_deref() == Some(kind)
    }

    /// Belongs to a DaemonSet.
    pub fn is_daemon(&self) -> bool {
        self.has_controller("DaemonSet")
    }
}

/// A PersistentVolumeClaim.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// How a pod is made to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// By an eviction, within its disruption budget.
    Evict,
    /// By its deletion, whatever its budget says.
    Delete,
    /// By its deletion without any time to end.
    Kill,
}

/// Pods that are to be made to leave now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Removal {
    /// How.
    pub how: How,
    /// How long each has to end, in seconds; its own time where absent.
    pub grace: Option<u32>,
    /// Which, a handful.
    pub pods: Vec<RawPod>,
}

/// What came of the last try to make one pod leave.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EvictionTry {
    /// `metadata.uid` of the pod.
    pub uid: String,
    /// When it was tried.
    pub at: Timestamp,
    /// How.
    pub how: How,
    /// The API server's refusal, in its words; `None` when it was accepted.
    pub refused: Option<String>,
}

/// As many pods are asked for at once: enough to be quick, few enough that one round ends soon even where the API server is slow.
pub const AT_ONCE: usize = 8;
/// As many pods are named; how many more there are is told as a number.
const NAMED: usize = 3;
/// An answer to the question whether a pod would be evicted is good for so long: enough to ask about all pods of a full node.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// The pods that have to be gone before the node may reboot, each in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left<'a> {
    /// They are made to leave, or are ending already.
    pub leaving: Vec<&'a RawPod>,
    /// They are left alone, and so the node is not drained while they are there; with the reason.
    pub kept: Vec<(&'a RawPod, &'static str)>,
}

impl Left<'_> {
    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.leaving.is_empty() && self.kept.is_empty()
    }
}

enum Fate {
    Leaves,
    Stays,
    Kept(&'static str),
}

/// What a drain does about `pod`.
///
/// Static pods and pods of DaemonSets come back by themselves and stay; finished pods run nothing. What is ending already is waited for
/// until it is gone, finished or not: whoever put a finalizer on it is not done with it.
fn fate(pod: &RawPod, policy: &DrainPolicy) -> Fate {
    let comes_back = pod.mirror || pod.is_daemon() || pod.has_controller("Node");
    let passed_over = policy.skip_namespaces.contains(&pod.namespace)
        || !policy.pod_selector.matches(&pod.labels);
    if comes_back || passed_over || (pod.completed && !pod.terminating) {
        Fate::Stays
    } else if pod.terminating {
        Fate::Leaves
    } else if policy.unmanaged == Treatment::Block && pod.controller.is_none() {
        Fate::Kept("it has no controller that would make it anew")
    } else if policy.empty_dir == Treatment::Block && pod.empty_dir {
        Fate::Kept("its emptyDir volume would be lost")
    } else {
        Fate::Leaves
    }
}

fn by_name<'a>(pods: &'a [RawPod]) -> Vec<&'a RawPod> {
    let mut sorted: Vec<&'a RawPod> = pods.iter().collect();
    sorted.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    sorted
}

/// What of `pods` has to be gone, as `policy` says.
pub fn left<'a>(pods: &'a [RawPod], policy: &DrainPolicy) -> Left<'a> {
    let mut left = Left::default();
    for pod in by_name(pods) {
        match fate(pod, policy) {
            Fate::Leaves => left.leaving.push(pod),
            Fate::Kept(why) => left.kept.push((pod, why)),
            Fate::Stays => {}
        }
    }
    left
}

/// The claims of the pods that stay: their volumes may be in use until the reboot.
pub fn claims_that_stay(pods: &[RawPod], policy: &DrainPolicy) -> BTreeSet<Claim> {
    let stays = |pod: &&RawPod| matches!(fate(pod, policy), Fate::Stays) && !pod.completed;
    let claims = |pod: &RawPod| -> Vec<Claim> {
        let claim = |name: &String| Claim {
            namespace: pod.namespace.clone(),
            name: name.clone(),
        };
        pod.claims.iter().map(claim).collect()
    };
    pods.iter().filter(stays).flat_map(claims).collect()
}

/// The first pod that runs and is one of those that hold reboots up.
pub fn blocking<'a>(pods: &'a [RawPod], blocking: &[PodMatch]) -> Option<&'a RawPod> {
    let matches = |wanted: &PodMatch, pod: &RawPod| {
        let namespace = wanted.namespace.as_ref();
        namespace.is_none_or(|namespace| *namespace == pod.namespace)
            && wanted.selector.matches(&pod.labels)
    };
    by_name(pods)
        .into_iter()
        .find(|pod| !pod.completed && blocking.iter().any(|wanted| matches(wanted, pod)))
}

/// What is known of whether a drain would get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preflight {
    /// The API server is still to be asked about these, a handful.
    Ask(Vec<RawPod>),
    /// What is in the way, one line for each pod; nothing if it is empty.
    Asked(Vec<String>),
}

/// Looks through the answers of the API server to whether it would evict what has to leave.
pub fn preflight(left: &Left<'_>, answers: &[EvictionTry], now: Timestamp) -> Preflight {
    let mut lines = kept(left);
    let mut open = Vec::new();
    for pod in left.leaving.iter().filter(|pod| !pod.terminating) {
        let fresh = |answer: &&EvictionTry| {
            answer.uid == pod.uid && answer.at <= now && now <= later(answer.at, FRESH)
        };
        match answers.iter().rev().find(fresh) {
            None => open.push((*pod).clone()),
            Some(answer) => lines.extend(answer.refused.as_ref().map(|why| line(pod, why))),
        }
    }
    if open.is_empty() {
        return Preflight::Asked(lines);
    }
    open.truncate(AT_ONCE);
    Preflight::Ask(open)
}

/// What to do about the pods that have to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Pods that are to be made to leave now, a handful.
    pub remove: Vec<RawPod>,
    /// When the next try is due, if none is now.
    pub wake: Option<Timestamp>,
    /// One line for each pod that does not leave: `namespace/name: why`.
    pub blocked: Vec<String>,
    /// One phrase for each other pod: `namespace/name is ending`.
    pub going: Vec<String>,
}

/// Plans one round: each pod is asked to leave once, and again every `retry` while the API server refuses. Those that were asked least
/// recently come first, so that none has to wait for the others' retries.
///
/// What was accepted is repeated too if the pod still does not end after `retry`: the answer may have been lost. A pod is killed once.
pub fn round(
    left: &Left<'_>,
    tries: &[EvictionTry],
    removal: (How, Option<u32>),
    retry: SignedDuration,
    now: Timestamp,
) -> Round {
    let (how, grace) = removal;
    let mut round = Round {
        remove: Vec::new(),
        wake: None,
        blocked: kept(left),
        going: Vec::new(),
    };
    let mut due = Vec::new();
    for pod in &left.leaving {
        let tried = |tried: &&EvictionTry| tried.uid == pod.uid;
        let last = tries.iter().rev().find(tried);
        let same = tries
            .iter()
            .rev()
            .find(|one| tried(one) && one.how == how)
            .map(|tried| tried.at);
        match last.and_then(|tried| tried.refused.as_deref()) {
            Some(why) if !pod.terminating => round.blocked.push(line(pod, why)),
            _ => round.going.push(going(pod)),
        }
        let again = match how {
            How::Evict => !pod.terminating,
            // Again with less time is all that a deletion can add to one.
            How::Delete => !pod.terminating || (grace.is_some() && same.is_none()),
            How::Kill => same.is_none(),
        };
        if !again {
            continue;
        }
        // A clock that went back ends the pause.
        let waits = same.filter(|at| *at <= now).map(|at| later(at, retry));
        match waits {
            Some(at) if at > now => round.wake = Some(round.wake.map_or(at, |wake| wake.min(at))),
            _ => due.push((same, *pod)),
        }
    }
    due.sort_by_key(|(same, _)| *same);
    let due = due.into_iter().take(AT_ONCE);
    round.remove = due.map(|(_, pod)| pod.clone()).collect();
    round
}

/// What the policy does not let leave, one line for each pod.
pub fn kept(left: &Left<'_>) -> Vec<String> {
    let line = |(pod, why): &(&RawPod, &str)| line(pod, why);
    left.kept.iter().map(line).collect()
}

fn line(pod: &RawPod, why: &str) -> String {
    format!("{}: {why}", name(pod))
}

fn going(pod: &RawPod) -> String {
    let name = name(pod);
    match (pod.terminating, pod.completed, pod.finalizers.first()) {
        (true, true, Some(finalizer)) => format!("{name} has ended and is held by {finalizer}"),
        (true, _, _) => format!("{name} is ending"),
        (false, _, _) => format!("{name} is asked to leave"),
    }
}

/// Begins what is told of a drain while pods are in its way.
const BLOCKED: &str = "blocked: ";
/// Begins the rest of it.
const ALSO: &str = " Also, ";

/// What is told of a drain that goes on. What is blocked comes first, since it matters most and a long text is cut.
pub fn told(round: &Round, how: How) -> String {
    let blocked = match round.blocked.is_empty() {
        true => String::new(),
        false => format!("{BLOCKED}{}.", few(&round.blocked)),
    };
    let verb = match how {
        How::Evict => "leaving",
        How::Delete | How::Kill => "being deleted",
    };
    let going = match round.going.as_slice() {
        [] => String::new(),
        [one] => format!("1 pod is {verb}: {one}"),
        going => format!("{} pods are {verb}: {}", going.len(), few(going)),
    };
    match (blocked.as_str(), going.as_str()) {
        ("", _) => going,
        (_, "") => blocked,
        _ => format!("{blocked}{ALSO}{going}"),
    }
}

/// The part of what was told that names what is blocked.
pub fn blocked_part(told: &str) -> Option<&str> {
    let part = told.split(ALSO).next()?;
    part.strip_prefix(BLOCKED)
}

/// The first of `lines`, and how many more there are.
pub fn few(lines: &[String]) -> String {
    let shown = lines.iter().take(NAMED).cloned().collect::<Vec<_>>();
    let text = shown.join("; ");
    match lines.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}

/// `namespace/name`.
pub fn name(pod: &RawPod) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

/// `time` and `span` later; the end of time where that is beyond it.
pub fn later(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.saturating_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
