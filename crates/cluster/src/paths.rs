//! Paths of API objects, and the names of the custom resource.

pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const PODS: &str = "/api/v1/pods";
/// All `UpdatePool`s.
pub const POOLS: &str = "/apis/cuo.coreos.com/v1alpha1/updatepools";

/// The custom resource's group.
pub const GROUP: &str = "cuo.coreos.com";
/// Its only version.
pub const VERSION: &str = "v1alpha1";
/// Its kind.
pub const KIND: &str = "UpdatePool";
