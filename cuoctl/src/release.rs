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
    pub identity: String,
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

#[derive(Default)]
struct Counts {
    version: Option<String>,
    run: usize,
    need: usize,
    failed: usize,
    since: Option<Time>,
    pools: Vec<String>,
}

impl Releases {
    /// The releases of `cluster`.
    ///
    /// # Errors
    /// Where something can't be parsed.
    pub fn of(cluster: &Cluster) -> Result<Self> {
        let mut all: BTreeMap<ReleaseId, Counts> = BTreeMap::new();
        for view in cluster.views()?.values() {
            let agent = &view.agent;
            if let Some(booted) = agent.booted.value() {
                let one = all.entry(booted.identity).or_default();
                one.run += 1;
                one.version.get_or_insert_with(|| booted.version.clone());
                one.since = Some(
                    one.since
                        .map_or(booted.since, |since| since.min(booted.since)),
                );
            }
            if let Some(needed) = agent.needed.value() {
                let one = all.entry(*needed).or_default();
                one.need += 1;
                one.version = one.version.take().or_else(|| agent.needed_version.clone());
            }
            let failed = agent.failed.value().into_iter();
            for identity in failed.flat_map(|list| list.ids()) {
                all.entry(identity).or_default().failed += 1;
            }
        }
        for pool in cluster.pools()? {
            let rollout = pool.rollout();
            let chosen = [
                ("candidate", &rollout.candidate),
                ("promoted", &rollout.promoted),
            ];
            for (what, chosen) in chosen {
                for release in chosen.iter().flat_map(|chosen| chosen.identities.values()) {
                    let one = all.entry(release.identity).or_default();
                    one.version = one.version.take().or_else(|| release.version.clone());
                    one.pools.push(format!("{what} in {}", pool.name));
                }
            }
            for given_up in &rollout.given_up {
                let one = all.entry(given_up.identity).or_default();
                one.version = one.version.take().or_else(|| given_up.version.clone());
                one.pools.push(format!("given up in {}", pool.name));
            }
        }
        let mut releases: Vec<_> = all.into_iter().map(line).collect();
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
                true => one.identity.clone(),
                false => short(&one.identity),
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

fn line((identity, counts): (ReleaseId, Counts)) -> Line {
    Line {
        identity: identity.to_string(),
        version: counts.version,
        run: counts.run,
        need: counts.need,
        failed: counts.failed,
        since: counts.since,
        pools: counts.pools,
    }
}

/// The first digits of a release id, as [`ReleaseId::short`] has them.
fn short(identity: &str) -> String {
    let parsed: Result<ReleaseId, _> = identity.parse();
    parsed.map_or_else(|_| identity.to_owned(), |identity| identity.short())
}
