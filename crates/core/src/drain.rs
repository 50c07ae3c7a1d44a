//! A pod as draining sees it.

use jiff::Timestamp;

/// What is taken from a Pod object on this node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RawPod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`: a new pod of the same name is another pod.
    pub uid: String,
    /// Kind of the controlling owner, when there is one.
    pub controller: Option<String>,
    /// Has the annotation `kubernetes.io/config.mirror`: a static pod's picture, which can't be evicted.
    pub mirror: bool,
    /// `status.phase` is `Succeeded` or `Failed`: nothing of it runs.
    pub completed: bool,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
}

/// What came of the last eviction of one pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EvictionTry {
    /// `metadata.uid` of the pod.
    pub uid: String,
    /// When it was tried.
    pub at: Timestamp,
    /// The API server's refusal, in its words; `None` when it was accepted.
    pub refused: Option<String>,
}
