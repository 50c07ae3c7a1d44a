//! Whether all pools of a node allow it to reboot.

use super::announced::goal;
use super::nodes::goes_back;
use super::planner::Planner;
use super::pools::{Seen, what};
use super::seen::Snapshot;
use crate::ids::ReleaseId;
use crate::node::NodeView;
use crate::pool::Pool;
use crate::reason::{Code, Reason};
use crate::time::Time;

/// No window of the pool is open.
fn closed(pool: &Seen<'_>) -> Reason {
    let when = pool.opens.map(|time| time.to_string());
    let when = when.unwrap_or_else(|| "never".to_owned());
    let text = format!("{}the next window opens {when}", pool.called());
    Reason::new(Code::WindowClosed, text)
}

/// Whether all gates of the pool are open; when one closes by itself, the plan is made again. The way back is no update, and waits for none.
fn gates(seen: &Snapshot, now: Time, asks: &Pool, wakes: &mut Vec<Time>) -> Result<(), String> {
    for name in &asks.gates {
        let gate = match seen.gates.get(name) {
            Some(Ok(gate)) => gate,
            Some(Err(why)) => return Err(format!("gate {name} can't be understood: {why}")),
            None => return Err(format!("gate {name} does not exist")),
        };
        if let Some(why) = gate.closed(now) {
            return Err(format!("gate {name} {why}"));
        }
        wakes.extend(gate.until);
    }
    Ok(())
}

impl Planner<'_> {
    /// Whether all pools of the node let it boot `identity` now, apart from whoever else goes.
    pub(super) fn consent(&mut self, node: &NodeView, identity: &ReleaseId) -> Result<(), Reason> {
        self.pools.invalid(&node.name)?;
        self.pools.alike(&node.name)?;
        self.pools.understood(node)?;
        // A node that goes back does so whatever its pools go to, and one that only reboots stays with what it runs.
        let updates = !goes_back(node) && node.only_reboots().is_none();
        if updates {
            self.pools.steered_alike(&node.name)?;
            self.pools.tells(node)?;
        }
        let version = node.agent.needed_version.as_deref();
        // The rollback target was approved when the node ran it, and no target means to stay with a release that does not work.
        let leader = self.pools.leads(&node.name);
        let leads = |pool: &Seen<'_>| leader.is_some_and(|at| self.pools.all[at].name == pool.name);
        let (seen, now) = (self.seen, self.now);
        for pool in self.pools.of(&node.name) {
            let Ok(asks) = pool.asks else { continue };
            let called = pool.called();
            if asks.paused {
                let text = format!("{called}it is paused");
                return Err(Reason::new(Code::PoolPaused, text));
            }
            if let Some(target) = asks.target.as_ref().filter(|_| updates)
                && !target.names(identity, version)
            {
                let what = what(identity, version);
                let text =
                    format!("{called}the target is {target}, and the node would boot {what}");
                return Err(Reason::new(Code::NotTarget, text));
            }
            if updates && !self.approved(asks, node, identity) {
                let text = format!("{called}{} is not approved", what(identity, version));
                return Err(Reason::new(Code::NotApproved, text));
            }
            if updates && leads(pool) {
                self.released(node, identity)?;
            }
            if !goes_back(node) {
                gates(seen, now, asks, &mut self.wakes)
                    .map_err(|why| Reason::new(Code::GateClosed, format!("{called}{why}")))?;
            }
            if pool.open.is_none() {
                self.wakes.extend(pool.opens);
                return Err(closed(pool));
            }
        }
        Ok(())
    }

    /// When the first of the gates that the node waits for closes by itself.
    pub(super) fn gates_close(&self, node: &NodeView) -> Option<Time> {
        let asks = self.pools.asks(&node.name).filter(|_| !goes_back(node));
        let gates = asks.flat_map(|pool| &pool.gates);
        let ends = gates.filter_map(|name| self.seen.gates.get(name)?.as_ref().ok()?.until);
        ends.min()
    }

    /// Whether it is this node's turn, in all of its pools: nodes that were updated are left alone for a while, and canaries go first.
    /// Whoever goes back to what it ran before tries nothing new.
    pub(super) fn turn(&mut self, node: &NodeView) -> Result<(), Reason> {
        if goes_back(node) {
            return Ok(());
        }
        for pool in self.pools.of(&node.name) {
            if let Some((until, last)) = pool.settling(self.now) {
                self.wakes.push(until);
                let text = format!("{}rests until {until} after node {last}", pool.called());
                return Err(Reason::new(Code::PoolSettling, text));
            }
        }
        self.canaries(node)
    }

    /// The pool approves what the node would boot, or what that leads to on a graph.
    fn approved(&self, asks: &Pool, node: &NodeView, identity: &ReleaseId) -> bool {
        let goal = goal(node);
        let goal = goal.filter(|goal| asks.approves(&goal.identity, goal.version.as_deref()));
        goal.is_some() || asks.approves(identity, node.agent.needed_version.as_deref())
    }
}
