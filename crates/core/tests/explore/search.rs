//! Breadth first through everything that can happen, to the shortest history that breaks a rule.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::fmt;

use foldhash::HashMap;

use crate::faults::{self, Context};
use crate::shared::hash;
use crate::world::{Scope, World};

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant and how.
    pub rule: String,
    /// What happened, step by step.
    pub history: Vec<String>,
}

impl Violation {
    pub fn new(rule: &str, by: &impl fmt::Debug) -> Self {
        Self {
            rule: format!("{rule}, by {by:?}"),
            history: vec![],
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.rule)?;
        self.history
            .iter()
            .try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// States between two lines of progress.
const TELL_EVERY: usize = 1_000_000;
/// More states than this are a scope that is too large for a test.
const LIMIT: usize = 40_000_000;

/// What a search found.
pub struct Report {
    pub states: usize,
    pub transitions: usize,
    /// States in which nothing happens any more.
    pub settled: usize,
    /// States that were not followed further because of [`Scope::grants`].
    pub cut: usize,
    /// Every other reachable state was looked at.
    pub complete: bool,
    pub violation: Option<Violation>,
}

/// Looks at every state that is reachable in `scope`.
pub fn explore(scope: Scope) -> Report {
    let first = World::new(&scope);
    let mut report = Report {
        states: 1,
        transitions: 0,
        settled: 0,
        cut: 0,
        complete: false,
        violation: None,
    };
    let mut context = Context::new(scope, false);
    // The state before each state, both by their numbers, is enough to tell later how it came about.
    let mut known: HashMap<u64, u64> = [(hash(&first), 0)].into_iter().collect();
    let mut queue = VecDeque::from([first]);
    while let Some(world) = queue.pop_front() {
        if world.ledger.seq > scope.grants() {
            report.cut += 1;
            continue;
        }
        let from = hash(&world);
        let next = match faults::all(&world, &mut context) {
            Ok(next) => next,
            Err((last, mut violation)) => {
                violation.history = history(scope, from, &known);
                violation.history.push(last);
                report.violation = Some(violation);
                return report;
            }
        };
        report.settled += usize::from(next.is_empty());
        for (_, _, world) in next {
            report.transitions += 1;
            if let Entry::Vacant(unknown) = known.entry(hash(&world)) {
                unknown.insert(from);
                report.states += 1;
                queue.push_back(world);
                if report.states.is_multiple_of(TELL_EVERY) {
                    println!("{} states, {} of them open", report.states, queue.len());
                }
            }
        }
        if report.states > LIMIT {
            return report;
        }
    }
    report.complete = true;
    report
}

/// What happened on the way to the state `last`.
fn history(scope: Scope, last: u64, known: &HashMap<u64, u64>) -> Vec<String> {
    let before = |number: &u64| known.get(number).copied().filter(|before| *before != 0);
    let mut way: Vec<_> = std::iter::successors(Some(last), before).collect();
    way.pop();
    let mut context = Context::new(scope, true);
    let mut world = World::new(&scope);
    let mut history = vec![];
    while let Some(number) = way.pop() {
        let next = faults::all(&world, &mut context).unwrap_or_default();
        let Some(step) = next.into_iter().find(|step| hash(&step.2) == number) else {
            history.push("(the way is lost)".to_owned());
            break;
        };
        history.push(step.0);
        world = step.2;
    }
    history
}
