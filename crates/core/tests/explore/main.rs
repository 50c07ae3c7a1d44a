//! Every reachable state of a small cluster: agents, two operators without leadership, their hosts and Nodes, and a bounded number of
//! faults, each possible at every point. Invariants are checked at each write and at each act on a host.
//!
//! The agents' [`cuo_core::agent::step`] and the operators' [`cuo_core::plan::plan`] are the real ones. A write is decided, then it is
//! in flight, then it arrives: in between anything else may happen, the process that sent it may die, and it may arrive all the same.
//! `bugs.rs` plants a bug for each invariant, which the search has to find: that is the test of this test.
//! `histories.rs` goes through larger clusters in the same way, by chance.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by a panic, in its helpers too"
)]

mod agents;
mod bugs;
mod faults;
mod forget;
mod histories;
mod operators;
mod pools;
mod releases;
mod search;
mod shared;
mod sites;
mod world;

use bugs::Bug;
use pools::{CANARY, CLOSED, NONE, TWO};
use search::{Report, explore};
use world::Scope;

/// One node and one operator, with a fault after another.
const ALONE: Scope = Scope {
    nodes: 1,
    joining: 0,
    operators: 1,
    faults: 2,
    control_plane: 0,
    budget: 1,
    sick: false,
    requested: false,
    pools: &[NONE],
    bug: None,
};
/// Two nodes and two operators.
const PAIR: Scope = Scope {
    nodes: 2,
    joining: 0,
    operators: 2,
    faults: 1,
    control_plane: 0,
    budget: 1,
    sick: false,
    requested: false,
    pools: &[NONE],
    bug: None,
};
/// Three nodes, two of them control plane, and two operators.
const CLUSTER: Scope = Scope {
    nodes: 3,
    joining: 0,
    operators: 2,
    faults: 1,
    control_plane: 2,
    budget: 1,
    sick: false,
    requested: false,
    pools: &[NONE],
    bug: None,
};

/// Three nodes, two of them control plane, of which any two might go together.
const WIDE: Scope = Scope {
    nodes: 3,
    joining: 0,
    operators: 1,
    faults: 1,
    control_plane: 2,
    budget: 2,
    sick: false,
    requested: false,
    pools: &[NONE],
    bug: None,
};
/// One node, and a pool that lets it go at first and then no longer.
const POOLS: Scope = Scope {
    nodes: 1,
    joining: 0,
    operators: 1,
    faults: 2,
    control_plane: 0,
    budget: 1,
    sick: false,
    requested: false,
    pools: &[TWO, CLOSED],
    bug: None,
};

/// Two nodes, of which the first to boot the update has to leave it again.
const SICK: Scope = Scope {
    nodes: 2,
    joining: 0,
    operators: 1,
    faults: 1,
    control_plane: 0,
    budget: 1,
    sick: true,
    requested: false,
    pools: &[NONE],
    bug: None,
};

/// Two nodes, of which one tries each release, while a newer one may come.
const RELEASES: Scope = Scope {
    nodes: 2,
    joining: 0,
    operators: 1,
    faults: 1,
    control_plane: 0,
    budget: 2,
    sick: false,
    requested: false,
    pools: &[CANARY],
    bug: None,
};

/// One node without an update, of which a reboot is asked for; an update comes after it.
const REQUESTED: Scope = Scope {
    requested: true,
    ..ALONE
};

fn explored(scope: Scope) -> Report {
    let start = std::time::Instant::now();
    let report = explore(scope);
    println!(
        "{scope:?}: {} states, {} of them settled, {} cut, {} transitions, {:.1?}",
        report.states,
        report.settled,
        report.cut,
        report.transitions,
        start.elapsed()
    );
    report
}

fn holds(scope: Scope) {
    let report = explored(scope);
    if let Some(violation) = report.violation {
        panic!("{violation}");
    }
    assert!(report.complete && report.settled > 0);
}

#[test]
fn one_node_survives_any_two_faults() {
    holds(ALONE);
}

#[test]
fn two_nodes_and_two_operators_survive_any_fault() {
    holds(PAIR);
}

/// Eleven million states take minutes.
#[test]
#[ignore = "cargo xtask test --all"]
fn one_node_survives_any_three_faults() {
    holds(Scope { faults: 3, ..ALONE });
}

/// Thirteen million.
#[test]
#[ignore = "cargo xtask test --all"]
fn two_nodes_and_two_operators_survive_any_two_faults() {
    holds(Scope { faults: 2, ..PAIR });
}

#[test]
fn three_nodes_and_two_operators_survive_any_fault() {
    holds(CLUSTER);
}

#[test]
fn a_budget_of_two_never_takes_two_nodes_of_the_control_plane() {
    holds(WIDE);
}

#[test]
fn a_pool_that_changes_is_never_exceeded() {
    holds(POOLS);
}

#[test]
fn an_update_that_does_not_work_is_left_again() {
    holds(SICK);
}

#[test]
fn a_reboot_without_an_update_is_as_safe_as_one_with() {
    holds(REQUESTED);
}

/// Thirteen million.
#[test]
#[ignore = "cargo xtask test --all"]
fn a_release_is_tried_by_its_canary_before_anybody_else_boots_it() {
    holds(RELEASES);
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let (scope, invariants) = bug.hunt();
        let report = explored(Scope {
            bug: Some(*bug),
            ..scope
        });
        let found = report
            .violation
            .unwrap_or_else(|| panic!("{bug:?} was not found"));
        let rule = found.rule.split(':').next().unwrap_or_default();
        assert!(invariants.contains(&rule), "{bug:?} was found as: {found}");
    }
}
