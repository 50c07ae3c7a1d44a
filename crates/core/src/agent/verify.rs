//! The host booted after a grant was accepted: what runs now decides what came of it.

use super::state::{Attempt, Lost};
use super::{Act, Step, Work};
use crate::host::Host;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::values::{Failure, Outcome, Phase};

/// How often an update may get lost between finalizing and booting before it counts as failed.
const LOSSES: u32 = 3;

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
        let host = match &self.seen.host {
            Ok(host) => host,
            Err(why) => {
                let reason = Reason::new(Code::RpmOstreeUnavailable, why);
                return self.publish(Phase::Verifying, Some(reason));
            }
        };
        let Some(node) = self.node() else {
            return self.publish(Phase::Verifying, None);
        };
        if let Some(reason) = self.sick(node) {
            return self.sickens(&attempt, host, node, reason);
        }
        if let Some(until) = self.settling() {
            let reason = Code::Settling.into();
            return self.publish_or(Phase::Verifying, Some(reason), Act::Wait, Some(until));
        }
        let verdict = match classify(&attempt, host) {
            Verdict::Missed(Code::UpdateLost) => self.lost(&attempt),
            verdict => verdict,
        };
        let wanted = attempt.progress.identity;
        let found = host.booted.identity;
        let told = |code: Code| {
            Reason::new(
                code,
                format!("granted {wanted}, booted {found}: {}", code.means()),
            )
        };
        match verdict {
            Verdict::Done => {
                self.state.lost = None;
                self.recovered(&wanted);
                self.answer(Outcome::Done, None);
            }
            Verdict::Missed(code) => self.answer(Outcome::Aborted, Some(told(code))),
            Verdict::Bad(code) => {
                self.state.failed.add(Failure {
                    identity: wanted,
                    code,
                    at: self.now,
                });
                self.answer(Outcome::Failed, Some(told(code)));
            }
        }
        self.rest()
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

    /// Counts a lost update; too often is bad.
    fn lost(&mut self, attempt: &Attempt) -> Verdict {
        let identity = attempt.progress.identity;
        let before = self
            .state
            .lost
            .take()
            .filter(|lost| lost.identity == identity);
        let times = before.map_or(0, |lost| lost.times).saturating_add(1);
        if times >= LOSSES {
            return Verdict::Bad(Code::UpdateLost);
        }
        self.state.lost = Some(Lost { identity, times });
        Verdict::Missed(Code::UpdateLost)
    }
}

/// Compares what runs with what was granted; nothing else proves anything.
fn classify(attempt: &Attempt, host: &Host) -> Verdict {
    let wanted = attempt.progress.identity;
    if host.booted.identity == wanted {
        return Verdict::Done;
    }
    if attempt
        .from
        .is_some_and(|from| from != host.booted.identity)
    {
        return Verdict::Missed(Code::ForeignDeployment);
    }
    let written = |staged: bool, identity| !staged && identity == wanted;
    if host
        .pending
        .as_ref()
        .is_some_and(|next| written(next.staged, next.identity))
    {
        return Verdict::Bad(Code::BootedFallback);
    }
    let requested = attempt.requested.is_some();
    if requested && !attempt.twin && host.others.iter().any(|other| other.identity == wanted) {
        return Verdict::Bad(Code::RolledBack);
    }
    Verdict::Missed(if requested {
        Code::UpdateLost
    } else {
        Code::ForeignReboot
    })
}
