//! The rounds of a drain: which pods to ask the API server about next, and how to read its answers.

use std::fmt;

use jiff::SignedDuration;

use super::{Left, RawPod, name};
use crate::time::Tick;

/// How a pod is made to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// By eviction, within its disruption budget.
    Evict,
    /// By deletion, in spite of its disruption budget.
    Delete,
    /// By deletion without a grace period.
    Kill,
}

/// Pods to remove now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Removal {
    /// How to remove them.
    pub how: How,
    /// Grace period in seconds; each pod's own where absent.
    pub grace: Option<u32>,
    /// The pods, at most [`AT_ONCE`].
    pub pods: Vec<RawPod>,
}

/// A try to make one pod leave, or the question whether it would be evicted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EvictionTry {
    /// `metadata.uid` of the pod.
    pub uid: String,
    /// When it was answered, or sent if there is no answer yet.
    pub at: Tick,
    /// How the pod is removed.
    pub how: How,
    /// The API server's answer.
    pub answer: Answer,
}

/// The API server's answer to a try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// There is none yet: admission webhooks may take up to 30 s.
    Open,
    /// Accepted: the pod is ending or gone.
    Accepted,
    /// Refused, with the API server's message.
    Refused(String),
    /// There will be none: the API server could not be reached.
    Lost,
}

impl Answer {
    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused(why) => Some(why),
            Self::Open | Self::Accepted | Self::Lost => None,
        }
    }
}

/// How many calls about pods are in flight at once. Even if each takes 30 s, a full node is through before a grant lapses, and the load on
/// the API server is small (`kubectl drain` has one in flight for each pod).
pub const AT_ONCE: usize = 16;
/// How many pods are named; of the others only the number is reported.
const NAMED: usize = 3;

/// A pod that blocks the drain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Blocked {
    /// `namespace/name`.
    pub pod: String,
    /// What keeps it: the API server's message, or the policy's reason.
    pub why: String,
}

impl Blocked {
    pub(super) fn new(pod: &RawPod, why: &str) -> Self {
        let (pod, why) = (name(pod), why.to_owned());
        Self { pod, why }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pod, self.why)
    }
}

/// What is known about whether a drain would succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// The API server has to be asked about these pods, at most [`AT_ONCE`].
    Ask(Vec<RawPod>),
    /// All questions were asked; the answers about these pods, by name, are missing.
    Open(Vec<String>),
    /// All questions were answered, and these pods would not be evicted.
    Known(Vec<Blocked>),
}

/// Evaluates the API server's answers to whether it would evict the pods that have to leave. It is asked about each pod once, so answers
/// are used however old they are.
pub fn outlook(left: &Left<'_>, answers: &[EvictionTry]) -> Outlook {
    let (mut unasked, mut open) = (Vec::new(), Vec::new());
    for pod in left.leaving.iter().filter(|pod| !pod.terminating) {
        let about = answers.iter().rfind(|answer| answer.uid == pod.uid);
        match about.map(|about| &about.answer) {
            None | Some(Answer::Lost) => unasked.push((*pod).clone()),
            Some(Answer::Open) => open.push(name(pod)),
            Some(Answer::Accepted | Answer::Refused(_)) => {}
        }
    }
    unasked.truncate(room(answers));
    match (unasked.is_empty(), open.is_empty()) {
        (false, _) => Outlook::Ask(unasked),
        (true, false) => Outlook::Open(open),
        (true, true) => Outlook::Known(refused(left, answers)),
    }
}

/// The pods that the API server would not evict.
pub fn refused(left: &Left<'_>, answers: &[EvictionTry]) -> Vec<Blocked> {
    let refused = |pod: &&RawPod| -> Option<Blocked> {
        let about = answers.iter().rfind(|answer| answer.uid == pod.uid)?;
        Some(Blocked::new(pod, about.answer.refusal()?))
    };
    let leaving = left.leaving.iter().filter(|pod| !pod.terminating);
    leaving.filter_map(refused).collect()
}

/// How many more calls may be in flight.
fn room(tries: &[EvictionTry]) -> usize {
    let open = tries.iter().filter(|one| one.answer == Answer::Open);
    AT_ONCE.saturating_sub(open.count())
}

/// What to do about the pods that have to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Pods to remove now, at most [`AT_ONCE`].
    pub remove: Vec<RawPod>,
    /// When the next try is due, if no pod is to be removed now.
    pub wake: Option<Tick>,
    /// The pods that block the drain.
    pub blocked: Vec<Blocked>,
    /// One phrase for each other pod: `namespace/name is ending`.
    pub going: Vec<String>,
    /// Names of the pods that came after the cordon and stay.
    pub newcomers: Vec<String>,
}

/// Plans one round: each pod is tried once, and again every `retry` while the API server refuses. Those tried least recently come first,
/// so no pod waits for the retries of others, or for a slow call about another.
///
/// An accepted call is repeated as well if the pod does not end within `retry`: the answer may have been lost. A pod is killed only once.
pub fn round(
    left: &Left<'_>,
    tries: &[EvictionTry],
    removal: (How, Option<u32>),
    retry: SignedDuration,
    now: Tick,
) -> Round {
    let (how, grace) = removal;
    let mut round = Round {
        remove: Vec::new(),
        wake: None,
        blocked: kept(left),
        going: Vec::new(),
        newcomers: left.newcomers.iter().map(|pod| name(pod)).collect(),
    };
    let mut due = Vec::new();
    for pod in &left.leaving {
        let own = || tries.iter().filter(|tried| tried.uid == pod.uid);
        // A refusal holds until the next answer.
        let answered = own().rfind(|tried| tried.answer != Answer::Open);
        let before = own().rfind(|tried| tried.how == how);
        match answered.and_then(|tried| tried.answer.refusal()) {
            Some(why) if !pod.terminating => round.blocked.push(Blocked::new(pod, why)),
            _ => {
                let open = answered.is_none() && before.is_some();
                round.going.push(going(pod, open));
            }
        }
        let again = match how {
            How::Evict => !pod.terminating,
            // A second deletion can only shorten the grace period.
            How::Delete => !pod.terminating || (grace.is_some() && before.is_none()),
            How::Kill => before.is_none(),
        };
        if !again || before.is_some_and(|before| before.answer == Answer::Open) {
            continue;
        }
        let before = before.map(|before| before.at);
        match before.map(|at| at.later(retry)).filter(|at| *at > now) {
            Some(at) => round.wake = Some(round.wake.map_or(at, |wake| wake.min(at))),
            None => due.push((before, *pod)),
        }
    }
    due.sort_by_key(|(before, _)| *before);
    let due = due.into_iter().take(room(tries));
    round.remove = due.map(|(_, pod)| pod.clone()).collect();
    round
}

/// Whether each pod that has to leave was tried in this way and answered for.
pub fn all_tried(left: &Left<'_>, tries: &[EvictionTry], how: How) -> bool {
    let tried = |pod: &&RawPod| {
        let mut own = tries.iter();
        own.any(|one| one.uid == pod.uid && one.how == how && one.answer != Answer::Open)
    };
    left.leaving.iter().all(tried)
}

/// The pods that the policy leaves alone.
pub fn kept(left: &Left<'_>) -> Vec<Blocked> {
    let blocked = |(pod, why): &(&RawPod, &str)| Blocked::new(pod, why);
    left.kept.iter().map(blocked).collect()
}

fn going(pod: &RawPod, open: bool) -> String {
    let name = name(pod);
    match (pod.terminating, pod.completed, pod.finalizers.first()) {
        (true, true, Some(finalizer)) => format!("{name} has ended and is held by {finalizer}"),
        (true, _, _) => format!("{name} is ending"),
        (false, _, _) if open => {
            format!("{name} is asked to leave, and the API server has yet to answer")
        }
        (false, _, _) => format!("{name} is asked to leave"),
    }
}

/// The report of a running drain. Blocked pods come first, because they matter most and a long text is cut.
pub fn reported(round: &Round, how: How) -> String {
    let verb = match how {
        How::Evict => "leaving",
        How::Delete | How::Kill => "being deleted",
    };
    let blocked = match round.blocked.is_empty() {
        true => None,
        false => Some(format!("blocked: {}.", few(&round.blocked))),
    };
    let going = match round.going.as_slice() {
        [] => None,
        [one] => Some(format!("1 pod is {verb}: {one}.")),
        going => Some(format!("{} pods are {verb}: {}.", going.len(), few(going))),
    };
    let parts = [blocked, going, stay(&round.newcomers)];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join(" ")
}

/// The report about pods that came after the cordon.
pub fn stay(newcomers: &[String]) -> Option<String> {
    let names = match newcomers {
        [] => return None,
        [one] => format!("{one} came after the cordon and stays"),
        some => format!("{} came after the cordon and stay", few(some)),
    };
    Some(format!("{names}."))
}

/// Lists the first few, and how many more there are.
pub fn few<T: fmt::Display>(all: &[T]) -> String {
    let shown = all.iter().take(NAMED).map(T::to_string);
    let text = shown.collect::<Vec<_>>().join("; ");
    match all.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}
