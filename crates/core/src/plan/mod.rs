//! The operator's decision: who reboots when, with a reason for every node.
//!
//! [`plan`] is level-triggered like the agent's step: it looks at the Nodes and the ledger, and names the one [`Act`] that is next. A slot
//! goes through these, each a conditional write:
//!
//! 1. ledger, [`LedgerChange::Reserve`]: the entry, `reserved`;
//! 2. Node, [`NodeChange::MarkReserved`]: `reboot-reserved`, and the label that starts the before-reboot checks;
//! 3. ledger, [`LedgerChange::MarkGranted`]: the entry is `granted`, once the reservation came back through the operator's own watch, so
//!    that what it knows of the node is not older than the entry, and everything was judged again;
//! 4. Node, [`NodeChange::Grant`]: `reboot-ok` in place of `reboot-reserved`;
//! 5. Node, [`NodeChange::Release`] or [`NodeChange::Withdraw`]: `reboot-ok` is removed, once the agent answered and the after-reboot checks
//!    passed, or before it accepted;
//! 6. ledger, [`LedgerChange::Drop`]: the entry is dropped, once a live read shows nothing of it on the Node.
//!
//! Why no two operators, however old what they know, can exceed the budget: a Node gets a grant only by write 4, which needs the Node to
//! be unwritten since it was seen with the reservation. An entry that is `granted` is dropped only after a live read without reservation
//! and grant, and then every write 4 that is still on its way is too old to succeed. While the entry is there, the ledger's own
//! condition keeps the budget.
//!
//! The budgets themselves are in pools, which are watched, and a watch may be behind for any time. So write 3, which is the one that
//! decides, is made only on pools that were read from the API server in the same turn ([`Act::ConfirmPools`]), after the ledger that it
//! replaces. Of two operators that both do so, the one whose write comes second fails and reads both again: every entry that is
//! `granted` fits into the pools as they were when it was decided, beside all that were `granted` before. What was only `reserved` on
//! old pools is judged again by then. A pool that is changed later, even deleted, changes nothing about grants that are out, and counts
//! for the next one. Labels of Nodes are as old as the watch, which is no older than the reservation: a node that is moved into a pool
//! after that counts there from the next decision on.

mod act;
mod announced;
mod assign;
mod canary;
mod candidate;
mod choosing;
mod consent;
mod course;
mod failures;
mod lone;
mod nodes;
mod numbers;
mod order;
mod planner;
mod pools;
mod report;
mod restoring;
mod seen;
mod slot;
mod steering;
mod trial;
mod trying;
mod versions;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

use crate::field::{Field, trouble};
use crate::ids::{GrantId, NodeName};
use crate::keys;
use crate::ledger::{Entry, Ledger, Stage};
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;

use act::on;
pub use act::{Act, LedgerAct, LedgerChange, NodeAct, NodeChange, Note, PoolAct, PoolChange};
pub use announced::ARCHITECTURE;
use nodes::has_failed;
use numbers::are_ours;
use planner::Planner;
pub use report::{PoolReport, SlotReport, TARGETS, TargetReport};
use seen::DATA_NAME;
pub use seen::{Policy, Snapshot};
pub use writes::Writes;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// For each node, why it does or does not reboot now.
    pub verdicts: BTreeMap<NodeName, Reason>,
    /// The next act.
    pub act: Act,
    /// When to plan again at the latest.
    pub wake: Option<Time>,
    /// Nodes that count against a budget.
    pub used: BTreeSet<NodeName>,
    /// Nodes of the control plane.
    pub control_plane: BTreeSet<NodeName>,
    /// The pools in numbers, the built-in one last.
    pub pools: Vec<PoolReport>,
}

/// Decides what the operator does next.
pub fn plan(seen: &Snapshot, policy: &Policy, now: Time) -> Plan {
    let empty = Ledger::default();
    let (ledger, sound) = match &seen.ledger {
        Field::Absent => (&empty, are_ours(seen, &empty)),
        Field::Value(ledger) => (ledger, are_ours(seen, ledger)),
        broken => {
            let reason = trouble(broken, DATA_NAME);
            (
                &empty,
                Err(reason.unwrap_or(Code::MalformedAnnotation.into())),
            )
        }
    };
    let mut work = Planner::new(seen, policy, ledger, now);
    match sound {
        Ok(()) => work.all(),
        Err(reason) => work.nothing(&reason),
    }
}

impl<'a> Planner<'a> {
    fn all(&mut self) -> Plan {
        let used = self.pools.used.iter().copied().cloned().collect();
        self.look_at_courses();
        let (restore, slots) = (self.restore(), self.slots());
        let act = restore.or(slots);
        let act = act.or_else(|| self.orphans());
        let changes = self.changes();
        let (reported, last) = self.tell_lone();
        let act = match self.others(act.or(changes).or(reported)) {
            Act::Wait => self.assign().or(last).unwrap_or(Act::Wait),
            act => act,
        };
        self.done(act, used)
    }

    /// The plan while nothing can be decided: every node gets this reason.
    fn nothing(&mut self, reason: &Reason) -> Plan {
        let names = || self.seen.nodes.keys().cloned();
        let used = names().collect();
        self.verdicts = names().map(|name| (name, reason.clone())).collect();
        self.done(Act::Wait, used)
    }

    fn done(&mut self, act: Act, used: BTreeSet<NodeName>) -> Plan {
        let pools = self.report();
        Plan {
            act,
            wake: self.wakes.iter().min().copied(),
            verdicts: std::mem::take(&mut self.verdicts),
            control_plane: self.pools.controllers.iter().copied().cloned().collect(),
            used,
            pools,
        }
    }

    /// Restores a grant that the ledger lacks before anything else: somebody deleted the ledger, or an entry.
    fn restore(&self) -> Option<Act> {
        let known = &self.ledger.entries;
        let missing = self.seen.nodes.iter().filter_map(|(name, node)| {
            let grant = node.operator.grant.value()?;
            let entry = known.get(name);
            let entry = entry.filter(|entry| entry.stage == Stage::Granted);
            let restored = Entry {
                id: grant.id,
                identity: grant.identity,
                boot: grant.boot,
                stage: Stage::Granted,
                since: self.now,
            };
            (entry.map(|entry| entry.id) != Some(grant.id)).then(|| (name.clone(), restored))
        });
        let missing: Vec<_> = missing.collect();
        let (first, _) = missing.first()?;
        Some(self.ledger(&first.clone(), LedgerChange::Restore(missing)))
    }

    /// The next write for any of the slots that are out.
    fn slots(&mut self) -> Option<Act> {
        let mut act = None;
        for (name, entry) in &self.ledger.entries {
            let next = self.slot(name, entry);
            let writes = matches!(&next.act, Some(Act::Node(_)));
            act = act.or(next.act.filter(|act| !self.rests(act)));
            let Some(node) = self.seen.nodes.get(name) else {
                continue;
            };
            let reason = match next.verdict {
                _ if writes && self.seen.writes.refused(name) => Code::WriteRefused.into(),
                Some(reason) => reason,
                // The slot is being given back, so this reason is about what comes after it.
                None => self.wants(node).err().unwrap_or(Code::Reserved.into()),
            };
            self.verdicts.insert(name.clone(), reason);
        }
        act
    }

    /// Removes a reservation whose entry was dropped, or labels of checks without a grant or reservation.
    fn orphans(&self) -> Option<Act> {
        self.seen.nodes.iter().find_map(|(name, node)| {
            let operator = &node.operator;
            let known = self.ledger.entries.get(name).map(|entry| entry.id);
            let orphan = operator
                .reserved
                .value()
                .is_some_and(|reserved| known != Some(reserved.id));
            let label = known.is_none() && (operator.before || operator.after);
            // A reservation that is not understood is left for a person, and so is everything beside it.
            let clean = orphan || label && !operator.has_slot();
            let whole = trouble(&operator.grant, keys::REBOOT_OK).is_none();
            let act = (clean && whole).then(|| on(node, NodeChange::Clean));
            act.filter(|act| !self.rests(act))
        })
    }

    /// Judges the nodes without a slot, and reserves one for the first that may have it if nothing else is to be done.
    fn others(&mut self, act: Option<Act>) -> Act {
        let own = self.seen.own_node.as_ref();
        let mut ready: Vec<&'a NodeView> = Vec::new();
        for (name, node) in &self.seen.nodes {
            if self.ledger.entries.contains_key(name) {
                continue;
            }
            match self.candidate(node) {
                Ok(()) => ready.push(node),
                Err(reason) => {
                    self.verdicts.insert(name.clone(), reason);
                }
            }
        }
        let mut ready: Vec<_> = ready
            .into_iter()
            .map(|node| (self.rank(node, None), node))
            .collect();
        ready.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut chosen = act;
        // The operator's own node, which is last of all, lets those go first that are about to: not those that wait for something else,
        // which may be without end, or for this node as a canary.
        let mut others_go = self.ledger.entries.keys().any(|name| {
            let node = self.seen.nodes.get(name);
            !node.is_some_and(has_failed)
        });
        for (_, node) in ready {
            let judged = match own == Some(&node.name) && others_go {
                true => Err(Code::OwnNodeLast.into()),
                false => self.admit(node),
            };
            let reason = match judged {
                Err(reason) => reason,
                Ok(()) => {
                    chosen = chosen.or_else(|| self.reserve(node));
                    Reason::from(Code::Reserved)
                }
            };
            others_go |= reason.code.verdict().soon;
            self.verdicts.insert(node.name.clone(), reason);
        }
        chosen.unwrap_or(Act::Wait)
    }

    /// Whether the node is next in its pools, beside all that count and all that came before it; then it counts, too.
    fn admit(&mut self, node: &'a NodeView) -> Result<(), Reason> {
        self.turn(node)?;
        self.pools.fits(node)?;
        self.pools.take(node);
        Ok(())
    }

    fn reserve(&self, node: &NodeView) -> Option<Act> {
        let (needed, booted) = (node.agent.needed.value()?, node.agent.booted.value()?);
        let seq = self.last_seq + 1;
        let entry = Entry {
            id: GrantId {
                seq,
                salt: booted.boot.salt(),
            },
            identity: *needed,
            boot: booted.boot,
            stage: Stage::Reserved,
            since: self.now,
        };
        Some(Act::Ledger(LedgerAct {
            node: node.name.clone(),
            change: LedgerChange::Reserve(entry),
            seq,
        }))
    }
}

#[cfg(test)]
mod tests;
