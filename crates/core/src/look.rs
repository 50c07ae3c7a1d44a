//! Looks for updates: when to look, how to classify a failure, and when to retry.

mod words;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

pub use words::class;

use crate::backoff::Doubling;
use crate::reason::{Attribute, Code, Reason};
use crate::time::Time;

/// What to do about updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Download and stage them.
    #[default]
    Stage,
    /// Report them without staging. What somebody else deploys is announced and booted as usual.
    Check,
}

/// How many times in a row rpm-ostreed may crash with the same cause before the agent waits for a whole period.
const DEATHS: u32 = 3;
/// How many looks in a row may find rpm-ostree busy before that is reported: most transactions of others end within a minute.
const PATIENCE: u32 = 3;

/// The history of looks in this boot. Another process of the same boot that continues with it reports and waits as before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Looks {
    failures: u32,
    /// How many of the last failures are of the same code.
    alike: u32,
    last: Option<Reason>,
}

impl Looks {
    /// Records the end of a look: `Ok` with the reason to report although nothing failed, or `Err` with what failed. Returns the pause
    /// until the next, where `period` is what would be due.
    pub fn ended(
        &mut self,
        result: Result<Option<Reason>, Reason>,
        retry: &Doubling<SignedDuration>,
        period: SignedDuration,
    ) -> SignedDuration {
        match result {
            Ok(reported) => {
                (self.failures, self.alike, self.last) = (0, 0, reported);
                period
            }
            Err(reason) => {
                let alike = self.failures > 0
                    && self
                        .last
                        .as_ref()
                        .is_some_and(|last| last.code == reason.code);
                self.alike = if alike {
                    self.alike.saturating_add(1)
                } else {
                    1
                };
                self.failures = self.failures.saturating_add(1);
                let died = reason.code == Code::RpmOstreeDied && self.alike >= DEATHS;
                let rests = died || reason.code.is(Attribute::NeedsPerson);
                self.last = Some(reason);
                if rests {
                    return period;
                }
                retry.pause(self.failures).min(period)
            }
        }
    }

    /// The reason to report, if any.
    pub fn reported(&self) -> Option<&Reason> {
        let busy = |reason: &Reason| reason.code == Code::RpmOstreeBusy && self.alike < PATIENCE;
        self.last.as_ref().filter(|last| !busy(last))
    }

    /// Whether the last look failed, so that a change on the host is worth another look at once.
    pub fn failed(&self) -> bool {
        self.failures > 0
    }
}

/// The pause before the first look, on a host that has been up for `uptime`: `start` after the boot, and at most as much again, by
/// `chance` between 0 and 1, so that hosts that are switched on together do not ask all at once.
pub fn first(start: SignedDuration, uptime: Option<SignedDuration>, chance: f64) -> SignedDuration {
    let Some(uptime) = uptime.filter(|uptime| *uptime < start) else {
        return SignedDuration::ZERO;
    };
    let more = start.unsigned_abs().mul_f64(chance.clamp(0.0, 1.0));
    let more = SignedDuration::try_from(more).unwrap_or(SignedDuration::ZERO);
    start.saturating_add(more).saturating_sub(uptime)
}

/// The pause between two looks: `period`, and at most `jitter` more, by `chance` between 0 and 1, so that hosts do not ask all at once.
pub fn spread(period: SignedDuration, jitter: SignedDuration, chance: f64) -> SignedDuration {
    let more = jitter.unsigned_abs().mul_f64(chance.clamp(0.0, 1.0));
    let more = SignedDuration::try_from(more).unwrap_or(SignedDuration::ZERO);
    period.saturating_add(more)
}

/// What is left of a pause that another process had begun, until `next`. `None` where it is over, or is none of the at most `longest`
/// that are configured now, as after the clock was set back.
pub fn resumed(next: Time, now: Time, longest: SignedDuration) -> Option<SignedDuration> {
    let left = next.since(now);
    (left > SignedDuration::ZERO && left <= longest).then_some(left)
}

#[cfg(test)]
mod tests;
