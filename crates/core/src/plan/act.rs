//! The operator's next act by name, and its effect on the ledger and on Nodes.

use crate::ids::{NodeName, PoolName, ReleaseId};
use crate::ledger::{Entry, Ledger};
use crate::node::{Allotted, NodeView};
use crate::release::{Assigned, Chosen, GivenUp, NamedRelease, Rollout};
use crate::time::Time;
use crate::values::{Grant, Granted, RebootResult, Reservation};

/// The next write, or the read that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// Nothing until something changes or [`Plan::wake`](super::Plan::wake).
    Wait,
    /// Read this Node from the API server and plan again with it in [`Snapshot::live`](super::Snapshot::live).
    ConfirmNode(NodeName),
    /// Read the pools, pauses and gates from the API server and plan again with them in [`Snapshot::pools`](super::Snapshot::pools),
    /// [`Snapshot::pauses`](super::Snapshot::pauses) and [`Snapshot::gates`](super::Snapshot::gates).
    ConfirmPools,
    /// Replace the ledger, provided that it has not changed since it was read.
    Ledger(LedgerAct),
    /// Write to a Node, provided that it has not changed since it was seen.
    Node(NodeAct),
    /// Write how far a pool is with releases into its status, on the condition that the pool is still the one that was seen.
    Pool(PoolAct),
}

/// A write to the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LedgerAct {
    /// The node whose slot changes; the first of several, where grants are restored.
    pub node: NodeName,
    /// The change to the slot.
    pub change: LedgerChange,
    /// The highest number that was ever given to a grant.
    pub seq: u64,
}

/// A change to a slot in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LedgerChange {
    /// Nodes show grants that the ledger lacks: their entries are put back.
    Restore(Vec<(NodeName, Entry)>),
    /// The node gets a slot.
    Reserve(Entry),
    /// The slot may be granted, and the agent's time begins.
    MarkGranted(Entry),
    /// The slot is given up before it was granted.
    GiveUp {
        /// Deleted Nodes that the ledger still has notes about.
        gone: Vec<NodeName>,
    },
    /// The slot is freed after a grant.
    Drop {
        /// Deleted Nodes that the ledger still has notes about.
        gone: Vec<NodeName>,
        /// The change to the note that the node left a grant unanswered.
        unanswered: Note,
    },
}

/// A change to a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Note {
    /// The note stays as it is.
    Keep,
    /// The note is removed: the agent answered.
    Clear,
    /// The note is set: the grant lapsed, and that was noticed at this time.
    Set(Time),
}

impl LedgerAct {
    /// `ledger` after the write.
    pub fn on(&self, ledger: &Ledger) -> Ledger {
        let mut ledger = ledger.clone();
        ledger.seq = self.seq;
        match &self.change {
            LedgerChange::Restore(entries) => ledger.entries.extend(entries.iter().cloned()),
            LedgerChange::Reserve(entry) | LedgerChange::MarkGranted(entry) => {
                ledger.entries.insert(self.node.clone(), entry.clone());
            }
            LedgerChange::GiveUp { gone } => free(&mut ledger, &self.node, gone, Note::Keep),
            LedgerChange::Drop { gone, unanswered } => {
                free(&mut ledger, &self.node, gone, *unanswered);
            }
        }
        ledger
    }
}

/// Removes the entry of `node`, and the notes about Nodes that are `gone`.
fn free(ledger: &mut Ledger, node: &NodeName, gone: &[NodeName], unanswered: Note) {
    ledger.entries.remove(node);
    for gone in gone {
        ledger.unanswered.remove(gone);
    }
    match unanswered {
        Note::Keep => {}
        Note::Clear => drop(ledger.unanswered.remove(node)),
        Note::Set(at) => drop(ledger.unanswered.insert(node.clone(), at)),
    }
}

/// A write of how far a pool is with releases.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolAct {
    /// Which one.
    pub pool: PoolName,
    /// When it was decided.
    pub at: Time,
    /// How many of its nodes run what it is about.
    pub nodes: usize,
    /// What happens.
    pub change: PoolChange,
}

/// What happens to the releases of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PoolChange {
    /// The status was lost: what decides is put back, as far as the Nodes tell it.
    Restore(Box<Rollout>),
    /// There is a candidate.
    Choose(Chosen),
    /// It is known for one more architecture.
    Resolve(String, NamedRelease),
    /// All nodes may boot it.
    Promote,
    /// Releases failed on too many nodes.
    GiveUp(Vec<GivenUp>),
    /// A release is no longer given up, since it no longer failed where it did.
    Forgive(ReleaseId),
    /// Another candidate, or none, takes the place of the one there is.
    Supersede(Option<Chosen>),
    /// The pool has no candidate, and nothing is promoted in it, any more.
    End,
}

impl PoolAct {
    /// How far the pool is after the write.
    pub fn on(&self, rollout: &Rollout) -> Rollout {
        let (at, nodes) = (self.at, self.nodes);
        let mut next = rollout.clone();
        match &self.change {
            PoolChange::Restore(restored) => next = (**restored).clone(),
            PoolChange::Choose(chosen) => next.candidate = Some(chosen.clone()),
            PoolChange::Resolve(architecture, release) => {
                let candidate = next.candidate.iter_mut();
                let known = candidate.map(|candidate| &mut candidate.identities);
                for known in known {
                    known.insert(architecture.clone(), release.clone());
                }
            }
            PoolChange::Promote => next.promote(at, nodes),
            PoolChange::GiveUp(failed) => next.give_up(failed, at, nodes),
            PoolChange::Forgive(identity) => {
                next.given_up.retain(|known| known.identity != *identity);
            }
            PoolChange::Supersede(other) => next.supersede(other.clone(), at, nodes),
            PoolChange::End => next.end(at, nodes),
        }
        next
    }
}

/// A write to a Node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeAct {
    /// The node's name.
    pub node: NodeName,
    /// The change.
    pub change: NodeChange,
}

/// A write to `node`.
pub(super) fn on(node: &NodeView, change: NodeChange) -> Act {
    let node = node.name.clone();
    Act::Node(NodeAct { node, change })
}

/// A change to a Node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeChange {
    /// Write the reservation of the ledger's entry.
    MarkReserved {
        /// The reservation to write.
        reservation: Reservation,
        /// Whether to start checks before the reboot.
        before: bool,
        /// Names of all checks, whose earlier answers are removed.
        reset: Vec<String>,
    },
    /// Replace the reservation with the grant.
    Grant(Box<Grant>),
    /// Replace a grant that was not accepted yet, or its reservation, with another number.
    Withdraw(Reservation),
    /// Start the checks after the reboot, by name; earlier answers are removed.
    AskAfterChecks(Vec<String>),
    /// Remove the grant, since the agent answered it.
    Release {
        /// The grant to remove.
        grant: Box<Grant>,
        /// The agent's answer.
        answer: RebootResult,
    },
    /// Remove what no entry in the ledger stands for: a reservation, and the labels of checks.
    Clean,
    /// Note on the Node whether it is the only one that takes pods.
    TellOnlyNode(bool),
    /// The Node says which release it is to go to, or nothing of it.
    Assign(Option<Assigned>),
}

impl NodeAct {
    /// What the operator wants `node` to show after the write.
    pub fn on(&self, node: &NodeView) -> Allotted {
        let operator = &node.operator;
        let nothing = Allotted::default();
        match &self.change {
            NodeChange::MarkReserved {
                reservation,
                before,
                reset,
            } => Allotted {
                reserved: Some(reservation.clone()),
                before: *before,
                reset: reset.clone(),
                ..nothing
            },
            NodeChange::Grant(grant) => Allotted {
                granted: noted(node, grant.identity),
                grant: Some((**grant).clone()),
                ..nothing
            },
            NodeChange::Withdraw(number) => Allotted {
                reserved: Some(number.clone()),
                ..nothing
            },
            NodeChange::AskAfterChecks(checks) => Allotted {
                grant: operator.grant.value().cloned(),
                after: true,
                reset: checks.clone(),
                ..nothing
            },
            // A grant of an older operator, which did not note what it granted, is noted now.
            NodeChange::Release { grant, .. } => Allotted {
                granted: noted(node, grant.identity),
                ..nothing
            },
            NodeChange::Clean => Allotted {
                grant: operator.grant.value().cloned(),
                ..nothing
            },
            NodeChange::TellOnlyNode(is) => Allotted {
                only_node: Some(*is),
                ..as_it_is(node)
            },
            NodeChange::Assign(assigned) => Allotted {
                assigned: Some(assigned.clone()),
                ..as_it_is(node)
            },
        }
    }
}

/// What is of a slot on the Node stays so.
fn as_it_is(node: &NodeView) -> Allotted {
    let operator = &node.operator;
    Allotted {
        reserved: operator.reserved.value().cloned(),
        grant: operator.grant.value().cloned(),
        before: operator.before,
        after: operator.after,
        ..Allotted::default()
    }
}

/// The note of what the node was granted, with `identity` in it; `None` if it is there.
fn noted(node: &NodeView, identity: ReleaseId) -> Option<Granted> {
    let known = node.operator.granted.value();
    if known.is_some_and(|known| known.identities.contains(&identity)) {
        return None;
    }
    let mut noted = known.cloned().unwrap_or_default();
    noted.add(identity);
    Some(noted)
}
