//! An operator that may not read pools, and a cluster that does not know what a pool is.

use anyhow::{Result, ensure};
use cuo_lab::wait::until;

use crate::world::{SOON, World};

pub async fn each(world: &mut World) -> Result<()> {
    // Its rules about pools are the second and the third.
    let remove = r#"[{"op":"remove","path":"/rules/2"},{"op":"remove","path":"/rules/1"}]"#;
    let patch = [
        "patch",
        "clusterrole",
        "cuo-operator",
        "--type=json",
        "-p",
        remove,
    ];
    world.plane.kubectl(&patch).await?;
    let account = "--as=system:serviceaccount:cuo-system:cuo-operator";
    until("the right to be gone", SOON, async || {
        let asked = world
            .plane
            .kubectl(&["auth", "can-i", "list", "updatepools", account])
            .await;
        Ok(asked.is_err().then_some(())) // its exit code says no
    })
    .await?;
    let reported = world.log()?.len();
    world.operators(1).await?;
    world.node("a", &[], 1).await?;
    world.want(&["a"], 2).await?;
    until("the operator to tell what it may not", SOON, async || {
        let log = world.log()?;
        Ok(log[reported..]
            .contains("the pools can't be watched: forbidden")
            .then_some(()))
    })
    .await?;
    let node = world.view("a").await?;
    ensure!(!node.operator.has_slot(), "{node:#?}");

    // With the right it goes on, and without the kind there are no pools.
    world.manifest().await?;
    world.granted(&["a"]).await?;
    world
        .plane
        .kubectl(&["delete", "crd", "updatepools.cuo.coreos.com"])
        .await?;
    world.update("a").await?;
    world.want(&["a"], 3).await?;
    world.granted(&["a"]).await
}
