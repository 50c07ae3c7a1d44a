//! The agent is killed at each of its steps: it goes on where it was, whether its host stayed up or went down with it.
//!
//! Each node of a cluster has its moment of a step: before the decision is on disk, after that and before the act, after the act.
//! `confirm` is the end of a decision only: what follows it is the next act's.

use std::collections::BTreeSet;
use std::sync::Mutex;

use cuo_agent::steps::Named;
use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, OperatorSpec, Site};
use cuo_lab::machine::{Machine, Reboot};
use cuo_lab::wait::until;
use futures::future::join_all;
use tokio::sync::MutexGuard;

use crate::deletion::pool_seen;
use crate::look::steps_of_updates;
use crate::{PATIENCE, V1, V2, V3, V4, V5, cluster, web, web_ready};

/// One for each node.
const MOMENTS: [&str; 3] = ["decided", "before", "after"];
/// What an agent does that is to stage nothing.
const CHECKING: &[Named] = &[Named::Check];
/// What it does before it has a grant, and with it until the host goes down.
const STAGING: &[Named] = &[Named::Stage, Named::Publish];
const GRANTED: &[Named] = &[
    Named::Preflight,
    Named::Accept,
    Named::Cordon,
    Named::Evict,
    Named::Rebooting,
    Named::Confirm,
    Named::Finalize,
];
/// After the boot.
const BOOTED: &[Named] = &[Named::Verifying, Named::Release];
/// On a node that an administrator cordoned, where the agent has nothing to cordon.
const CORDONED: &[Named] = &[
    Named::Accept,
    Named::Evict,
    Named::Verifying,
    Named::Release,
];
/// Where nothing is staged: a rollback is written already.
const WRITTEN: &[Named] = &[Named::Reboot];
/// An agent that is held here has decided to look for updates and not done so.
const LOOK: &str = "agent-decided-stage";
/// An agent passes here once more before the boot in which it is to be killed.
const LAST: &str = "agent-decided-finalize";

/// How the agent comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    /// Its service manager starts it again.
    Restarted,
    /// Nobody planned that, and the host is rebooted.
    Rebooted,
}

/// Nodes that somebody cordoned are updated, too.
const CORDONED_TOO: &str = "
apiVersion: cuo.coreos.com/v1alpha1
kind: UpdatePool
metadata: {name: all}
spec: {cordoned: Update}
";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_at_any_step_goes_on_when_it_is_started_again() {
    at_every_step(Back::Restarted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_at_any_step_goes_on_after_a_reboot_that_nobody_planned() {
    at_every_step(Back::Rebooted).await;
}

async fn at_every_step(back: Back) {
    let (_folder, bench) = cluster(3).await;
    let trial = Trial {
        bench: &bench,
        back,
        struck: Mutex::default(),
    };
    web(&bench, 3, 2).await;
    bench.start_agents().await.unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();

    // Without an operator, so that hosts which go down here are not taken for one too many.
    trial.strike_checks().await;
    trial.publish_while_held(V2).await;
    trial.strike(STAGING).await;
    trial.all_wait().await;
    bench.recorder.reset();
    trial.shut(GRANTED);
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    trial.strike(GRANTED).await;
    bench.settled(V2, PATIENCE).await.unwrap();

    trial.one_by_one(V3, BOOTED, false).await;
    bench.apply("all.yaml", CORDONED_TOO).await.unwrap();
    pool_seen(&bench, "all", 3).await;
    trial.one_by_one(V4, CORDONED, true).await;

    trial.shut(WRITTEN);
    trial.hold_looks().await;
    for site in bench.sites() {
        // What the agents have decided on by now must not replace it.
        site.machine.lock().await.admin_rollback().await.unwrap();
        site.gate().open(LOOK).unwrap();
    }
    trial.strike(WRITTEN).await;
    // They stay where they were set back to, until there is something newer.
    bench.publish(V5).await.unwrap();
    bench.settled(V5, PATIENCE).await.unwrap();

    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
    let all = Vec::from_iter(steps_of_updates());
    let all = MOMENTS.iter().flat_map(|moment| steps(moment, &all));
    let struck = trial.struck.into_inner().unwrap();
    assert_eq!(struck, all.collect::<BTreeSet<_>>());
}

/// What the steps `names` are called at `moment`.
fn steps(moment: &str, names: &[Named]) -> Vec<String> {
    let there = |step: &&Named| step.moments().contains(&moment);
    let steps = names.iter().filter(there);
    steps.map(|step| step.gate(moment)).collect()
}

struct Trial<'a> {
    bench: &'a Bench,
    back: Back,
    /// Where agents were killed.
    struck: Mutex<BTreeSet<String>>,
}

impl Trial<'_> {
    fn sites(&self) -> impl Iterator<Item = (&Site, &str)> {
        let sites = self.bench.sites().map(AsRef::as_ref);
        sites.zip(MOMENTS)
    }

    fn shut(&self, names: &[Named]) {
        for (site, moment) in self.sites() {
            shut(site, steps(moment, names).first());
        }
    }

    /// Holds all agents where they have decided to look for updates.
    async fn hold_looks(&self) {
        for (site, _) in self.sites() {
            site.gate().shut(LOOK).unwrap();
        }
        for (site, _) in self.sites() {
            drop(self.held(site, LOOK).await);
        }
    }

    /// Kills agents that look for updates and stage none.
    async fn strike_checks(&self) {
        const FILE: &str = "60-mode.toml";
        self.shut(CHECKING);
        for site in self.bench.sites() {
            let mode = site.configure(FILE, Some("mode = \"check\"\n")).await;
            mode.unwrap();
            site.hang_up().await.unwrap();
        }
        self.strike(CHECKING).await;
        for site in self.bench.sites() {
            site.configure(FILE, None).await.unwrap();
            site.hang_up().await.unwrap();
        }
    }

    /// Publishes `version` before any agent looks for it, and holds each at its moment of the look that finds it.
    async fn publish_while_held(&self, version: &str) {
        self.hold_looks().await;
        self.bench.publish(version).await.unwrap();
        for (site, moment) in self.sites() {
            let first = steps(moment, STAGING).swap_remove(0);
            if first != LOOK {
                site.gate().shut(&first).unwrap();
                site.gate().open(LOOK).unwrap();
            }
        }
    }

    async fn strike(&self, names: &[Named]) {
        let nodes = self.sites();
        join_all(nodes.map(|(site, moment)| self.strike_node(site, moment, names))).await;
    }

    /// Kills the agent of `site` at each of its steps, the first of which is shut.
    async fn strike_node(&self, site: &Site, moment: &str, names: &[Named]) {
        let steps = steps(moment, names);
        for (number, step) in steps.iter().enumerate() {
            let booted = step.ends_with("verifying");
            if booted {
                drop(self.held(site, LAST).await);
                site.kubelet_after_boot(false);
                site.gate().shut(step).unwrap();
                site.gate().open(LAST).unwrap();
            }
            let mut machine = self.held(site, step).await;
            // Not earlier: an attempt that ends with an unplanned reboot is released, too.
            shut(site, steps.get(number + 1));
            machine.kill_agent().await.unwrap();
            site.gate().open(step).unwrap();
            site.kubelet_after_boot(true);
            if self.back == Back::Restarted {
                site.start_agent_on(&mut machine).unwrap();
                drop(machine);
                if booted {
                    site.start_kubelet().await.unwrap();
                }
            } else {
                drop(machine);
                let kind = [Reboot::PowerCut, Reboot::Clean][number % 2];
                site.reboot(kind).await.unwrap();
            }
            self.struck.lock().unwrap().insert(step.clone());
        }
    }

    /// Waits until the agent is held at `step`, and keeps the host as it is then.
    async fn held<'s>(&self, site: &'s Site, step: &str) -> MutexGuard<'s, Machine> {
        // Where the reboot has been asked for, the host has to be kept from the beginning.
        let asked = matches!(step, "agent-after-finalize" | "agent-after-reboot");
        let mut machine = None;
        if asked {
            machine = Some(site.machine.lock().await);
        }
        if let Err(error) = site.gate().hit(step, 2 * PATIENCE).await {
            drop(machine);
            panic!("{error:#}{}", self.bench.portrait(site).await);
        }
        println!("{} {step}", site.name());
        match machine {
            Some(machine) => machine,
            None => site.machine.lock().await,
        }
    }

    /// All nodes are up, in the boot that they are in now, and wait for a grant.
    async fn all_wait(&self) {
        let look = async || {
            for site in self.bench.sites() {
                let boot = site.machine.lock().await.boot_id()?;
                let node = self.bench.node(site.name())?;
                let status = node.agent.status.value();
                let waits = status.is_some_and(|status| status.phase == Phase::Waiting);
                if !(waits && node.ready && node.kubelet_boot == Some(boot)) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        };
        until("all nodes to wait", PATIENCE, look).await.unwrap();
    }

    /// Brings one node after the other to `version`, each of them cordoned by an administrator, if `cordoned`.
    async fn one_by_one(&self, version: &str, names: &[Named], cordoned: bool) {
        for (site, moment) in self.sites() {
            let name = site.name();
            web_ready(self.bench, 3).await;
            if cordoned {
                self.kubectl(&["cordon", name]).await;
            }
            shut(site, steps(moment, names).first());
            site.publish(version).await.unwrap();
            self.strike_node(site, moment, names).await;
            let settled = self.bench.settled_on(&[name], version, PATIENCE).await;
            settled.unwrap();
            let node = self.bench.node(name).unwrap();
            assert_eq!(node.unschedulable, cordoned, "{node:#?}");
            if cordoned {
                self.kubectl(&["uncordon", name]).await;
            }
        }
    }

    async fn kubectl(&self, arguments: &[&str]) {
        self.bench.plane.kubectl(arguments).await.unwrap();
    }
}

fn shut(site: &Site, step: Option<&String>) {
    let Some(step) = step else { return };
    let first = if step.ends_with("verifying") {
        LAST
    } else {
        step
    };
    site.gate().shut(first).unwrap();
}
