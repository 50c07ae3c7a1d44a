//! `cuoctl history`: what became of the candidates of pools.

use anyhow::{Result, bail};
use clap::Args;
use cuo_core::release::Past;
use cuo_core::time::Time;
use serde::Serialize;

use crate::cluster::Cluster;
use crate::print::{Output, Screen};
use crate::table::{Cell, Look, Table};

/// Options of `history`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only this pool.
    pub pool: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// A candidate that is none any more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The pool.
    pub pool: String,
    /// Its version, or its id.
    pub release: String,
    /// Where it came from.
    pub source: &'static str,
    /// When it was chosen.
    pub started: Time,
    /// When it ended.
    pub finished: Time,
    /// `Promoted`, `GivenUp` or `Superseded`.
    pub outcome: &'static str,
    /// How many nodes of the pool ran it then.
    pub nodes: usize,
}

/// The history of all pools, or of `pool`, the newest first.
///
/// # Errors
/// Where there is no such pool, or one can't be parsed.
pub fn of(cluster: &Cluster, pool: Option<&str>) -> Result<Vec<Line>> {
    let pools = cluster.pools()?;
    if let Some(name) = pool.filter(|name| !pools.iter().any(|pool| pool.name.as_str() == *name)) {
        bail!("there is no pool {name:?}");
    }
    let mut lines: Vec<_> = pools
        .iter()
        .filter(|found| pool.is_none_or(|name| found.name.as_str() == name))
        .flat_map(|found| {
            let past = found.rollout().history;
            let name = found.name.to_string();
            past.into_iter().map(move |past| line(&name, past))
        })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.finished));
    Ok(lines)
}

fn line(pool: &str, past: Past) -> Line {
    let first = past.identities.first().map(|id| id.short());
    Line {
        pool: pool.to_owned(),
        release: past.version.or(first).unwrap_or_default(),
        source: past.source.as_str(),
        started: past.started,
        finished: past.finished,
        outcome: past.outcome.as_str(),
        nodes: past.nodes,
    }
}

/// As a table.
pub fn text(lines: &[Line], screen: Screen, wide: bool) -> String {
    let mut table = Table::new(&[
        "POOL", "RELEASE", "SOURCE", "CHOSEN", "ENDED", "OUTCOME", "NODES",
    ]);
    for line in lines {
        let look = match line.outcome {
            "GivenUp" => Look::Bad,
            "Promoted" => Look::Good,
            _ => Look::Plain,
        };
        table.row([
            line.pool.clone().into(),
            line.release.clone().into(),
            line.source.into(),
            line.started.to_string().into(),
            line.finished.to_string().into(),
            Cell::new(line.outcome, look),
            line.nodes.to_string().into(),
        ]);
    }
    match table.is_empty() {
        true => "No candidate has ended yet; pools with a canary, approvals or a declared tag have candidates.\n".to_owned(),
        false => table.text(screen, !wide),
    }
}
