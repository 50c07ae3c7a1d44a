//! Long histories by chance, of more nodes, pools and faults than can be searched through: the same world, the same rules.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::bugs::Bug;
use crate::faults::{self, Context, Next};
use crate::pools::{BROKEN, CANARY, CLOSED, GROUPED, NONE, ONE, OVERLAPPING, PAUSED, TWO};
use crate::sites::Kind;
use crate::world::{Scope, World};

/// Six nodes, three of them of the control plane, two of all joining later; two operators; pools that change.
const CROWD: Scope = Scope {
    nodes: 6,
    joining: 2,
    operators: 2,
    faults: 30,
    control_plane: 3,
    budget: 2,
    sick: false,
    requested: false,
    pools: &[NONE, TWO, ONE, GROUPED, OVERLAPPING, PAUSED, BROKEN, CLOSED],
    bug: None,
};
/// The same, with the same budget for all at all times.
const PLAIN: Scope = Scope {
    pools: &[NONE],
    ..CROWD
};
/// The same, and an update that does not work.
const SICK: Scope = Scope {
    sick: true,
    requested: false,
    ..PLAIN
};
/// The same, in a pool that tries one release at a time.
const RELEASES: Scope = Scope {
    pools: &[CANARY],
    ..CROWD
};
/// How many histories of each, and how many choices in each; then what has to happen happens.
const HISTORIES: u32 = 64;
const CHOICES: usize = 400;
/// A history that is not at its end by then goes round in circles.
const LONGEST: usize = 4_000;

/// What one history came to.
#[derive(Debug, Default)]
struct Reported {
    steps: usize,
    settled: bool,
    /// The most nodes that had a grant at a time.
    at_once: usize,
}

/// Goes where `choices` lead.
fn walk(scope: Scope, choices: &[u16]) -> Result<Reported, String> {
    let mut context = Context::new(scope, true);
    let mut world = World::new(&scope);
    let (mut reported, mut history) = (Reported::default(), vec![]);
    while reported.steps < LONGEST {
        let next = faults::all(&world, &mut context);
        let mut next = next.map_err(|(last, violation)| {
            history.push(last);
            format!("{}\n  {}", violation.rule, history.join("\n  "))
        })?;
        let choice = choices.get(reported.steps).copied();
        let Some(place) = choose(&next, choice, reported.steps) else {
            reported.settled = next.is_empty();
            break;
        };
        let (what, _, after) = next.swap_remove(place);
        history.push(what);
        world = after;
        reported.steps += 1;
        let out = world.sites.iter().filter_map(|at| at.node.as_deref());
        let out = out.filter(|node| !node.operator.grant.is_absent()).count();
        reported.at_once = reported.at_once.max(out);
    }
    Ok(reported)
}

/// Which of `next` happens: mostly something that happens by itself, but what makes an old picture new only now and then; and among
/// faults those of the pools often enough, few as they are among so many others.
fn choose(next: &[Next], choice: Option<u16>, step: usize) -> Option<usize> {
    let number = choice.map_or(step, usize::from);
    let faulty = choice.is_some() && number.is_multiple_of(5);
    let of = |kinds: &dyn Fn(&Next) -> bool| -> Vec<usize> {
        (0..next.len()).filter(|at| kinds(&next[*at])).collect()
    };
    let free = |next: &Next| next.1 != Kind::Fault;
    let late = choice.is_some() && !number.is_multiple_of(7);
    let wishes: [&dyn Fn(&Next) -> bool; 4] = [
        &|next| faulty && number.is_multiple_of(3) && !free(next) && next.0.contains("pool"),
        &|next| faulty && !free(next),
        &|next| free(next) && !(late && next.0.contains("catches up")),
        &|next| free(next) || choice.is_some(),
    ];
    let found = wishes
        .iter()
        .map(|wish| of(wish))
        .find(|all| !all.is_empty())?;
    Some(found[number / 35 % found.len()])
}

fn config(cases: u32, max_shrink_iters: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        max_shrink_iters,
        ..Config::default()
    }
}

fn choices() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), CHOICES)
}

#[test]
fn a_crowd_of_nodes_and_pools_keeps_the_rules_in_any_history() {
    for scope in [CROWD, PLAIN, SICK, RELEASES] {
        keeps_the_rules(scope);
    }
}

fn keeps_the_rules(scope: Scope) {
    let start = std::time::Instant::now();
    let mut runner = TestRunner::new(config(HISTORIES, 200));
    let reported = std::cell::RefCell::new(vec![]);
    let result = runner.run(&choices(), |choices| {
        let one = walk(scope, &choices).map_err(TestCaseError::fail)?;
        reported.borrow_mut().push(one);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let reported = reported.into_inner();
    let steps: usize = reported.iter().map(|one| one.steps).sum();
    let settled = reported.iter().filter(|one| one.settled).count();
    let most = reported.iter().map(|one| one.at_once).max();
    println!(
        "{} histories of {steps} steps, {settled} settled, {most:?} grants at once, {:.1?}",
        reported.len(),
        start.elapsed()
    );
    // Histories in which nothing happens would show nothing.
    assert!(most >= Some(2) && settled * 2 > reported.len());
}

/// By the same choices each time: whether a bug is found must not depend on chance.
#[test]
fn what_operators_may_do_wrong_is_found_by_chance_too() {
    let bugs = [
        (Bug::OverlooksUnavailable, "I2:"),
        (Bug::OverlooksControlPlane, "I2:"),
        (Bug::TrustsOldPools, "I2:"),
        (Bug::ForgetsFailures, "I10:"),
    ];
    for (bug, invariant) in bugs {
        let scope = Scope {
            bug: Some(bug),
            ..CROWD
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config(16 * HISTORIES, 0), rng);
        let result = runner.run(&choices(), |choices| {
            let reported = walk(scope, &choices);
            reported.map(|_| ()).map_err(TestCaseError::fail)
        });
        let found = result.err().map(|error| error.to_string());
        let found = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
        let found = found.lines().next().unwrap_or_default();
        println!("{bug:?}: {found}");
        assert!(found.contains(invariant), "{bug:?} was found as: {found}");
    }
}
