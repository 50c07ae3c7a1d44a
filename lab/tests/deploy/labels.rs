//! Which labels a node can write on itself: what `cuo_core::trust` says, asked of a real API server.

use anyhow::{Result, ensure};
use cuo_core::trust;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::Bench;

/// All of Kubernetes' lists, both sides of each border, and whatever merely looks like one of them.
const LABELS: [&str; 32] = [
    "pool",
    "example.com/pool",
    "node-restriction.example.com/pool",
    "notkubernetes.io/pool",
    "kubernetes.io.example.com/pool",
    "cuo.coreos.com/group",
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "node.kubernetes.io/controller",
    "sub.node.kubernetes.io/x",
    "kubelet.kubernetes.io/x",
    "sub.kubelet.kubernetes.io/x",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/rack",
    "kubernetes.io/role",
    "beta.kubernetes.io/x",
    "node-role.kubernetes.io/control-plane",
    "mynode.kubernetes.io/x",
    "k8s.io/x",
    "sub.k8s.io/x",
    "node.k8s.io/x",
    "kubernetes.io.k8s.io/x",
    "node-restriction.kubernetes.io/pool",
    "sub.node-restriction.kubernetes.io/pool",
];

pub async fn are_judged_as_by_the_api_server(bench: &Bench) -> Result<()> {
    let admin: Api<Node> = Api::all(bench.plane.admin());
    let node: Api<Node> = Api::all(bench.plane.client(&bench.node("n2")?).await?);
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let before = admin.get("n2").await?.metadata.labels.unwrap_or_default();
    let label =
        |key: &str, value: &Value| Patch::Merge(json!({"metadata": {"labels": {key: value}}}));
    let mut found = Vec::new();
    for key in LABELS {
        let there = before.get(key).map_or(Value::Null, |value| json!(value));
        admin
            .patch("n2", &PatchParams::default(), &label(key, &json!("x")))
            .await?;
        let mut verdicts = Vec::new();
        for value in [json!("y"), Value::Null] {
            let said = match node.patch("n2", &dry, &label(key, &value)).await {
                Ok(_) => true,
                Err(kube::Error::Api(status)) => {
                    let why = format!("is not allowed to modify labels: {key}");
                    ensure!(status.message.ends_with(&why), "{key}: {}", status.message);
                    false
                }
                Err(error) => return Err(error.into()),
            };
            verdicts.push(said);
        }
        admin
            .patch("n2", &PatchParams::default(), &label(key, &there))
            .await?;
        found.push((key, verdicts));
    }
    let expected = LABELS.map(|key| (key, vec![trust::nodes_write(key); 2]));
    assert_eq!(found, expected);
    Ok(())
}
