//! `cuoctl release`: which releases pools go to, and which nodes run what.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use cuo_core::ids::ReleaseId;
use cuo_core::time::Time;
use serde::Serialize;

use crate::cluster::Cluster;
use crate::print::{Output, Screen};
use crate::status::ago;
use crate::table::Table;

/// Options of `release`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// The releases of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Releases {
    /// When it was so.
    pub at: Time,
    /// What nodes run or wait to boot, the most frequent first.
    pub releases: Vec<Line>,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its id.
    pub identity: ReleaseId,
    /// Its version.
    pub version: Option<String>,
    /// How many nodes run it.
    pub run: usize,
    /// How many need it.
    pub need: usize,
    /// On how many it failed.
    pub failed: usize,
    /// Since when a node has been running it, the first that does.
    pub since: Option<Time>,
    /// What it is to pools: `candidate`, `promoted` or `given up`, and the pool.
    pub pools: Vec<String>,
}

impl Line {
    fn new(identity: ReleaseId) -> Self {
        Self {
            identity,
            version: None,
            run: 0,
            need: 0,
            failed: 0,
            since: None,
            pools: Vec::new(),
        }
    }

    /// Takes over the version, unless one is known.
    fn called(&mut self, version: Option<&String>) {
        if self.version.is_none() {
            self.version = version.cloned();
        }
    }
}

impl Releases {
    /// The releases of `cluster`.
    ///
    /// # Errors
    /// Where something can't be parsed.
    pub fn of(cluster: &Cluster) -> Result<Self> {
        let seen = cluster.seen()?;
        let mut all = BTreeMap::new();
        for view in seen.nodes.values() {
            let agent = &view.agent;
            if let Some(booted) = agent.booted.value() {
                let one = line(&mut all, booted.identity);
                one.run += 1;
                one.called(Some(&booted.version));
                let since = one.since.unwrap_or(booted.since);
                one.since = Some(since.min(booted.since));
            }
            if let Some(needed) = agent.needed.value() {
                let one = line(&mut all, *needed);
                one.need += 1;
                one.called(agent.needed_version.as_ref());
            }
            let failed = agent.failed.value().into_iter();
            for identity in failed.flat_map(|list| list.ids()) {
                line(&mut all, identity).failed += 1;
            }
        }
        for (pool, rollout) in &seen.rollouts {
            let mut named = |identity, version: Option<&String>, what: &str| {
                let one = line(&mut all, identity);
                one.called(version);
                one.pools.push(format!("{what} in {pool}"));
            };
            let chosen = [
                ("candidate", &rollout.candidate),
                ("promoted", &rollout.promoted),
            ];
            for (what, chosen) in chosen {
                for one in chosen.iter().flat_map(|chosen| chosen.identities.values()) {
                    named(one.identity, one.version.as_ref(), what);
                }
            }
            for one in &rollout.given_up {
                named(one.identity, one.version.as_ref(), "given up");
            }
        }
        let mut releases: Vec<_> = all.into_values().collect();
        releases.sort_by_key(|line| std::cmp::Reverse((line.run, line.need)));
        Ok(Self {
            at: cluster.at,
            releases,
        })
    }

    /// As a table.
    pub fn text(&self, screen: Screen, wide: bool) -> String {
        let mut table = Table::new(&["RELEASE", "ID", "RUN", "NEED", "FAILED", "SINCE", "POOLS"]);
        for one in &self.releases {
            let id = match wide {
                true => one.identity.to_string(),
                false => one.identity.short(),
            };
            let since = one.since.map(|since| ago(self.at.since(since)));
            table.row([
                one.version.clone().unwrap_or_else(|| "-".to_owned()).into(),
                id.into(),
                one.run.to_string().into(),
                one.need.to_string().into(),
                one.failed.to_string().into(),
                since.unwrap_or_else(|| "-".to_owned()).into(),
                one.pools.join(", ").into(),
            ]);
        }
        match table.is_empty() {
            true => "No node reports a release.\n".to_owned(),
            false => table.text(screen, !wide),
        }
    }
}

/// The line of a release; a new one where there is none.
fn line(all: &mut BTreeMap<ReleaseId, Line>, identity: ReleaseId) -> &mut Line {
    all.entry(identity).or_insert_with(|| Line::new(identity))
}
