//! The drain as the grant says: before it whether it would get through, then its ladder, volumes and delay; and pods after the boot.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::state::Attempt;
use super::{Act, Work};
use crate::drain::{self, Claim, How, Preflight, RawPod, Removal, Round, later};
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::values::{DrainPolicy, Grant, OnTimeout, PodChecks};

/// Deadlines are over once the second that they name is.
pub(super) const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// How often what is told of a drain may change while the same pods block it, and how long nothing is told of one that goes well.
const TOLD_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// When each rung of a drain's ladder ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ladder {
    /// Evictions.
    evict: Timestamp,
    /// Deletions; where there are none, evictions.
    delete: Timestamp,
    /// Everything between acceptance and the reboot.
    pub all: Timestamp,
    force: bool,
}

impl Ladder {
    fn rung(&self, now: Timestamp) -> Option<How> {
        match () {
            () if now <= self.evict => Some(How::Evict),
            () if now <= self.delete => Some(How::Delete),
            () if self.force && now <= self.all => Some(How::Kill),
            () => None,
        }
    }

    /// The next end of a rung.
    fn next(&self, now: Timestamp) -> Timestamp {
        let ends = [self.evict, self.delete, self.all];
        let next = ends.into_iter().find(|end| now <= *end);
        later(next.unwrap_or(self.all), SECOND)
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
        wake: Option<Timestamp>,
    },
    /// Its time is over.
    Blocked(Reason),
}

/// Whether a drain may begin.
pub(super) enum Begin {
    Now,
    /// After this.
    After(Act),
    /// Not known yet; the reason if that lasts.
    Unknown(Option<Reason>),
    No(Reason),
}

/// Volumes of the pods that left.
enum Volumes {
    Free,
    /// Which volumes those of these claims are is to be found out first.
    Find(BTreeSet<Claim>),
    Used(Reason),
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

    /// Whether the drain that `grant` wants would get through, as far as the API server can tell before it begins.
    pub(super) fn may_begin(&self, grant: &Grant) -> Begin {
        let pods = match &self.seen.pods {
            Ok(pods) => pods,
            Err(why) => return Begin::Unknown(unknown(Code::PreflightBlocked, why)),
        };
        if let Some(pod) = drain::blocking(pods, &grant.pods.blocking) {
            let text = format!("{} runs on the node", drain::name(pod));
            return Begin::No(Reason::new(Code::BlockingPod, text));
        }
        let answers = self.seen.preflight.as_ref();
        let answers = answers
            .filter(|seen| seen.grant == grant.id)
            .map_or(&[][..], |seen| &seen.answers);
        let left = drain::left(pods, &grant.drain);
        // What is refused is deleted in the end, so only what no deletion is for is in the way.
        let looked = match grant.drain.on_timeout {
            OnTimeout::Abort => drain::preflight(&left, answers, self.now),
            OnTimeout::Delete | OnTimeout::Force => Preflight::Asked(drain::kept(&left)),
        };
        match looked {
            Preflight::Ask(pods) => Begin::After(Act::Preflight {
                grant: grant.id,
                pods,
            }),
            Preflight::Asked(lines) if lines.is_empty() => Begin::Now,
            Preflight::Asked(lines) => {
                Begin::No(Reason::new(Code::PreflightBlocked, drain::few(&lines)))
            }
        }
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
        let rung = ladder.rung(self.now);
        // Only waited for, and in time.
        let ended = attempt.drained.filter(|ended| *ended <= self.now);
        let over = rung.is_none() && (ended.is_none() || self.now > ladder.all);
        let wait = |reason| Drain::Goes {
            reason,
            act: Act::Wait,
            wake: Some(ladder.next(self.now)),
        };
        if !node.unschedulable && !over {
            return wait(None);
        }
        let pods = match &self.seen.pods {
            Ok(pods) => pods,
            Err(_) if over => {
                let text = "the time-out passed before the pods were known";
                return Drain::Blocked(Reason::new(Code::DrainBlocked, text));
            }
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
            Volumes::Find(_) | Volumes::Used(_) if rung == Some(How::Kill) => {}
            Volumes::Used(reason) if over => return Drain::Blocked(reason),
            Volumes::Used(reason) => return wait(Some(reason)),
            Volumes::Find(claims) => {
                return Drain::Goes {
                    reason: None,
                    act: Act::FindVolumes(claims),
                    wake: None,
                };
            }
        }
        if over {
            let text = "the time-out passed";
            return Drain::Blocked(Reason::new(Code::DrainBlocked, text));
        }
        self.delayed(attempt, ended)
    }

    /// What is done about the pods that are left; `None` if the drain does not wait for any.
    fn leaving(
        &self,
        attempt: &Attempt,
        node: &NodeView,
        pods: &[RawPod],
        (ladder, rung): (Ladder, Option<How>),
    ) -> Option<Drain> {
        let left = drain::left(pods, &attempt.drain);
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
        let round = drain::round(&left, tries, (how, grace), every, self.now);
        let tried = rung == Some(How::Kill) && round.remove.is_empty();
        if tried && left.kept.is_empty() {
            // Gone or not.
            return None;
        }
        if rung.is_none() || tried {
            return Some(Drain::Blocked(late(&round)));
        }
        let (reason, tell) = self.progress(attempt, node, &round, how);
        let wakes = [Some(ladder.next(self.now)), round.wake, tell];
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
        node: &NodeView,
        round: &Round,
        how: How,
    ) -> (Option<Reason>, Option<Timestamp>) {
        let accepted = attempt.progress.accepted;
        let written = self.seen.told.filter(|told| *told <= self.now);
        let next = later(
            written.map_or(accepted, |told| told.max(accepted)),
            TOLD_EVERY,
        );
        let fresh = Reason::new(Code::Draining, drain::told(round, how));
        let old = node.agent.reason.value();
        let old = old.filter(|old| old.code == Code::Draining && self.now < next);
        let blocked = |reason: &Reason| drain::blocked_part(&reason.message).map(str::to_owned);
        let same = old.is_some_and(|old| blocked(old) == blocked(&fresh));
        match old {
            Some(old) if same => (Some(old.clone()), Some(next)),
            None if self.now < next && round.blocked.is_empty() => (None, Some(next)),
            _ => (Some(fresh), Some(later(self.now, TOLD_EVERY))),
        }
    }

    /// What of the Node's volumes in use is of pods that left: everything that no pod which stays has.
    fn volumes(&self, policy: &DrainPolicy, pods: &[RawPod], node: &NodeView) -> Volumes {
        if !policy.wait_for_volumes || node.volumes_in_use.is_empty() {
            return Volumes::Free;
        }
        let claims = drain::claims_that_stay(pods, policy);
        let found = self.seen.volumes.as_ref();
        let none = BTreeSet::new();
        let staying = match found.filter(|found| found.claims == claims) {
            _ if claims.is_empty() => &none,
            None => return Volumes::Find(claims),
            Some(found) => match &found.volumes {
                Ok(volumes) => volumes,
                // A clock that went back ends the pause.
                Err(_)
                    if self.now < found.at
                        || self.now >= later(found.at, self.settings.evict_every) =>
                {
                    return Volumes::Find(claims);
                }
                Err(why) => {
                    let text =
                        format!("which volumes are those of pods that stay is not known: {why}");
                    return Volumes::Used(Reason::new(Code::VolumesInUse, text));
                }
            },
        };
        let used: Vec<String> = node.volumes_in_use.difference(staying).cloned().collect();
        match used.is_empty() {
            true => Volumes::Free,
            false => Volumes::Used(Reason::new(Code::VolumesInUse, drain::few(&used))),
        }
    }

    /// The time that the pool wants between the drain and the reboot.
    fn delayed(&mut self, attempt: &Attempt, ended: Option<Timestamp>) -> Drain {
        let delay = attempt.drain.delay();
        if delay.is_zero() {
            return Drain::Done;
        }
        let ended = ended.unwrap_or(self.now);
        if let Some(attempt) = &mut self.state.attempt {
            attempt.drained = Some(ended);
        }
        let until = later(ended, delay);
        if self.now >= until {
            return Drain::Done;
        }
        let text = format!("the reboot comes at {until}");
        Drain::Goes {
            reason: Some(Reason::new(Code::DrainDelay, text)),
            act: Act::Wait,
            wake: Some(until),
        }
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

/// What did not leave in time: what is blocked, or if nothing is, what is still going.
fn late(round: &Round) -> Reason {
    let what = match round.blocked.is_empty() {
        true => &round.going,
        false => &round.blocked,
    };
    let text = format!(
        "{} pods did not leave in time: {}",
        what.len(),
        drain::few(what)
    );
    Reason::new(Code::DrainBlocked, text)
}
