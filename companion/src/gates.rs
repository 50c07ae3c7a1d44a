//! Gates: each is looked at again and again, and its `UpdateGate` is opened, kept open or closed. Each does so by itself, so one whose
//! server hangs delays no other.
//!
//! An open gate has an end, so whatever keeps this program from looking closes all of its gates.

mod alerts;
mod object;
mod resources;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use cuo_cluster::ClientSource;
use cuo_cluster::watch::Change;
use cuo_coordination::gate::{GateObject, watch_gates};
use cuo_core::gate::FoundGate;
use cuo_core::time::Time;
use futures::StreamExt;
use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::config::{Condition, Config, Gate};
use crate::metrics::Metrics;
use crate::web::Web;

use object::PutError;
use write::{Verdict, next};

/// What the watch says of all gates; `None` before it has said anything.
type Known = Option<BTreeMap<String, FoundGate>>;

/// What the gates need.
#[derive(Debug, Clone)]
pub struct Gates {
    /// The API server.
    pub source: ClientSource,
    /// Other servers.
    pub web: Web,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Gates {
    /// Keeps all gates of `config`, without end.
    pub async fn keep(&self, config: &Config) {
        let (sender, known) = watch::channel(Known::None);
        let listening = listen(self.source.clone(), sender);
        let keeping = config.gates.iter().filter_map(|gate| {
            // A gate without a condition is refused when the configuration is read.
            let condition = gate.condition().ok()?;
            Some(self.keep_one(gate, condition, known.clone()))
        });
        tokio::join!(listening, join_all(keeping));
    }

    async fn keep_one(
        &self,
        gate: &Gate,
        condition: Condition<'_>,
        mut known: watch::Receiver<Known>,
    ) {
        let mut told = Told::default();
        loop {
            let look = Instant::now() + gate.every.unsigned();
            let verdict = self.judge(condition).await;
            told.verdict(gate, &verdict, &self.metrics);
            self.settle(gate, &verdict, &known, &mut told).await;
            // What somebody else does to the gate is put right at once, and not at the next look.
            loop {
                let changed = tokio::select! {
                    () = sleep_until(look) => break,
                    changed = known.changed() => changed,
                };
                if changed.is_err() {
                    sleep_until(look).await;
                    break;
                }
                self.settle(gate, &verdict, &known, &mut told).await;
            }
        }
    }

    async fn judge(&self, condition: Condition<'_>) -> Verdict {
        match condition {
            Condition::Alerts(asks) => alerts::judge(&self.web, asks).await,
            Condition::Resources(asks) => resources::judge(&self.source, asks).await,
        }
    }

    /// Writes the gate where it is not as it should be.
    async fn settle(
        &self,
        gate: &Gate,
        verdict: &Verdict,
        known: &watch::Receiver<Known>,
        told: &mut Told,
    ) {
        let name = gate.name.as_str();
        let found = match &*known.borrow() {
            Some(known) => known.get(name).cloned(),
            // What is there may be as it should be.
            None => return,
        };
        let now = Time::from(Timestamp::now());
        let Some(spec) = next(found.as_ref(), verdict, gate.valid_for.signed(), now) else {
            return;
        };
        let written = object::put(&self.source, name, &spec).await;
        told.written(name, written.err(), &self.metrics);
    }
}

/// Keeps `known` as the watch has it.
async fn listen(source: ClientSource, known: watch::Sender<Known>) {
    let mut events = watch_gates(source);
    while let Some(event) = events.next().await {
        known.send_if_modified(|known| hear(known, event));
    }
}

/// Takes in an event; whether anything is different.
fn hear(known: &mut Known, event: Change<GateObject>) -> bool {
    match event {
        Change::Reset(all) => {
            let all = all.into_iter().map(|one| (one.name, one.found));
            let before = known.replace(all.collect());
            before != *known
        }
        Change::Changed(one) => {
            let known = known.get_or_insert_default();
            let before = known.insert(one.name.clone(), one.found);
            before.as_ref() != known.get(&one.name)
        }
        Change::Gone(name) => known.get_or_insert_default().remove(&name).is_some(),
        // What is known may be old, so a write may be late. An open gate ends by itself.
        Change::Disconnected(_) => false,
    }
}

/// What was said of a gate last, so that nothing is said twice.
#[derive(Debug, Default)]
struct Told {
    verdict: Option<Verdict>,
    error: Option<String>,
}

impl Told {
    fn verdict(&mut self, gate: &Gate, verdict: &Verdict, metrics: &Metrics) {
        let name = gate.name.as_str();
        metrics.gate(name, verdict.open);
        if verdict.unknown {
            metrics.gate_unknown(name);
        }
        if self.verdict.as_ref() == Some(verdict) {
            return;
        }
        let is = if verdict.open { "open" } else { "closed" };
        match verdict.unknown {
            true => warn!(gate = name, "gate {name} is {is}: {}", verdict.reason),
            false => info!(gate = name, "gate {name} is {is}: {}", verdict.reason),
        }
        self.verdict = Some(verdict.clone());
    }

    fn written(&mut self, name: &str, error: Option<PutError>, metrics: &Metrics) {
        let error = error.map(|error| {
            metrics.api_error();
            error.to_string()
        });
        if let Some(error) = error
            .as_ref()
            .filter(|error| self.error.as_ref() != Some(error))
        {
            warn!(
                gate = name,
                "UpdateGate {name} can't be written: {error}; trying again"
            );
        }
        self.error = error;
    }
}

#[cfg(test)]
mod tests;
