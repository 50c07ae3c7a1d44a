//! Releases that failed on nodes, as far as that counts for other nodes.

use std::collections::BTreeMap;

use super::seen::Snapshot;
use crate::ids::{NodeName, ReleaseId};
use crate::ledger::{Ledger, Stage};
use crate::node::NodeView;
use crate::reason::AnyCode;

/// What failed, on which nodes and how; without a code where that can't be read.
pub(super) type Failed<'a> = BTreeMap<ReleaseId, Vec<(&'a NodeName, Option<&'a AnyCode>)>>;

/// Everything that failed anywhere, and what may have where that can't be read. What a node says of something that it was never granted counts
/// for nobody else: any node could say it of anything.
pub(super) fn failures<'a>(seen: &'a Snapshot, ledger: &Ledger) -> Failed<'a> {
    let mut failures: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for node in seen.nodes.values() {
        let list = node.agent.failed.value();
        let list = list.iter().flat_map(|failed| &failed.identities);
        let known = list.map(|failure| (failure.identity, Some(&failure.code)));
        let suspected = node.agent.suspected.iter();
        let reported = known.chain(suspected.map(|identity| (*identity, None)));
        for (identity, code) in reported.filter(|(identity, _)| was_granted(node, ledger, identity))
        {
            failures
                .entry(identity)
                .or_default()
                .push((&node.name, code));
        }
    }
    failures
}

/// The node has, or had, a grant for `identity`.
fn was_granted(node: &NodeView, ledger: &Ledger, identity: &ReleaseId) -> bool {
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
