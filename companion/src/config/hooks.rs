//! `hooks[]`.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::gates::LabelSelector;
use super::values::{Name, Span};

/// One hook: a Job for each update of each node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    /// Its name.
    pub name: Name,
    /// When it runs.
    pub at: Moment,
    /// The nodes that it is for; all without it.
    pub node_selector: Option<LabelSelector>,
    /// How long the Job may take, all its tries together.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// How often a pod that failed is tried again.
    #[serde(default)]
    pub retries: u8,
    /// What becomes of the update when the Job failed.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// The Job's pod.
    pub template: Template,
}

fn timeout() -> Span {
    Span::seconds(600)
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Moment {
    /// While the before-reboot checks run: before the node is cordoned.
    BeforeDrain,
    /// While the after-reboot checks run: before its slot is free.
    AfterReboot,
    /// Once a node has answered that its update failed or was given up.
    OnFailure,
}

/// What becomes of an update whose hook failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum OnFailure {
    /// It waits until the Job is deleted, after an hour or by a person, and runs again.
    #[default]
    Hold,
    /// It goes on.
    Continue,
}

/// A pod's template as it was written; the API server checks it once more.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(pub Value);

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = PodTemplateSpec::deserialize(&value).map_err(|error| {
            D::Error::custom(format_args!("expected the template of a pod: {error}"))
        })?;
        match read.spec.is_some_and(|spec| !spec.containers.is_empty()) {
            true => Ok(Self(value)),
            false => Err(D::Error::custom(
                "expected the template of a pod, with `spec.containers`",
            )),
        }
    }
}

impl Hook {
    /// The annotation by which it answers, which pools name in `checks`.
    pub fn annotation(&self) -> String {
        format!("{ANNOTATIONS}{}", self.name)
    }
}

/// The beginning of all annotations of the companion.
pub const ANNOTATIONS: &str = "companion.cuo.coreos.com/";
