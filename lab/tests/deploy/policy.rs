//! The policy that keeps the operator's keys from nodes.

use anyhow::{Result, ensure};
use cuo_core::keys;
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{Bench, SOON};

/// What a node would like to write.
pub const GRANT: &str = r#"{"metadata":{"annotations":{"cuo.coreos.com/reboot-ok":"mine"}}}"#;

const ANNOTATIONS: &str = "cuo.coreos.com/reboot-ok and cuo.coreos.com/reboot-reserved are written by cuo-operator, not by nodes";
const LABELS: &str = "the labels cuo.coreos.com/before-reboot and cuo.coreos.com/after-reboot are written by cuo-operator, not by nodes";

/// The operator's keys: `annotations` or `labels`, name, and how a node is told that it can't write them.
fn guarded() -> Vec<(&'static str, &'static str, &'static str)> {
    let operators = keys::TABLE.iter().filter(|key| key.writer == "operator");
    let kinds = operators.map(|key| match key.kind {
        "annotation" => ("annotations", key.name, ANNOTATIONS),
        _ => ("labels", key.name, LABELS),
    });
    kinds.collect()
}

fn patch(kind: &str, name: &str, value: &Value) -> String {
    json!({"metadata": {kind: {name: value}}}).to_string()
}

/// Every key of the agent, and a cordon, as one patch.
fn own_keys(value: &Value) -> String {
    let mut patch =
        json!({"metadata": {"annotations": {}, "labels": {}}, "spec": {"unschedulable": true}});
    for key in keys::TABLE.iter().filter(|key| key.writer == "agent") {
        for kind in ["annotation", "label"] {
            if key.kind.contains(kind) {
                patch["metadata"][format!("{kind}s")][key.name] = value.clone();
            }
        }
    }
    if value.is_null() {
        patch["spec"]["unschedulable"] = Value::Null;
    }
    patch.to_string()
}

/// Patches n1; what the API server says when it refuses is an inner error. `kubectl` can't do this: it reads a subresource before it
/// changes it, which a node may not.
async fn write(who: &Api<Node>, patch: &str, subresource: &str) -> Result<Result<(), String>> {
    let patch: Value = serde_json::from_str(patch)?;
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
    let done = match subresource {
        "" => who.patch("n1", &parameters, &patch).await,
        _ => {
            who.patch_subresource(subresource, "n1", &parameters, &patch)
                .await
        }
    };
    match done {
        Ok(_) => Ok(Ok(())),
        Err(kube::Error::Api(status)) => Ok(Err(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

fn refused(done: &Result<(), String>, why: &str) -> bool {
    let by = "ValidatingAdmissionPolicy 'cuo-operator-keys' with binding 'cuo-operator-keys' denied request";
    done == &Err(format!("nodes \"n1\" is forbidden: {by}: {why}"))
}

pub async fn guards(bench: &Bench) -> Result<()> {
    let node = Api::all(bench.plane.client(&bench.node("n1")?).await?);
    let operator = bench.account("cuo-operator").await?;
    let operator = Api::all(bench.plane.client(&operator).await?);

    // A new policy takes a moment to be in force; nothing before this waited for it.
    until("the policy to be in force", SOON, async || {
        Ok(refused(&write(&node, GRANT, "").await?, ANNOTATIONS).then_some(()))
    })
    .await?;
    for (kind, name, why) in guarded() {
        let changes = [
            ("set", Value::Null, json!("true")),
            ("changed", json!("true"), json!("false")),
            ("removed", json!("true"), Value::Null),
        ];
        for (what, before, after) in changes {
            write(&operator, &patch(kind, name, &before), "")
                .await?
                .map_err(anyhow::Error::msg)?;
            for subresource in ["", "status"] {
                let done = write(&node, &patch(kind, name, &after), subresource).await?;
                ensure!(
                    refused(&done, why),
                    "{name} {what} by a node, subresource {subresource:?}: {done:?}"
                );
            }
        }
        // Something else can be written beside it, and it can be written as it is.
        let same = write(&node, &patch(kind, name, &json!("true")), "").await?;
        ensure!(same.is_ok(), "{name} as it was: {same:?}");
    }
    for value in [json!("true"), json!("false"), Value::Null] {
        let done = write(&node, &own_keys(&value), "").await?;
        ensure!(done.is_ok(), "the agent's own keys: {done:?}");
    }
    for (kind, name, _) in guarded() {
        write(&operator, &patch(kind, name, &Value::Null), "")
            .await?
            .map_err(anyhow::Error::msg)?;
    }
    created_with_a_grant(bench).await?;
    type_checked(bench, "cuo-operator-keys").await
}

/// A node registers itself, but not with a grant.
async fn created_with_a_grant(bench: &Bench) -> Result<()> {
    let credential = bench.node("n9")?;
    for (annotations, allowed) in [
        (json!({"cuo.coreos.com/reboot-ok": "mine"}), false),
        (json!({}), true),
    ] {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n9", "annotations": annotations}});
        let file = bench.dir.join("n9.json");
        std::fs::write(&file, node.to_string())?;
        let file = file.to_string_lossy().into_owned();
        let done = bench
            .kubectl_as(&credential, &["create", "--validate=false", "-f", &file])
            .await?;
        let told = matches!(&done, Err(text) if text.contains(ANNOTATIONS));
        ensure!(
            done.is_ok() == allowed && told != allowed,
            "create with {annotations}: {done:?}"
        );
    }
    bench.kubectl("delete node n9").await.map(drop)
}

/// The API server found nothing wrong with the types in the expressions of the policy `name`.
pub async fn type_checked(bench: &Bench, name: &str) -> Result<()> {
    let checked = until("the policy's types to be checked", SOON, async || {
        let text = bench
            .kubectl(&format!("get validatingadmissionpolicy {name} -o json"))
            .await?;
        let policy: Value = serde_json::from_str(&text)?;
        let done = policy["status"]["observedGeneration"] == policy["metadata"]["generation"];
        Ok(done.then(|| policy["status"]["typeChecking"].clone()))
    });
    assert_eq!(checked.await?, json!({}));
    Ok(())
}
