//! Breadth first through everything that can happen, to the shortest history that breaks a rule.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

use crate::faults;
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

/// More states than this are a scope that is too large for a test.
const LIMIT: usize = 20_000_000;

/// What a search found.
pub struct Report {
    pub states: usize,
    pub transitions: usize,
    /// States in which nothing more happens by itself.
    pub settled: usize,
    /// Every reachable state was looked at.
    pub complete: bool,
    pub violation: Option<Violation>,
}

/// The hash of rustc's own tables: a state is a few kilobytes, and hashing it is most of the work.
#[derive(Default)]
struct Fx(u64);

impl Hasher for Fx {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

type Fast = BuildHasherDefault<Fx>;

/// A number for a state, or for a part of one.
pub fn hash(part: &impl Hash) -> u64 {
    Fast::default().hash_one(part)
}

/// Looks at every state that is reachable in `scope`.
pub fn explore(scope: Scope) -> Report {
    let start = std::time::Instant::now();
    let first = World::new(&scope);
    let mut report = Report {
        states: 1,
        transitions: 0,
        settled: 0,
        complete: false,
        violation: None,
    };
    // The way to each state, by the state before it and the name of what happened.
    let mut known: HashMap<u64, (u64, Box<str>), Fast> = HashMap::default();
    known.insert(hash(&first), (0, "the beginning".into()));
    let mut queue = VecDeque::from([first]);
    while let Some(world) = queue.pop_front() {
        let from = hash(&world);
        let next = match faults::all(&world, &scope) {
            Ok(next) => next,
            Err((last, violation)) => {
                report.violation = Some(with_history(violation, from, last, &known));
                return report;
            }
        };
        report.settled += usize::from(next.iter().all(|(_, free, _)| !free));
        for (what, _, world) in next {
            report.transitions += 1;
            let to = hash(&world);
            if let Entry::Vacant(unknown) = known.entry(to) {
                unknown.insert((from, what.into()));
                report.states += 1;
                if report.states % 250_000 == 0 {
                    println!("{} {:?}", report.states, start.elapsed());
                }
                queue.push_back(world);
            }
        }
        if report.states > LIMIT {
            return report;
        }
    }
    report.complete = true;
    report
}

fn with_history(
    mut violation: Violation,
    mut at: u64,
    last: String,
    known: &HashMap<u64, (u64, Box<str>), Fast>,
) -> Violation {
    violation.history.push(last);
    while let Some((before, what)) = known.get(&at) {
        violation.history.push(what.to_string());
        at = *before;
    }
    violation.history.reverse();
    violation
}
