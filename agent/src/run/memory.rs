//! The state on disk: read at start, written before each act, and never overwritten if it could not be parsed.

use std::time::Duration;

use cuo_core::agent::StateTrouble;
use cuo_core::agent::state::State;
use cuo_core::ids::BootId;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::journal::Event;
use crate::store::{Loaded, Store};

/// Pause before writing the state is retried.
pub const RETRY: Duration = Duration::from_secs(10);

/// The condition of the state file.
#[derive(Debug)]
pub struct Memory {
    /// Whether the directory existed once: if it is missing, somebody removed it.
    pub had_folder: bool,
    /// Why the last write failed.
    pub trouble: Option<String>,
    /// When to retry.
    pub retry: Option<Instant>,
}

impl Memory {
    pub fn new(store: &Store) -> Self {
        Self {
            had_folder: store.has_folder(),
            trouble: None,
            retry: None,
        }
    }

    /// When to retry the write, if it failed.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry
    }

    /// Whether the pause after a failed write is over.
    pub fn over(&mut self) -> bool {
        self.retry.take_if(|at| Instant::now() >= *at).is_some()
    }
}

/// The state, and why it can't be used, if so.
pub fn read(store: &Store, boot: &BootId) -> (State, Option<StateTrouble>) {
    match store.load(boot) {
        Loaded::State(state) => (*state, None),
        Loaded::Lost(why) => {
            warn!("the state was unreadable and moved aside; it is rebuilt from the Node: {why}");
            (State::default(), None)
        }
        Loaded::Unusable(why) => {
            error!(
                message_id = Event::StateUnusable.id(),
                "the state can't be used, so nothing is done: {why}"
            );
            (State::default(), Some(StateTrouble::Unreadable(why)))
        }
    }
}
