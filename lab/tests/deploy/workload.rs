//! The operator's pod: hollow kubelets play it, everything before it is real.

use anyhow::{Context, Result, ensure};
use cuo_lab::wait::until;
use serde_json::{Value, json};

use crate::{Bench, NAMESPACE, SOON};

async fn get(bench: &Bench, what: &str) -> Result<Value> {
    let text = bench
        .kubectl(&format!("-n {NAMESPACE} get {what} -o json"))
        .await?;
    Ok(serde_json::from_str(&text)?)
}

/// The operator's pods that are not on their way out: name, node, and whether they can't be scheduled.
async fn pods(bench: &Bench) -> Result<Vec<(String, Option<String>, bool)>> {
    let list = get(bench, "pods").await?;
    let present = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let picture = present.map(|pod| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let stuck = conditions
            .filter(|condition| condition["reason"] == "Unschedulable")
            .count()
            > 0;
        (
            text(&pod["metadata"]["name"]).unwrap_or_default(),
            text(&pod["spec"]["nodeName"]),
            stuck,
        )
    });
    Ok(picture.collect())
}

/// The one pod, once it is bound; `avoid` is one that has to be gone.
async fn running(bench: &Bench, avoid: &str) -> Result<(String, String)> {
    until("the operator's pod to run", SOON, async || {
        Ok(match &pods(bench).await?[..] {
            [(name, Some(node), _)] if name != avoid => Some((name.clone(), node.clone())),
            _ => None,
        })
    })
    .await
}

pub async fn runs(bench: &Bench) -> Result<()> {
    bench
        .kubectl(&format!(
            "-n {NAMESPACE} rollout status deployment cuo-operator --timeout=30s"
        ))
        .await?;
    let (name, node) = running(bench, "").await?;
    assert_eq!(node, "n1", "the control plane is preferred");
    let pod = get(bench, &format!("pod {name}")).await?;
    // The admission plugin has turned the class into its number, in a namespace other than kube-system and without a quota.
    assert_eq!(pod["spec"]["priority"], json!(2_000_000_000));
    // Others may start in this namespace only if they are as harmless: the labels of the namespace are in force.
    let privileged = ["-n", NAMESPACE, "run", "evil", "--image=x", "--privileged"];
    let Err(refused) = bench.plane.kubectl(&privileged).await else {
        anyhow::bail!("a privileged pod was admitted");
    };
    ensure!(
        format!("{refused:#}").contains("violates PodSecurity \"restricted:latest\""),
        "{refused:#}"
    );
    Ok(())
}

/// Nothing enforces the policy here: what it says has to fit what the pod is.
pub async fn lets_in(bench: &Bench) -> Result<()> {
    let policy = get(bench, "networkpolicy cuo-operator").await?;
    let deployment = get(bench, "deployment cuo-operator").await?;
    let template = &deployment["spec"]["template"];
    let container = &template["spec"]["containers"][0];
    let [port] = container["ports"].as_array().map_or(&[][..], |ports| ports) else {
        anyhow::bail!("more than one port: {container}");
    };
    let expected = json!({
        "podSelector": {"matchLabels": template["metadata"]["labels"]},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": port["name"], "protocol": port["protocol"]}]}],
    });
    assert_eq!(policy["spec"], expected);
    Ok(())
}

async fn evict(bench: &Bench, name: &str) -> Result<()> {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE},
    });
    let file = bench.dir.join("eviction.json");
    std::fs::write(&file, eviction.to_string())?;
    let file = file.to_str().context("the path is text")?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction");
    until("the budget to let the pod go", SOON, async || {
        bench
            .plane
            .kubectl(&["create", "--raw", &path, "-f", file])
            .await
            .map(Some)
    })
    .await
    .map(drop)
}

pub async fn leaves_a_drained_node(bench: &Bench) -> Result<()> {
    let (first, _) = running(bench, "").await?;
    // Its node goes, another one is there.
    bench.kubectl("cordon n1").await?;
    evict(bench, &first).await?;
    let (second, node) = running(bench, &first).await?;
    assert_eq!(node, "n2");
    // No other node is there: it waits, and the drain has an end.
    bench.kubectl("cordon n2").await?;
    evict(bench, &second).await?;
    let third = until("the pod to find no node", SOON, async || {
        Ok(match &pods(bench).await?[..] {
            [(name, None, true)] if *name != second => Some(name.clone()),
            _ => None,
        })
    })
    .await?;
    bench.kubectl("uncordon n2 n1").await?;
    let (name, _) = running(bench, &second).await?;
    assert_eq!(name, third);
    Ok(())
}
