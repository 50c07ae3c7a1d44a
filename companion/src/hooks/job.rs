//! Jobs of hooks: what is made, and what is read of them.

use std::collections::BTreeMap;

use cuo_cluster::wire::Wire;
use cuo_core::ids::NodeName;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::{Hook, Moment, Name};

/// The namespace that all of them are in, and nothing else.
pub const NAMESPACE: &str = "cuo-hooks";
/// The path of all of them.
pub const PATH: &str = "/apis/batch/v1/namespaces/cuo-hooks/jobs";
/// The label of every Job that the companion made. It leaves others alone.
const OWNER: (&str, &str) = ("app.kubernetes.io/managed-by", "cuo-companion");
/// How long a Job stays after its end, for people to read; one that failed is made again then if somebody still waits for it.
const KEPT: u32 = 3600;

/// What of a Job matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: State,
    /// It is being deleted.
    pub deleting: bool,
    /// The companion made it.
    pub ours: bool,
}

/// How far a Job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs, or has yet to.
    Running,
    /// It did what it was to do.
    Complete,
    /// It failed, or took too long.
    Failed,
}

impl State {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Running, Self::Complete, Self::Failed];

    /// The state as a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
        }
    }
}

/// A Job on the wire.
#[derive(Debug, Clone, Deserialize)]
pub struct WireJob {
    metadata: Meta,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Wire for WireJob {
    fn resource_version(&self) -> &str {
        &self.metadata.resource_version
    }

    fn key(&self) -> &str {
        &self.metadata.name
    }
}

impl From<WireJob> for Job {
    fn from(job: WireJob) -> Self {
        let is = |kind: &str| {
            let mut all = job.status.conditions.iter();
            all.any(|condition| condition.kind == kind && condition.status == "True")
        };
        let state = match (is("Complete"), is("Failed")) {
            (true, _) => State::Complete,
            (false, true) => State::Failed,
            (false, false) => State::Running,
        };
        Self {
            name: job.metadata.name.clone(),
            state,
            deleting: job.metadata.deletion_timestamp.is_some(),
            ours: job
                .metadata
                .labels
                .get(OWNER.0)
                .is_some_and(|owner| owner == OWNER.1),
        }
    }
}

/// The name of the Job of a hook for a node and a grant: always the same, so that it is made once.
pub fn name(hook: &Name, node: &NodeName, grant: &str) -> String {
    let digest = Sha256::digest(format!("{node}/{grant}"));
    let digits: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{hook}-{digits}")
}

/// The Job itself.
pub fn manifest(hook: &Hook, node: &NodeName, grant: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(&hook.name, node, grant),
            "namespace": NAMESPACE,
            "labels": {
                OWNER.0: OWNER.1,
                "companion.cuo.coreos.com/hook": hook.name.as_str(),
            },
            "annotations": {
                "companion.cuo.coreos.com/node": node.as_str(),
                "companion.cuo.coreos.com/grant": grant,
            },
        },
        "spec": {
            "activeDeadlineSeconds": hook.timeout.signed().as_secs(),
            "backoffLimit": hook.retries,
            "ttlSecondsAfterFinished": KEPT,
            "template": template(hook, node, grant),
        },
    })
}

/// Its pod: the administrator's, whose containers are told what it is for.
fn template(hook: &Hook, node: &NodeName, grant: &str) -> Value {
    let moment = match hook.at {
        Moment::BeforeDrain => "beforeDrain",
        Moment::AfterReboot => "afterReboot",
        Moment::OnFailure => "onFailure",
    };
    let told = [
        ("CUO_NODE", node.as_str()),
        ("CUO_GRANT", grant),
        ("CUO_MOMENT", moment),
    ];
    let told = told.map(|(name, value)| json!({ "name": name, "value": value }));
    let mut template = hook.template.0.clone();
    let spec = &mut template["spec"];
    for kind in ["containers", "initContainers"] {
        let containers = spec.get_mut(kind).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mut environment = told.to_vec();
            let own = container["env"].as_array().cloned();
            environment.extend(own.unwrap_or_default());
            container["env"] = Value::Array(environment);
        }
    }
    // The one that Jobs mostly have, since a Deployment's is refused; and no token that nobody asked for.
    if spec["restartPolicy"].is_null() {
        spec["restartPolicy"] = "Never".into();
    }
    if spec["automountServiceAccountToken"].is_null() {
        spec["automountServiceAccountToken"] = false.into();
    }
    template
}

#[cfg(test)]
mod tests;
