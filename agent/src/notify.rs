//! What systemd is reported: readiness, one line of status, and signs of life.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Tells systemd, where it listens.
#[derive(Debug, Default)]
pub struct Notify {
    status: String,
    ready: bool,
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd can't be told");
    }
}

impl Notify {
    /// How often signs of life are due: half of `WatchdogSec=`.
    pub fn alive_every() -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| limit / 2)
    }

    /// A sign of life. Call it only where the main loop has made progress.
    pub fn alive() {
        send(&[NotifyState::Watchdog]);
    }

    /// The status line, if it is another one; the first one says that the agent is ready, too.
    pub fn status(&mut self, text: &str) {
        // What rpm-ostree says may have several, and what follows a line break is another assignment.
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.ready && self.status == line {
            return;
        }
        let status = NotifyState::Status(&line);
        if self.ready {
            send(&[status])
        } else {
            send(&[NotifyState::Ready, status])
        }
        self.ready = true;
        self.status = line;
    }

    /// The agent is about to end.
    pub fn stopping() {
        send(&[NotifyState::Stopping]);
    }
}
