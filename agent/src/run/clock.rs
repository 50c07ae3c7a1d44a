//! The clocks of this process, in the form that decisions use.

use cuo_core::time::{Now, Tick};
use jiff::Timestamp;
use tokio::time::Instant;

/// Reads both clocks.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts the monotonic clock at zero.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Reads both clocks.
    pub fn now(&self) -> Now {
        Now {
            time: Timestamp::now().into(),
            tick: self.tick(),
        }
    }

    /// Reads the monotonic clock.
    pub fn tick(&self) -> Tick {
        Tick::after(self.start.elapsed())
    }
}
