//! One turn of the loop.

use std::sync::Arc;
use std::time::Duration;

use cuo_cluster::node::Keep;
use cuo_cluster::watch::{Change, NodesEvent};
use cuo_cluster::{ApiError, ClientSource, Retry};
use cuo_coordination::lease::Leadership;
use cuo_coordination::ledger::{self, Stored};
use cuo_coordination::pool::PoolsEvent;
use cuo_core::gate::FoundGate;
use cuo_core::ledger::Ledger;
use cuo_core::pause::FoundPause;
use cuo_core::plan::{Act, LedgerAct, NodeAct, Plan, Policy, PoolAct, Snapshot};
use cuo_core::time::Time;
use cuo_core::values::{Field, to_json};
use cuo_probes::health::Health;
use cuo_telemetry::gate::gate;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::info;

use super::kept::{Hold, Kept};
use super::pause::{Failed, Pause};
use super::pools::Pools;
use super::rollouts::{self, Rollouts};
use super::statuses::Statuses;
use super::watched::Watched;
use super::writes::{NodeWrites, Order, Written};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::narration::{PoolSaid, Said};
use crate::tell::Teller;

/// The longest wait between two turns. A turn costs no request; deadlines and windows follow the wall clock, which may be set at any time.
const LOOK: Duration = Duration::from_secs(60);

/// The operator's state between turns.
pub struct Operator {
    pub(super) source: ClientSource,
    pub(super) namespace: String,
    pub(super) keep: Keep,
    pub(super) policy: Policy,
    leading: bool,
    pub(super) seen: Snapshot,
    /// The ledger in `seen`; `None` if it has to be read before the next decision.
    pub(super) stored: Option<Stored>,
    pub(super) read_at: Instant,
    watched: Watched,
    pub(super) pools: Pools,
    pub(super) pauses: Kept<FoundPause>,
    pub(super) gates: Kept<FoundGate>,
    /// The Nodes have to be listed again, with more of their fields.
    pub(super) list_anew: bool,
    pause: Pause,
    writes: NodeWrites,
    rollouts: Rollouts,
    statuses: Statuses,
    teller: Teller,
    metrics: Arc<Metrics>,
    health: Health,
}

impl Operator {
    pub fn new(
        config: &Config,
        source: ClientSource,
        metrics: Arc<Metrics>,
        health: Health,
        teller: Teller,
    ) -> Self {
        Self {
            source,
            namespace: config.namespace.clone(),
            keep: config.keep(),
            policy: config.policy(),
            leading: false,
            seen: Snapshot {
                own_node: config.own_node.clone(),
                ..Snapshot::default()
            },
            stored: None,
            read_at: Instant::now(),
            watched: Watched::default(),
            pools: Pools::default(),
            pauses: Kept::unknown("pauses"),
            gates: Kept::unknown("gates"),
            list_anew: false,
            pause: Pause::default(),
            writes: NodeWrites::default(),
            rollouts: Rollouts::default(),
            statuses: Statuses::default(),
            teller,
            metrics,
            health,
        }
    }

    /// Records whether this process leads.
    pub fn led(&mut self, leadership: &Leadership) {
        self.leading = *leadership == Leadership::Leading;
        self.metrics.led(self.leading);
        self.stored = None;
        self.writes.stop();
        self.rollouts.stop();
        self.teller.forget();
        self.statuses.forget();
        match leadership {
            Leadership::Leading => {}
            Leadership::Waiting {
                error: Some(error), ..
            } => info!("not leading: {error}"),
            Leadership::Waiting { holder, .. } => {
                info!(holder, "not leading");
            }
        }
    }

    /// What to keep of Nodes, if they have to be listed again for it. Nothing is decided meanwhile.
    pub fn list_anew(&mut self) -> Option<Keep> {
        std::mem::take(&mut self.list_anew).then(|| self.keep.clone())
    }

    /// Processes an event of the watch of pools. Nodes are listed once it is known what the pools need of them.
    pub fn hear_pools(&mut self, event: PoolsEvent) {
        if let PoolsEvent::Disconnected(error) = &event {
            self.metrics.failed(error);
        }
        let first = !self.pools.heard();
        self.pools.hear(event);
        self.know_pools();
        self.list_anew |= first;
    }

    /// Processes an event of the watches of pauses and gates.
    pub fn hear_holds(&mut self, event: Hold) {
        if let Hold::Pause(Change::Disconnected(error)) | Hold::Gate(Change::Disconnected(error)) =
            &event
        {
            self.metrics.failed(error);
        }
        match event {
            Hold::Pause(event) => self.pauses.hear(event),
            Hold::Gate(event) => self.gates.hear(event),
        }
        self.know_holds();
    }

    /// Copies pauses and gates into `seen`.
    pub(super) fn know_holds(&mut self) {
        self.seen.pauses = self.pauses.all().values().cloned().collect();
        self.seen.gates = self.gates.all().clone();
    }

    /// Copies the pools into `seen`, and what they need of Nodes.
    pub(super) fn know_pools(&mut self) {
        self.seen.pools = self.pools.found();
        self.seen.rollouts = self.pools.rollouts();
        if self.pools.needs(&mut self.keep) {
            self.watched.list_anew();
            self.list_anew = true;
        }
    }

    /// What is not known about Nodes, pools, pauses, or gates where a pool names one.
    fn missing(&self) -> Option<&String> {
        let gates = || self.gates.missing().filter(|_| self.needs_gates());
        let holds = self.pauses.missing().or_else(gates);
        self.pools.missing().or(holds).or(self.watched.missing())
    }

    /// Takes in what the watch of the Nodes tells; `false` if nothing has to be decided because of it.
    pub fn hear(&mut self, event: NodesEvent) -> bool {
        if let NodesEvent::Disconnected(error) = &event {
            self.metrics.failed(error);
        }
        let heard = self.watched.hear(&mut self.seen.nodes, event);
        self.metrics.heard(heard.changed);
        if self.leading {
            self.metrics.ended(&self.seen, &heard.laps);
        }
        self.metrics.watching(self.watched.missing().is_none());
        heard.changed
    }

    /// Decides and writes once, if allowed; returns when the next turn is due at the latest.
    pub async fn turn(&mut self) -> Instant {
        self.health.turned(self.missing().cloned());
        let now = Instant::now();
        let last = now + LOOK;
        if !self.leading || self.missing().is_some() {
            return last;
        }
        if let Some(until) = self.pause.until(now) {
            return until.min(last);
        }
        match self.decide_and_write().await {
            Ok(Some(wake)) => wake.min(last),
            Ok(None) => Instant::now(),
            Err(Failed { what, error }) => {
                self.metrics.failed(&error);
                self.pause.failed(&what, &error);
                // Somebody else may have written, or the failed write may have been done.
                self.stored = None;
                Instant::now()
            }
        }
    }

    /// Decides and writes; `None` after a write, else when to decide again.
    async fn decide_and_write(&mut self) -> Result<Option<Instant>, Failed> {
        self.read_ledger().await?;
        self.know_writes();
        let Some(plan) = self.plan().await? else {
            return Ok(Some(Instant::now() + LOOK));
        };
        self.metrics.planned(&self.seen, &plan);
        match &plan.act {
            Act::Ledger(act) => {
                let said = Said::of_ledger(act, &self.seen, &plan);
                self.write_ledger(act, said).await?;
            }
            Act::Node(act) => self.write_node(act, &plan),
            Act::Pool(act) => self.write_pool(act),
            Act::Wait | Act::ConfirmNode(_) | Act::ConfirmPools => {
                return Ok(Some(self.settled(&plan)));
            }
        }
        Ok(None)
    }

    /// Handles a plan without a write: reports it; returns when to decide again.
    fn settled(&mut self, plan: &Plan) -> Instant {
        // Only now: a readable ledger says nothing about a failed write that is about to be retried.
        self.pause.well();
        self.teller.settled(&self.seen, plan);
        let now = Timestamp::now().into();
        self.metrics.settled(&self.seen, plan, now);
        let (reported, rest) = (self.tell_pools(plan), self.rest(plan));
        reported.map_or(rest, |reported| reported.min(rest))
    }

    /// Copies the state of writes to Nodes into `seen`.
    fn know_writes(&mut self) {
        let (now, nodes) = (Instant::now(), &self.seen.nodes);
        let mut writes = self.writes.at(now, |name, uid| {
            nodes.get(name).is_some_and(|node| node.uid == uid)
        });
        let behind = self.watched.behind(nodes, now);
        writes.under_way.extend(behind.cloned());
        self.seen.writes = writes;
        self.seen.pools_busy = self.rollouts.busy(now, self.pools.objects());
    }

    /// The next write in a task that ends; pending while there is none.
    pub async fn ended(&mut self) -> Ended {
        tokio::select! {
            written = self.writes.next() => Ended::Node(Box::new(written)),
            written = self.rollouts.next() => Ended::Pool(Box::new(written)),
            reported = self.statuses.next() => Ended::Status(reported),
        }
    }

    /// Processes the end of a write.
    pub fn take_in(&mut self, ended: Ended) {
        match ended {
            Ended::Node(written) => self.wrote(*written),
            Ended::Pool(written) => self.wrote_pool(*written),
            Ended::Status(Ok(())) => {}
            Ended::Status(Err(error)) => self.metrics.failed(&error),
        }
    }

    fn wrote_pool(&mut self, written: rollouts::Written) {
        let rollouts::Written { said, result } = written;
        match result {
            Ok(_) => self.teller.wrote_pool(said),
            Err(error) => self.metrics.failed(&error),
        }
    }

    fn wrote(&mut self, written: Written) {
        let Written { order, result } = written;
        match result {
            Ok(raw) => {
                self.teller.wrote(order.said);
                self.watched.written(&raw);
            }
            Err(error) => {
                self.metrics.failed(&error);
                match error.retry_class() {
                    Retry::Reread => self.watched.outdated(&order.known),
                    // The error concerns more than this Node.
                    Retry::Credentials => self.stored = None,
                    Retry::Later(_) | Retry::Denied => {}
                }
                if let ApiError::Unreachable { .. } = error {
                    self.stored = None;
                }
                // Coming from a webhook, it concerns this Node only.
                if matches!(error, ApiError::TooManyRequests { .. }) && error.admission().is_none()
                {
                    self.pause.failed("a write to a Node", &error);
                }
            }
        }
    }

    /// Reports the state of pools; returns when to do so again.
    fn tell_pools(&mut self, plan: &Plan) -> Option<Instant> {
        let pools = self.pools.objects();
        self.teller.pools(pools);
        let now = Timestamp::now().into();
        // A pool has one write at a time: the other one would fail.
        let busy = &self.seen.pools_busy;
        let reports = plan.pools.iter().filter(|report| {
            let name = report.name.as_ref();
            !name.is_some_and(|name| busy.contains(name))
        });
        let reports: Vec<_> = reports.cloned().collect();
        self.statuses.tell(&self.source, pools, &reports, now)
    }

    async fn write_ledger(&mut self, act: &LedgerAct, said: Said) -> Result<(), Failed> {
        let Some(stored) = &self.stored else {
            return Ok(());
        };
        let none = Ledger::default();
        let next = act.on(self.seen.ledger.value().unwrap_or(&none));
        let write = said.write.as_str();
        gate(&format!("operator-before-{write}")).await;
        let text = to_json(&next);
        let stored = ledger::replace(&self.source, &self.namespace, stored, &text).await;
        let what = || format!("{write} of node {}", act.node);
        let stored = stored.map_err(|error| Failed::new(what(), error))?;
        self.teller.wrote(said);
        self.seen.ledger = Field::Value(next);
        self.stored = Some(stored);
        self.pause.well();
        gate(&format!("operator-after-{write}")).await;
        Ok(())
    }

    /// Starts a write to a Node in a task.
    fn write_node(&mut self, act: &NodeAct, plan: &Plan) {
        let Some(known) = self.seen.nodes.get(&act.node) else {
            return;
        };
        let allotted = act.on(known);
        if let Some(patch) = allotted.patch(known) {
            let order = Order {
                said: Said::of_node(act, &self.seen, plan),
                known: known.clone(),
                allotted,
                patch,
            };
            self.writes.send(&self.source, &self.keep, order);
        }
    }

    /// Sends a write of how far a pool is with releases, beside the loop.
    fn write_pool(&mut self, act: &PoolAct) {
        let Some(pool) = self.pools.objects().get(&act.pool) else {
            return;
        };
        let known = pool.rollout();
        let said = PoolSaid::new(act, &known, &pool.uid);
        self.rollouts.send(&self.source, pool, act.on(&known), said);
    }

    /// When to decide again if nothing changes before.
    fn rest(&self, plan: &Plan) -> Instant {
        let now = Instant::now();
        let time = Time::from(Timestamp::now());
        let left = plan.wake.map(|at| at.since(time).max(SignedDuration::ZERO));
        let left = left.map_or(LOOK, |left| left.unsigned_abs().min(LOOK));
        let writes = [self.writes.wake(now), self.rollouts.wake(now)];
        let others = writes.into_iter().chain([self.watched.patience()]);
        let others = others.flatten();
        others.chain([now + left]).min().unwrap_or(now + LOOK)
    }
}

/// A write in a task that has ended.
#[derive(Debug)]
pub enum Ended {
    /// A write to a Node.
    Node(Box<Written>),
    /// Of how far a pool is with releases.
    Pool(Box<rollouts::Written>),
    /// Of a pool's status.
    Status(Result<(), ApiError>),
}
