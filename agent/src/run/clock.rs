//! The clocks of this process, as decisions know them.

use cuo_core::time::{Now, Tick};
use jiff::Timestamp;
use tokio::time::Instant;

/// Reads both clocks.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Counts from now on.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// What both show now.
    pub fn now(&self) -> Now {
        Now {
            time: Timestamp::now().into(),
            tick: self.tick(),
        }
    }

    /// What the one shows now that only goes forward.
    pub fn tick(&self) -> Tick {
        Tick::after(self.start.elapsed())
    }
}
