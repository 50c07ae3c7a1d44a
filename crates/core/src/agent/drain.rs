//! Draining as the grant's policy demands: which pods to evict, which to delete after the time-out, and which volumes to wait for.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::decision::{Act, DrainNews};
use super::facts::{Facts, REPORT_EVERY, SECOND, cordoned, unknown};
use super::state::Attempt;
use crate::drain::{self, Claim, How, Left, RawPod, Removal, Round};
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{DrainMode, DrainPolicy, OnTimeout};

/// The stages of a drain (the rungs of its ladder), each with the time at which it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ladder {
    /// End of the evictions.
    evict: Time,
    /// End of the deletions; the same as `evict` where the policy has none.
    delete: Time,
    /// Latest time for the reboot request, counted from acceptance.
    pub all: Time,
    force: bool,
}

impl Ladder {
    fn rung(&self, now: Time) -> Option<How> {
        match () {
            () if now <= self.evict => Some(How::Evict),
            () if now <= self.delete => Some(How::Delete),
            () if self.force && now <= self.all => Some(How::Kill),
            () => None,
        }
    }

    /// The end of the current rung.
    fn next(&self, now: Time) -> Time {
        let ends = [self.evict, self.delete, self.all];
        let next = ends.into_iter().find(|end| now <= *end);
        next.unwrap_or(now).later(SECOND)
    }
}

/// The progress of a drain.
pub(super) enum Drain {
    /// No pod has to leave, and no volume has to be released.
    Clear,
    /// The drain is not over.
    Goes {
        reason: Option<Reason>,
        act: Act,
        wake: Option<SignedDuration>,
        /// Whether pods still have to leave; otherwise the drain waits for something else.
        pods: bool,
    },
    /// The time-out has passed; the reason, and the names of the pods that did not leave.
    Stuck(Reason, Vec<String>),
}

impl Drain {
    fn waits(reason: Option<Reason>, wake: SignedDuration) -> Self {
        Self::Goes {
            reason,
            act: Act::Wait,
            wake: Some(wake),
            pods: false,
        }
    }

    fn late(text: &str) -> Self {
        Self::Stuck(Reason::new(Code::DrainBlocked, text), vec![])
    }
}

/// How much of a drain's time has passed.
#[derive(Clone, Copy)]
struct Clock {
    /// What to do to pods now; `None` once the time-out has passed.
    rung: Option<How>,
    /// The time-out has passed.
    over: bool,
    /// How long until the current rung ends.
    next: SignedDuration,
}

/// Volumes of pods that have left the node.
enum Volumes {
    Free,
    /// The volumes bound to these claims have to be looked up first.
    Find(BTreeSet<Claim>),
    /// Some are still in use; if the lookup failed, also how long until the next try.
    Used(Reason, Option<SignedDuration>),
}

impl Facts<'_> {
    /// When each rung of the attempt's ladder ends.
    pub(super) fn ladder(&self, attempt: &Attempt) -> Ladder {
        let (accepted, policy) = (attempt.grant.progress.accepted, &attempt.grant.drain);
        let end = |span| self.limit(accepted, attempt.baseline.uptime, span);
        let evict = end(policy.timeout());
        Ladder {
            evict,
            delete: match policy.on_timeout {
                OnTimeout::Abort => evict,
                OnTimeout::Delete | OnTimeout::Force => {
                    end(policy.timeout().saturating_add(policy.timeout()))
                }
            },
            all: end(policy.longest()),
            force: policy.on_timeout == OnTimeout::Force,
        }
    }

    fn clock(&self, attempt: &Attempt, ended: Option<Time>) -> Clock {
        let ladder = self.ladder(attempt);
        let rung = ladder.rung(self.now).or_else(|| self.killing(ladder));
        Clock {
            rung,
            // A drain that ended in time is only checked again until the reboot has to be requested.
            over: rung.is_none() && (ended.is_none() || self.now > ladder.all),
            next: self.until(ladder.next(self.now)),
        }
    }

    /// The progress of a drain; `ended` is when it was found to be over, if it was.
    pub(super) fn drain(
        &self,
        attempt: &Attempt,
        node: &NodeView,
        ended: Option<Time>,
    ) -> (Drain, DrainNews) {
        let mut news = DrainNews::default();
        let (clock, policy) = (self.clock(attempt, ended), &attempt.grant.drain);
        let drain = if !node.unschedulable && !clock.over {
            let pods = self.seen.pods.as_deref().unwrap_or_default();
            let left = drain::left(pods, policy, None);
            Drain::waits(self.foreseen(attempt, &left), clock.next)
        } else if policy.mode == DrainMode::None {
            clock.end()
        } else {
            match &self.seen.pods {
                Ok(pods) => self.drain_of(attempt, (node, pods), clock, &mut news),
                Err(_) if clock.over => {
                    Drain::late("the time-out passed before the pods were known")
                }
                Err(why) => Drain::waits(unknown(Code::Draining, why), clock.next),
            }
        };
        (drain, news)
    }

    fn drain_of(
        &self,
        attempt: &Attempt,
        (node, pods): (&NodeView, &[RawPod]),
        clock: Clock,
        news: &mut DrainNews,
    ) -> Drain {
        let policy = &attempt.grant.drain;
        let left = drain::left(pods, policy, cordoned(node));
        news.newcomers = left.newcomers.iter().map(|pod| drain::name(pod)).collect();
        if let Some(goes) = self.leaving(attempt, &left, clock, news) {
            return goes;
        }
        match self.volumes(policy, pods, node) {
            Volumes::Free => clock.end(),
            Volumes::Find(_) | Volumes::Used(..) if clock.rung == Some(How::Kill) => clock.end(),
            Volumes::Used(reason, _) if clock.over => Drain::Stuck(reason, vec![]),
            Volumes::Used(reason, again) => {
                let wake = again.map_or(clock.next, |again| again.min(clock.next));
                Drain::waits(Some(reason), wake)
            }
            Volumes::Find(claims) => Drain::Goes {
                reason: None,
                act: Act::FindVolumes(claims),
                wake: None,
                pods: false,
            },
        }
    }

    /// Whether pods are being killed. Each remaining pod is killed once, however long the API server takes to answer.
    fn killing(&self, ladder: Ladder) -> Option<How> {
        let mut tries = self.seen.evictions.iter();
        (ladder.force && tries.any(|tried| tried.how == How::Kill)).then_some(How::Kill)
    }

    /// What to do about the remaining pods; `None` if the drain waits for none.
    fn leaving(
        &self,
        attempt: &Attempt,
        left: &Left<'_>,
        clock: Clock,
        news: &mut DrainNews,
    ) -> Option<Drain> {
        if left.is_empty() {
            return None;
        }
        let grace = match clock.rung {
            Some(How::Kill) => Some(0),
            Some(How::Evict | How::Delete) | None => attempt.grant.drain.grace_period_seconds,
        };
        let how = clock.rung.unwrap_or(How::Evict);
        let (tries, every) = (&self.seen.evictions, self.settings.evict_every);
        let round = drain::round(left, tries, (how, grace), every, self.tick);
        news.blocked.clone_from(&round.blocked);
        let killed = clock.rung == Some(How::Kill) && drain::all_tried(left, tries, How::Kill);
        if killed && left.kept.is_empty() {
            // Gone or not.
            return None;
        }
        if clock.rung.is_none() || killed {
            return Some(late(&round, left));
        }
        let (reason, tell) = match self.foreseen(attempt, left) {
            Some(foreseen) => (Some(foreseen), None),
            None => self.progress(attempt, &round, how),
        };
        let again = round.wake.map(|at| at.since(self.tick));
        let wakes = [Some(clock.next), again, tell];
        let act = match round.remove.is_empty() {
            true => Act::Wait,
            false => Act::Evict(Removal {
                how,
                grace,
                pods: round.remove,
            }),
        };
        Some(Drain::Goes {
            reason,
            act,
            wake: wakes.into_iter().flatten().min(),
            pods: true,
        })
    }

    /// The reason to report for a running drain, and when to report again. A change in the set of blocking pods is reported at once,
    /// anything else at most every [`REPORT_EVERY`].
    fn progress(
        &self,
        attempt: &Attempt,
        round: &Round,
        how: How,
    ) -> (Option<Reason>, Option<SignedDuration>) {
        let blocked: Vec<_> = round.blocked.iter().map(|one| &one.pod).collect();
        let fresh = Reason::new(Code::Draining, drain::reported(round, how));
        let reported = self.seen.reported.as_ref().filter(|reported| {
            let reason = reported.reason.as_ref();
            reason.is_some_and(|reason| reason.code == Code::Draining)
        });
        if let Some(reported) =
            reported.filter(|reported| reported.blocked.iter().eq(blocked.iter().copied()))
        {
            let left = reported.at.later(REPORT_EVERY).since(self.tick);
            return match left.is_positive() && reported.reason.as_ref() != Some(&fresh) {
                true => (reported.reason.clone(), Some(left)),
                false => (Some(fresh), None),
            };
        }
        // A drain without obstacles is not reported at first.
        let quiet = attempt.grant.progress.accepted.later(REPORT_EVERY);
        match reported.is_none() && blocked.is_empty() && self.now < quiet {
            true => (None, Some(self.until(quiet))),
            false => (Some(fresh), None),
        }
    }

    /// Volumes in use on the Node, less those of pods that stay: these belong to pods that have left.
    fn volumes(&self, policy: &DrainPolicy, pods: &[RawPod], node: &NodeView) -> Volumes {
        if !policy.wait_for_volumes || node.volumes_in_use.is_empty() {
            return Volumes::Free;
        }
        let claims = drain::claims_that_stay(pods, policy, cordoned(node));
        let found = self.seen.volumes.as_ref();
        let none = BTreeSet::new();
        let staying = match found.filter(|found| found.claims == claims) {
            _ if claims.is_empty() => &none,
            None => return Volumes::Find(claims),
            Some(found) => match &found.volumes {
                Ok(volumes) => volumes,
                Err(why) => {
                    let again = found.at.later(self.settings.evict_every).since(self.tick);
                    if again.is_zero() {
                        return Volumes::Find(claims);
                    }
                    let text = format!("the volumes of the pods that stay are not known: {why}");
                    return Volumes::Used(Reason::new(Code::VolumesInUse, text), Some(again));
                }
            },
        };
        let used: Vec<String> = node.volumes_in_use.difference(staying).cloned().collect();
        match used.is_empty() {
            true => Volumes::Free,
            false => Volumes::Used(Reason::new(Code::VolumesInUse, drain::few(&used)), None),
        }
    }
}

impl Clock {
    /// The result when nothing has to leave any more.
    fn end(self) -> Drain {
        match self.over {
            true => Drain::late("the time-out passed"),
            false => Drain::Clear,
        }
    }
}

/// The result after the time-out: names the blocked pods or, if there are none, those that are still ending.
fn late(round: &Round, left: &Left<'_>) -> Drain {
    let (count, what) = match round.blocked.is_empty() {
        true => (round.going.len(), drain::few(&round.going)),
        false => (round.blocked.len(), drain::few(&round.blocked)),
    };
    let text = format!("{count} pods did not leave in time: {what}");
    let kept = left.kept.iter().map(|(pod, _)| *pod);
    let pods = left.leaving.iter().copied().chain(kept);
    Drain::Stuck(
        Reason::new(Code::DrainBlocked, text),
        pods.map(drain::name).collect(),
    )
}
