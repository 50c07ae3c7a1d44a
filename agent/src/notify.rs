//! Notifications to systemd: readiness, a status line, and the watchdog.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Notifies systemd, if it listens.
#[derive(Debug, Default)]
pub struct Notify {
    status: String,
    ready: bool,
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "can't notify systemd");
    }
}

impl Notify {
    /// How often the watchdog has to be notified: half of `WatchdogSec=`.
    pub fn alive_every() -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| limit / 2)
    }

    /// Notifies the watchdog. Call it only when the main loop has made progress.
    pub fn alive() {
        send(&[NotifyState::Watchdog]);
    }

    /// Sends the status line if it has changed; the first one also says that the agent is ready.
    pub fn status(&mut self, text: &str) {
        // rpm-ostree's text may have several lines, and systemd would take a second line for another assignment.
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

    /// Announces that the agent is about to end.
    pub fn stopping() {
        send(&[NotifyState::Stopping]);
    }
}
