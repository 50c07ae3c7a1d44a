//! The drain as the grant says: before it whether it would get through, then its ladder, volumes and delay; and pods after the boot.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::state::Attempt;
use super::{Act, Work};
use crate::control_plane;
use crate::drain::{
    self, Answer, Blocked, Claim, EvictionTry, How, Left, Outlook, RawPod, Removal, Round,
};
use crate::identity::GrantId;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{DrainMode, DrainPolicy, Grant, Names, OnTimeout, PodChecks, PreflightMode};

/// Deadlines are over once the second that they name is.
pub(super) const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// How often what is told of a drain may change while the same pods block it, and how long nothing is told of one that goes well, nor of
/// questions that take their time.
const TOLD_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// When each rung of a drain's ladder ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ladder {
    /// Evictions.
    evict: Time,
    /// Deletions; where there are none, evictions.
    delete: Time,
    /// Everything between acceptance and the reboot.
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

    /// The next end of a rung.
    fn next(&self, now: Time) -> Time {
        let ends = [self.evict, self.delete, self.all];
        let next = ends.into_iter().find(|end| now <= *end);
        next.unwrap_or(now).later(SECOND)
    }
}

/// How far a drain is.
pub(super) enum Drain {
    /// Nothing has to leave any more.
    Done,
    /// Under way.
    Goes {
        reason: Option<Reason>,
        act: Act,
        wake: Option<SignedDuration>,
    },
    /// Its time is over, and these pods did not leave.
    Blocked(Reason, Vec<String>),
}

/// Whether a drain may begin.
pub(super) enum Begin {
    Now,
    /// After this.
    After(Act),
    /// Not known yet; the reason if that lasts, and when to look again.
    Unknown(Option<Reason>, Option<SignedDuration>),
    No(Reason),
}

/// Volumes of the pods that left.
enum Volumes {
    Free,
    /// Which volumes those of these claims are is to be found out first.
    Find(BTreeSet<Claim>),
    /// And when to find out again, if that failed.
    Used(Reason, Option<SignedDuration>),
}

impl Work<'_> {
    /// When each rung of the attempt's ladder ends.
    pub(super) fn ladder(&self, attempt: &Attempt) -> Ladder {
        let (accepted, policy) = (attempt.progress.accepted, &attempt.drain);
        let end = |span| self.limit(accepted, attempt.uptime, span);
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

    /// Whether the drain that `grant` wants may begin: what the policy itself leaves alone forbids it, and what the API server says beforehand
    /// only where the policy demands that.
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
            // What is refused is deleted in the end.
            PreflightMode::Require if grant.drain.on_timeout != OnTimeout::Abort => Begin::Now,
            // The rest of the questions is answered by the evictions themselves.
            PreflightMode::Inform if self.now >= self.half(grant) => Begin::Now,
            mode => self.asked(grant, &left, mode),
        }
    }

    /// When half of the time to accept the grant is over.
    fn half(&self, grant: &Grant) -> Time {
        let whole = grant.deadline.since(grant.issued);
        grant.issued.later(whole / 2)
    }

    /// What the API server says of the evictions beforehand.
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

    /// The answers take their time.
    fn slow(&self, grant: &Grant, open: &[String], mode: PreflightMode) -> Begin {
        let answers = self.answers(grant.id).iter();
        let first = answers.map(|answer| answer.at).min();
        let patience = first.map(|first| first.later(TOLD_EVERY).since(self.tick));
        let text = || format!("no answer yet about {}", drain::few(open));
        let goes_on = match mode {
            PreflightMode::Inform => Some(self.until(self.half(grant))),
            PreflightMode::Require => None,
        };
        let patience = patience.filter(|left| left.is_positive());
        let wake = patience.into_iter().chain(goes_on).min();
        let told = patience.is_none();
        Begin::Unknown(told.then(|| Reason::new(Code::Preflight, text())), wake)
    }

    /// What the API server said beforehand of pods that were not asked to leave yet.
    fn foreseen(&self, attempt: &Attempt, left: &Left<'_>) -> Option<Reason> {
        let refused = drain::refused(left, self.answers(attempt.progress.id));
        let mut answers = self.seen.evictions.iter().map(|tried| &tried.answer);
        let tried = answers.any(|answer| *answer != Answer::Open);
        (!tried && !refused.is_empty()).then(|| in_the_way(&refused))
    }

    /// Notes that somebody else has cordoned the node.
    pub(super) fn note_cordon(&mut self, node: &NodeView) {
        let foreign = node.unschedulable && node.agent.owned.is_absent();
        if let Some(attempt) = self.state.attempt.as_mut().filter(|_| foreign) {
            attempt.foreign = true;
        }
    }

    /// How far the drain is.
    pub(super) fn drained(&mut self, attempt: &Attempt, node: &NodeView) -> Drain {
        let ladder = self.ladder(attempt);
        let rung = ladder.rung(self.now).or_else(|| self.killing(ladder));
        // Only waited for, and in time.
        let ended = attempt.drained.filter(|ended| *ended <= self.now);
        let over = rung.is_none() && (ended.is_none() || self.now > ladder.all);
        let (next, late) = (self.until(ladder.next(self.now)), |text| {
            Drain::Blocked(Reason::new(Code::DrainBlocked, text), vec![])
        });
        let wait = |reason| Drain::Goes {
            reason,
            act: Act::Wait,
            wake: Some(next),
        };
        if !node.unschedulable && !over {
            let pods = self.seen.pods.as_deref().unwrap_or_default();
            let left = drain::left(pods, &attempt.drain, None);
            return wait(self.foreseen(attempt, &left));
        }
        if attempt.drain.mode == DrainMode::None {
            return match over {
                true => late("the time-out passed"),
                false => self.delayed(attempt, ended),
            };
        }
        let pods = match &self.seen.pods {
            Ok(pods) => pods,
            Err(_) if over => return late("the time-out passed before the pods were known"),
            Err(why) => return wait(unknown(Code::Draining, why)),
        };
        if let Some(goes) = self.leaving(attempt, node, pods, (ladder, rung)) {
            if let Some(attempt) = &mut self.state.attempt {
                attempt.drained = None;
            }
            return goes;
        }
        match self.volumes(&attempt.drain, pods, node) {
            Volumes::Free => {}
            Volumes::Find(_) | Volumes::Used(..) if rung == Some(How::Kill) => {}
            Volumes::Used(reason, _) if over => return Drain::Blocked(reason, vec![]),
            Volumes::Used(reason, again) => {
                let wake = again.into_iter().chain([next]).min();
                let act = Act::Wait;
                let reason = Some(reason);
                return Drain::Goes { reason, act, wake };
            }
            Volumes::Find(claims) => {
                return Drain::Goes {
                    reason: None,
                    act: Act::FindVolumes(claims),
                    wake: None,
                };
            }
        }
        match over {
            true => late("the time-out passed"),
            false => self.delayed(attempt, ended),
        }
    }

    /// Each pod that is left is killed once, however long the API server takes to answer.
    fn killing(&self, ladder: Ladder) -> Option<How> {
        let mut tries = self.seen.evictions.iter();
        (ladder.force && tries.any(|tried| tried.how == How::Kill)).then_some(How::Kill)
    }

    /// What is done about the pods that are left; `None` if the drain does not wait for any.
    fn leaving(
        &mut self,
        attempt: &Attempt,
        node: &NodeView,
        pods: &[RawPod],
        (ladder, rung): (Ladder, Option<How>),
    ) -> Option<Drain> {
        let left = drain::left(pods, &attempt.drain, cordoned(node));
        self.drain.newcomers = left.newcomers.iter().map(|pod| drain::name(pod)).collect();
        if left.is_empty() {
            return None;
        }
        let every = self.settings.evict_every;
        let grace = match rung {
            Some(How::Kill) => Some(0),
            _ => attempt.drain.grace_period_seconds,
        };
        let how = rung.unwrap_or(How::Evict);
        let tries = &self.seen.evictions;
        let round = drain::round(&left, tries, (how, grace), every, self.tick);
        self.drain.blocked.clone_from(&round.blocked);
        let killed = rung == Some(How::Kill) && drain::all_tried(&left, tries, How::Kill);
        if killed && left.kept.is_empty() {
            // Gone or not.
            return None;
        }
        if rung.is_none() || killed {
            return Some(late(&round, &left));
        }
        let (reason, tell) = match self.foreseen(attempt, &left) {
            Some(foreseen) => (Some(foreseen), None),
            None => self.progress(attempt, &round, how),
        };
        let again = round.wake.map(|at| at.since(self.tick));
        let wakes = [Some(self.until(ladder.next(self.now))), again, tell];
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
        })
    }

    /// What is told of a drain that goes on, and when to tell anew. It changes at once when other pods block it than before, and now and
    /// then for the rest.
    fn progress(
        &self,
        attempt: &Attempt,
        round: &Round,
        how: How,
    ) -> (Option<Reason>, Option<SignedDuration>) {
        let blocked: Vec<_> = round.blocked.iter().map(|one| &one.pod).collect();
        let fresh = Reason::new(Code::Draining, drain::told(round, how));
        let told = self.seen.told.as_ref().filter(|told| {
            let reason = told.reason.as_ref();
            reason.is_some_and(|reason| reason.code == Code::Draining)
        });
        if let Some(told) = told.filter(|told| told.blocked.iter().eq(blocked.iter().copied())) {
            let left = told.at.later(TOLD_EVERY).since(self.tick);
            return match left.is_positive() && told.reason.as_ref() != Some(&fresh) {
                true => (told.reason.clone(), Some(left)),
                false => (Some(fresh), None),
            };
        }
        // One that goes well needs no word at first.
        let quiet = attempt.progress.accepted.later(TOLD_EVERY);
        match told.is_none() && blocked.is_empty() && self.now < quiet {
            true => (None, Some(self.until(quiet))),
            false => (Some(fresh), None),
        }
    }

    /// What of the Node's volumes in use is of pods that left: everything that no pod which stays has.
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
                    let text =
                        format!("which volumes are those of pods that stay is not known: {why}");
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

    /// The time that the pool wants between the drain and the reboot.
    fn delayed(&mut self, attempt: &Attempt, ended: Option<Time>) -> Drain {
        let delay = attempt.drain.delay();
        if delay.is_zero() {
            return Drain::Done;
        }
        let ended = ended.unwrap_or(self.now);
        if let Some(attempt) = &mut self.state.attempt {
            attempt.drained = Some(ended);
        }
        let until = ended.later(delay);
        if self.now >= until {
            return Drain::Done;
        }
        let text = format!("the reboot comes at {until}");
        Drain::Goes {
            reason: Some(Reason::new(Code::DrainDelay, text)),
            act: Act::Wait,
            wake: Some(self.until(until)),
        }
    }

    /// What of the control plane ran on the node and was Ready when its grant was accepted, where that was known. What was away or broken
    /// by then is not counted against the update.
    pub(super) fn members(&self, node: &NodeView) -> Option<Names> {
        let pods = self.seen.pods.as_ref().ok()?;
        Some(control_plane::ready(pods, &node.name))
    }

    /// After the boot: which of the static pods of the control plane that this node had before are not back. Until they are, another node of
    /// the control plane must not go. Where it is not known what there was before, it is all that was ever seen.
    pub(super) fn control_plane(&self, node: &NodeView, before: Option<&Names>) -> Option<Reason> {
        let demanded = before.unwrap_or(&node.agent.control_plane_pods);
        let code = Code::ControlPlaneNotReady;
        let names = match &self.seen.pods {
            Ok(pods) => control_plane::not_ready(pods, &node.name, demanded),
            Err(_) if demanded.is_empty() => return None,
            Err(why) => {
                let not_yet = || Reason::new(code, "the pods are not known yet");
                return unknown(code, why).or_else(|| Some(not_yet()));
            }
        };
        (!names.is_empty()).then(|| Reason::new(code, drain::few(&names)))
    }

    /// After the boot: what is wrong with the pods of DaemonSets, if the grant wants to know.
    pub(super) fn daemons(&self, checks: &PodChecks) -> Option<Reason> {
        if !checks.daemon_sets_ready {
            return None;
        }
        let code = Code::DaemonSetsNotReady;
        let pods = match &self.seen.pods {
            Ok(pods) => pods,
            Err(why) => {
                return unknown(code, why)
                    .or_else(|| Some(Reason::new(code, "the pods are not known yet")));
            }
        };
        let unready = |pod: &&RawPod| pod.is_daemon() && !pod.ready && !pod.terminating;
        let mut names: Vec<_> = pods.iter().filter(unready).map(drain::name).collect();
        names.sort();
        (!names.is_empty()).then(|| Reason::new(code, drain::few(&names)))
    }
}

/// The pods could not be listed; nothing is told before the first answer.
fn unknown(code: Code, why: &str) -> Option<Reason> {
    (!why.is_empty()).then(|| {
        let text = format!("the pods on the node are not known: {why}");
        Reason::new(code, text)
    })
}

/// When the node was cordoned, by the API server's clock.
pub(super) fn cordoned(node: &NodeView) -> Option<Time> {
    node.cordon.as_ref().and_then(|cordon| cordon.at)
}

fn in_the_way(blocked: &[Blocked]) -> Reason {
    Reason::new(Code::PreflightBlocked, drain::few(blocked))
}

/// What did not leave in time: what is blocked, or if nothing is, what is still going.
fn late(round: &Round, left: &Left<'_>) -> Drain {
    let (count, what) = match round.blocked.is_empty() {
        true => (round.going.len(), drain::few(&round.going)),
        false => (round.blocked.len(), drain::few(&round.blocked)),
    };
    let text = format!("{count} pods did not leave in time: {what}");
    let kept = left.kept.iter().map(|(pod, _)| *pod);
    let pods = left.leaving.iter().copied().chain(kept);
    Drain::Blocked(
        Reason::new(Code::DrainBlocked, text),
        pods.map(drain::name).collect(),
    )
}
