//! `cuoctl plan`: what the operator would do next, and what follows from that.

mod foreseen;
mod gantt;
mod html;
mod scale;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use cuo_core::plan::Snapshot;
use cuo_core::pool::Pool;
use jiff::SignedDuration;

use crate::cluster::Cluster;
use crate::durations::{self, Said};
use crate::forecast::{Reboot, forecast};
use crate::pools;
use crate::print::Screen;
use crate::span::length;
use crate::status::ago;
use crate::table::{Cell, Look, Table};
use foreseen::called;

pub use foreseen::Foreseen;

/// What is assumed beside durations.
const OTHERWISE: &str = "every update succeeds, checks pass at once, nobody changes anything, and no source brings a newer release";

/// Options of `plan`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How far to look ahead.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = length)]
    pub until: SignedDuration,
    /// UpdatePools to assume, as YAML or JSON, in place of those of the same names or beside them; `-` is the standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Cluster to look at: a file that --snapshot-out wrote. No API server is asked then.
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Write the cluster as it is to this file, and nothing else. It has the labels of Nodes, and no secrets.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "snapshot"])]
    pub snapshot_out: Option<PathBuf>,
    /// How long a drain takes, without the pool's delay. By default as long as the last ones, whose Events are still there, or 2m.
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub drain: Option<SignedDuration>,
    /// How long it takes from the end of a drain until the node is in service again. By default as long as the last ones, or 5m.
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub reboot: Option<SignedDuration>,
    /// How long it takes to download and stage a release; 5m by default.
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub stage: Option<SignedDuration>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// How to print a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// A table of reboots, and who waits.
    #[default]
    Table,
    /// A timeline of text.
    Gantt,
    /// A page with a timeline, which needs no network.
    Html,
    /// JSON, for programs.
    Json,
    /// The same as YAML.
    Yaml,
}

impl Options {
    /// The cluster that the options name, if not the one of the API server.
    ///
    /// # Errors
    /// Where the file can't be read.
    pub fn cluster(&self) -> Result<Option<Cluster>> {
        self.snapshot.as_deref().map(Cluster::read).transpose()
    }

    /// The plan for `cluster`.
    ///
    /// # Errors
    /// Where the policy can't be read, or something can't be parsed.
    pub fn foresee(&self, mut cluster: Cluster) -> Result<Foreseen> {
        if let Some(path) = &self.file {
            let name = || path.display().to_string();
            let text = read(path).with_context(name)?;
            cluster.apply(&text).with_context(name)?;
        }
        let said = Said {
            drain: self.drain,
            reboot: self.reboot,
            stage: self.stage,
        };
        let (seen, policy) = (cluster.seen()?, cluster.policy()?);
        let (assumed, durations) = durations::assumed(&cluster.took, &seen, &policy.builtin, said);
        let (from, until) = (cluster.at, cluster.at.later(self.until));
        let forecast = forecast(seen.clone(), &policy, assumed, from, until)?;
        let done = forecast.reboots.iter().map(|reboot| reboot.done).max();
        Ok(Foreseen {
            late: late(&seen, &policy.builtin, &forecast.reboots),
            end: done.filter(|_| forecast.left.is_empty()),
            forecast,
            assumed: vec![durations, OTHERWISE.to_owned()],
            unknown: cluster.unknown,
        })
    }
}

/// What is to be said of reboots that are over only after their window: it is for grants, and nobody is stopped when it closes.
fn late(seen: &Snapshot, builtin: &Pool, reboots: &[Reboot]) -> Vec<String> {
    let mut late: BTreeMap<String, (usize, SignedDuration)> = BTreeMap::new();
    for reboot in reboots {
        let Some(view) = seen.nodes.get(&reboot.node) else {
            continue;
        };
        for pool in pools::asks(&seen.pools, builtin, view) {
            let closes = pool.calendar.open(reboot.granted.timestamp());
            let over = closes.map(|closes| reboot.done.since(closes.into()));
            if let Some(over) = over.filter(|over| over.is_positive()) {
                let name = pool.name.as_ref().map(|name| format!("pool {name}"));
                let name = name.unwrap_or_else(|| "built-in pool".to_owned());
                let (count, most) = late.entry(name).or_default();
                *count += 1;
                *most = over.max(*most);
            }
        }
    }
    let said = late.into_iter().map(|(pool, (count, most))| {
        format!("{pool}: {count} reboots are over up to {most:#} after their window has closed")
    });
    said.collect()
}

fn read(path: &Path) -> std::io::Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

impl Foreseen {
    /// Some node would not be updated, however long one waits.
    pub fn never(&self) -> bool {
        self.forecast.left.iter().any(|left| !left.later)
    }

    /// As `output` has it; JSON and YAML are printed elsewhere.
    pub fn text(&self, output: Output, screen: Screen) -> String {
        match output {
            Output::Html => html::page(self),
            Output::Gantt => gantt::text(self, screen) + &self.rest(screen),
            Output::Table | Output::Json | Output::Yaml => self.table(screen) + &self.rest(screen),
        }
    }

    fn table(&self, screen: Screen) -> String {
        let mut table = Table::new(&["NODE", "BOOTS", "GRANTED", "DONE", "IN"]);
        for reboot in &self.forecast.reboots {
            let wait = reboot.granted.since(self.forecast.from);
            let under_way = wait.is_negative();
            let when = match under_way {
                true => Cell::new("under way", Look::Busy),
                false => ago(wait).into(),
            };
            table.row([
                reboot.node.to_string().into(),
                called(reboot).into(),
                reboot.granted.to_string().into(),
                reboot.done.to_string().into(),
                when,
            ]);
        }
        match table.is_empty() {
            true => format!("No node reboots until {}.\n", self.forecast.until),
            false => table.text(screen, true),
        }
    }

    /// What becomes of candidates, who is left, and what was assumed.
    fn rest(&self, screen: Screen) -> String {
        let mut text = String::new();
        if !self.forecast.turns.is_empty() {
            text += "\n";
        }
        for turn in &self.forecast.turns {
            text += &format!("{}  pool {}: {}\n", turn.at, turn.pool, turn.what);
        }
        if let Some(end) = self.end {
            let length = ago(end.since(self.forecast.from));
            text += &format!("\nAll nodes are up to date at {end}, in {length}.\n");
        }
        for late in &self.late {
            text += &format!("\n{late}.\n");
        }
        if !self.forecast.left.is_empty() {
            let mut table = Table::new(&["WAITS", "UNTIL", "WHY"]);
            for left in &self.forecast.left {
                let until = match left.later {
                    true => "later".into(),
                    false => Cell::new("somebody acts", Look::Bad),
                };
                table.row([
                    left.node.to_string().into(),
                    until,
                    left.reason.to_string().into(),
                ]);
            }
            text += &format!("\n{}", table.text(screen, true));
        }
        text += "\nAssumed: ";
        text + &self.assumed.join("; ") + ".\n"
    }
}

#[cfg(test)]
mod tests;
