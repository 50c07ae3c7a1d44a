//! The state of planning that its parts, each in a file of its own, share.

use std::collections::BTreeMap;

use super::act::{Act, LedgerAct, LedgerChange};
use super::course::Course;
use super::failures::{Failed, failures};
use super::numbers::last_seq;
use super::pools::Pools;
use super::seen::{Policy, Snapshot};
use crate::ids::NodeName;
use crate::ledger::Ledger;
use crate::reason::Reason;
use crate::time::Time;

/// A plan in the making.
pub(super) struct Planner<'a> {
    pub seen: &'a Snapshot,
    pub policy: &'a Policy,
    pub now: Time,
    pub ledger: &'a Ledger,
    /// The highest number of a grant that was ever seen; the Nodes remember where somebody deleted the ledger.
    pub last_seq: u64,
    pub pools: Pools<'a>,
    /// What failed, on which nodes and how; without a code where that can't be read.
    pub failures: Failed<'a>,
    /// Where the pools with a candidate stand, by their places.
    pub courses: BTreeMap<usize, Course<'a>>,
    pub verdicts: BTreeMap<NodeName, Reason>,
    pub wakes: Vec<Time>,
}

impl<'a> Planner<'a> {
    pub fn new(seen: &'a Snapshot, policy: &'a Policy, ledger: &'a Ledger, now: Time) -> Self {
        Self {
            seen,
            policy,
            now,
            ledger,
            last_seq: last_seq(seen, ledger),
            pools: Pools::new(seen, policy, ledger, now),
            failures: failures(seen, ledger),
            courses: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            wakes: Vec::new(),
        }
    }

    /// A write that was refused just now is not tried at once again: it would keep everybody else waiting. Nor is there ever more than one
    /// under way for one Node.
    pub fn rests(&self, act: &Act) -> bool {
        match act {
            Act::Node(act) => self.seen.writes.wait(&act.node),
            Act::Pool(act) => self.seen.pools_busy.contains(&act.pool),
            Act::Wait | Act::Ledger(_) | Act::ConfirmNode(_) | Act::ConfirmPools => false,
        }
    }

    /// A write to the ledger, about the slot of `name`.
    pub fn ledger(&self, name: &NodeName, change: LedgerChange) -> Act {
        Act::Ledger(LedgerAct {
            node: name.clone(),
            change,
            seq: self.last_seq,
        })
    }
}
