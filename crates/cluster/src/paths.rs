//! Paths of API objects, and the names of the custom resources.

pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const PODS: &str = "/api/v1/pods";
/// All `UpdatePool`s.
pub const POOLS: &str = "/apis/cuo.coreos.com/v1alpha1/updatepools";
/// All `UpdatePause`s.
pub const PAUSES: &str = "/apis/cuo.coreos.com/v1alpha1/updatepauses";
/// All `UpdateGate`s.
pub const GATES: &str = "/apis/cuo.coreos.com/v1alpha1/updategates";

/// The custom resources' group.
pub const GROUP: &str = "cuo.coreos.com";
/// Its only version.
pub const VERSION: &str = "v1alpha1";
/// Its kind.
pub const KIND: &str = "UpdatePool";
