//! What happened, at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, Workloads};
use serde::Serialize;

/// One update.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    name: String,
    nodes: usize,
    seconds: f64,
}

impl Rollout {
    pub fn new(name: &str, nodes: usize, took: Duration) -> Self {
        Self {
            name: name.to_owned(),
            nodes,
            seconds: seconds(took),
        }
    }
}

/// One disruption budget.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pods {
    lowest_healthy: i32,
    required: i32,
}

/// The whole demo. Times are in seconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    rollouts: Vec<Rollout>,
    /// Of all nodes together, for each phase but `idle`.
    seconds_per_phase: BTreeMap<&'static str, f64>,
    reboots: u32,
    most_nodes_down: usize,
    most_grants: usize,
    applications: BTreeMap<String, Pods>,
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

impl Summary {
    pub fn new(rollouts: Vec<Rollout>, bench: &Bench, work: &Workloads) -> Self {
        let mut spent = bench.recorder.spent();
        spent.remove(&Phase::Idle);
        let budgets = work.budgets().into_iter();
        let pods = budgets.map(|(name, budget)| {
            let pods = Pods {
                lowest_healthy: budget.lowest,
                required: budget.desired,
            };
            (name, pods)
        });
        Self {
            rollouts,
            seconds_per_phase: spent
                .into_iter()
                .map(|(phase, time)| (phase.as_str(), seconds(time)))
                .collect(),
            reboots: bench.sites().map(|site| site.reboots()).sum(),
            most_nodes_down: bench.recorder.most_down(),
            most_grants: bench.recorder.most_granted(),
            applications: pods.collect(),
        }
    }

    /// Fails unless it is what CUO promises.
    pub fn judge(&self) -> Result<()> {
        let expected: usize = self.rollouts.iter().map(|rollout| rollout.nodes).sum();
        ensure!(
            usize::try_from(self.reboots) == Ok(expected),
            "{} reboots for {expected} updates",
            self.reboots
        );
        ensure!(
            self.most_nodes_down == 1 && self.most_grants == 1,
            "more than one node was out of service at once"
        );
        for (name, pods) in &self.applications {
            ensure!(
                pods.lowest_healthy >= pods.required,
                "{name} had {} healthy pods, {} are required",
                pods.lowest_healthy,
                pods.required
            );
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nSummary")?;
        for Rollout {
            name,
            nodes,
            seconds,
        } in &self.rollouts
        {
            writeln!(f, "  {name:<26} {nodes} nodes in {seconds:.0} s")?;
        }
        writeln!(f, "  {:<26} {}", "reboots", self.reboots)?;
        writeln!(
            f,
            "  {:<26} {}",
            "most nodes down at once", self.most_nodes_down
        )?;
        writeln!(f, "  {:<26} {}", "most grants at once", self.most_grants)?;
        for (name, pods) in &self.applications {
            let Pods {
                lowest_healthy,
                required,
            } = pods;
            writeln!(
                f,
                "  {:<26} {lowest_healthy} (budget: at least {required})",
                format!("fewest healthy pods of {name}")
            )?;
        }
        writeln!(f, "  time per phase, all nodes together")?;
        let phases = Phase::ALL.iter().map(|phase| phase.as_str());
        for phase in phases {
            if let Some(seconds) = self.seconds_per_phase.get(phase) {
                writeln!(f, "    {phase:<24} {seconds:.1} s")?;
            }
        }
        Ok(())
    }
}
