//! Gates.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;

use crate::outside::Alerts;
use crate::{Bench, soon};

/// The gate's `spec`, once it is open or not, and its reason contains `why`.
async fn becomes(bench: &Bench, name: &str, open: bool, why: &str) -> Result<Value> {
    let what = format!("the gate {name} to be open={open}: {why}");
    soon(&what, async || {
        let gate = bench
            .get("updategate", name)
            .await?
            .context("there is none")?;
        let spec = &gate["spec"];
        let reason = spec["reason"].as_str().unwrap_or_default();
        ensure!(spec["open"] == open && reason.contains(why), "{spec}");
        Ok(Some(spec.clone()))
    })
    .await
}

/// When an open gate ends.
fn end(spec: &Value) -> Result<Timestamp> {
    let until = spec["until"].as_str().context("it has no end")?;
    Ok(until.parse()?)
}

pub async fn alerts(bench: &Bench) -> Result<()> {
    let first = becomes(bench, "quiet", true, "no alert counts").await?;
    // It is opened again before it ends.
    let before = end(&first)?;
    soon("the gate to be opened again", async || {
        let spec = becomes(bench, "quiet", true, "no alert counts").await?;
        Ok((end(&spec)? > before).then_some(()))
    })
    .await?;
    bench.outside.say(Alerts::Firing("NodeDown"));
    let closed = becomes(bench, "quiet", false, "alerts: NodeDown (firing)").await?;
    ensure!(closed["until"].is_null(), "{closed}");
    bench.outside.say(Alerts::Broken);
    becomes(bench, "quiet", false, "the server answered 503: overloaded").await?;
    // Somebody opens it by hand.
    let open = r#"{"spec": {"open": true, "reason": "by hand"}}"#;
    bench
        .kubectl(&["patch", "updategate", "quiet", "--type=merge", "-p", open])
        .await?;
    becomes(bench, "quiet", false, "the server answered 503: overloaded").await?;
    bench.outside.say(Alerts::None);
    becomes(bench, "quiet", true, "no alert counts")
        .await
        .map(drop)
}

/// The right to read what the gate depends on.
const RIGHT: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: cuo-companion-reads-backup
  labels:
    companion.cuo.coreos.com/aggregate-to-resources: "true"
rules:
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [backup]
    verbs: [get]
"#;

pub async fn resources(bench: &Bench) -> Result<()> {
    becomes(bench, "backup", false, "forbidden").await?;
    bench.apply(RIGHT).await?;
    becomes(bench, "backup", false, "there is none").await?;
    let state = async |state: &str| {
        let map = format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: backup, namespace: default}}, data: {{state: {state}}}}}"
        );
        bench.apply(&map).await
    };
    state("running").await?;
    becomes(
        bench,
        "backup",
        false,
        "object.data.state == 'done' does not hold",
    )
    .await?;
    state("done").await?;
    becomes(bench, "backup", true, "object.data.state == 'done'")
        .await
        .map(drop)
}

/// A gate that nobody opens again counts as closed.
pub async fn ends(bench: &Bench) -> Result<()> {
    soon("the gate's time to be over", async || {
        let gate = bench
            .get("updategate", "quiet")
            .await?
            .context("there is none")?;
        ensure!(gate["spec"]["open"] == true, "{gate}");
        Ok((end(&gate["spec"])? < Timestamp::now()).then_some(()))
    })
    .await
}
