//! The tables of metrics: the operator's from what it serves of one node that has been through everything, and an agent's from what it
//! writes when it has a reason to wait.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use cuo_agent::metrics::{Counts, Known};
use cuo_cluster::ApiError;
use cuo_core::ids::{NodeName, ReleaseId};
use cuo_core::keys;
use cuo_core::node::NodeView;
use cuo_core::plan::{Policy, Snapshot, plan};
use cuo_core::pool::{FoundPool, Pool};
use cuo_core::raw::RawNode;
use cuo_core::reason::Code;
use cuo_core::release::{Chosen, NamedRelease, Rollout, Source};
use cuo_core::time::Time;
use cuo_core::timing::{Lap, Part};
use cuo_core::values::{Outcome, Phase};
use cuo_operator::metrics::Metrics;
use jiff::SignedDuration;

use crate::{codegen, examples};

/// A node of a graph, so that it has every metric that a node can have.
const FOLLOWING: &str =
    r#"{"v":1,"source":"graph","reference":"fedora:fedora/x86_64/coreos/stable","behind":0}"#;

/// Each metric of the operator.
pub fn of_the_operator() -> Result<String> {
    Ok(table(&served()?))
}

/// Each metric of an agent.
pub fn of_an_agent() -> String {
    table(&written())
}

/// Each metric in `text` with its labels and its meaning.
pub fn table(text: &str) -> String {
    let rows = text.lines().filter_map(|line| {
        let (name, help) = line.strip_prefix("# HELP ")?.split_once(' ')?;
        let histogram = text.contains(&format!("# TYPE {name} histogram\n"));
        let mut samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = samples.find(|line| line.starts_with(name))?;
        let (shown, rest) = sample.split_once([' ', '{'])?;
        let labels = rest.split_once('}').map(|(labels, _)| {
            let names = labels.split("\",").filter_map(|one| one.split_once('='));
            let names: Vec<_> = names.map(|(name, _)| name).collect();
            format!("{{{}}}", names.join(","))
        });
        let shown = if histogram { name } else { shown };
        let kind = if histogram { " Histogram." } else { "" };
        Some(vec![
            format!("`{shown}{}`", labels.unwrap_or_default()),
            format!("{help}{kind}"),
        ])
    });
    codegen::table(&["Metric", "Meaning"], rows)
}

/// What an agent writes that has something to say about everything.
fn written() -> String {
    let counts = Counts::default();
    cuo_agent::metrics::text(&Known {
        version: "",
        phase: Phase::Held,
        since: Time::EPOCH,
        reason: Some(Code::Hold),
        looked: Some(Time::EPOCH),
        daemon_up: true,
        counts: &counts,
    })
}

/// What an operator serves that has seen at least one of everything.
fn served() -> Result<String> {
    let metrics = Metrics::new(1, 1);
    let node = node()?;
    let name = node.name.clone();
    let web = Pool {
        name: Some("web".parse().context("a pool")?),
        // It tries one release at a time.
        approved: Some(Vec::new()),
        ..Pool::default()
    };
    let seen = Snapshot {
        nodes: BTreeMap::from([(name.clone(), node)]),
        rollouts: BTreeMap::from([("web".parse().context("a pool")?, rollout())]),
        pools: vec![FoundPool::Valid(Box::new(web))],
        ..Snapshot::default()
    };
    let policy = Policy {
        builtin: Pool::default(),
        paused: false,
        control_plane: Default::default(),
        accept_timeout: SignedDuration::ZERO,
    };
    let plan = plan(&seen, &policy, Time::EPOCH);
    metrics.planned(&seen, &plan);
    metrics.settled(&seen, &plan, Time::EPOCH);
    metrics.ended(&seen, &laps(&name));
    let message = String::new();
    metrics.failed(&ApiError::Other { message });
    Ok(metrics.text())
}

fn node() -> Result<NodeView> {
    let annotations = [
        (keys::STATUS, "idle since 2026-11-23T21:00:00Z"),
        (keys::BOOTED, examples::BOOTED),
        (keys::AGENT_RELEASE, FOLLOWING),
    ];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let raw = RawNode {
        name: "n1".to_owned(),
        annotations: annotations.into(),
        ..RawNode::default()
    };
    NodeView::parse(&raw).context("an example of a Node")
}

fn rollout() -> Rollout {
    let identity = ReleaseId::Commit([0; 32]);
    let named = NamedRelease {
        identity,
        version: None,
    };
    Rollout {
        promoted: Some(Chosen {
            identities: BTreeMap::from([(String::new(), named)]),
            version: None,
            source: Source::Cluster,
            image: None,
            since: Time::EPOCH,
        }),
        ..Rollout::default()
    }
}

fn laps(node: &NodeName) -> [Lap; 2] {
    [Part::Wait, Part::Drain].map(|part| Lap {
        node: node.clone(),
        part,
        outcome: Outcome::Done,
        took: SignedDuration::ZERO,
    })
}
