//! Metrics of single nodes: what dashboards and alerts name a node by.
//!
//! They are kept as values and written out with each scrape, which costs less memory than a metric for each would.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cuo_core::ids::{NodeName, ReleaseId};
use cuo_core::node::NodeView;
use cuo_core::plan::{Plan, Snapshot};
use cuo_core::pool::FoundPool;
use cuo_core::reason::Code;
use cuo_core::release::Source;
use cuo_core::time::Time;
use cuo_core::values::Phase;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use super::labels::{NO_PHASE, pools};

/// The nodes as of the last plan that left nothing to write.
#[derive(Debug, Default)]
pub struct Nodes {
    limit: usize,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    nodes: BTreeMap<NodeName, Shown>,
    /// By which the pools of nodes were found.
    pools: Vec<FoundPool>,
}

/// What is shown of a node.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    /// Of the Node that the rest is from.
    resource_version: Box<str>,
    /// The operator's verdict at that time.
    verdict: Option<Code>,
    pool: Box<str>,
    reason: Option<Code>,
    phase: Option<(Phase, Time)>,
    version: Box<str>,
    release: Option<(ReleaseId, Time)>,
    source: Option<Source>,
    behind: Option<u32>,
}

impl Nodes {
    /// None, of at most so many.
    pub fn up_to(limit: usize) -> Self {
        Self {
            limit,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What a thread that panicked left here is shown or replaced.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what has changed.
    pub fn settled(&self, seen: &Snapshot, plan: &Plan) {
        let mut known = self.known();
        if seen.nodes.len() > self.limit {
            *known = Known::default();
            return;
        }
        if known.pools != seen.pools {
            known.nodes.clear();
            known.pools.clone_from(&seen.pools);
        }
        known.nodes.retain(|name, _| seen.nodes.contains_key(name));
        for (name, node) in &seen.nodes {
            let verdict = plan.verdicts.get(name).map(|why| why.code);
            let same = known.nodes.get(name).is_some_and(|shown| {
                *shown.resource_version == *node.resource_version && shown.verdict == verdict
            });
            if !same {
                let shown = Shown::new(node, &seen.pools, verdict);
                known.nodes.insert(name.clone(), shown);
            }
        }
    }

    /// Forgets all: somebody else leads now.
    pub fn forget(&self) {
        *self.known() = Known::default();
    }
}

impl Shown {
    fn new(node: &NodeView, found: &[FoundPool], verdict: Option<Code>) -> Self {
        let (agent, booted) = (&node.agent, node.agent.booted.value());
        let status = agent.status.value();
        let following = agent.following.value();
        let version = booted.map_or("", |booted| &booted.version);
        // The agent knows its host.
        let own = agent.waits_for().and_then(|own| own.code.known());
        Self {
            resource_version: node.resource_version.as_str().into(),
            pool: pools(found, &node.labels).into(),
            verdict,
            reason: own.or(verdict),
            phase: status.map(|status| (status.phase, status.since)),
            version: version.into(),
            release: booted.map(|booted| (booted.identity, booted.since)),
            source: following.map(|following| following.source),
            behind: following.and_then(|following| following.behind),
        }
    }

    fn info(&self, name: &NodeName) -> [(&'static str, String); 7] {
        let phase = self.phase.map_or(NO_PHASE, |(phase, _)| phase.as_str());
        let reason = self.reason.map_or("", Code::as_str);
        let release = self.release.map(|(release, _)| release.to_string());
        let source = self.source.map(|source| source.as_str().to_owned());
        [
            ("node", name.to_string()),
            ("pool", self.pool.to_string()),
            ("phase", phase.to_owned()),
            ("reason", reason.to_owned()),
            ("version", self.version.to_string()),
            ("release", release.unwrap_or_default()),
            ("source", source.unwrap_or_default()),
        ]
    }
}

/// A metric that is a number of each node; those that have none are left out.
struct Numbers {
    name: &'static str,
    help: &'static str,
    of: fn(&Shown) -> Option<i64>,
}

const NUMBERS: [Numbers; 3] = [
    Numbers {
        name: "cuo_node_phase_since_timestamp_seconds",
        help: "Since when the agent of the node shows its phase",
        of: |shown| Some(shown.phase?.1.timestamp().as_second()),
    },
    Numbers {
        name: "cuo_node_release_since_timestamp_seconds",
        help: "Since when the node runs its release",
        of: |shown| Some(shown.release?.1.timestamp().as_second()),
    },
    Numbers {
        name: "cuo_node_releases_behind",
        help: "How many newer releases the update graph has for the node, where there is a graph",
        of: |shown| shown.behind.map(i64::from),
    },
];

impl Collector for Nodes {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let known = self.known();
        if known.nodes.is_empty() {
            return Ok(());
        }
        let one = ConstGauge::new(1_i64);
        let help = "Each node by its pools, its phase, why it does or does not reboot now, and what it runs; always 1";
        let mut family =
            encoder.encode_descriptor("cuo_node_info", help, None, one.metric_type())?;
        for (name, shown) in &known.nodes {
            one.encode(family.encode_family(&shown.info(name))?)?;
        }
        for Numbers { name, help, of } in NUMBERS {
            let mut family = encoder.encode_descriptor(name, help, None, one.metric_type())?;
            for (name, shown) in &known.nodes {
                if let Some(value) = of(shown) {
                    let labels = [("node", name.as_str())];
                    ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
