//! The time that a timeline shows.

use cuo_core::time::Time;
use jiff::SignedDuration;

use super::foreseen::Foreseen;

/// From the first moment to the last.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// When the plan begins, or the first reboot that is under way did.
    pub first: Time,
    /// When the last reboot is done.
    pub last: Time,
}

impl Scale {
    /// All reboots of the plan; `None` where there are none.
    pub fn of(plan: &Foreseen) -> Option<Self> {
        let reboots = &plan.forecast.reboots;
        let starts = reboots.iter().map(|reboot| reboot.granted);
        Some(Self {
            first: starts.chain([plan.forecast.from]).min()?,
            last: reboots.iter().map(|reboot| reboot.done).max()?,
        })
    }

    /// Its length in seconds.
    fn whole(self) -> i64 {
        self.last.since(self.first).as_secs().max(1)
    }

    /// Where a moment is on a line of this width.
    pub fn place(self, at: Time, width: usize) -> usize {
        let part = at.since(self.first).as_secs().clamp(0, self.whole());
        let width = i64::try_from(width).unwrap_or(i64::MAX);
        usize::try_from(part.saturating_mul(width) / self.whole()).unwrap_or(0)
    }

    /// The moment after so many of so many equal parts.
    pub fn moment(self, number: i64, of: i64) -> Time {
        let part = number.saturating_mul(self.whole()) / of;
        self.first.later(SignedDuration::from_secs(part))
    }
}
