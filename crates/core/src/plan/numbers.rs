//! Grant numbers: they only rise, whatever anybody writes.

use super::seen::{DATA_NAME, Snapshot};
use crate::ids::NodeName;
use crate::ledger::Ledger;
use crate::reason::{Code, Reason};

/// How far above the operator's own numbers an agent's may be.
///
/// A node can write any number as that of its last grant. If that were believed without a limit, no higher number might be left. This many
/// at once do no harm, and far fewer were ever given between a ledger and an older copy of it.
const REACH: u64 = 1 << 32;
/// The highest number that an operator gives: half of the range, which nobody reaches even in steps of `REACH`.
const HIGHEST: u64 = 1 << 63;

/// The numbers that operators wrote: in the ledger, and on each Node.
fn own_numbers<'a>(
    seen: &'a Snapshot,
    ledger: &'a Ledger,
) -> impl Iterator<Item = (u64, Option<&'a NodeName>)> {
    let entries = ledger.entries.values().map(|entry| entry.id.seq);
    let on_nodes = seen.nodes.values().flat_map(|node| {
        let operator = &node.operator;
        let grant = operator.grant.value().map(|grant| grant.id);
        let reserved = operator.reserved.value().map(|reserved| reserved.id);
        let ids = grant.into_iter().chain(reserved);
        ids.map(|id| (id.seq, Some(&node.name)))
    });
    let in_ledger = entries.chain([ledger.seq]).map(|seq| (seq, None));
    in_ledger.chain(on_nodes)
}

/// Checks that no number is above [`HIGHEST`]: such a number was made up, and none would be left after it.
pub(super) fn are_ours(seen: &Snapshot, ledger: &Ledger) -> Result<(), Reason> {
    let Some((seq, node)) = own_numbers(seen, ledger).find(|(seq, _)| *seq > HIGHEST) else {
        return Ok(());
    };
    let place = node.map_or(DATA_NAME.to_owned(), |name| format!("node {name}"));
    let text = format!("{place} holds a grant with number {seq}, which no operator gave");
    Err(Reason::new(Code::MalformedAnnotation, text))
}

/// The highest number that counts; an agent's does unless it is out of [`REACH`].
pub(super) fn last_seq(seen: &Snapshot, ledger: &Ledger) -> u64 {
    let own = own_numbers(seen, ledger).map(|(seq, _)| seq).max();
    let own = own.unwrap_or(0);
    let on_nodes = seen.nodes.values().flat_map(|node| {
        let agent = &node.agent;
        [
            agent.progress.value().map(|progress| progress.id),
            agent.result.value().map(|result| result.id),
            agent.owned.value().copied(),
        ]
    });
    let agents = on_nodes.flatten().map(|id| id.seq);
    let believed = agents.filter(|seq| seq.saturating_sub(own) <= REACH);
    believed.max().map_or(own, |seq| seq.max(own))
}
