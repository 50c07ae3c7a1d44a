//! One decision, with the reads from the API server that it needs.

use std::time::Duration;

use cuo_cluster::node::get_node;
use cuo_coordination::gate::list_gates;
use cuo_coordination::ledger;
use cuo_coordination::pause::list_pauses;
use cuo_coordination::pool::list_pools;
use cuo_core::ids::NodeName;
use cuo_core::node::NodeView;
use cuo_core::plan::{Act, Plan, plan};
use cuo_core::pool::FoundPool;
use cuo_core::values::Field;
use cuo_telemetry::gate::gate;
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::error;

use super::pause::Failed;
use super::turn::Operator;
use crate::narration::CONFIRM;

/// How often an invalid ledger is read again: nothing signals that it was repaired.
const REPAIR: Duration = Duration::from_secs(30);

impl Operator {
    /// Reads the ledger, unless it is known.
    pub(super) async fn read_ledger(&mut self) -> Result<(), Failed> {
        let broken = !self.seen.ledger.is_absent() && self.seen.ledger.value().is_none();
        let known = self.stored.is_some() && !(broken && Instant::now() >= self.read_at + REPAIR);
        if known {
            return Ok(());
        }
        let read = ledger::read(&self.source, &self.namespace).await;
        let what = || format!("read ConfigMap {}/{}", self.namespace, ledger::NAME);
        let stored = read.map_err(|error| Failed::new(what(), error))?;
        self.read_at = Instant::now();
        self.seen.ledger = Field::json(stored.text().map(str::to_owned).as_ref());
        if let Field::Malformed(why) = &self.seen.ledger {
            error!("nothing is granted: the ledger is invalid: {why}");
        }
        self.stored = Some(stored);
        Ok(())
    }

    /// Decides, with live reads of the pools and Nodes that the decision needs; `None` if the Nodes have to be listed again.
    pub(super) async fn plan(&mut self) -> Result<Option<Plan>, Failed> {
        self.seen.live.clear();
        self.seen.pools_live = false;
        loop {
            let plan = plan(&self.seen, &self.policy, Timestamp::now().into());
            match &plan.act {
                Act::ConfirmNode(name) => self.confirm(name.clone()).await?,
                Act::ConfirmPools => self.confirm_pools().await?,
                Act::Wait | Act::Ledger(_) | Act::Node(_) | Act::Pool(_) => {
                    return Ok(Some(plan));
                }
            }
            if self.list_anew {
                return Ok(None);
            }
        }
    }

    /// Some pool names a gate.
    pub(super) fn needs_gates(&self) -> bool {
        self.seen.pools.iter().any(|found| match found {
            FoundPool::Valid(pool) => !pool.gates.is_empty(),
            FoundPool::Invalid { .. } => false,
        })
    }

    async fn confirm(&mut self, name: NodeName) -> Result<(), Failed> {
        gate(&format!("operator-before-{}", CONFIRM)).await;
        let read = get_node(&self.source, name.as_str(), &self.keep).await;
        let raw = read.map_err(|error| Failed::new(format!("read node {name}"), error))?;
        gate(&format!("operator-after-{}", CONFIRM)).await;
        let node = raw.and_then(|raw| NodeView::parse(&raw).ok());
        self.seen.live.insert(name, node);
        Ok(())
    }

    async fn confirm_pools(&mut self) -> Result<(), Failed> {
        // Side by side: each waits until the API server's cache has caught up with what was just written.
        let (pools, pauses) = tokio::join!(list_pools(&self.source), list_pauses(&self.source));
        let pools = pools.map_err(|error| Failed::new("read the pools".to_owned(), error))?;
        let pauses = pauses.map_err(|error| Failed::new("read the pauses".to_owned(), error))?;
        self.pools.replace(pools);
        self.know_pools();
        self.pauses.replace(pauses);
        if self.needs_gates() {
            let read = list_gates(&self.source).await;
            let gates = read.map_err(|error| Failed::new("read the gates".to_owned(), error))?;
            self.gates.replace(gates);
        }
        self.know_holds();
        self.seen.pools_live = true;
        Ok(())
    }
}
