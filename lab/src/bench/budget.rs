//! Budgets of calls: how often the agents and the operators of a test may ask the API server for what, by the settings that they run with.
//!
//! A loop that asks again at once shows in no outcome, only in what it costs. So each end-to-end test is judged by the audit log, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::controlplane::AuditEntry;

/// What is known of the test beside the audit log.
#[derive(Debug, Clone, Default)]
pub(super) struct Course {
    /// How often agents were started, by node.
    pub starts: BTreeMap<String, u64>,
    /// How many grants there were, by node.
    pub grants: BTreeMap<String, u64>,
    /// How often operators were started.
    pub operators: u64,
    /// Nodes with an agent of another build, whose calls are its own affair.
    pub strange: BTreeSet<String>,
}

/// `evict_every` of the agents' configuration.
pub(super) const EVICT_EVERY: Duration = Duration::from_secs(1);
/// The longest stretch of time over which calls are counted.
const STRETCH: Duration = Duration::from_secs(10);
/// Most calls of one kind that an agent makes in it, but for evictions: an update that takes no longer than that has ten writes to the Node,
/// and all the rest waits for something. Tests that make calls fail add their retries, whose pauses double from half a second.
const AGENT: u64 = 30;
/// The same for an operator, which has as many grants as there are nodes in the test.
const OPERATOR: u64 = 60;
/// Most Node writes of an agent for each grant, on top of [`STARTED`]: accept, cordon, drain, reboot, verify, release, and a reason or two.
const GRANTED: u64 = 14;
/// Most Node writes of an agent that was just started, and between two grants: stage, announce, hold, recover.
const STARTED: u64 = 16;

/// What no budget bounds: the lease is renewed every few seconds, whatever happens, and only `cuo-agent doctor` asks for rights, nine at a time
/// whenever somebody types it.
const UNBOUNDED: [&str; 2] = ["leases", "selfsubjectaccessreviews"];

/// One kind of calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    /// `cuo-agent` on a node, or `cuo-operator`.
    who: String,
    verb: String,
    /// With its subresource.
    resource: String,
    /// It changes nothing.
    dry: bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dry = if self.dry { " (dry run)" } else { "" };
        write!(f, "{}: {} {}{dry}", self.who, self.verb, self.resource)
    }
}

/// Calls of one kind, by what they were about, at which millisecond.
type Calls = BTreeMap<Kind, BTreeMap<String, Vec<i64>>>;

/// The node whose agent made the call, if one did.
fn agent(entry: &AuditEntry) -> Option<&str> {
    let user = entry.user.strip_prefix("system:node:");
    let user = user.or_else(|| entry.user.strip_prefix("cuo:agent:"));
    user.filter(|_| entry.user_agent.starts_with("cuo-agent/"))
}

fn sorted(entries: &[AuditEntry]) -> Calls {
    let mut calls = Calls::new();
    for entry in entries {
        let who = match agent(entry) {
            Some(node) => format!("cuo-agent on {node}"),
            None if entry.user_agent.starts_with("cuo-operator/") => "cuo-operator".to_owned(),
            None => continue,
        };
        let Ok(at) = entry.received.parse::<Timestamp>() else {
            continue;
        };
        if UNBOUNDED.contains(&entry.resource.as_str()) {
            continue;
        }
        let slash = if entry.subresource.is_empty() {
            ""
        } else {
            "/"
        };
        let kind = Kind {
            who,
            verb: entry.verb.clone(),
            resource: format!("{}{slash}{}", entry.resource, entry.subresource),
            dry: entry.uri.contains("dryRun=All"),
        };
        let about = format!("{}/{}", entry.namespace, entry.name);
        let by_object = calls.entry(kind).or_default();
        by_object
            .entry(about)
            .or_default()
            .push(at.as_millisecond());
    }
    for times in calls.values_mut().flat_map(BTreeMap::values_mut) {
        times.sort_unstable();
    }
    calls
}

/// The most calls in any [`STRETCH`].
fn densest(times: &[i64]) -> u64 {
    let stretch = i64::try_from(STRETCH.as_millis()).unwrap_or(i64::MAX);
    let from = |first: &i64| {
        let within = times
            .iter()
            .filter(|at| (*first..*first + stretch).contains(at));
        within.count() as u64
    };
    times.iter().map(from).max().unwrap_or(0)
}

/// How often something may be tried again between the first and the last of these.
fn tries(times: &[i64]) -> u64 {
    let span = times.last().zip(times.first());
    let span = span.map_or(0, |(last, first)| last - first);
    let every = i64::try_from(EVICT_EVERY.as_millis()).unwrap_or(i64::MAX);
    span.unsigned_abs() / every.unsigned_abs()
}

/// Which budgets the calls exceed, one line for each.
pub(super) fn exceeded(entries: &[AuditEntry], course: &Course) -> Vec<String> {
    let calls = sorted(entries);
    let mut found = Vec::new();
    for (kind, by_object) in &calls {
        let node = kind.who.strip_prefix("cuo-agent on ");
        if node.is_some_and(|node| course.strange.contains(node)) {
            continue;
        }
        let of = |counts: &BTreeMap<String, u64>| {
            node.and_then(|node| counts.get(node)).copied().unwrap_or(0)
        };
        let (starts, grants) = (of(&course.starts).max(1), of(&course.grants));
        let mut check = |what: &str, count: u64, most: u64| {
            if count > most {
                found.push(format!("{kind}{what}: {count} times, at most {most}"));
            }
        };
        let mut all: Vec<i64> = by_object.values().flatten().copied().collect();
        all.sort_unstable();
        match (kind.resource.as_str(), kind.dry) {
            ("pods/eviction", true) => {
                for (pod, times) in by_object {
                    let most = grants + starts - 1;
                    check(&format!(" of {pod}"), times.len() as u64, most);
                }
            }
            ("pods/eviction", false) => {
                for (pod, times) in by_object {
                    let most = tries(times) + starts;
                    check(&format!(" of {pod}"), times.len() as u64, most);
                }
            }
            ("pods", _) if node.is_some() && kind.verb == "delete" => {
                for (pod, times) in by_object {
                    // Once more without any time to end.
                    let most = tries(times) + starts + 1;
                    check(&format!(" of {pod}"), times.len() as u64, most);
                }
            }
            ("nodes", _) if node.is_some() && kind.verb == "patch" => {
                let most = GRANTED * grants + STARTED * (grants + starts);
                check("", all.len() as u64, most);
                check(" within 10 s", densest(&all), AGENT);
            }
            // Once it runs, what it reads and tells follows from what happens: nine calls of one kind were the most in any test.
            _ if node.is_some() => {
                let most = if starts > 1 { AGENT } else { AGENT / 2 };
                check(" within 10 s", densest(&all), most);
            }
            _ => {
                let nodes = course.grants.len() as u64;
                let most = OPERATOR.max(12 * nodes) * course.operators.max(1);
                check(" within 10 s", densest(&all), most);
            }
        }
    }
    found
}

/// How many calls there were of each kind, the most of one kind in ten seconds, and of one kind about one object.
pub(super) fn table(entries: &[AuditEntry]) -> String {
    let mut text = String::new();
    for (kind, by_object) in &sorted(entries) {
        let mut all: Vec<i64> = by_object.values().flatten().copied().collect();
        all.sort_unstable();
        let most = by_object.values().map(Vec::len).max().unwrap_or(0);
        let dense = densest(&all);
        text.push_str(&format!(
            "{kind}: {} in all, {dense} within 10 s, {most} about one object\n",
            all.len()
        ));
    }
    text
}

#[cfg(test)]
mod tests;
