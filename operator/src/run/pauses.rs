//! The pauses as of the watch and of live reads.

use std::collections::BTreeMap;

use cuo_coordination::pause::{PauseObject, PausesEvent};
use cuo_core::pause::FoundPause;
use tracing::{info, warn};

/// All pauses, and whether they are known.
#[derive(Debug)]
pub struct Pauses {
    /// Why they are not known, if so.
    missing: Option<String>,
    all: BTreeMap<String, FoundPause>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            missing: Some("the pauses have not been listed yet".to_owned()),
            all: BTreeMap::new(),
        }
    }
}

impl Pauses {
    /// Why the pauses are not known; `None` while the watch is connected.
    pub fn missing(&self) -> Option<&String> {
        self.missing.as_ref()
    }

    /// All pauses as found.
    pub fn found(&self) -> Vec<FoundPause> {
        self.all.values().cloned().collect()
    }

    /// Processes an event of the watch. It may bring back what a read showed to be gone; the next read before a grant corrects that.
    pub fn hear(&mut self, event: PausesEvent) {
        match event {
            PausesEvent::Reset(all) => {
                if self.missing.take().is_some() {
                    info!("the pauses are known: {}", all.len());
                }
                self.replace(all);
            }
            PausesEvent::Changed(pause) => drop(self.all.insert(pause.name, pause.found)),
            PausesEvent::Gone(name) => drop(self.all.remove(&name)),
            PausesEvent::Disconnected(error) => {
                let why = format!("the pauses can't be watched: {error}");
                if self.missing.as_ref() != Some(&why) {
                    warn!("{why}");
                }
                self.missing = Some(why);
            }
        }
    }

    /// Replaces all pauses by a list.
    pub fn replace(&mut self, all: Vec<PauseObject>) {
        let all = all.into_iter().map(|pause| (pause.name, pause.found));
        self.all = all.collect();
    }
}
