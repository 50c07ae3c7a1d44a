//! Notifications: what is new in the cluster is queued for each sink, kept, and sent until the service has taken it.
//!
//! The operator's Events are not what this rests on: they are published once or not at all, and are gone after an hour. What Nodes, pools and
//! pauses show is compared with what was told, so what happened while this program was away is told as far as it still shows.

mod desk;
mod diff;
mod line;
mod memory;
pub mod message;
pub mod news;
mod notifier;
mod rollouts;
mod seen;
pub mod sink;
mod store;

pub use notifier::{Notifier, Recipient, post, recipients};

use desk::Desk;

/// Tells all sinks without end; nothing at all where there is none.
pub async fn run(notifier: &Notifier) {
    if notifier.recipients.is_empty() {
        return std::future::pending().await;
    }
    Desk::new(notifier).run().await;
}

#[cfg(test)]
mod tests;
