//! The host booted after a grant was accepted: what runs now decides how the grant ends.

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
/// The result of a step in this stage, with the state to remember.
pub(crate) enum Next {
    /// The node is verified further; `good` is since when it has been healthy.
    Stay {
        state: State,
        good: Option<Time>,
        show: Show,
    },
    /// The attempt is over.
    End { state: State, ending: Ending },
}

/// The outcome of the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The host runs what was granted.
    Done,
    /// The granted release is bad.
    Bad(Code),
    /// The granted release was not booted, but is not to blame.
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
    // Reported at once, so that no other node boots the release while this one recovers.
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

/// Ends the attempt of a healthy node with this verdict.
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
            if !attempt.baseline.plain {
                (state.lost, state.spoiled) = (None, None);
            }
            state.stuck = None;
            state.recovered(&wanted);
            Ending::Done
        }
        Verdict::Missed(code) => Ending::GivenUp(why(code)),
        Verdict::Bad(code) => Ending::Failed(why(code)),
    };
    Next::End { state, ending }
}

/// Waits for the node to become healthy. After the deadline, keeps the slot and lists the release as failed, so that it does not spread.
fn waits_for_health(
    facts: &Facts<'_>,
    attempt: &Attempt,
    (mut state, node): (State, &NodeView),
    reason: Reason,
) -> Next {
    // The Node shows since when the node has been verified, also after a restart of the agent.
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
    /// Lists the granted release as failed, so that no node tries it again.
    fn condemn(&mut self, attempt: &Attempt, code: Code, now: Time) {
        let identity = attempt.identity();
        if attempt.baseline.plain {
            // The release ran before, so it is not to blame.
            return;
        }
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
    /// Why the host runs `found` instead of `wanted`. The cause comes first, because long texts are cut at the end; both releases are on
    /// the Node anyway.
    fn missed(&self, code: Code, wanted: &ReleaseId, found: &ReleaseId) -> Reason {
        let text = match self.unwritten(code, wanted) {
            Some(how) => format!("{how} (granted {wanted}, booted {found})"),
            None => format!("granted {wanted}, booted {found}: {}", code.means()),
        };
        Reason::new(code, text)
    }

    /// Whether the attempt has lost its slot: its acceptance may never have reached the Node, and the grant is gone, so the slot may be
    /// somebody else's. That can't be once the reboot was requested, which needs the slot.
    fn forgone(&self, attempt: &Attempt) -> bool {
        let id = Some(attempt.grant.progress.id);
        let shows = |node: &NodeView| {
            let granted = node.operator.grant.value().map(|grant| grant.id);
            let accepted = node.agent.progress.value().map(|progress| progress.id);
            granted == id || accepted == id
        };
        attempt.stage.request().is_none() && self.node().is_some_and(|node| !shows(node))
    }

    /// The outcome of the boot. An update that could not be written to the disk too often counts as bad.
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

    /// The outcome of this one boot. A lost update counts against the release only if ostree reported that it could not write it; a power
    /// cut can lose any.
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

/// Compares what runs with what was granted. Nothing else is evidence.
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
    // A deployment that existed before proves nothing, unless it is the granted one itself.
    let wanted = attempt
        .baseline
        .between
        .as_ref()
        .map(|[_, wanted]| &wanted.id);
    let wanted = wanted.filter(|_| !attempt.baseline.back);
    let telling = |other: &Deployment| {
        !attempt.baseline.was_there || attempt.keeps_identity() || wanted == Some(&other.id)
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
