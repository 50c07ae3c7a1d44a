//! Pauses and gates as of the watch and of live reads.

use std::collections::BTreeMap;

use cuo_cluster::ClientSource;
use cuo_cluster::watch::Change;
use cuo_coordination::Named;
use cuo_coordination::gate::{GateObject, watch_gates};
use cuo_coordination::pause::{PauseObject, watch_pauses};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tracing::{info, warn};

/// What is new about what holds updates.
#[derive(Debug)]
pub enum Hold {
    /// About the pauses.
    Pause(Change<PauseObject>),
    /// About the gates.
    Gate(Change<GateObject>),
}

/// Watches pauses and gates.
pub fn watch_holds(source: &ClientSource) -> BoxStream<'static, Hold> {
    let pauses = watch_pauses(source.clone()).map(Hold::Pause);
    let gates = watch_gates(source.clone()).map(Hold::Gate);
    stream::select(pauses, gates).boxed()
}

/// All objects of a kind by name, and whether they are known.
#[derive(Debug)]
pub struct Kept<T> {
    /// The kind, for people.
    what: &'static str,
    /// Why they are not known, if so.
    missing: Option<String>,
    all: BTreeMap<String, T>,
}

impl<T: Clone> Kept<T> {
    /// Nothing of `what` is known yet.
    pub fn unknown(what: &'static str) -> Self {
        Self {
            what,
            missing: Some(format!("the {what} have not been listed yet")),
            all: BTreeMap::new(),
        }
    }

    /// Why they are not known; `None` while the watch is connected.
    pub fn missing(&self) -> Option<&String> {
        self.missing.as_ref()
    }

    /// All that were found, by name.
    pub fn all(&self) -> &BTreeMap<String, T> {
        &self.all
    }

    /// Processes an event of the watch. It may bring back what a read showed to be gone; the next read before a grant corrects that.
    pub fn hear(&mut self, event: Change<Named<T>>) {
        let what = self.what;
        match event {
            Change::Reset(all) => {
                if self.missing.take().is_some() {
                    info!("the {what} are known: {}", all.len());
                }
                self.replace(all);
            }
            Change::Changed(one) => drop(self.all.insert(one.name, one.found)),
            Change::Gone(name) => drop(self.all.remove(&name)),
            Change::Disconnected(error) => {
                let why = format!("the {what} can't be watched: {error}");
                if self.missing.as_ref() != Some(&why) {
                    warn!("{why}");
                }
                self.missing = Some(why);
            }
        }
    }

    /// Replaces all by a list.
    pub fn replace(&mut self, all: Vec<Named<T>>) {
        let all = all.into_iter().map(|one| (one.name, one.found));
        self.all = all.collect();
    }
}
