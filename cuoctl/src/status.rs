//! `cuoctl status`: pools and nodes, what they are at and why.

use anyhow::{Result, bail};
use clap::Args;
use cuo_core::node::NodeView;
use cuo_core::pause::{FoundPause, Scope};
use cuo_core::plan::{Plan, PoolReport, Snapshot, plan};
use cuo_core::reason::{Code, Reason};
use cuo_core::release::{Chosen, Rollout};
use cuo_core::time::Time;
use cuo_core::values::Phase;
use jiff::SignedDuration;
use serde::Serialize;

use crate::cluster::Cluster;
use crate::durations::{self, Said};
use crate::forecast::expected;
use crate::pools;
use crate::print::{Output, Screen};
use crate::table::{Cell, Look, Table};

/// Options of `status`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only these pools, with their nodes, and only these nodes.
    #[arg(value_name = "POOL|NODE")]
    pub names: Vec<String>,
    /// Keep showing it as it changes: the whole screen on a terminal, a line for each change elsewhere.
    #[arg(short, long)]
    pub watch: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// The state of a cluster's updates.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// When it was so.
    pub at: Time,
    /// All updates are paused by the operator's flag.
    pub paused: bool,
    /// The pauses that hold something now, each a sentence.
    pub pauses: Vec<String>,
    /// No operator is running, as far as its Deployment says.
    pub no_operator: bool,
    /// The pools.
    pub pools: Vec<PoolLine>,
    /// The nodes.
    pub nodes: Vec<NodeLine>,
    /// What is not known, each a sentence.
    pub unknown: Vec<String>,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolLine {
    /// Its name; `None` for the built-in one, of nodes that no pool selects.
    pub name: Option<String>,
    /// How many nodes it has.
    pub nodes: usize,
    /// How many need no reboot.
    pub up_to_date: usize,
    /// How many need one.
    pub need_reboot: usize,
    /// How many have a slot.
    pub rebooting: usize,
    /// How many need a person.
    pub failed: usize,
    /// How many count against the budget.
    pub unavailable: usize,
    /// The budget.
    pub max_unavailable: usize,
    /// When its next window opens, while none is open.
    pub next_window: Option<Time>,
    /// The candidate's version, or its id.
    pub candidate: Option<String>,
    /// The same of the promoted release.
    pub promoted: Option<String>,
    /// Why no node gets a slot, though some need one.
    pub reason: Option<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeLine {
    /// Its name.
    pub name: String,
    /// The pools that select it.
    pub pools: Vec<String>,
    /// The phase that its agent reports.
    pub phase: Option<&'static str>,
    /// Since when.
    pub since: Option<Time>,
    /// When it is expected to be in service again, as long as updates take here; only of nodes that are at it.
    pub done: Option<Time>,
    /// The version that runs.
    pub runs: Option<String>,
    /// The version that a reboot would boot.
    pub next: Option<String>,
    /// It is out of service.
    pub unavailable: bool,
    /// Why it does not reboot now: the agent's reason, or else the operator's.
    pub reason: Option<String>,
    #[serde(skip)]
    look: Look,
}

impl Status {
    /// The status of `cluster`, of the pools and nodes in `names` or else of all.
    ///
    /// # Errors
    /// Where something can't be parsed.
    pub fn of(cluster: &Cluster, names: &[String]) -> Result<Self> {
        let (seen, policy) = (cluster.seen()?, cluster.policy()?);
        let plan = plan(&seen, &policy, cluster.at);
        let said = Said::default();
        let (assumed, _) = durations::assumed(&cluster.took, &seen, &policy.builtin, said);
        let views = &seen.nodes;
        let meant = |name: &str| names.is_empty() || names.iter().any(|known| known == name);
        let lines = plan
            .pools
            .iter()
            .filter(|report| report.members > 0 || report.name.is_some());
        let lines = lines.map(|report| pool_line(&seen, report));
        let mut nodes: Vec<_> = views
            .values()
            .map(|view| NodeLine {
                pools: pools::of_node(&seen, view),
                done: expected(view, cluster.at, assumed),
                ..node_line(view, &plan)
            })
            .collect();
        nodes.retain(|line| meant(&line.name) || line.pools.iter().any(|pool| meant(pool)));
        Ok(Self {
            at: cluster.at,
            paused: policy.paused,
            pauses: pauses(&seen, cluster.at),
            no_operator: cluster.lacks_operator(),
            pools: lines
                .filter(|line| meant(line.name.as_deref().unwrap_or_default()))
                .collect(),
            nodes,
            unknown: cluster.unknown.clone(),
        })
    }

    /// Checks `names`.
    ///
    /// # Errors
    /// Where one is neither a pool nor a node of `cluster`, or something can't be parsed.
    pub fn check_names(cluster: &Cluster, names: &[String]) -> Result<()> {
        let seen = cluster.seen()?;
        let node = |name: &str| {
            name.parse()
                .is_ok_and(|name| seen.nodes.contains_key(&name))
        };
        let known = |name: &String| pools::has(&seen, name) || node(name);
        match names.iter().find(|name| !known(name)) {
            Some(name) => bail!("there is neither a pool nor a node {name:?}"),
            None => Ok(()),
        }
    }

    /// As tables.
    pub fn text(&self, screen: Screen, wide: bool) -> String {
        let mut text = String::new();
        if self.no_operator {
            text += "No cuo-operator is ready, so nothing new is granted.\n\n";
        }
        if self.paused {
            text += "All reboots are paused: the operator runs with --paused.\n\n";
        }
        for pause in &self.pauses {
            text += &format!("{pause}\n");
        }
        if !self.pauses.is_empty() {
            text += "\n";
        }
        if !self.pools.is_empty() {
            text += &self.pool_table(wide).text(screen, !wide);
            text += "\n";
        }
        if self.nodes.is_empty() {
            return text + "No nodes.\n";
        }
        text + &self.node_table(wide).text(screen, !wide)
    }

    fn pool_table(&self, wide: bool) -> Table {
        let mut head = vec![
            "POOL",
            "NODES",
            "UPDATED",
            "NEEDING",
            "REBOOTING",
            "FAILED",
            "BUDGET",
        ];
        head.extend(
            wide.then_some(["CANDIDATE", "PROMOTED"])
                .into_iter()
                .flatten(),
        );
        head.extend(["WINDOW", "WHY"]);
        let mut table = Table::new(&head);
        for pool in &self.pools {
            let name = pool.name.clone().unwrap_or_else(|| BUILT_IN.to_owned());
            let failed = match pool.failed {
                0 => Cell::from("0"),
                failed => Cell::new(failed.to_string(), Look::Bad),
            };
            let mut cells: Vec<Cell> = vec![
                name.into(),
                pool.nodes.to_string().into(),
                pool.up_to_date.to_string().into(),
                pool.need_reboot.to_string().into(),
                pool.rebooting.to_string().into(),
                failed,
                format!("{}/{}", pool.unavailable, pool.max_unavailable).into(),
            ];
            if wide {
                cells.push(or_dash(pool.candidate.as_deref()).into());
                cells.push(or_dash(pool.promoted.as_deref()).into());
            }
            let window = pool.next_window;
            cells.push(
                window
                    .map_or_else(|| "open".to_owned(), |at| format!("opens {at}"))
                    .into(),
            );
            cells.push(pool.reason.clone().unwrap_or_default().into());
            table.row(cells);
        }
        table
    }

    fn node_table(&self, wide: bool) -> Table {
        let mut head = vec!["NODE"];
        head.extend(wide.then_some("POOLS"));
        head.extend(["PHASE", "SINCE"]);
        // Mostly nobody is at it, and the width is wanted for the reasons.
        let under_way = self.nodes.iter().any(|node| node.done.is_some());
        head.extend(under_way.then_some("DONE IN"));
        head.extend(["RUNS", "NEXT", "WHY"]);
        let mut table = Table::new(&head);
        for node in &self.nodes {
            let mut cells: Vec<Cell> = vec![node.name.clone().into()];
            if wide {
                let pools = Some(node.pools.join(",")).filter(|pools| !pools.is_empty());
                cells.push(pools.unwrap_or_else(|| BUILT_IN.to_owned()).into());
            }
            let since = node.since.map(|since| ago(self.at.since(since)));
            cells.extend([
                Cell::new(node.phase.unwrap_or("-"), node.look),
                or_dash(since.as_deref()).into(),
            ]);
            let done = node.done.map(|done| ago(done.since(self.at)));
            cells.extend(under_way.then(|| or_dash(done.as_deref()).into()));
            cells.extend([
                or_dash(node.runs.as_deref()).into(),
                or_dash(node.next.as_deref()).into(),
                node.reason.clone().unwrap_or_default().into(),
            ]);
            table.row(cells);
        }
        table
    }
}

/// The name of the pool of nodes that no other one selects.
const BUILT_IN: &str = "(built-in)";

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// A length of time in its largest unit, as kubectl shows ages.
pub fn ago(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn pool_line(seen: &Snapshot, report: &PoolReport) -> PoolLine {
    let name = report.name.as_ref();
    let rollout = name.and_then(|name| seen.rollouts.get(name));
    let called = |of: fn(&Rollout) -> &Option<Chosen>| Some(of(rollout?).as_ref()?.called());
    PoolLine {
        name: report.name.as_ref().map(ToString::to_string),
        nodes: report.members,
        up_to_date: report.up_to_date,
        need_reboot: report.needing,
        rebooting: report.rebooting,
        failed: report.failed,
        unavailable: report.used,
        max_unavailable: report.budget,
        next_window: report.next_opening.filter(|_| !report.open),
        candidate: called(|rollout| &rollout.candidate),
        promoted: called(|rollout| &rollout.promoted),
        reason: report.why.as_ref().map(ToString::to_string),
    }
}

/// What the node itself and the plan say of it.
fn node_line(view: &NodeView, plan: &Plan) -> NodeLine {
    let agent = &view.agent;
    let status = agent.status.value();
    let booted = agent.booted.value();
    let needed = agent.needed.value();
    let version = || agent.needed_version.clone();
    let next = needed.map(|needed| version().unwrap_or_else(|| needed.short()));
    NodeLine {
        name: view.name.to_string(),
        pools: Vec::new(),
        phase: status.map(|status| status.phase.as_str()),
        since: status.map(|status| status.since),
        done: None,
        runs: booted.map(|booted| booted.version.clone()),
        next: match view.only_reboots() {
            Some(_) => Some("(reboot only)".to_owned()),
            None => next,
        },
        unavailable: !view.ready || view.unschedulable,
        reason: why(view, plan.verdicts.get(&view.name)),
        look: look(view),
    }
}

/// The agent's reason where it has one, since it knows its host; else the operator's, unless there is nothing to wait for. That a reboot
/// was requested is not what it waits for.
fn why(view: &NodeView, verdict: Option<&Reason>) -> Option<String> {
    if let Some(own) = view.agent.waits_for() {
        return Some(own.to_string());
    }
    let quiet = [Code::UpToDate, Code::Rebooting];
    let verdict = verdict.filter(|verdict| !quiet.contains(&verdict.code));
    let verdict = verdict.map(ToString::to_string);
    verdict.or_else(|| view.agent.reason.value().map(ToString::to_string))
}

fn look(view: &NodeView) -> Look {
    let Some(status) = view.agent.status.value() else {
        return Look::Faint;
    };
    match status.phase {
        Phase::Idle => Look::Good,
        Phase::Staging | Phase::Draining | Phase::Rebooting | Phase::Verifying => Look::Busy,
        Phase::Staged | Phase::Waiting => Look::Plain,
        Phase::Held | Phase::Failed => Look::Bad,
    }
}

/// What is paused, by whom, until when and why.
fn pauses(seen: &Snapshot, at: Time) -> Vec<String> {
    let said = seen.pauses.iter().filter_map(|found| match found {
        FoundPause::Valid(pause) if !pause.holds(at) => None,
        FoundPause::Valid(pause) => Some(match &pause.scope {
            Scope::All => format!("All nodes are {pause}"),
            Scope::Pool(pool) => format!("Pool {pool} is {pause}"),
            Scope::Nodes(nodes) => {
                let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
                format!("Nodes {} are {pause}", nodes.join(", "))
            }
        }),
        FoundPause::Invalid { name, why } => Some(format!(
            "All nodes are paused, since UpdatePause {name} can't be understood: {why}"
        )),
    });
    said.collect()
}

#[cfg(test)]
mod tests;
