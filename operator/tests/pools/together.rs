//! Nodes in two pools, moved from one to another, or whose pool is gone.

use anyhow::{Context, Result, ensure};
use cuo_core::reason::Code;
use cuo_lab::wait::until;
use serde_json::{Value, json};

use crate::world::{SOON, World};

/// Nodes with the label `pool: NAME`, one at a time.
fn labelled(name: &str) -> Value {
    json!({"nodeSelector": {"matchLabels": {"pool": name}}})
}

pub async fn each(world: &World) -> Result<()> {
    eprintln!("  shared");
    shared(world).await.context("shared")?;
    world.clear().await?;
    eprintln!("  moved");
    moved(world).await.context("moved")?;
    world.clear().await?;
    eprintln!("  deleted");
    deleted(world).await.context("deleted")?;
    world.clear().await
}

/// Waits until the node's reason in the pool's status says so.
async fn slots(world: &World, pool: &str, expected: &[&str]) -> Result<()> {
    until(format!("slots of {pool}"), SOON, async || {
        let status = world.get(pool).await?["status"].clone();
        let slots = status["slots"].as_array().cloned().unwrap_or_default();
        let names: Vec<_> = slots
            .iter()
            .filter_map(|slot| slot["node"].as_str())
            .collect();
        ensure!(names == expected, "{status:#}");
        Ok(Some(()))
    })
    .await
}

async fn shared(world: &World) -> Result<()> {
    let either = |label: &str| json!({"nodeSelector": {"matchLabels": {label: "1"}}});
    world.pool("x", either("x")).await?;
    world.pool("y", either("y")).await?;
    world.node("a", &[("x", "1")], 1).await?;
    world.node("b", &[("x", "1"), ("y", "1")], 1).await?;
    world.node("c", &[("y", "1")], 1).await?;
    world.node("d", &[], 1).await?;
    world.want(&["b"], 2).await?;
    // The one in both takes a slot of each.
    world.granted(&["b"]).await?;
    world.want(&["a", "c", "d"], 2).await?;
    world.granted(&["b", "d"]).await?;
    slots(world, "x", &["b"]).await?;
    slots(world, "y", &["b"]).await?;
    world.update("b").await?;
    // Then the others go, one of each pool, and the one in none has a budget of its own.
    world.granted(&["a", "c", "d"]).await?;

    // How to drain can't be two things at a time.
    world.want(&["b"], 3).await?;
    let mut other = either("y");
    other["drain"] = json!({"timeout": "1h"});
    let generation = world.pool("y", other).await?;
    for name in ["a", "c", "d"] {
        world.update(name).await?;
    }
    world
        .held("y", generation, Code::PoolsDiffer)
        .await
        .map(drop)
}

async fn moved(world: &World) -> Result<()> {
    world.pool("x", labelled("x")).await?;
    world.pool("y", labelled("y")).await?;
    for (name, pool) in [("a", "x"), ("b", "x"), ("c", "y")] {
        world.node(name, &[("pool", pool)], 1).await?;
    }
    world.want(&["a"], 2).await?;
    world.granted(&["a"]).await?;
    world.accept("a").await?;
    // What was accepted goes on, and counts where the node is now.
    world.label("a", "pool", Some("y")).await?;
    slots(world, "x", &[]).await?;
    slots(world, "y", &["a"]).await?;
    world.want(&["b", "c"], 2).await?;
    world.granted(&["a", "b"]).await?;
    let generation = world.pool("x", labelled("x")).await?;
    let node = world.view("c").await?;
    ensure!(!node.operator.has_slot() && generation == 1, "{node:#?}");
    world.finish("a", cuo_core::values::Outcome::Done).await?;
    world.granted(&["b", "c"]).await
}

async fn deleted(world: &World) -> Result<()> {
    let mut spec = labelled("x");
    spec["maxUnavailable"] = json!(2);
    world.pool("x", spec).await?;
    for name in ["a", "b", "c"] {
        world.node(name, &[("pool", "x")], 1).await?;
    }
    world.want(&["a", "b"], 2).await?;
    world.granted(&["a", "b"]).await?;
    world.accept("a").await?;
    world.plane.kubectl(&["delete", "up", "x"]).await?;
    world.want(&["c"], 2).await?;
    world.update("b").await?;
    // In the built-in pool one at a time may go, and the accepted one counts.
    world.granted(&["a"]).await?;
    world.finish("a", cuo_core::values::Outcome::Done).await?;
    world.granted(&["c"]).await
}
