//! The stages of an attempt, and rest: each file is a function of the facts that says what comes next. None calls another.

pub(super) mod approach;
pub(super) mod delaying;
pub(super) mod draining;
pub(super) mod rebooting;
pub(super) mod rest;
pub(super) mod verifying;

use jiff::SignedDuration;

use super::decision::Act;
use crate::reason::Reason;
use crate::values::Phase;

/// What a node shows while it stays in its place, and what it does there.
#[derive(Debug)]
pub(super) struct Show {
    pub phase: Phase,
    /// Why it stays there.
    pub reason: Option<Reason>,
    /// What to do once the Node shows phase and reason.
    pub act: Act,
    /// How long to wait at most before the next decision.
    pub wake: Option<SignedDuration>,
}

impl Show {
    /// Shows `phase` and `reason`, and waits for a change.
    pub fn new(phase: Phase, reason: Option<Reason>) -> Self {
        Self {
            phase,
            reason,
            act: Act::Wait,
            wake: None,
        }
    }

    /// Waits for at most `wake` before the next decision.
    pub fn for_at_most(self, wake: SignedDuration) -> Self {
        Self {
            wake: Some(wake),
            ..self
        }
    }

    /// Carries out `act` once the Node shows the rest.
    pub fn and(self, act: Act) -> Self {
        Self { act, ..self }
    }
}
