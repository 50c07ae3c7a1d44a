//! How grants end: every answer is created here, and answering gives the slot back.

use super::decision::Answered;
use super::settings::Settings;
use super::state::{State, Unhealthy};
use crate::ids::GrantId;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Outcome, RebootResult};

/// How an attempt ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// The host runs what was granted, and is healthy.
    Done,
    /// The grant is given up before the update was booted, or was interrupted. The node asks again after a pause.
    GivenUp(Reason),
    /// The grant is given up because these pods did not leave. The pause is longer if the same pods blocked the previous drain.
    DrainStuck(Reason, Vec<String>),
    /// The granted release is bad.
    Failed(Reason),
    /// The host is unhealthy with the granted release. It asks for another grant to go back, without a pause.
    TurnsBack,
}

impl Ending {
    /// The Node whose grant was being acted on has been deleted.
    pub(super) fn deleted() -> Self {
        let text = "the Node was deleted while its grant was being acted on";
        Self::GivenUp(Reason::new(Code::GrantRevoked, text))
    }
}

impl State {
    /// Ends the attempt; `None` if there is none.
    pub(super) fn conclude(
        &mut self,
        ending: Ending,
        settings: &Settings,
        now: Time,
    ) -> Option<Answered> {
        let attempt = self.attempt.take()?;
        let (retry, grant) = (&settings.retry, &attempt.grant);
        if attempt.baseline.plain {
            self.rebooted = Some(grant.progress.id);
        }
        let (outcome, reason) = match ending {
            Ending::Done => {
                self.backoff = None;
                (Outcome::Done, None)
            }
            Ending::GivenUp(reason) => {
                self.back_off(reason.clone(), retry, now);
                (Outcome::Aborted, Some(reason))
            }
            Ending::DrainStuck(reason, pods) => {
                let remedy = grant.drain.on_timeout.way_out();
                let stuck = (reason, pods.into_iter().collect());
                let reason = self.back_off_drain(stuck, remedy, retry, now);
                (Outcome::Aborted, Some(reason))
            }
            Ending::Failed(reason) => {
                self.back_off(reason.clone(), retry, now);
                (Outcome::Failed, Some(reason))
            }
            Ending::TurnsBack => {
                self.unhealthy = Some(Unhealthy {
                    pods: grant.pods.clone(),
                    good: None,
                });
                self.backoff = None;
                (Outcome::Failed, Some(Code::Unhealthy.into()))
            }
        };
        let mut answered = self.answer(grant.progress.id, outcome, reason, now);
        answered.identity = Some(grant.progress.identity);
        Some(answered)
    }

    /// Refuses a grant that was not accepted.
    pub(super) fn refuse(&mut self, id: GrantId, reason: Reason, now: Time) -> Answered {
        self.answer(id, Outcome::Refused, Some(reason), now)
    }

    fn answer(
        &mut self,
        id: GrantId,
        outcome: Outcome,
        reason: Option<Reason>,
        now: Time,
    ) -> Answered {
        let result = RebootResult {
            id,
            outcome,
            code: reason.as_ref().map(|reason| reason.code.older().into()),
            at: now,
        };
        self.result = Some(result.clone());
        Answered {
            result,
            identity: None,
            reason,
        }
    }
}
