//! The rounds of a drain: whom the API server is asked about next, and what its answers come to.

use std::fmt;

use jiff::SignedDuration;

use super::{Left, RawPod, name};
use crate::time::Tick;

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

/// A try to make one pod leave, or the question whether it would be evicted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EvictionTry {
    /// `metadata.uid` of the pod.
    pub uid: String,
    /// When it was answered, or sent while there is no answer yet.
    pub at: Tick,
    /// How.
    pub how: How,
    /// What the API server said.
    pub answer: Answer,
}

/// What the API server said to a try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Nothing yet: admission webhooks may take up to 30 s.
    Open,
    /// The pod goes, or is gone.
    Accepted,
    /// No, in its words.
    Refused(String),
    /// Nobody answered: the API server could not be reached.
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

/// As many calls about pods are in flight at once: a full node is through before a grant lapses even if each takes 30 s, and no API server
/// notices (`kubectl drain` has one in flight for each pod).
pub const AT_ONCE: usize = 16;
/// As many pods are named; how many more there are is reported as a number.
const NAMED: usize = 3;

/// A pod that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Blocked {
    /// `namespace/name`.
    pub pod: String,
    /// What keeps it: the API server's words, or the policy's.
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

/// What is known of whether a drain would get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// The API server is still to be asked about these, a handful.
    Ask(Vec<RawPod>),
    /// It was asked about all, and has not said of these yet, by name.
    Open(Vec<String>),
    /// Everything was answered, and these would not be evicted.
    Known(Vec<Blocked>),
}

/// Looks through the answers of the API server to whether it would evict what has to leave. It is asked about each pod once; how old an
/// answer is by the end of the round says nothing.
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

/// What the API server would not evict.
pub fn refused(left: &Left<'_>, answers: &[EvictionTry]) -> Vec<Blocked> {
    let refused = |pod: &&RawPod| -> Option<Blocked> {
        let about = answers.iter().rfind(|answer| answer.uid == pod.uid)?;
        Some(Blocked::new(pod, about.answer.refusal()?))
    };
    let leaving = left.leaving.iter().filter(|pod| !pod.terminating);
    leaving.filter_map(refused).collect()
}

/// How many more calls may be sent.
fn room(tries: &[EvictionTry]) -> usize {
    let open = tries.iter().filter(|one| one.answer == Answer::Open);
    AT_ONCE.saturating_sub(open.count())
}

/// What to do about the pods that have to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Pods that are to be made to leave now, a handful.
    pub remove: Vec<RawPod>,
    /// When the next try is due, if none is now.
    pub wake: Option<Tick>,
    /// The pods that do not leave.
    pub blocked: Vec<Blocked>,
    /// One phrase for each other pod: `namespace/name is ending`.
    pub going: Vec<String>,
    /// Names of the pods that came after the cordon and stay.
    pub newcomers: Vec<String>,
}

/// Plans one round: each pod is asked to leave once, and again every `retry` while the API server refuses. Those that were asked least
/// recently come first, so that none has to wait for the others' retries; nor does any for a call about another that takes its time.
///
/// What was accepted is repeated too if the pod still does not end after `retry`: the answer may have been lost. A pod is killed once.
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
            // Again with less time is all that a deletion can add to one.
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

/// Each pod that has to leave was tried in this way, and the answer is known.
pub fn all_tried(left: &Left<'_>, tries: &[EvictionTry], how: How) -> bool {
    let tried = |pod: &&RawPod| {
        let mut own = tries.iter();
        own.any(|one| one.uid == pod.uid && one.how == how && one.answer != Answer::Open)
    };
    left.leaving.iter().all(tried)
}

/// What the policy does not let leave.
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

/// What is reported of a drain that goes on. What is blocked comes first, since it matters most and a long text is cut.
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

/// What is reported of the pods that came after the cordon.
pub fn stay(newcomers: &[String]) -> Option<String> {
    let names = match newcomers {
        [] => return None,
        [one] => format!("{one} came after the cordon and stays"),
        some => format!("{} came after the cordon and stay", few(some)),
    };
    Some(format!("{names}."))
}

/// The first few, and how many more there are.
pub fn few<T: fmt::Display>(all: &[T]) -> String {
    let shown = all.iter().take(NAMED).map(T::to_string);
    let text = shown.collect::<Vec<_>>().join("; ");
    match all.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}
