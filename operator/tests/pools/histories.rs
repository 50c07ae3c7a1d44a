//! Random histories: nodes join and leave, go NotReady, are cordoned and relabelled, pools are edited and deleted, operators are killed
//! or are two at a time, and agents do their part, slowly and not always well.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_core::node::NodeView;
use cuo_core::values::Outcome;
use cuo_lab::wait::until;
use serde_json::json;
use tokio::time::sleep;

use crate::watcher::Watcher;
use crate::world::{SOON, World, number, open_grant};

/// How many histories, and how long each is.
const HISTORIES: u64 = 60;
const STEPS: usize = 20;
/// Two of the control plane, and workers in either pool, in both or in none.
const NODES: [&str; 7] = ["c1", "c2", "n1", "n2", "n3", "n4", "n5"];

pub async fn all(world: &mut World) -> Result<()> {
    // A test that failed is run again with the seed that it printed.
    let seed = std::env::var("CUO_TEST_SEED").ok();
    let seed = seed.map_or_else(|| Ok(fastrand::u64(..)), |seed| seed.parse())?;
    eprintln!("  CUO_TEST_SEED={seed}");
    let watcher = Watcher::start(&world.source);
    for name in NODES {
        join(world, name).await?;
    }
    world.patience = Duration::from_millis(300);
    for history in 0..HISTORIES {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(history));
        for step in 0..STEPS {
            let done = one(world, &mut random).await;
            done.with_context(|| format!("history {history}, step {step}"))?;
        }
        watcher
            .grants()
            .with_context(|| format!("history {history} of seed {seed}"))?;
    }
    settles(world)
        .await
        .with_context(|| format!("after all histories of seed {seed}"))?;
    let grants = watcher.grants()?;
    eprintln!("  {grants} grants");
    // Nodes that somebody cordoned are mostly held, and a machine that is four times as busy has a quarter of the turns between two things
    // that happen.
    ensure!(grants > 10, "only {grants} grants in {HISTORIES} histories");
    world.clear().await
}

async fn join(world: &World, name: &str) -> Result<()> {
    let control = ("node-role.kubernetes.io/control-plane", "");
    let (x, y) = (("x", "1"), ("y", "1"));
    let labels: &[_] = match name {
        "c1" | "c2" => &[control, x],
        "n1" | "n2" => &[x],
        "n3" => &[x, y],
        "n4" => &[y],
        _ => &[],
    };
    world.node(name, labels, 1).await
}

/// One random thing happens. What fails because something else happened meanwhile has just not happened.
async fn one(world: &mut World, random: &mut fastrand::Rng) -> Result<()> {
    let nodes = world.nodes().await?;
    let chosen = NODES[random.usize(..NODES.len())];
    let node = nodes.iter().find(|node| node.name.as_str() == chosen);
    match (random.u32(..100), node) {
        (0, _) => world.operators(1).await?,
        (1, _) => world.operators(2).await?,
        (2..=4, Some(_)) => {
            world.plane.kubectl(&["delete", "node", chosen]).await?;
        }
        (_, None) => drop(join(world, chosen).await),
        (5..=9, Some(node)) => {
            let runs = booted(node).unwrap_or(1);
            world.boots(chosen, runs, !node.ready).await?;
        }
        (10..=12, Some(node)) => {
            let change = json!({"spec": {"unschedulable": (!node.unschedulable).then_some(true)}});
            world.change(chosen, change).await?;
        }
        (13..=16, Some(node)) => {
            let label = ["x", "y"][random.usize(..2)];
            let value = if node.labels.contains_key(label) {
                None
            } else {
                Some("1")
            };
            world.label(chosen, label, value).await?;
        }
        (17..=22, Some(_)) => edit(world, random).await?,
        // The rest is agents' work; each looks after its own grant.
        _ => {
            for node in &nodes {
                if random.bool() {
                    drop(agent(world, node, random).await);
                }
            }
        }
    }
    sleep(Duration::from_millis(random.u64(..20))).await;
    Ok(())
}

async fn edit(world: &World, random: &mut fastrand::Rng) -> Result<()> {
    let name = ["x", "y"][random.usize(..2)];
    if random.u8(..4) == 0 {
        let delete = ["delete", "up", name, "--ignore-not-found", "--wait=false"];
        return world.plane.kubectl(&delete).await.map(drop);
    }
    let most = [json!(0), json!(1), json!(2), json!("50%"), json!("100%")];
    let selector = [
        json!({"matchLabels": {name: "1"}}),
        json!({"matchExpressions": [{"key": name, "operator": "Exists"}]}),
    ];
    let cordoned = ["Hold", "Update"][random.usize(..2)];
    let spec = json!({
        "nodeSelector": selector[random.usize(..2)],
        "maxUnavailable": most[random.usize(..most.len())],
        "paused": random.u8(..5) == 0,
        "cordoned": cordoned,
    });
    let applied = world.apply(name, &spec).await?;
    ensure!(applied.is_ok(), "{applied:?}");
    Ok(())
}

fn booted(node: &NodeView) -> Option<u8> {
    node.agent
        .booted
        .value()
        .map(|booted| number(&booted.identity))
}

/// The next step of one agent.
async fn agent(world: &World, node: &NodeView, random: &mut fastrand::Rng) -> Result<()> {
    let name = node.name.as_str();
    let runs = booted(node).context("no agent")?;
    if open_grant(node).is_none() {
        if node.agent.needed.is_absent() {
            let next = runs % 200 + 1;
            world.want(&[name], next).await?;
        }
        return Ok(());
    }
    match (node.agent.progress.is_absent(), random.u8(..10)) {
        (true, 0) => world.finish_without(name, Outcome::Refused).await,
        (true, _) => world.accept(name).await,
        (false, 0) => world.finish_without(name, Outcome::Aborted).await,
        (false, _) => world.finish(name, Outcome::Done).await,
    }
}

/// Once nothing happens any more, everything ends well.
async fn settles(world: &mut World) -> Result<()> {
    world.patience = SOON;
    world.operators(1).await?;
    world.plane.kubectl(&["delete", "up", "--all"]).await?;
    for node in world.nodes().await? {
        let name = node.name.as_str();
        world
            .change(name, json!({"spec": {"unschedulable": null}}))
            .await?;
        world.boots(name, booted(&node).unwrap_or(1), true).await?;
    }
    let mut steady = fastrand::Rng::with_seed(1);
    until(
        "all nodes to be up to date",
        Duration::from_secs(120),
        async || {
            let nodes = world.nodes().await?;
            for node in nodes.iter().filter(|node| open_grant(node).is_some()) {
                drop(agent(world, node, &mut steady).await);
            }
            let done = |node: &NodeView| node.agent.needed.is_absent() && !node.operator.has_slot();
            ensure!(nodes.iter().all(done), "{nodes:#?}");
            Ok(Some(()))
        },
    )
    .await
}
