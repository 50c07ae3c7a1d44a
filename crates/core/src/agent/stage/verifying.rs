//! The host booted after a grant was accepted: what runs now decides what came of it.

use super::Show;
use crate::agent::ending::Ending;
use crate::agent::facts::{Facts, SECOND};
use crate::agent::state::{Attempt, State};
use crate::host::{Deployment, Host};
use crate::ids::ReleaseId;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::survey::Survey;
use crate::time::Time;
use crate::values::{Failure, Phase};

/// How often an update may fail to be written to the disk before it counts as failed.
const LOSSES: u32 = 3;
/// What follows, with what is remembered from now on.
pub(crate) enum Next {
    /// The node is watched, and has been healthy since then.
    Stay {
        state: State,
        good: Option<Time>,
        show: Show,
    },
    /// The attempt is over.
    End { state: State, ending: Ending },
}

/// What came of the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It runs what was granted.
    Done,
    /// The granted release is bad.
    Bad(Code),
    /// Something else came between.
    Missed(Code),
}

/// The step of an attempt after the boot, on a node that has been healthy since `good`.
pub(crate) fn next(facts: &Facts<'_>, attempt: &Attempt, good: Option<Time>) -> Next {
    let mut state = facts.state.clone();
    if facts.forgone(attempt) {
        let text = "the host was rebooted by somebody else, and the grant was taken back";
        let ending = Ending::GivenUp(Reason::new(Code::GrantRevoked, text));
        return Next::End { state, ending };
    }
    let Some(node) = facts.node() else {
        let silent = facts.seen.host.is_err().then(|| facts.unavailable());
        let show = Show::new(Phase::Verifying, silent);
        return Next::Stay { state, good, show };
    };
    let Ok(host) = &facts.seen.host else {
        return waits_for_health(facts, attempt, (state, node), facts.unavailable());
    };
    let verdict = facts.judged(attempt, host);
    // Reported at once, so that no other node boots it while this one is getting well.
    if let Verdict::Bad(code) = verdict {
        state.condemn(attempt, code, facts.now);
    }
    let members = attempt.baseline.members.as_ref();
    if let Some(reason) = facts.unhealthy(node, &attempt.grant.pods, members) {
        return waits_for_health(facts, attempt, (state, node), reason);
    }
    if let Some((good, until)) = facts.watched(good) {
        let show = Show::new(Phase::Verifying, Some(Code::Settling.into()));
        return Next::Stay {
            state,
            good: Some(good),
            show: show.for_at_most(facts.until(until)),
        };
    }
    concludes(facts, attempt, (host, verdict), state)
}

/// The node is healthy, and the verdict stands.
fn concludes(
    facts: &Facts<'_>,
    attempt: &Attempt,
    (host, verdict): (&Host, Verdict),
    mut state: State,
) -> Next {
    if let Verdict::Missed(code @ (Code::FinalizationFailed | Code::UpdateLost)) =
        facts.found(attempt, host)
    {
        state.lost = Some(facts.losses(attempt, code));
    }
    let wanted = attempt.identity();
    let why = |code| {
        let facts = facts.with(&state);
        facts.missed(code, &wanted, &host.booted.identity)
    };
    let ending = match verdict {
        Verdict::Done => {
            (state.lost, state.spoiled, state.stuck) = (None, None, None);
            state.recovered(&wanted);
            Ending::Done
        }
        Verdict::Missed(code) => Ending::GivenUp(why(code)),
        Verdict::Bad(code) => Ending::Failed(why(code)),
    };
    Next::End { state, ending }
}

/// Waits for the node to become healthy, and after the deadline keeps the slot and the version from spreading.
fn waits_for_health(
    facts: &Facts<'_>,
    attempt: &Attempt,
    (mut state, node): (State, &NodeView),
    reason: Reason,
) -> Next {
    // The Node remembers since when, across restarts of the agent.
    let reported = node.agent.status.value();
    let unhealthy = node.agent.reason.value();
    let unhealthy = unhealthy.is_some_and(|reason| reason.code == Code::Unhealthy);
    let failed = unhealthy && reported.is_some_and(|status| status.phase == Phase::Failed);
    let since = reported.filter(|status| status.phase == Phase::Verifying);
    let limit = since.map(|status| facts.deadline(status.since));
    if !failed && limit.is_none_or(|limit| facts.now <= limit) {
        let wake = limit.unwrap_or_else(|| facts.now.later(facts.settings.health.deadline));
        let show = Show::new(Phase::Verifying, Some(reason));
        return Next::Stay {
            state,
            good: None,
            show: show.for_at_most(facts.until(wake.later(SECOND))),
        };
    }
    let host = facts.host();
    if host.is_some_and(|host| attempt.is_granted(&host.booted)) {
        state.condemn(attempt, Code::Unhealthy, facts.now);
    }
    if facts.with(&state).way_back().is_some() {
        let ending = Ending::TurnsBack;
        return Next::End { state, ending };
    }
    let reason = Reason::new(Code::Unhealthy, reason.to_string());
    Next::Stay {
        state,
        good: None,
        show: Show::new(Phase::Failed, Some(reason)),
    }
}

impl State {
    /// What was granted is bad: no node tries it again by itself.
    fn condemn(&mut self, attempt: &Attempt, code: Code, now: Time) {
        let identity = attempt.identity();
        if attempt.keeps_identity() {
            let between = attempt.baseline.between.as_ref();
            self.spoiled = between.map(|[_, wanted]| wanted.id.clone());
            return;
        }
        let known = self.failed.find(&identity);
        if known.is_none_or(|known| known.code != code) {
            self.failed.add(Failure {
                identity,
                code: code.older().into(),
                at: now,
            });
        }
    }
}

impl Facts<'_> {
    /// Why the host runs `found` and not `wanted`. What can be long or unheard of comes first, for the end is what is cut off; both
    /// releases are on the Node anyway.
    fn missed(&self, code: Code, wanted: &ReleaseId, found: &ReleaseId) -> Reason {
        let text = match self.unwritten(code, wanted) {
            Some(how) => format!("{how} (granted {wanted}, booted {found})"),
            None => format!("granted {wanted}, booted {found}: {}", code.means()),
        };
        Reason::new(code, text)
    }

    /// The acceptance may never have reached the Node, and the grant is gone: the slot may be somebody else's by now. Not so once the
    /// reboot was asked for, because that was done only with the slot.
    fn forgone(&self, attempt: &Attempt) -> bool {
        let id = Some(attempt.grant.progress.id);
        let shows = |node: &NodeView| {
            let granted = node.operator.grant.value().map(|grant| grant.id);
            let accepted = node.agent.progress.value().map(|progress| progress.id);
            granted == id || accepted == id
        };
        attempt.stage.request().is_none() && self.node().is_some_and(|node| !shows(node))
    }

    /// What came of the boot; an update that could not be written too often is bad.
    fn judged(&self, attempt: &Attempt, host: &Host) -> Verdict {
        match self.found(attempt, host) {
            Verdict::Missed(code @ Code::FinalizationFailed)
                if self.losses(attempt, code).times >= LOSSES =>
            {
                Verdict::Bad(code)
            }
            verdict => verdict,
        }
    }

    /// What came of the boot. That an update is gone speaks against it only where ostree says that it could not write it: a power cut
    /// can happen to any.
    fn found(&self, attempt: &Attempt, host: &Host) -> Verdict {
        let survey = self.seen.survey.as_ref();
        let failed = survey.is_ok_and(Survey::finalization_failed);
        match classify(attempt, host) {
            Verdict::Missed(Code::UpdateLost) if failed => {
                Verdict::Missed(Code::FinalizationFailed)
            }
            verdict => verdict,
        }
    }
}

/// Compares what runs with what was granted; nothing else proves anything.
fn classify(attempt: &Attempt, host: &Host) -> Verdict {
    if attempt.is_granted(&host.booted) {
        return Verdict::Done;
    }
    if attempt.is_foreign(&host.booted) {
        return Verdict::Missed(Code::ForeignDeployment);
    }
    let next = host.pending.as_ref().filter(|next| !next.staged);
    if next.is_some_and(|next| attempt.is_granted(next)) {
        return Verdict::Bad(Code::BootedFallback);
    }
    let requested = attempt.stage.request().is_some();
    // One that was there before proves nothing, unless it is that very deployment.
    let wanted = attempt
        .baseline
        .between
        .as_ref()
        .map(|[_, wanted]| &wanted.id);
    let wanted = wanted.filter(|_| !attempt.baseline.back);
    let telling = |other: &Deployment| {
        !attempt.baseline.twin || attempt.keeps_identity() || wanted == Some(&other.id)
    };
    let mut others = host.others.iter();
    if requested && others.any(|other| attempt.is_granted(other) && telling(other)) {
        return Verdict::Bad(Code::RolledBack);
    }
    Verdict::Missed(if requested {
        Code::UpdateLost
    } else {
        Code::ForeignReboot
    })
}
