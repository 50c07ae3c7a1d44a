//! How long drains and reboots take: as the last ones did, whose Events are still there, or else as assumed.

use std::collections::BTreeMap;

use cuo_core::plan::Snapshot;
use cuo_core::pool::Pool;
use cuo_core::reason::Code;
use cuo_core::time::Time;
use cuo_core::values::DrainMode;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::events::Line;
use crate::forecast::Assumed;
use crate::pools;

/// Until it is known better.
const DRAIN: SignedDuration = SignedDuration::from_mins(2);
/// A server's firmware takes most of it.
const REBOOT: SignedDuration = SignedDuration::from_mins(5);
/// Some gigabytes from somewhere else.
const STAGE: SignedDuration = SignedDuration::from_mins(5);

/// How long the last update of a node took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Took {
    /// From the grant until the drain was over, with the pool's delay.
    pub drain: SignedDuration,
    /// From there until the operator had the slot back.
    pub reboot: SignedDuration,
}

/// What the user says about durations; `None` is to be learned.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said {
    /// A drain, without the pool's delay.
    pub drain: Option<SignedDuration>,
    /// A reboot.
    pub reboot: Option<SignedDuration>,
    /// Downloading and staging a release. There are no Events about it, so it is never learned.
    pub stage: Option<SignedDuration>,
}

/// The last update of each node that succeeded, of those whose whole course is in `lines`, which are in order.
pub fn learn(lines: &[Line]) -> BTreeMap<String, Took> {
    let mut courses: BTreeMap<&str, Course> = BTreeMap::new();
    let mut took = BTreeMap::new();
    for line in lines {
        let (Some(at), Some(node)) = (line.at, line.about.strip_prefix("node/")) else {
            continue;
        };
        let is = |code: Code| line.reason == code.as_str();
        let course = courses.entry(node).or_default();
        if is(Code::Granted) {
            *course = Course {
                granted: Some(at),
                drained: None,
            };
        } else if is(Code::Drained) {
            course.drained = Some(at);
        } else if is(Code::UpToDate)
            && let Some(whole) = std::mem::take(course).whole(at)
        {
            took.insert(node.to_owned(), whole);
        }
    }
    took
}

/// What the Events tell of an update so far.
#[derive(Default)]
struct Course {
    granted: Option<Time>,
    drained: Option<Time>,
}

impl Course {
    /// The clocks of nodes and of the operator may differ: nothing takes less than no time.
    fn whole(&self, done: Time) -> Option<Took> {
        let (granted, drained) = (self.granted?, self.drained?);
        Some(Took {
            drain: drained.since(granted).max(SignedDuration::ZERO),
            reboot: done.since(drained).max(SignedDuration::ZERO),
        })
    }
}

/// What to go by where the last updates `took` so long, and that as a sentence without its end.
pub fn assumed(
    took: &BTreeMap<String, Took>,
    seen: &Snapshot,
    builtin: &Pool,
    said: Said,
) -> (Assumed, String) {
    // Where pods stay, what a drain took says nothing about others.
    let drains = took.iter().filter(|(node, _)| evicts(node, seen, builtin));
    let drain = Choice::of(said.drain, drains.map(|(_, took)| took.drain), DRAIN);
    let reboots = took.values().map(|took| took.reboot);
    let reboot = Choice::of(said.reboot, reboots, REBOOT);
    let stage = Choice::of(said.stage, [], STAGE);
    let text = format!("a drain takes {drain}, a reboot {reboot}, staging a release {stage}");
    let assumed = Assumed {
        drain: drain.value,
        with_delay: drain.seen > 0,
        reboot: reboot.value,
        stage: stage.value,
    };
    (assumed, text)
}

/// The pods of the node `name` are evicted.
fn evicts(name: &str, seen: &Snapshot, builtin: &Pool) -> bool {
    let node = name.parse().ok().and_then(|name| seen.nodes.get(&name));
    node.is_some_and(|node| {
        let pools = pools::asks(&seen.pools, builtin, node);
        pools.iter().any(|pool| pool.drain.mode == DrainMode::Evict)
    })
}

/// A duration, and of how many it is the median; none if it was not learned.
struct Choice {
    value: SignedDuration,
    seen: usize,
}

impl Choice {
    fn of(
        said: Option<SignedDuration>,
        seen: impl IntoIterator<Item = SignedDuration>,
        otherwise: SignedDuration,
    ) -> Self {
        let mut seen: Vec<_> = seen.into_iter().collect();
        seen.sort_unstable();
        match (said, seen.get(seen.len() / 2)) {
            (None, Some(&value)) => Self {
                value,
                seen: seen.len(),
            },
            (said, _) => Self {
                value: said.unwrap_or(otherwise),
                seen: 0,
            },
        }
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = SignedDuration::from_secs(self.value.as_secs());
        write!(out, "{whole:#}")?;
        match self.seen {
            0 => Ok(()),
            1 => write!(out, " (as the last one)"),
            seen => write!(out, " (median of the last {seen} nodes)"),
        }
    }
}

#[cfg(test)]
mod tests;
