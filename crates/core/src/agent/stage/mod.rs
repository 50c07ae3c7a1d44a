//! The stages of an attempt, and rest: each file is one function of the facts that says what is next. None calls another's.

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

/// What a node shows that stays where it is, and what is done there.
#[derive(Debug)]
pub(super) struct Show {
    pub phase: Phase,
    /// Why it stays.
    pub reason: Option<Reason>,
    /// What to do once the Node shows all that it is to show.
    pub act: Act,
    /// How soon to decide again at the latest.
    pub wake: Option<SignedDuration>,
}

impl Show {
    /// Waits for something to change.
    pub fn new(phase: Phase, reason: Option<Reason>) -> Self {
        Self {
            phase,
            reason,
            act: Act::Wait,
            wake: None,
        }
    }

    /// The same, but for no longer than this.
    pub fn for_at_most(self, wake: SignedDuration) -> Self {
        Self {
            wake: Some(wake),
            ..self
        }
    }

    /// Does this.
    pub fn and(self, act: Act) -> Self {
        Self { act, ..self }
    }
}
