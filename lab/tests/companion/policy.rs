//! What the companion's account may do, and what not even more rights let it do.

use anyhow::{Context, Result, ensure};

use crate::{Bench, soon};

/// All rights, as somebody might give them by mistake.
const ALL: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: mistake
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: cuo-companion, namespace: cuo-companion}]
"#;

/// Gates, a pool and a Node that are not the companion's.
const OTHERS: &str = r#"
{apiVersion: cuo.coreos.com/v1alpha1, kind: UpdateGate, metadata: {name: other}, spec: {open: false}}
---
{apiVersion: cuo.coreos.com/v1alpha1, kind: UpdatePool, metadata: {name: workers}, spec: {nodeSelector: {matchLabels: {no: node}}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n0}}
"#;

pub async fn limits(bench: &Bench) -> Result<()> {
    bench.apply(OTHERS).await?;
    let kubeconfig = bench.kubeconfig().await?;
    let kubeconfig = kubeconfig.to_str().context("the path is text")?;
    // With `kubectl label` nothing would be tried: that reads the Node first, which the companion may not.
    let label = r#"{"metadata": {"labels": {"a": "b"}}}"#;
    let patch = [
        "patch",
        "node",
        "n0",
        "--type=merge",
        "--dry-run=server",
        "-p",
        label,
    ];
    let probe = [&["--kubeconfig", kubeconfig], &patch[..]].concat();
    soon("the policy to be in force", async || {
        Ok(bench.kubectl(&probe).await.is_err().then_some(()))
    })
    .await?;
    let refused = async |why: &str, arguments: &[&str]| {
        let tried = bench
            .kubectl(&[&["--kubeconfig", kubeconfig], arguments].concat())
            .await;
        let allowed = || format!("{arguments:?} was allowed");
        let said = format!("{:#}", tried.err().with_context(allowed)?);
        ensure!(said.contains(why), "{arguments:?}: {said}");
        Ok(())
    };
    let grant = ["annotate", "node", "n0", "cuo.coreos.com/reboot-ok={}"];
    let secrets = ["get", "secrets", "-n", "cuo-companion"];
    refused("is forbidden", &grant).await?;
    refused("is forbidden", &secrets).await?;
    let open = r#"{"spec": {"open": true}}"#;
    let gate = ["patch", "updategate", "other", "--type=merge", "-p", open];
    let own = "the companion changes only gates with the label app.kubernetes.io/managed-by=cuo-companion";
    refused(own, &gate).await?;

    bench.apply(ALL).await?;
    let pause = r#"{"spec": {"paused": false}}"#;
    let label = [
        "label",
        "updategate",
        "other",
        "app.kubernetes.io/managed-by=cuo-companion",
    ];
    // As `kubectl cordon` would, which reports no refusal by its exit code.
    let specs = [
        r#"{"spec": {"unschedulable": true}}"#,
        r#"{"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}"#,
    ];
    let [cordon, taint] = specs.map(|spec| ["patch", "node", "n0", "--type=merge", "-p", spec]);
    let nothing = "the companion changes nothing of";
    let others =
        format!("{nothing} nodes but annotations that begin with companion.cuo.coreos.com/");
    let table: [(&str, &[&str]); 9] = [
        (&others, &grant),
        (&others, &cordon),
        (&others, &taint),
        (&others, &["label", "node", "n0", "a=b"]),
        (&others, &["delete", "node", "n0"]),
        (
            &format!("{nothing} updatepools"),
            &[
                "patch",
                "updatepool",
                "workers",
                "--type=merge",
                "-p",
                pause,
            ],
        ),
        (own, &gate),
        (own, &label),
        (own, &["delete", "updategate", "other"]),
    ];
    for (why, arguments) in table {
        refused(why, arguments).await?;
    }
    bench
        .kubectl(&["delete", "clusterrolebinding", "mistake"])
        .await
        .map(drop)
}
