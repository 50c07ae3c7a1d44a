//! What a write does, by name: for test gates, metrics and Events.

use cuo_core::identity::NodeName;
use cuo_core::ledger::{Ledger, Stage};
use cuo_core::node::{Allotted, NodeView};
use cuo_core::plan::{Act, Snapshot};
use cuo_core::values::Field;

macro_rules! writes {
    ($($name:ident = $text:literal, $means:literal;)*) => {
        /// Everything that the operator ever writes, apart from its lease and Events.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Write {
            $(#[doc = $means] $name,)*
        }

        impl Write {
            /// Every write, in the order of a slot's life.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The write's name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it does, one sentence.
            pub const fn means(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }
        }

        /// The steps at which a test can hold the operator (see [`cuo_telemetry::gate`]): before and after each write, and around the
        /// read that the drop of an entry needs.
        pub const GATES: &[&str] = &[
            $(concat!("operator-before-", $text), concat!("operator-after-", $text),)*
            concat!("operator-before-", "node-confirm"),
            concat!("operator-after-", "node-confirm"),
        ];
    };
}

writes! {
    LedgerRestore = "ledger-restore", "A grant that the ledger lacks is put back into it.";
    LedgerReserve = "ledger-reserve", "A node gets a slot.";
    NodeReserve = "node-reserve", "The reservation is put on the Node, with the label of the before-reboot checks.";
    LedgerGrant = "ledger-grant", "The slot may be granted.";
    NodeGrant = "node-grant", "The grant is put on the Node.";
    NodeWithdraw = "node-withdraw", "The grant, or what was to become it, gives place to another number before it was accepted.";
    NodeAfter = "node-after", "The label of the after-reboot checks is put on the Node.";
    NodeRelease = "node-release", "The grant is taken off the Node after the agent answered it.";
    NodeClean = "node-clean", "What nothing in the ledger stands for is taken off the Node.";
    NodeLone = "node-lone", "The only node that takes pods is told so, or one that no longer is.";
    LedgerDrop = "ledger-drop", "The slot is free.";
}

/// The read that the drop of an entry needs.
pub const CONFIRM: &str = "node-confirm";

/// What `act` would write, and about which node; `None` if it writes nothing.
pub fn written(act: &Act, seen: &Snapshot) -> Option<(Write, NodeName)> {
    match act {
        Act::Wait | Act::Confirm(_) | Act::ConfirmPools => None,
        Act::WriteLedger(next) => in_ledger(&seen.ledger, next),
        Act::WriteNode(name, allotted) => {
            let node = seen.nodes.get(name)?;
            Some((on_node(&seen.ledger, node, allotted), name.clone()))
        }
    }
}

/// The first entry that differs says what it is about.
fn in_ledger(before: &Field<Ledger>, next: &Ledger) -> Option<(Write, NodeName)> {
    let none = Ledger::default();
    let before = before.value().unwrap_or(&none);
    let mut names = before.entries.keys();
    if let Some(name) = names.find(|name| !next.entries.contains_key(*name)) {
        return Some((Write::LedgerDrop, name.clone()));
    }
    next.entries.iter().find_map(|(name, entry)| {
        let known = before.entries.get(name);
        let write = match (known.map(|known| (known.id, known.stage)), entry.stage) {
            (Some(known), stage) if known == (entry.id, stage) => return None,
            (None, Stage::Reserved) => Write::LedgerReserve,
            (Some((id, Stage::Reserved)), Stage::Granted) if id == entry.id => Write::LedgerGrant,
            _ => Write::LedgerRestore,
        };
        Some((write, name.clone()))
    })
}

fn on_node(ledger: &Field<Ledger>, node: &NodeView, allotted: &Allotted) -> Write {
    let entry = ledger
        .value()
        .and_then(|ledger| ledger.entries.get(&node.name));
    let operator = &node.operator;
    if allotted
        .only_node
        .is_some_and(|is| is != operator.only_node)
    {
        return Write::NodeLone;
    }
    match (&allotted.reserved, &allotted.grant, operator.grant.value()) {
        (Some(next), ..) if Some(next.id) == entry.map(|entry| entry.id) => Write::NodeReserve,
        // Another number than the entry's takes the place of the grant.
        (Some(_), ..) => Write::NodeWithdraw,
        (None, Some(_), None) => Write::NodeGrant,
        (None, Some(_), Some(_)) if allotted.after && !operator.after => Write::NodeAfter,
        (None, None, Some(grant))
            if node.agent.result.value().map(|result| result.id) == Some(grant.id) =>
        {
            Write::NodeRelease
        }
        _ => Write::NodeClean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_around_every_write_and_the_read() {
        let names = Write::ALL.iter().map(|write| write.as_str());
        let expected: Vec<_> = names
            .chain([CONFIRM])
            .flat_map(|name| {
                [
                    format!("operator-before-{name}"),
                    format!("operator-after-{name}"),
                ]
            })
            .collect();
        assert_eq!(GATES, expected);
    }
}
