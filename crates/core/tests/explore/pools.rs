//! The pools that there may be, and what no slot may go beyond.

use cuo_core::ids::NodeName;
use cuo_core::ledger::Ledger;
use cuo_core::node::NodeView;
use cuo_core::pool::{Canary, CanaryWho, FoundPool, MaxUnavailable, Pool};
use cuo_core::selector::Selector;
use cuo_core::window::{Calendar, Windows};

use crate::search::Violation;
use crate::world::{Scope, WINDOWS};

/// The label that pools select by.
pub const LABEL: &str = "example.com/pool";
/// Its values.
pub const GROUPS: [&str; 2] = ["a", "b"];

/// All pools at one time, by number.
pub const NONE: u8 = 0;
/// One pool of all nodes, two at a time.
pub const TWO: u8 = 1;
/// The same, one at a time.
pub const ONE: u8 = 2;
/// A pool of each group.
pub const GROUPED: u8 = 3;
/// Pools of one group, of the other, and of both.
pub const OVERLAPPING: u8 = 4;
/// One group has no pool, the other one that holds it.
pub const PAUSED: u8 = 5;
/// One that makes no sense.
pub const BROKEN: u8 = 6;
/// None may go.
pub const CLOSED: u8 = 7;

/// One pool of all nodes, two at a time, one of which tries each release.
pub const CANARY: u8 = 8;

/// Nobody of some group may go.
pub fn hold(number: u8) -> bool {
    matches!(number, PAUSED | BROKEN | CLOSED)
}

fn calendar() -> Calendar {
    let windows = WINDOWS.iter().map(|text| text.parse().unwrap());
    Calendar::new(Windows::new(windows.collect()), vec![])
}

/// The pool of whoever is in no other one.
pub fn built_in(budget: usize) -> Pool {
    Pool {
        max_unavailable: MaxUnavailable::Count(budget),
        calendar: calendar(),
        ..Pool::default()
    }
}

fn pool(name: &str, group: Option<&str>, max_unavailable: MaxUnavailable) -> Pool {
    let labels = group.map(|group| (LABEL.to_owned(), group.to_owned()));
    Pool {
        name: Some(name.parse().unwrap()),
        selector: Selector {
            match_labels: labels.into_iter().collect(),
            match_expressions: vec![],
        },
        max_unavailable,
        ..built_in(1)
    }
}

/// The pools with this number.
pub fn pools(number: u8) -> Vec<FoundPool> {
    let [a, b] = GROUPS.map(Some);
    let (count, percent) = (MaxUnavailable::Count, MaxUnavailable::Percent);
    let pools = match number {
        TWO => vec![pool("all", None, count(2))],
        ONE => vec![pool("all", None, count(1))],
        GROUPED => vec![pool("a", a, count(2)), pool("b", b, percent(50))],
        OVERLAPPING => vec![
            pool("a", a, count(1)),
            pool("all", None, percent(40)),
            pool("b", b, count(2)),
        ],
        PAUSED => vec![Pool {
            paused: true,
            ..pool("a", a, count(9))
        }],
        CLOSED => vec![pool("all", None, count(0))],
        CANARY => vec![Pool {
            canary: Some(Canary {
                who: CanaryWho::Count(1),
                soak: jiff::SignedDuration::ZERO,
            }),
            ..pool("all", None, count(2))
        }],
        _ => vec![],
    };
    let valid = pools.into_iter().map(|pool| FoundPool::Valid(pool.into()));
    let broken = (number == BROKEN).then(|| FoundPool::Invalid {
        name: "b".parse().unwrap(),
        selector: Some(pool("b", b, count(1)).selector),
        why: "no sense".into(),
    });
    valid.chain(broken).collect()
}

/// A node has rebooted or will, or is out of service: it counts.
fn counts(node: &NodeView, ledger: &Ledger) -> bool {
    let operator = &node.operator;
    let holds = !(operator.grant.is_absent()
        && operator.reserved.is_absent()
        && node.agent.progress.is_absent());
    ledger.entries.contains_key(&node.name) || holds || !node.ready || node.unschedulable
}

/// What the slot of `name` in `ledger` would go beyond (I2), with the pools as they are, and the Nodes as whoever gives it knows them.
pub fn beyond(
    scope: &Scope,
    number: u8,
    nodes: &[&NodeView],
    ledger: &Ledger,
    name: &NodeName,
) -> Result<(), Violation> {
    let Some(node) = nodes.iter().find(|node| node.name == *name) else {
        return Ok(());
    };
    let others = || nodes.iter().filter(|other| other.name != *name);
    let busy = |other: &&&NodeView| counts(other, ledger);
    let mut control = others().filter(busy).filter(|other| other.control_plane);
    if let Some(other) = control.next().filter(|_| node.control_plane) {
        let rule = "I2: a slot for a second node of the control plane";
        return Err(Violation::new(rule, &other.name));
    }
    let mut found = pools(number);
    let selects = |pool: &FoundPool, node: &NodeView| match pool {
        FoundPool::Valid(pool) => pool.selector.matches(&node.labels),
        FoundPool::Invalid { selector, .. } => selector
            .as_ref()
            .is_none_or(|one| one.matches(&node.labels)),
    };
    let selected = |node: &NodeView| found.iter().any(|pool| selects(pool, node));
    let unselected = !selected(node);
    let rest: Vec<_> = nodes.iter().map(|node| !selected(node)).collect();
    found.retain(|pool| selects(pool, node));
    for pool in &found {
        let FoundPool::Valid(pool) = pool else {
            return Err(Violation::new("I2: a slot in a pool without sense", pool));
        };
        let matches = |node: &&&NodeView| pool.selector.matches(&node.labels);
        let used = others().filter(busy).filter(matches).count();
        let budget = pool
            .max_unavailable
            .of(nodes.iter().filter(matches).count());
        if used >= budget || pool.paused {
            let by = (name, &pool.name, used, budget);
            return Err(Violation::new("I2: a slot beyond its pool", &by));
        }
    }
    let of_rest = nodes.iter().zip(&rest).filter(|(_, rest)| **rest);
    let used = of_rest.filter(|(other, _)| other.name != *name && counts(other, ledger));
    let used = used.count();
    if unselected && used >= scope.budget {
        return Err(Violation::new(
            "I2: a slot beyond the budget",
            &(name, used),
        ));
    }
    Ok(())
}
