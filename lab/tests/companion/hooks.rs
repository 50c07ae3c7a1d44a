//! Hooks, with the cluster's own controller of Jobs. Their pods run nowhere: the test says how they end.

use anyhow::{Context, Result, ensure};
use cuo_core::keys;
use serde_json::{Value, json};

use crate::{Bench, soon};

/// Where Jobs are.
const JOBS: &str = "cuo-hooks";

/// The reservation of a node whose before-reboot checks begin, with this number.
fn reservation(number: u32) -> Value {
    let id = format!("{number}-0f3a9b2c");
    let boot = "0f3a9b2c-5d1e-4c7a-9b3f-2a6e8d4c1b70";
    json!({"v": 1, "id": id, "identity": format!("{:064}", 2), "boot": boot})
}

async fn patch(bench: &Bench, node: &str, metadata: Value) -> Result<()> {
    let patch = json!({ "metadata": metadata }).to_string();
    let patch = ["patch", "node", node, "--type=merge", "-p", &patch];
    bench.kubectl(&patch).await.map(drop)
}

/// The operator reserves `node`, and starts its checks.
async fn reserve(bench: &Bench, node: &str, labels: Value) -> Result<()> {
    let mut labels = labels;
    labels[keys::BEFORE_REBOOT] = "true".into();
    let annotations =
        json!({ keys::PROTOCOL: "1", keys::REBOOT_RESERVED: reservation(3).to_string() });
    bench
        .apply(&format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}}}"
        ))
        .await?;
    patch(
        bench,
        node,
        json!({ "annotations": annotations, "labels": labels }),
    )
    .await
}

/// The Job of a hook for a node, if there is one.
async fn job(bench: &Bench, hook: &str, node: &str) -> Result<Option<Value>> {
    let selector = format!("companion.cuo.coreos.com/hook={hook}");
    let get = ["get", "jobs", "-n", JOBS, "-l", &selector, "-o", "json"];
    let list: Value = serde_json::from_str(&bench.kubectl(&get).await?)?;
    let mut all = list["items"]
        .as_array()
        .cloned()
        .unwrap_or_default()
        .into_iter();
    Ok(all.find(|job| job["metadata"]["annotations"]["companion.cuo.coreos.com/node"] == node))
}

/// The Job's pod ends in this phase.
async fn ends(bench: &Bench, hook: &str, node: &str, phase: &str) -> Result<()> {
    let job = soon("the Job", async || job(bench, hook, node).await).await?;
    let name = job["metadata"]["name"]
        .as_str()
        .context("the Job has no name")?;
    let selector = format!("job-name={name}");
    let pod = soon("the Job's pod", async || {
        let get = ["get", "pods", "-n", JOBS, "-l", &selector, "-o", "name"];
        let found = bench.kubectl(&get).await?;
        Ok(found.lines().next().map(str::to_owned))
    })
    .await?;
    let status = json!({ "status": { "phase": phase } }).to_string();
    let patch = [
        "patch",
        &pod,
        "-n",
        JOBS,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status,
    ];
    bench.kubectl(&patch).await.map(drop)
}

/// What the hook answered on the node.
async fn answer(bench: &Bench, hook: &str, node: &str) -> Result<Value> {
    let node = bench
        .get("node", node)
        .await?
        .context("there is no such node")?;
    Ok(node["metadata"]["annotations"][format!("companion.cuo.coreos.com/{hook}")].clone())
}

async fn passes(bench: &Bench, hook: &str, node: &str) -> Result<()> {
    soon(&format!("{hook} to pass on {node}"), async || {
        Ok((answer(bench, hook, node).await? == "true").then_some(()))
    })
    .await
}

pub async fn run(bench: &Bench) -> Result<()> {
    // One that does its work.
    reserve(bench, "n2", json!({})).await?;
    ends(bench, "plain", "n2", "Succeeded").await?;
    passes(bench, "plain", "n2").await?;
    ensure!(
        job(bench, "slow", "n2").await?.is_none(),
        "the hook is not for this node"
    );

    // One that hangs, and is not waited for longer than its time.
    reserve(bench, "n3", json!({ "hang": "yes" })).await?;
    passes(bench, "slow", "n3").await?;
    let slow = job(bench, "slow", "n3")
        .await?
        .context("the Job is kept for an hour")?;
    let conditions = slow["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let late = conditions
        .iter()
        .any(|condition| condition["reason"] == "DeadlineExceeded");
    ensure!(late, "{conditions:?}");

    // One that fails holds the update, and runs again once it is deleted.
    ends(bench, "plain", "n3", "Failed").await?;
    let failed = soon("the Job to fail", async || {
        let job = job(bench, "plain", "n3")
            .await?
            .context("there is no Job")?;
        Ok((job["status"]["failed"] == 1).then_some(job))
    })
    .await?;
    ensure!(answer(bench, "plain", "n3").await?.is_null());
    let name = failed["metadata"]["name"]
        .as_str()
        .context("the Job has no name")?;
    bench.kubectl(&["delete", "job", name, "-n", JOBS]).await?;
    soon("the Job to be made again", async || {
        let job = job(bench, "plain", "n3").await?;
        Ok(job.filter(|job| job["metadata"]["uid"] != failed["metadata"]["uid"]))
    })
    .await?;

    // The update is called off: nothing is left that runs.
    let gone = json!({ keys::REBOOT_RESERVED: null });
    let label = json!({ keys::BEFORE_REBOOT: null });
    patch(bench, "n3", json!({ "annotations": gone, "labels": label })).await?;
    soon("the Job to be gone", async || {
        Ok(job(bench, "plain", "n3").await?.is_none().then_some(()))
    })
    .await
}
