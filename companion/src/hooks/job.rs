//! Jobs of hooks: what is made, and what is read of them.

use std::collections::BTreeMap;

use cuo_cluster::wire::Wire;
use cuo_core::ids::NodeName;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::{Hook, Moment};

/// The namespace that all of them are in, and nothing else.
pub const NAMESPACE: &str = "cuo-hooks";
/// The path of all of them.
pub const PATH: &str = "/apis/batch/v1/namespaces/cuo-hooks/jobs";
/// The label of every Job that the companion made. It leaves others alone.
const OWNER: (&str, &str) = ("app.kubernetes.io/managed-by", "cuo-companion");
/// The label with the hook's name.
const HOOK: &str = "companion.cuo.coreos.com/hook";
/// The label with the moment.
const MOMENT: &str = "companion.cuo.coreos.com/moment";
/// The annotation with the node's name, which may be too long for a label.
const NODE: &str = "companion.cuo.coreos.com/node";
/// The annotation with the grant's id.
const GRANT: &str = "companion.cuo.coreos.com/grant";
/// How long a Job stays after its end, for people to read; one that failed is made again then if somebody still waits for it.
const KEPT: u32 = 3600;

/// What of a Job matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Its uid, which no other Job of the name has.
    pub uid: String,
    /// How far it is.
    pub state: State,
    /// It is being deleted.
    pub deleting: bool,
    /// What the companion made it for; `None` where somebody else made it.
    pub purpose: Option<Purpose>,
}

/// What a Job is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// The hook's name.
    pub hook: String,
    /// When it runs.
    pub at: Moment,
    /// The node's name.
    pub node: String,
    /// The grant's id.
    pub grant: String,
}

impl Purpose {
    /// That of the Job of `hook` for this node and grant.
    pub fn new(hook: &Hook, node: &NodeName, grant: &str) -> Self {
        Self {
            hook: hook.name.to_string(),
            at: hook.at,
            node: node.to_string(),
            grant: grant.to_owned(),
        }
    }

    /// The name of the Job: always the same, so that it is made once.
    pub fn job(&self) -> String {
        let Self {
            hook, node, grant, ..
        } = self;
        let moment = moment(self.at);
        let digest = Sha256::digest(format!("{moment}/{node}/{grant}"));
        let digits: String = digest
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{hook}-{digits}")
    }

    /// What the metadata of a Job says; `None` where the companion did not write it.
    fn read(meta: &Meta) -> Option<Self> {
        let label = |key: &str| meta.labels.get(key);
        let annotation = |key: &str| meta.annotations.get(key).cloned();
        if label(OWNER.0)? != OWNER.1 {
            return None;
        }
        let at = label(MOMENT)?;
        Some(Self {
            hook: label(HOOK)?.clone(),
            at: MOMENTS.into_iter().find(|one| moment(*one) == at)?,
            node: annotation(NODE)?,
            grant: annotation(GRANT)?,
        })
    }
}

/// Every moment.
const MOMENTS: [Moment; 3] = [Moment::BeforeDrain, Moment::AfterReboot, Moment::OnFailure];

/// A moment as the configuration has it.
const fn moment(at: Moment) -> &'static str {
    match at {
        Moment::BeforeDrain => "beforeDrain",
        Moment::AfterReboot => "afterReboot",
        Moment::OnFailure => "onFailure",
    }
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
    uid: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
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
            state,
            deleting: job.metadata.deletion_timestamp.is_some(),
            purpose: Purpose::read(&job.metadata),
            name: job.metadata.name,
            uid: job.metadata.uid,
        }
    }
}

/// The Job itself.
pub fn manifest(hook: &Hook, node: &NodeName, grant: &str) -> Value {
    let purpose = Purpose::new(hook, node, grant);
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": purpose.job(),
            "namespace": NAMESPACE,
            "labels": {
                OWNER.0: OWNER.1,
                HOOK: hook.name.as_str(),
                MOMENT: moment(hook.at),
            },
            "annotations": {
                NODE: node.as_str(),
                GRANT: grant,
            },
        },
        "spec": {
            "activeDeadlineSeconds": hook.timeout.signed().as_secs(),
            "backoffLimit": hook.retries,
            "ttlSecondsAfterFinished": KEPT,
            "template": template(hook, &purpose),
        },
    })
}

/// Its pod: the administrator's, whose containers are told what it is for.
fn template(hook: &Hook, purpose: &Purpose) -> Value {
    let told = [
        ("CUO_NODE", purpose.node.as_str()),
        ("CUO_GRANT", purpose.grant.as_str()),
        ("CUO_MOMENT", moment(purpose.at)),
    ];
    // A container's own variables may refer to what is told, so that comes first; and of two of a name, the last would count.
    let is_told = |one: &Value| told.iter().any(|(name, _)| one["name"] == *name);
    let list = told.map(|(name, value)| json!({ "name": name, "value": value }));
    let mut template = hook.template.0.clone();
    let spec = &mut template["spec"];
    for kind in ["containers", "initContainers"] {
        let containers = spec.get_mut(kind).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mut environment = list.to_vec();
            let own = container["env"].as_array().into_iter().flatten();
            environment.extend(own.filter(|one| !is_told(one)).cloned());
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
