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
mod canary;
mod candidate;
mod lone;
mod numbers;
mod order;
mod pools;
mod report;
mod slot;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::control_plane::Rule;
use crate::field::trouble;
use crate::identity::{GrantId, Identity, NodeName};
use crate::keys;
use crate::ledger::{Entry, Ledger, Stage};
use crate::node::NodeView;
use crate::pool::{FoundPool, Pool};
use crate::reason::{AnyCode, Code, Reason};
use crate::time::Time;
use crate::values::{Field, Phase};

pub use act::{Act, LedgerAct, LedgerChange, NodeAct, NodeChange, Note};
use canary::Trial;
use numbers::{are_ours, last_seq};
use pools::Pools;
pub use report::{PoolReport, SlotReport, TARGETS, TargetReport};
use slot::on;
pub use writes::Writes;

/// What the operator knows at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// All Nodes, as the watch told; may be old.
    pub nodes: BTreeMap<NodeName, NodeView>,
    /// The ledger as just read; absent if it was never written.
    pub ledger: Field<Ledger>,
    /// Nodes as just read from the API server because of [`Act::ConfirmNode`]; `None` where there is no such Node.
    pub live: BTreeMap<NodeName, Option<NodeView>>,
    /// The node that the operator itself runs on.
    pub own_node: Option<NodeName>,
    /// All pools, by name.
    pub pools: Vec<FoundPool>,
    /// `pools` were read from the API server in this very turn, because of [`Act::ConfirmPools`]; otherwise they are as the watch told.
    pub pools_live: bool,
    /// How it is with what is written to Nodes.
    pub writes: Writes,
}

/// What administrators want of the whole cluster.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The pool of all nodes that no other one selects.
    pub builtin: Pool,
    /// Nothing new is granted, in no pool.
    pub paused: bool,
    /// Which nodes are of the control plane.
    pub control_plane: Rule,
    /// How long an agent may take to accept.
    pub accept_timeout: SignedDuration,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Why each node does, or does not, reboot now.
    pub verdicts: BTreeMap<NodeName, Reason>,
    /// What is next.
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

/// Decides.
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

/// What the ledger is called in reasons.
const DATA_NAME: &str = "the ledger (ConfigMap cuo-ledger, ledger.json)";

/// A plan in the making.
struct Planner<'a> {
    seen: &'a Snapshot,
    policy: &'a Policy,
    now: Time,
    ledger: &'a Ledger,
    /// The highest number of a grant that was ever seen; the Nodes remember where somebody deleted the ledger.
    last_seq: u64,
    pools: Pools<'a>,
    /// What failed, on which nodes and how; without a code where that can't be read.
    failures: Failed<'a>,
    /// How far identities are in the pools that have canaries.
    trials: BTreeMap<(usize, Identity), Trial<'a>>,
    verdicts: BTreeMap<NodeName, Reason>,
    wakes: Vec<Time>,
}

impl<'a> Planner<'a> {
    fn new(seen: &'a Snapshot, policy: &'a Policy, ledger: &'a Ledger, now: Time) -> Self {
        Self {
            seen,
            policy,
            now,
            ledger,
            last_seq: last_seq(seen, ledger),
            pools: Pools::new(seen, policy, ledger, now),
            failures: failures(seen, ledger),
            trials: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            wakes: Vec::new(),
        }
    }

    fn all(&mut self) -> Plan {
        let used = self.pools.used.iter().copied().cloned().collect();
        let (restore, slots) = (self.restore(), self.slots());
        let act = restore.or(slots);
        let act = act.or_else(|| self.orphans());
        let (told, last) = self.tell_lone();
        let act = match self.others(act.or(told)) {
            Act::Wait => last.unwrap_or(Act::Wait),
            act => act,
        };
        self.done(act, used)
    }

    /// The plan while nothing can be decided: everybody is told why.
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

    /// A grant that the ledger lacks is put back before anything else: somebody deleted the ledger, or an entry.
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
                // The slot is being given back: what comes after it.
                None => self.wants(node).err().unwrap_or(Code::Reserved.into()),
            };
            self.verdicts.insert(name.clone(), reason);
        }
        act
    }

    /// A write that was refused just now is not tried at once again: it would keep everybody else waiting. Nor is there ever more than one
    /// under way for one Node.
    fn rests(&self, act: &Act) -> bool {
        match act {
            Act::Node(act) => self.seen.writes.wait(&act.node),
            Act::Wait | Act::Ledger(_) | Act::ConfirmNode(_) | Act::ConfirmPools => false,
        }
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
            .map(|node| (self.rank(node), node))
            .collect();
        ready.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut chosen = act;
        // The operator's own node, which is last of all, lets those go first that are about to: not those that wait for something else,
        // which may be for ever, or for this node as a canary.
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
        let identity = node.agent.needed.value().ok_or(Code::UpToDate)?;
        self.turn(node, identity)?;
        self.pools.fits(node)?;
        self.pools.take(node);
        self.tries(&node.name, identity);
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

/// What failed, on which nodes and how; without a code where that can't be read.
type Failed<'a> = BTreeMap<Identity, Vec<(&'a NodeName, Option<&'a AnyCode>)>>;

/// Everything that failed anywhere, and what may have where that can't be read. What a node says of something that it was never granted counts
/// for nobody else: any node could say it of anything.
fn failures<'a>(seen: &'a Snapshot, ledger: &Ledger) -> Failed<'a> {
    let mut failures: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for node in seen.nodes.values() {
        let list = node.agent.failed.value();
        let list = list.iter().flat_map(|failed| &failed.identities);
        let known = list.map(|failure| (failure.identity, Some(&failure.code)));
        let suspected = node.agent.suspected.iter();
        let told = known.chain(suspected.map(|identity| (*identity, None)));
        for (identity, code) in told.filter(|(identity, _)| was_granted(node, ledger, identity)) {
            failures
                .entry(identity)
                .or_default()
                .push((&node.name, code));
        }
    }
    failures
}

/// The node has, or had, a grant for `identity`.
fn was_granted(node: &NodeView, ledger: &Ledger, identity: &Identity) -> bool {
    let operator = &node.operator;
    let noted = operator.granted.value();
    let noted = noted.is_some_and(|granted| granted.identities.contains(identity));
    let grant = operator.grant.value();
    let entry = ledger.entries.get(&node.name);
    let entry = entry.filter(|entry| entry.stage == Stage::Granted);
    noted
        || grant.is_some_and(|grant| grant.identity == *identity)
        || entry.is_some_and(|entry| entry.identity == *identity)
}

/// The Node carries something of a slot, understood or not.
fn holds(node: &NodeView) -> bool {
    node.operator.has_slot() || !node.agent.progress.is_absent()
}

/// The node does not become healthy with what it runs, has given its slot back, and wants to go back to what it ran before. That it is
/// out of service is no reason to keep it so.
fn goes_back(node: &NodeView) -> bool {
    let agent = &node.agent;
    let ails = || {
        let booted = agent.booted.value()?.identity;
        let failure = agent.failed.value()?.find(&booted)?;
        Some(failure.code == Code::Unhealthy)
    };
    has_failed(node) && agent.progress.is_absent() && ails() == Some(true)
}

/// The node is out of service, whoever the cause is.
fn unavailable(node: &NodeView) -> bool {
    !node.ready || node.unschedulable || node.deleting || has_failed(node)
}

/// The node needs a person; if it has a slot, it keeps that until then.
fn has_failed(node: &NodeView) -> bool {
    let status = node.agent.status.value();
    status.is_some_and(|status| status.phase == Phase::Failed)
}

#[cfg(test)]
mod tests;
