//! Events about Nodes and pools, for people with `kubectl`.

use cuo_core::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;

use crate::error::ApiError;
use crate::paths;
use crate::source::ClientSource;

/// The namespace of Events about cluster-scoped objects.
const NAMESPACE: &str = "default";

/// Whether a person has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Everything is going as planned.
    Normal,
    /// Something is held or has failed.
    Warning,
}

/// The object of an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its kind.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
}

/// Kinds of objects that Events are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A Node.
    Node,
    /// An `UpdatePool`.
    Pool,
}

impl Kind {
    /// `apiVersion` and `kind`.
    fn names(self) -> (String, &'static str) {
        match self {
            Self::Node => ("v1".to_owned(), "Node"),
            Self::Pool => (format!("{}/{}", paths::GROUP, paths::VERSION), paths::KIND),
        }
    }
}

/// The content of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note<'a> {
    /// Whether a person has to look.
    pub severity: Severity,
    /// The action, as one word in upper camel case (`Drain`, `Grant`).
    pub action: &'static str,
    /// What happened, or why nothing does.
    pub reason: &'a Reason,
}

/// Publishes one Event. The caller has to avoid repetitions.
///
/// `instance` identifies the agent or operator: the node or the pod it runs on; `at` is the current time.
///
/// # Errors
/// Any [`ApiError`]. Nothing depends on an Event, so log it and continue.
pub async fn publish(
    source: &ClientSource,
    about: &About,
    note: Note<'_>,
    instance: &str,
    at: Timestamp,
) -> Result<(), ApiError> {
    let event = event(source.program().name, about, note, instance, at);
    let publish = source.call(|client| async move {
        let api = Api::<Event>::namespaced(client, NAMESPACE);
        api.create(&PostParams::default(), &event).await
    });
    publish.await.map(drop)
}

fn event(program: &str, about: &About, note: Note<'_>, instance: &str, at: Timestamp) -> Event {
    let Note {
        severity,
        action,
        reason,
    } = note;
    let (version, kind) = about.kind.names();
    Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{program}-")),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        action: Some(action.to_owned()),
        event_time: Some(MicroTime(at)),
        note: Some(reason.message.clone()),
        reason: Some(reason.code.as_str().to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(version),
            kind: Some(kind.to_owned()),
            name: Some(about.name.clone()),
            uid: Some(about.uid.clone()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(format!("{}{program}", cuo_core::keys::PREFIX)),
        reporting_instance: Some(instance.to_owned()),
        type_: Some(format!("{severity:?}")),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests;
