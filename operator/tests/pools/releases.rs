//! One candidate at a time, in the status of the pool, and what nodes are told of it.

use anyhow::{Context, Result, ensure};
use cuo_core::values::Outcome;
use cuo_lab::wait::until;
use serde_json::{Value, json};

use crate::world::{SOON, World, release};

const LABEL: (&str, &str) = ("pool", "p");
const CANARY: (&str, &str) = ("canary", "yes");

fn spec(soak: &str) -> Value {
    json!({
        "nodeSelector": {"matchLabels": {"pool": "p"}},
        "maxUnavailable": 3,
        "canary": {"nodeSelector": {"matchLabels": {"canary": "yes"}}, "soak": soak},
    })
}

pub async fn each(world: &World) -> Result<()> {
    promoted(world).await.context("promoted")?;
    lost(world).await.context("lost")?;
    given_up(world).await.context("given up")?;
    world.clear().await?;
    declared(world).await.context("declared")?;
    world.clear().await
}

/// Waits until the pool is so far.
async fn is_so_far(world: &World, what: &str, fits: impl Fn(&Value) -> bool) -> Result<()> {
    until(format!("a status with {what}"), SOON, async || {
        let status = world.get("p").await?["status"].clone();
        ensure!(fits(&status), "{status:#}");
        Ok(Some(()))
    })
    .await
}

/// Waits until the node is told to go to this release.
async fn told(world: &World, name: &str, number: Option<u8>) -> Result<()> {
    until(format!("{name} to be told {number:?}"), SOON, async || {
        let view = world.view(name).await?;
        let assigned = view.operator.assigned.value();
        let identity = assigned.and_then(|assigned| assigned.identity);
        ensure!(identity == number.map(release), "{assigned:?}");
        Ok(Some(()))
    })
    .await
}

async fn promoted(world: &World) -> Result<()> {
    world.pool("p", spec("168h")).await?;
    world.node("a", &[LABEL, CANARY], 1).await?;
    world.node("b", &[LABEL], 1).await?;
    world.want(&["a"], 2).await?;
    world.granted(&["a"]).await?;
    let candidate = |status: &Value| status["release"]["candidate"]["version"] == "2";
    is_so_far(world, "a candidate", candidate).await?;
    told(world, "b", Some(1)).await?;
    world.update("a").await?;
    told(world, "a", Some(2)).await?;
    world.pool("p", spec("1s")).await?;
    is_so_far(world, "a promoted release", |status| {
        let promoted = &status["release"]["promoted"];
        let past = &status["history"][0];
        promoted["version"] == "2"
            && promoted["identities"][0]["identity"] == release(2).to_string()
            && status["release"]["promotedAt"].is_string()
            && past["outcome"] == "Promoted"
            && past["nodes"] == 1
    })
    .await?;
    told(world, "b", Some(2)).await?;
    told(world, "a", None).await?;
    let events = ["get", "events", "--output=jsonpath={.items[*].reason}"];
    until("Events", SOON, async || {
        let events = world.plane.kubectl(&events).await?;
        let all = ["ReleaseChosen", "ReleasePromoted"];
        ensure!(all.iter().all(|code| events.contains(code)), "{events}");
        Ok(Some(()))
    })
    .await?;
    let columns = world.plane.kubectl(&["get", "up", "p"]).await?;
    ensure!(columns.contains("PROMOTED"), "{columns}");
    world.want(&["b"], 2).await?;
    world.in_order(&["b"]).await
}

/// Somebody removes what decides: the Nodes show it.
async fn lost(world: &World) -> Result<()> {
    world.pool("p", spec("168h")).await?;
    world.want(&["a"], 3).await?;
    world.in_order(&["a"]).await?;
    told(world, "a", Some(3)).await?;
    let patch = json!({"status": {"release": null, "history": null}}).to_string();
    let patch = [
        "patch",
        "up",
        "p",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    world.plane.kubectl(&patch).await?;
    is_so_far(world, "what was lost", |status| {
        let release = &status["release"];
        release["candidate"]["version"] == "3" && release["promoted"].is_null()
    })
    .await?;
    told(world, "b", Some(2)).await
}

async fn given_up(world: &World) -> Result<()> {
    world.pool("p", spec("1s")).await?;
    let promoted = |status: &Value| status["release"]["promoted"]["version"] == "3";
    is_so_far(world, "a promoted release", promoted).await?;
    world.want(&["b"], 3).await?;
    world.in_order(&["b"]).await?;
    told(world, "a", None).await?;
    world.want(&["a"], 4).await?;
    world.granted(&["a"]).await?;
    world.accept("a").await?;
    world.finish("a", Outcome::Failed).await?;
    let given_up = release(4).to_string();
    is_so_far(world, "a release that was given up", |status| {
        let release = &status["release"];
        release["givenUp"][0]["identity"] == given_up && release["candidate"].is_null()
    })
    .await?;
    until("a node that is told to avoid it", SOON, async || {
        let view = world.view("b").await?;
        let assigned = view.operator.assigned.value().context("not told")?;
        Ok((assigned.avoid == [release(4)]).then_some(()))
    })
    .await
}

/// Nothing but what is declared is granted, and agents that can't be told get nothing.
async fn declared(world: &World) -> Result<()> {
    let commit = release(3).to_string();
    let spec = json!({
        "nodeSelector": {"matchLabels": {"pool": "p"}},
        "release": {"commit": commit},
    });
    let generation = world.pool("p", spec).await?;
    world.node("a", &[LABEL], 1).await?;
    world.want(&["a"], 2).await?;
    let code = cuo_core::reason::Code::ReleasePending;
    world.held("p", generation, code).await?;
    told(world, "a", Some(3)).await?;
    let assigned = world.view("a").await?.operator.assigned;
    ensure!(
        assigned.value().is_some_and(|one| one.declared),
        "{assigned:?}"
    );
    world.want(&["a"], 3).await?;
    world.in_order(&["a"]).await
}
