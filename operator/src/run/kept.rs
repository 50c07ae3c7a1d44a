//! Pauses and gates as of the watch and of live reads.

use std::collections::BTreeMap;

use cuo_cluster::ClientSource;
use cuo_cluster::watch::Change;
use cuo_coordination::Named;
use cuo_coordination::gate::{GateObject, watch_gates};
use cuo_coordination::pause::{PauseObject, watch_pauses};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};

use super::missing::Missing;

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
    missing: Missing,
    all: BTreeMap<String, T>,
}

impl<T: Clone> Kept<T> {
    /// Nothing of `what` is known yet.
    pub fn unknown(what: &'static str) -> Self {
        Self {
            missing: Missing::unlisted(what),
            all: BTreeMap::new(),
        }
    }

    /// Why they are not known; `None` while the watch is connected.
    pub fn missing(&self) -> Option<&String> {
        self.missing.why()
    }

    /// All that were found, by name.
    pub fn all(&self) -> &BTreeMap<String, T> {
        &self.all
    }

    /// Processes an event of the watch. It may bring back what a read showed to be gone; the next read before a grant corrects that.
    pub fn hear(&mut self, event: Change<Named<T>>) {
        match event {
            Change::Reset(all) => {
                self.missing.listed(all.len());
                self.replace(all);
            }
            Change::Changed(one) => drop(self.all.insert(one.name, one.found)),
            Change::Gone(name) => drop(self.all.remove(&name)),
            Change::Disconnected(error) => self.missing.lost(&error),
        }
    }

    /// Replaces all by a list.
    pub fn replace(&mut self, all: Vec<Named<T>>) {
        let all = all.into_iter().map(|one| (one.name, one.found));
        self.all = all.collect();
    }
}
