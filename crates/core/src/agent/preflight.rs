//! The preflight: whether a drain may begin. Pods that the policy exempts always prevent it; pods that the API server would not evict do so
//! only where the policy demands a preflight.

use jiff::SignedDuration;

use super::decision::Act;
use super::facts::{Facts, REPORT_EVERY, cordoned, unknown};
use super::state::Attempt;
use crate::drain::{self, Answer, Blocked, EvictionTry, Left, Outlook};
use crate::ids::GrantId;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{DrainMode, Grant, OnTimeout, PreflightMode};

/// Whether a drain may begin.
pub(super) enum Begin {
    Now,
    /// Yes, once this was carried out.
    After(Act),
    /// Not known yet: the reason, if it takes long, and when to check again.
    Unknown(Option<Reason>, Option<SignedDuration>),
    No(Reason),
}

impl Facts<'_> {
    /// Whether the drain that `grant` wants may begin.
    pub(super) fn may_begin(&self, grant: &Grant, node: &NodeView) -> Begin {
        let pods = match &self.seen.pods {
            Ok(pods) => pods,
            Err(why) => return Begin::Unknown(unknown(Code::PreflightBlocked, why), None),
        };
        if let Some(pod) = drain::blocking(pods, &grant.pods.blocking) {
            let text = format!("{} runs on the node", drain::name(pod));
            return Begin::No(Reason::new(Code::BlockingPod, text));
        }
        if grant.drain.mode == DrainMode::None {
            return Begin::Now;
        }
        let left = drain::left(pods, &grant.drain, cordoned(node));
        let kept = drain::kept(&left);
        if !kept.is_empty() {
            return Begin::No(in_the_way(&kept));
        }
        match grant.drain.preflight {
            // Pods whose eviction is refused will be deleted in the end.
            PreflightMode::Require if grant.drain.on_timeout != OnTimeout::Abort => Begin::Now,
            // The evictions themselves will answer what is left open.
            PreflightMode::Inform if self.now >= self.half(grant) => Begin::Now,
            mode => self.asked(grant, &left, mode),
        }
    }

    /// The middle of the time in which the grant can be accepted.
    fn half(&self, grant: &Grant) -> Time {
        let whole = grant.deadline.since(grant.issued);
        grant.issued.later(whole / 2)
    }

    /// Whether the API server would evict the pods.
    fn asked(&self, grant: &Grant, left: &Left<'_>, mode: PreflightMode) -> Begin {
        match drain::outlook(left, self.answers(grant.id)) {
            Outlook::Ask(pods) => Begin::After(Act::Preflight {
                grant: grant.id,
                pods,
            }),
            Outlook::Open(names) => self.slow(grant, &names, mode),
            Outlook::Known(blocked) if mode == PreflightMode::Require && !blocked.is_empty() => {
                Begin::No(in_the_way(&blocked))
            }
            Outlook::Known(_) => Begin::Now,
        }
    }

    fn answers(&self, grant: GrantId) -> &[EvictionTry] {
        let questions = self.seen.preflight.as_ref();
        let questions = questions.filter(|questions| questions.grant == grant);
        questions.map_or(&[], |questions| &questions.answers)
    }

    /// The result while answers are missing.
    fn slow(&self, grant: &Grant, open: &[String], mode: PreflightMode) -> Begin {
        let answers = self.answers(grant.id).iter();
        let first = answers.map(|answer| answer.at).min();
        let patience = first.map(|first| first.later(REPORT_EVERY).since(self.tick));
        let text = || format!("no answer yet about {}", drain::few(open));
        let goes_on = match mode {
            PreflightMode::Inform => Some(self.until(self.half(grant))),
            PreflightMode::Require => None,
        };
        let patience = patience.filter(|left| left.is_positive());
        let wake = patience.into_iter().chain(goes_on).min();
        let reported = patience.is_none();
        Begin::Unknown(reported.then(|| Reason::new(Code::Preflight, text())), wake)
    }

    /// The pods that the API server said it would refuse to evict, as long as no real eviction was answered.
    pub(super) fn foreseen(&self, attempt: &Attempt, left: &Left<'_>) -> Option<Reason> {
        let refused = drain::refused(left, self.answers(attempt.grant.progress.id));
        let mut answers = self.seen.evictions.iter().map(|tried| &tried.answer);
        let tried = answers.any(|answer| *answer != Answer::Open);
        (!tried && !refused.is_empty()).then(|| in_the_way(&refused))
    }
}

fn in_the_way(blocked: &[Blocked]) -> Reason {
    Reason::new(Code::PreflightBlocked, drain::few(blocked))
}
