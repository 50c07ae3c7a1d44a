//! Updates the state before a decision: from the Node if the state file was lost, and with the outcome of acts that were begun.

use super::facts::Facts;
use super::rollback::Recovery;
use super::state::{Accepted, Attempt, Baseline, Request, Stage, State};
use crate::node::NodeView;
use crate::reason::Code;
use crate::values::Phase;

impl Facts<'_> {
    /// The state, updated with everything that was observed.
    pub(super) fn remembered(&self) -> State {
        let mut state = self.state.clone();
        state.bound_backoff(&self.settings.retry, self.now);
        self.adopt(&mut state);
        self.tries_again(&mut state);
        if let Some(left) = self.with(&state).steps_back() {
            state.left = left;
        }
        state
    }

    /// The same, with what only concerns a node without an accepted grant.
    pub(super) fn remembered_at_rest(&self) -> State {
        let mut state = self.state.clone();
        self.claim(&mut state);
        let recovery = self.with(&state).recovery();
        self.note_recovery(&mut state, recovery);
        state
    }

    /// Rebuilds from the Node what a lost state file knew.
    pub(super) fn adopt(&self, state: &mut State) {
        let Some(node) = self.node() else { return };
        if !state.adopted {
            self.take_over(state, node);
        }
        answered_already(state, node);
        let Some(progress) = node.agent.progress.value() else {
            return;
        };
        let answered = state.result.as_ref();
        let answered = answered.is_some_and(|result| result.id == progress.id);
        if state.attempt.is_some() || answered {
            return;
        }
        let status = node.agent.status.value();
        let asked =
            status.filter(|status| matches!(status.phase, Phase::Rebooting | Phase::Verifying));
        let grant = node.operator.grant.value();
        let grant = grant.filter(|grant| grant.id == progress.id);
        // A reason that was reported since the reboot describes its outcome.
        let before = node.agent.booted.value();
        let before = before.filter(|booted| booted.boot == progress.boot);
        let progress = progress.clone();
        let accepted = match grant {
            Some(grant) => Accepted::new(grant, progress),
            None => Accepted::bare(progress),
        };
        let mut baseline = Baseline::lost(before.map(|booted| booted.identity));
        baseline.plain = baseline.from == Some(accepted.progress.identity) && rebooted_only(node);
        let mut attempt = Attempt::new(accepted, baseline);
        if let Some(status) = asked {
            let (at, up) = (status.since, None);
            attempt.stage = Stage::Rebooting {
                request: Request { at, up },
                drained: None,
            };
        }
        state.attempt = Some(attempt);
    }

    fn take_over(&self, state: &mut State, node: &NodeView) {
        let known = state.result.take();
        state.result = known.or_else(|| node.agent.result.value().cloned());
        let failed = node.agent.failed.value();
        for failure in failed.into_iter().flat_map(|failed| &failed.identities) {
            state.failed.add(failure.clone());
        }
        // It is not known any more whether the agent staged a locked deployment, but nobody else locks any.
        let pending = self.host().and_then(|host| host.pending.as_ref());
        let locked = pending.filter(|pending| self.locked(pending));
        let known = state.ours.take();
        state.ours = known.or_else(|| locked.map(|pending| pending.id.clone()));
        let reboots = node.agent.reboots.value();
        state.rebooted = state.rebooted.or_else(|| reboots?.done);
        state.adopted = true;
    }

    fn note_recovery(&self, state: &mut State, recovery: Recovery) {
        match recovery {
            Recovery::Sound => state.unhealthy = None,
            Recovery::Unknown | Recovery::TooLate(_) => {}
            Recovery::Unhealthy(_) => state.unhealthy.get_or_insert_default().good = None,
            Recovery::Settling { good, .. } => {
                state.unhealthy.get_or_insert_default().good = Some(good);
            }
            Recovery::Recovered(identity) => {
                state.unhealthy = None;
                state.recovered(&identity);
                // The soak of the release starts now.
                let result = state.result.as_mut();
                if let Some(result) = result.filter(|result| result.gave(Code::Unhealthy)) {
                    result.at = self.now;
                }
            }
        }
    }
}

/// Whether the reboot that is under way on the node is one without an update.
fn rebooted_only(node: &NodeView) -> bool {
    let reboots = node.agent.reboots.value();
    reboots.is_some_and(|reboots| reboots.wanted.is_some())
}

/// Ends an attempt whose answer is already on the Node, even if the disk still has it: on a full disk, giving up is not saved first.
fn answered_already(state: &mut State, node: &NodeView) {
    let answer = node.agent.result.value();
    let over = |attempt: &Attempt| {
        answer.filter(|answer| {
            answer.id == attempt.grant.progress.id && node.agent.progress.is_absent()
        })
    };
    if let Some(answer) = state.attempt.as_ref().and_then(over) {
        state.result = Some(answer.clone());
        state.attempt = None;
    }
}
