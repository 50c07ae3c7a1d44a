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
use std::time::Duration;

use cuo_cluster::ClientSource;
use cuo_cluster::watch::Change;
use cuo_coordination::gate::{GateObject, watch_gates};
use cuo_core::time::Time;
use futures::StreamExt;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::config::{Condition, Config, Gate};
use crate::metrics::Metrics;
use crate::web::Web;

use object::PutError;
use write::{Verdict, fresh, next};

/// When a write that failed is tried again: soon, since a gate may be open that is to be closed, and rarely enough for an API server that
/// is overloaded. The next look may be hours away.
const AGAIN: Duration = Duration::from_secs(5);

/// What the watch says of all gates; `None` before it has said anything.
type Known = Option<BTreeMap<String, GateObject>>;

/// Why gates can't be watched, where they can't.
pub type Lost = Option<String>;

/// What the gates need.
#[derive(Debug, Clone)]
pub struct Gates {
    /// The API server.
    pub source: ClientSource,
    /// Other servers.
    pub web: Web,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who wants to know whether gates are watched.
    pub lost: watch::Sender<Lost>,
}

/// What a look came to, and as of when.
struct Look {
    verdict: Verdict,
    /// When it ended by the wall clock, had the host not been suspended meanwhile.
    seen: Timestamp,
}

/// What became of a gate that was to be as a look says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// It is so, or will be once the watch has brought what somebody else wrote.
    Fine,
    /// It could not be written.
    Failed,
    /// The look is too old to open the gate.
    Old,
}

impl Gates {
    /// Keeps all gates of `config`, without end.
    pub async fn keep(&self, config: &Config) {
        if config.gates.is_empty() {
            // Nobody needs the right to watch gates for nothing.
            return std::future::pending().await;
        }
        let (sender, known) = watch::channel(Known::None);
        let listening = self.listen(sender);
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
            let next = Instant::now() + gate.every.unsigned();
            let look = self.look(condition).await;
            told.verdict(gate, &look.verdict, &self.metrics);
            // What somebody else does to the gate is put right at once, and not at the next look.
            loop {
                let now = Instant::now();
                let settled = self.settle(gate, &look, &mut known, &mut told).await;
                let Some(due) = due(settled, next, now) else {
                    break;
                };
                tokio::select! {
                    // A look that is due comes before what is done because of the last one.
                    biased;
                    () = sleep_until(due) => if due == next { break },
                    changed = known.changed() => if changed.is_err() {
                        sleep_until(next).await;
                        break;
                    },
                }
            }
        }
    }

    async fn look(&self, condition: Condition<'_>) -> Look {
        let (began, timer) = (Timestamp::now(), Instant::now());
        let verdict = match condition {
            Condition::Alerts(asks) => alerts::judge(&self.web, asks).await,
            Condition::Resources(asks) => resources::judge(&self.source, asks).await,
        };
        let took = SignedDuration::try_from(timer.elapsed()).unwrap_or(SignedDuration::MAX);
        Look {
            verdict,
            seen: began.saturating_add(took).unwrap_or(Timestamp::MAX),
        }
    }

    /// Writes the gate where it is not as it should be.
    async fn settle(
        &self,
        gate: &Gate,
        look: &Look,
        known: &mut watch::Receiver<Known>,
        told: &mut Told,
    ) -> Settled {
        let name = gate.name.as_str();
        let known = match &*known.borrow_and_update() {
            Some(known) => known.get(name).cloned(),
            // What is there may be as it should be.
            None => return Settled::Fine,
        };
        let wall = Timestamp::now();
        let now = Time::from(wall);
        self.metrics.gate(name, opens(known.as_ref(), now));
        let found = known.as_ref().map(|known| &known.found);
        let Some(spec) = next(found, &look.verdict, gate.valid_for.signed(), now) else {
            told.error = None;
            return Settled::Fine;
        };
        if spec.open && !fresh(look.seen, gate.every.signed(), wall) {
            return Settled::Old;
        }
        let written = object::put(&self.source, name, known.as_ref(), &spec).await;
        if let Ok(true) = written {
            self.metrics.gate(name, spec.open);
        }
        told.written(name, written.err(), &self.metrics)
    }

    /// Keeps `known` as the watch has it.
    async fn listen(&self, known: watch::Sender<Known>) {
        self.lost.send_replace(None);
        let mut events = watch_gates(self.source.clone());
        while let Some(event) = events.next().await {
            self.lost.send_if_modified(|lost| miss(lost, &event));
            known.send_if_modified(|known| hear(known, event));
        }
    }
}

/// When a gate is settled again if nothing else happens, where the next look is at `next`; `None` for a new look at once.
fn due(settled: Settled, next: Instant, now: Instant) -> Option<Instant> {
    match settled {
        Settled::Fine => Some(next),
        Settled::Failed => Some(next.min(now + AGAIN)),
        Settled::Old => None,
    }
}

/// Whether the gate is open to an operator.
fn opens(known: Option<&GateObject>, now: Time) -> bool {
    let found = known.and_then(|known| known.found.as_ref().ok());
    found.is_some_and(|gate| gate.closed(now).is_none())
}

/// Takes in whether the watch is connected; whether that is different. Each loss is logged once.
fn miss(lost: &mut Lost, event: &Change<GateObject>) -> bool {
    let now = match event {
        Change::Disconnected(error) => Some(format!("UpdateGates can't be watched: {error}")),
        Change::Reset(_) | Change::Changed(_) | Change::Gone(_) => None,
    };
    if *lost == now {
        return false;
    }
    match &now {
        Some(why) => warn!("{why}; trying again"),
        None => info!("UpdateGates are watched again"),
    }
    *lost = now;
    true
}

/// Takes in an event; whether anything is different.
fn hear(known: &mut Known, event: Change<GateObject>) -> bool {
    match event {
        Change::Reset(all) => {
            let all = all.into_iter().map(|one| (one.name.clone(), one));
            let before = known.replace(all.collect());
            before != *known
        }
        Change::Changed(one) => {
            let known = known.get_or_insert_default();
            let name = one.name.clone();
            let before = known.insert(name.clone(), one);
            before.as_ref() != known.get(&name)
        }
        Change::Gone(name) => known.get_or_insert_default().remove(&name).is_some(),
        // What is known may be old, and is what writes depend on: an open gate ends by itself.
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

    fn written(&mut self, name: &str, error: Option<PutError>, metrics: &Metrics) -> Settled {
        let error = error.map(|error| {
            if let PutError::Api(_) | PutError::Undefined = error {
                metrics.api_error();
            }
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
        match self.error {
            Some(_) => Settled::Failed,
            None => Settled::Fine,
        }
    }
}

#[cfg(test)]
mod tests;
