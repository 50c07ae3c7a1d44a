//! The host booted after a grant was accepted: what runs now decides what came of it.

use super::state::{Attempt, Lost};
use super::{Act, Step, Work};
use crate::host::{Deployment, Host};
use crate::identity::Identity;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::survey::Survey;
use crate::values::{Failure, Outcome, Phase};

/// How often an update may fail to be written to the disk before it counts as failed.
const LOSSES: u32 = 3;
/// How often one may be gone after the boot without a word of why, before this node leaves it alone.
const UNEXPLAINED: u32 = 5;

/// What came of the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It runs what was granted.
    Done,
    /// The granted identity is bad.
    Bad(Code),
    /// Something else came between.
    Missed(Code),
}

impl Work<'_> {
    /// The step with an accepted grant, after the boot.
    pub(super) fn verify(mut self, attempt: Attempt) -> Step {
        if self.forgone(&attempt) {
            let text = "the host was rebooted by somebody else, and the grant was taken back";
            return self.abort(Reason::new(Code::GrantRevoked, text));
        }
        let Some(node) = self.node() else {
            let silent = self.seen.host.is_err().then(|| self.unavailable());
            return self.publish(Phase::Verifying, silent);
        };
        let Ok(host) = &self.seen.host else {
            let reason = self.unavailable();
            return self.sickens(&attempt, node, reason);
        };
        let verdict = self.judged(&attempt, host);
        // Told at once, so that no other node boots it while this one is getting well.
        if let Verdict::Bad(code) = verdict {
            self.condemn(&attempt, code);
        }
        if let Some(reason) = self.sick(node, &attempt.pods, attempt.members.as_ref()) {
            return self.sickens(&attempt, node, reason);
        }
        if let Some(until) = self.settling() {
            let (reason, wake) = (Code::Settling.into(), self.until(until));
            return self.publish_or(Phase::Verifying, Some(reason), Act::Wait, Some(wake));
        }
        if let Verdict::Missed(code @ (Code::FinalizationFailed | Code::UpdateLost)) =
            self.found(&attempt, host)
        {
            self.state.lost = Some(self.losses(&attempt, code));
        }
        let wanted = attempt.progress.identity;
        let told = |work: &Self, code| Some(work.told(code, &wanted, &host.booted.identity));
        match verdict {
            Verdict::Done => {
                (self.state.lost, self.state.spoiled, self.state.stuck) = (None, None, None);
                self.recovered(&wanted);
                self.answer(Outcome::Done, None);
            }
            Verdict::Missed(code) => self.answer(Outcome::Aborted, told(&self, code)),
            Verdict::Bad(code) => {
                self.condemn(&attempt, code);
                self.answer(Outcome::Failed, told(&self, code));
            }
        }
        self.rest()
    }

    /// Why the host runs `found` and not `wanted`. What can be long or unheard of comes first, for the end is what is cut off; both
    /// identities are on the Node anyway.
    fn told(&self, code: Code, wanted: &Identity, found: &Identity) -> Reason {
        let text = match self.unwritten(code, wanted) {
            Some(how) => format!("{how} (granted {wanted}, booted {found})"),
            None => format!("granted {wanted}, booted {found}: {}", code.means()),
        };
        Reason::new(code, text)
    }

    /// How `identity` came to be lost at the last shutdown, in ostree's own words, if that is what `code` is about and they are known.
    pub(super) fn unwritten(&self, code: Code, identity: &Identity) -> Option<String> {
        let lost = self.state.lost.as_ref();
        let lost = lost.is_some_and(|lost| lost.identity == *identity);
        let said = self.seen.survey.as_ref().ok()?.finalize_error.as_ref()?;
        let how =
            || format!("ostree could not write the update to the disk at the shutdown: {said}");
        (code == Code::FinalizationFailed && lost).then(how)
    }

    /// The acceptance may never have reached the Node, and the grant is gone: the slot may be somebody else's by now. Not so once the
    /// reboot was asked for, because that was done only with the slot.
    fn forgone(&self, attempt: &Attempt) -> bool {
        let id = Some(attempt.progress.id);
        let shows = |node: &NodeView| {
            let granted = node.operator.grant.value().map(|grant| grant.id);
            let accepted = node.agent.progress.value().map(|progress| progress.id);
            granted == id || accepted == id
        };
        attempt.requested.is_none() && self.node().is_some_and(|node| !shows(node))
    }

    /// What was granted is bad: no node tries it again by itself.
    pub(super) fn condemn(&mut self, attempt: &Attempt, code: Code) {
        let identity = attempt.progress.identity;
        if attempt.keeps_identity() {
            let between = attempt.between.as_ref();
            self.state.spoiled = between.map(|[_, wanted]| wanted.id.clone());
            return;
        }
        let known = self.state.failed.find(&identity);
        if known.is_none_or(|known| known.code != code) {
            self.state.failed.add(Failure {
                identity,
                code: code.older().into(),
                at: self.now,
            });
        }
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

    /// How often the update was gone, with this time, which is because of `code`.
    fn losses(&self, attempt: &Attempt, code: Code) -> Lost {
        let identity = attempt.progress.identity;
        let before = self.state.lost.clone();
        let before = before.filter(|lost| lost.identity == identity);
        let mut lost = before.unwrap_or(Lost {
            identity,
            times: 0,
            unexplained: 0,
        });
        let times = match code {
            Code::FinalizationFailed => &mut lost.times,
            _ => &mut lost.unexplained,
        };
        *times = times.saturating_add(1);
        lost
    }

    /// `identity` was gone after each of so many boots that another drain is not worth it.
    pub(super) fn lost_too_often(&self, identity: &Identity) -> Option<Reason> {
        let lost = self.state.lost.as_ref();
        let lost =
            lost.filter(|lost| lost.identity == *identity && lost.unexplained >= UNEXPLAINED)?;
        let text = format!(
            "{identity} was gone after {} reboots, and nothing tells why; the journal of ostree-finalize-staged may, and `cuo-agent forget all` has it tried again",
            lost.unexplained
        );
        Some(Reason::new(Code::IdentityFailed, text))
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
    let requested = attempt.requested.is_some();
    // One that was there before proves nothing, unless it is that very deployment.
    let wanted = attempt.between.as_ref().map(|[_, wanted]| &wanted.id);
    let wanted = wanted.filter(|_| !attempt.back);
    let telling =
        |other: &Deployment| !attempt.twin || attempt.keeps_identity() || wanted == Some(&other.id);
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
