//! Notifications.

use anyhow::{Context, Result};
use cuo_core::keys;
use serde_json::{Value, json};

use crate::{Bench, soon};

const OLD: &str = "42.20260101.3.0";
const NEW: &str = "42.20260201.3.0";
const BOOT: &str = "0f3a9b2c-5d1e-4c7a-9b3f-2a6e8d4c1b70";

/// A release id that ends with this digit.
fn id(digit: u8) -> String {
    format!("{digit:064}")
}

fn booted(version: &str, digit: u8) -> String {
    json!({"v": 1, "identity": id(digit), "version": version, "boot": BOOT, "since": "2026-10-27T02:14:51Z"})
        .to_string()
}

/// Sets annotations of the Node `n1`; `null` removes one.
async fn annotate(bench: &Bench, annotations: Value) -> Result<()> {
    let patch = json!({ "metadata": { "annotations": annotations } }).to_string();
    let patch = ["patch", "node", "n1", "--type=merge", "-p", &patch];
    bench.kubectl(&patch).await.map(drop)
}

/// Waits for the CloudEvent of this type.
async fn told(bench: &Bench, kind: &str, title: &str) -> Result<()> {
    let expected = (format!("com.coreos.cuo.{kind}"), format!("[lab] {title}"));
    soon(&format!("{expected:?}"), async || {
        let events = bench.outside.events();
        let found = events.contains(&expected);
        found
            .then_some(Some(()))
            .with_context(|| format!("{events:?}"))
    })
    .await
}

/// An update of one node, as its agent and the operator write it.
pub async fn rollout(bench: &Bench) -> Result<()> {
    let node = "{apiVersion: v1, kind: Node, metadata: {name: n1}}";
    bench.apply(node).await?;
    annotate(
        bench,
        json!({ keys::PROTOCOL: "1", keys::BOOTED: booted(OLD, 1) }),
    )
    .await?;
    let grant = json!({
        "v": 1, "id": "17-0f3a9b2c", "identity": id(2), "boot": BOOT, "issued": "2026-11-23T21:00:00Z",
        "deadline": "2026-11-23T21:05:00Z", "drain": {"timeoutSeconds": 600, "onTimeout": "abort"},
    });
    annotate(
        bench,
        json!({
            keys::REBOOT_NEEDED: id(2), keys::REBOOT_NEEDED_VERSION: NEW, keys::REBOOT_OK: grant.to_string(),
        }),
    )
    .await?;
    told(
        bench,
        "rollout.started",
        &format!("{NEW} begins to roll out in pool (built-in) (0 of 1 nodes)"),
    )
    .await?;
    annotate(
        bench,
        json!({
            keys::BOOTED: booted(NEW, 2), keys::REBOOT_NEEDED: null, keys::REBOOT_NEEDED_VERSION: null,
            keys::REBOOT_OK: null,
        }),
    )
    .await?;
    told(
        bench,
        "rollout.finished",
        &format!("{NEW} is rolled out in pool (built-in) (1 of 1 nodes)"),
    )
    .await
}

/// Something happens while no companion runs; how many events there were.
pub async fn meanwhile(bench: &Bench) -> Result<usize> {
    let result = json!({
        "v": 1, "id": "18-0f3a9b2c", "outcome": "aborted", "code": "DrainBlocked", "at": "2026-11-23T22:00:00Z",
    });
    annotate(bench, json!({ keys::REBOOT_RESULT: result.to_string() })).await?;
    Ok(bench.outside.events().len())
}

/// It is told of afterwards, and nothing else.
pub async fn afterwards(bench: &Bench, before: usize) -> Result<()> {
    told(
        bench,
        "update.aborted",
        "n1 gave its update up: DrainBlocked",
    )
    .await?;
    assert_eq!(bench.outside.events().len(), before + 1);
    Ok(())
}
