//! What refuses the operator's writes to some Nodes, in the four ways that there are.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use cuo_lab::bench::NAMESPACE;
use cuo_lab::cluster::controlplane::ControlPlane;
use cuo_lab::cluster::webhook::Webhook;
use cuo_lab::herd;
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{Mix, PATIENCE};

/// Nobody waits longer for a refusal than the one to be tried takes.
const SILENCE: Duration = Duration::from_secs(2);

/// How a write is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 403: by a policy.
    Forbidden,
    /// 422: by a policy that gives no reason.
    Invalid,
    /// 500 at once: by a webhook that nobody serves.
    Failed,
    /// 500 after half a minute: by a webhook that does not answer, for as long as the API server waits for one at most.
    Silent,
}

impl Kind {
    /// The name of who refuses.
    fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden.example.com",
            Self::Invalid => "invalid.example.com",
            Self::Failed => "failed.example.com",
            Self::Silent => "silent.example.com",
        }
    }
}

/// All that refuse, until it is dropped: what does not answer then fails.
pub struct Refusal {
    mix: Mix,
    _silent: Webhook,
}

impl Refusal {
    /// Returns when the API server refuses what the operator writes to the nodes of `mix`.
    pub async fn start(plane: &ControlPlane, as_operator: &Api<Node>, mix: Mix) -> Result<Self> {
        let silent = Webhook::start(plane, |_| std::future::pending()).await?;
        let items: Vec<_> = mix
            .kinds
            .iter()
            .flat_map(|(kind, rest)| {
                let conditions = conditions(mix.divisor, *rest);
                match kind {
                    Kind::Forbidden => policy(*kind, json!("Forbidden"), &conditions),
                    Kind::Invalid => policy(*kind, Value::Null, &conditions),
                    // Nobody listens there.
                    Kind::Failed => {
                        webhook(*kind, json!({"url": "https://127.0.0.1:1/"}), &conditions)
                    }
                    Kind::Silent => webhook(*kind, json!(silent.client()), &conditions),
                }
            })
            .collect();
        let file = file(plane);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        std::fs::write(&file, list.to_string())?;
        let file = file.to_str().context("the path is text")?;
        plane.kubectl(&["apply", "--filename", file]).await?;
        for (kind, rest) in mix.kinds {
            in_force(as_operator, *kind, &herd::name(*rest)).await?;
        }
        Ok(Self {
            mix,
            _silent: silent,
        })
    }

    /// Nobody refuses any more.
    pub async fn end(self, plane: &ControlPlane) -> Result<()> {
        let file = file(plane);
        let file = file.to_str().context("the path is text")?;
        plane
            .kubectl(&["delete", "--filename", file])
            .await
            .map(drop)
    }

    /// How the operator's log names each of them, once it was met. Half a minute is longer than the others may take.
    pub fn words(&self) -> Vec<String> {
        let kinds = self.mix.kinds.iter().map(|(kind, _)| *kind);
        let reported = kinds.filter(|kind| *kind != Kind::Silent);
        reported.map(|kind| kind.name().to_owned()).collect()
    }
}

/// Where all that refuse are described.
fn file(plane: &ControlPlane) -> PathBuf {
    plane.admin_kubeconfig().with_file_name("refusal.json")
}

/// It is about the operator, and the Nodes whose number has this remainder.
fn conditions(divisor: usize, rest: usize) -> Value {
    let operator = format!("system:serviceaccount:{NAMESPACE}:cuo-operator");
    let number = "int(request.name.split('-')[1])";
    json!([
        {"name": "operator", "expression": format!("request.userInfo.username == '{operator}'")},
        {"name": "node", "expression": format!("{number} % {divisor} == {rest}")},
    ])
}

fn rules() -> Value {
    json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes"]}])
}

fn policy(kind: Kind, reason: Value, conditions: &Value) -> Vec<Value> {
    let group = "admissionregistration.k8s.io/v1";
    let mut validation = json!({"expression": "false", "message": "not this one"});
    if !reason.is_null() {
        validation["reason"] = reason;
    }
    vec![
        json!({
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": kind.name()},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": rules()},
                "matchConditions": conditions,
                "validations": [validation],
            },
        }),
        json!({
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": kind.name()},
            "spec": {"policyName": kind.name(), "validationActions": ["Deny"]},
        }),
    ]
}

fn webhook(kind: Kind, client: Value, conditions: &Value) -> Vec<Value> {
    vec![json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": kind.name()},
        "webhooks": [{
            "name": kind.name(),
            "clientConfig": client,
            "rules": rules(),
            "matchConditions": conditions,
            "sideEffects": "None",
            "timeoutSeconds": 30,
            "failurePolicy": "Fail",
            "admissionReviewVersions": ["v1"],
        }],
    })]
}

/// Waits until the operator could not write to the Node.
async fn in_force(as_operator: &Api<Node>, kind: Kind, name: &str) -> Result<()> {
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let change = json!({"metadata": {"annotations": {"cuo.coreos.com/only-node": "true"}}});
    let change = Patch::Merge(change);
    until(format!("{kind:?} to be in force"), PATIENCE, async || {
        let write = as_operator.patch(name, &dry, &change);
        let written = timeout(SILENCE, write).await;
        Ok(match (kind, written) {
            (Kind::Silent, Err(_)) => Some(()),
            (Kind::Forbidden, Ok(Err(kube::Error::Api(status)))) => {
                (status.code == 403).then_some(())
            }
            (Kind::Invalid, Ok(Err(kube::Error::Api(status)))) => {
                (status.code == 422).then_some(())
            }
            (Kind::Failed, Ok(Err(kube::Error::Api(status)))) => (status.code == 500).then_some(()),
            _ => None,
        })
    })
    .await
}
