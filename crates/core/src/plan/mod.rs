//! The operator's decision: who reboots when, with a reason for every node.
//!
//! [`plan`] is level-triggered like the agent's step: it looks at the Nodes and the ledger, and names the one write that is next. A slot
//! goes through these, each a conditional write:
//!
//! 1. ledger: the entry, `reserved`;
//! 2. Node: `reboot-reserved`, and the label that starts the before-reboot checks;
//! 3. ledger: the entry is `granted`, once the reservation came back through the operator's own watch, so that what it knows of the
//!    node is not older than the entry, and everything was judged again;
//! 4. Node: `reboot-ok` in place of `reboot-reserved`;
//! 5. Node: `reboot-ok` is removed, once the agent answered and the after-reboot checks passed, or before it accepted;
//! 6. ledger: the entry is dropped, once a live read shows nothing of it on the Node.
//!
//! Why no two operators, however old what they know, can exceed the budget: a Node gets a grant only by write 4, which needs the Node to
//! be unwritten since it was seen with the reservation. An entry that is `granted` is dropped only after a live read without reservation
//! and grant, and then every write 4 that is still on its way is too old to succeed. While the entry is there, the ledger's own
//! condition keeps the budget.

mod candidate;
mod slot;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::agent::trouble;
use crate::identity::{GrantId, Identity, NodeName};
use crate::keys;
use crate::ledger::{Entry, Ledger, Stage};
use crate::node::{Allotted, NodeView};
use crate::reason::{Code, Reason};
use crate::values::{DrainPolicy, Field, to_second};
use crate::window::Windows;

/// What the operator knows at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// All Nodes, as the watch told; may be old.
    pub nodes: BTreeMap<NodeName, NodeView>,
    /// The ledger as just read; absent if it was never written.
    pub ledger: Field<Ledger>,
    /// Nodes as just read from the API server because of [`Act::Confirm`]; `None` where there is no such Node.
    pub live: BTreeMap<NodeName, Option<NodeView>>,
    /// The node that the operator itself runs on.
    pub own_node: Option<NodeName>,
}

/// What administrators want.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Most nodes that may be rebooting or unavailable because of a new grant; at least 1.
    pub max_unavailable: usize,
    /// Nothing new is granted.
    pub paused: bool,
    /// When nodes may be granted.
    pub windows: Windows,
    /// Annotations that have to be `true` before a grant.
    pub before: Vec<String>,
    /// Annotations that have to be `true` before a slot is free again.
    pub after: Vec<String>,
    /// How long an agent may take to accept.
    pub accept_timeout: SignedDuration,
    /// How to drain.
    pub drain: DrainPolicy,
}

/// The next write, or the read that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// Nothing until something changes or [`Plan::wake`].
    Wait,
    /// Replace the ledger, on the condition that it is still the one that was read.
    WriteLedger(Ledger),
    /// Write this to a Node, on the condition that it is still the one that was seen.
    WriteNode(NodeName, Box<Allotted>),
    /// Read this Node from the API server and plan again with it in [`Snapshot::live`].
    Confirm(NodeName),
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Why each node does, or does not, reboot now.
    pub verdicts: BTreeMap<NodeName, Reason>,
    /// What is next.
    pub act: Act,
    /// When to plan again at the latest.
    pub wake: Option<Timestamp>,
    /// Nodes that count against the budget.
    pub used: BTreeSet<NodeName>,
}

/// Decides.
pub fn plan(seen: &Snapshot, policy: &Policy, now: Timestamp) -> Plan {
    let now = to_second(now);
    let ledger = match &seen.ledger {
        Field::Absent => Ledger::default(),
        Field::Value(ledger) => ledger.clone(),
        broken => return nothing(seen, broken),
    };
    let mut work = Planner {
        seen,
        policy,
        now,
        window: policy.windows.open(now),
        ledger,
        failures: failures(seen),
        verdicts: BTreeMap::new(),
        wakes: Vec::new(),
    };
    let (restore, slots) = (work.restore(), work.slots());
    let act = restore.or(slots).or_else(|| work.orphans());
    let used = work.used();
    let act = work.others(&used, act);
    Plan {
        act,
        wake: work.wakes.iter().min().copied(),
        verdicts: work.verdicts,
        used,
    }
}

/// The plan while the ledger makes no sense: nothing at all, and everybody is told why.
fn nothing(seen: &Snapshot, ledger: &Field<Ledger>) -> Plan {
    let reason = trouble(ledger, DATA_NAME).unwrap_or_else(|| Code::MalformedAnnotation.into());
    let verdicts = seen
        .nodes
        .keys()
        .map(|name| (name.clone(), reason.clone()))
        .collect();
    Plan {
        verdicts,
        act: Act::Wait,
        wake: None,
        used: seen.nodes.keys().cloned().collect(),
    }
}

/// What the ledger is called in reasons.
const DATA_NAME: &str = "the ledger (ConfigMap cuo-ledger, ledger.json)";

/// A plan in the making.
struct Planner<'a> {
    seen: &'a Snapshot,
    policy: &'a Policy,
    now: Timestamp,
    /// When the open window ends; `None` if none is open.
    window: Option<Timestamp>,
    ledger: Ledger,
    /// What failed, on which node and how.
    failures: BTreeMap<Identity, (&'a NodeName, Code)>,
    verdicts: BTreeMap<NodeName, Reason>,
    wakes: Vec<Timestamp>,
}

impl<'a> Planner<'a> {
    /// A grant that the ledger lacks is put back before anything else: somebody deleted the ledger, or an entry.
    fn restore(&self) -> Option<Act> {
        let mut ledger = self.ledger.clone();
        for (name, node) in &self.seen.nodes {
            let Some(grant) = node.operator.grant.value() else {
                continue;
            };
            let known = ledger
                .entries
                .get(name)
                .is_some_and(|entry| entry.id == grant.id && entry.stage == Stage::Granted);
            if !known {
                let entry = Entry {
                    id: grant.id,
                    identity: grant.identity,
                    boot: grant.boot,
                    stage: Stage::Granted,
                    since: self.now,
                };
                ledger.entries.insert(name.clone(), entry);
            }
        }
        ledger.seq = self.last_seq();
        (ledger.entries != self.ledger.entries).then_some(Act::WriteLedger(ledger))
    }

    /// The next write for any of the slots that are out.
    fn slots(&mut self) -> Option<Act> {
        let mut act = None;
        for (name, entry) in self.ledger.entries.clone() {
            let next = self.slot(&name, &entry);
            act = act.or(next.act);
            let Some(node) = self.seen.nodes.get(&name) else {
                continue;
            };
            let reason = match next.verdict {
                Some(reason) => reason,
                // The slot is being given back: what comes after it.
                None => self.wants(node).err().unwrap_or(Code::Reserved.into()),
            };
            self.verdicts.insert(name, reason);
        }
        act
    }

    /// A reservation whose entry was dropped, or labels without what they belong to, are removed.
    fn orphans(&self) -> Option<Act> {
        self.seen.nodes.iter().find_map(|(name, node)| {
            let operator = &node.operator;
            let known = self.ledger.entries.get(name).map(|entry| entry.id);
            let orphan = operator
                .reserved
                .value()
                .is_some_and(|reserved| known != Some(reserved.id));
            let label = known.is_none() && (operator.before || operator.after);
            // What is not understood is left for a person, and everything beside it.
            let clean =
                orphan || label && operator.reserved.is_absent() && operator.grant.is_absent();
            let keep = Allotted {
                grant: operator.grant.value().cloned(),
                ..Allotted::default()
            };
            let whole = trouble(&operator.grant, keys::REBOOT_OK).is_none();
            (clean && whole).then(|| Act::WriteNode(name.clone(), Box::new(keep)))
        })
    }

    /// Nodes that count against the budget: those with a slot, and those that are out of service for any other reason.
    fn used(&self) -> BTreeSet<NodeName> {
        let slots = self.ledger.entries.keys().cloned();
        let out = self
            .seen
            .nodes
            .values()
            .filter(|node| holds(node) || unavailable(node))
            .map(|node| node.name.clone());
        slots.chain(out).collect()
    }

    /// Whether `node` may have a slot beside those that are used.
    fn fits(&self, used: &BTreeSet<NodeName>, node: &NodeView) -> Result<(), Reason> {
        let others = || used.iter().filter(|name| **name != node.name);
        let control = |name: &&NodeName| {
            let known = self.seen.nodes.get(*name);
            known.is_none_or(|node| node.control_plane) // a slot's Node may be unknown yet
        };
        if let Some(busy) = others().find(control).filter(|_| node.control_plane) {
            return Err(Reason::new(
                Code::ControlPlaneBusy,
                format!("waits for control-plane node {busy}"),
            ));
        }
        if others().count() >= self.policy.max_unavailable {
            let names: Vec<_> = others().take(5).map(NodeName::as_str).collect();
            let text = format!(
                "{} of {} in use: {}",
                others().count(),
                self.policy.max_unavailable,
                names.join(", ")
            );
            return Err(Reason::new(Code::BudgetExhausted, text));
        }
        Ok(())
    }

    /// Judges the nodes without a slot, and reserves one for the first that may have it if nothing else is to be done.
    fn others(&mut self, used: &BTreeSet<NodeName>, act: Option<Act>) -> Act {
        let own = self.seen.own_node.as_ref();
        let mut ready: Vec<&NodeView> = Vec::new();
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
        // Names come sorted; workers go before the control plane, both before those that let a grant lapse, and the operator's own node is
        // last of all.
        ready.sort_by_key(|node| {
            let lapsed = self.ledger.unanswered.get(&node.name);
            (own == Some(&node.name), lapsed, node.control_plane)
        });
        let mut chosen = act;
        let mut used = used.clone();
        for node in &ready {
            let alone = ready.len() == 1 && self.ledger.entries.is_empty();
            let reason = if own == Some(&node.name) && !alone {
                Reason::from(Code::OwnNodeLast)
            } else {
                match self.fits(&used, node) {
                    Err(reason) => reason,
                    Ok(()) => {
                        used.insert(node.name.clone());
                        chosen = chosen.or_else(|| self.reserve(node));
                        Reason::from(Code::Reserved)
                    }
                }
            };
            self.verdicts.insert(node.name.clone(), reason);
        }
        chosen.unwrap_or(Act::Wait)
    }

    fn reserve(&self, node: &NodeView) -> Option<Act> {
        let (needed, booted) = (node.agent.needed.value()?, node.agent.booted.value()?);
        let seq = self.last_seq().saturating_add(1);
        let mut ledger = self.ledger.clone();
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
        ledger.entries.insert(node.name.clone(), entry);
        ledger.seq = seq;
        Some(Act::WriteLedger(ledger))
    }

    /// The highest number of a grant that was ever seen; the Nodes remember where somebody deleted the ledger.
    fn last_seq(&self) -> u64 {
        let on_nodes = self.seen.nodes.values().flat_map(|node| {
            let (agent, operator) = (&node.agent, &node.operator);
            [
                operator.grant.value().map(|grant| grant.id),
                operator.reserved.value().map(|reserved| reserved.id),
                agent.progress.value().map(|progress| progress.id),
                agent.result.value().map(|result| result.id),
                agent.owned.value().copied(),
            ]
        });
        let entries = self.ledger.entries.values().map(|entry| entry.id.seq);
        let seen = on_nodes.flatten().map(|id| id.seq).chain(entries).max();
        self.ledger.seq.max(seen.unwrap_or(0))
    }
}

/// Everything that failed anywhere: no other node tries it.
fn failures(seen: &Snapshot) -> BTreeMap<Identity, (&NodeName, Code)> {
    let mut failures = BTreeMap::new();
    for node in seen.nodes.values() {
        let failed = node.agent.failed.value();
        for failure in failed.iter().flat_map(|failed| &failed.identities) {
            let found = (&node.name, failure.code);
            failures.entry(failure.identity).or_insert(found);
        }
    }
    failures
}

/// The Node carries something of a slot, understood or not.
fn holds(node: &NodeView) -> bool {
    !(node.operator.reserved.is_absent()
        && node.operator.grant.is_absent()
        && node.agent.progress.is_absent())
}

/// The node is out of service, whoever the cause is.
fn unavailable(node: &NodeView) -> bool {
    let failed = node
        .agent
        .status
        .value()
        .is_some_and(|status| status.phase == crate::values::Phase::Failed);
    !node.ready || node.unschedulable || node.deleting || failed
}

#[cfg(test)]
mod tests;
