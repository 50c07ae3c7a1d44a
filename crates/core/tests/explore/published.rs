//! What the agent writes on its Node, put into a view as the API server would: tests use it in place of text.

// Tests of the crate itself include this, too, and name these in their own way.
use super::{AgentFields, Field, NodeView, Published, Reason, keys};

/// `node` after the write.
pub fn publish(want: &Published, node: &mut NodeView) {
    fn field<T: Clone>(want: Option<&T>) -> Field<T> {
        want.map_or(Field::Absent, |want| Field::Value(want.clone()))
    }
    node.protocol = Field::Value(keys::VERSION);
    node.agent = AgentFields {
        status: Field::Value(want.status.clone()),
        reason: field(want.reason.clone().map(Reason::read).as_ref()),
        features: want.features.clone(),
        control_plane_pods: want.control_plane_pods.clone(),
        needed: field(want.needed.as_ref()),
        needed_label: want.needed.is_some(),
        needed_version: want.needed_version.clone(),
        following: field(want.following.as_ref()),
        dead_end: want.dead_end,
        reboots: field((want.reboots != Default::default()).then_some(&want.reboots)),
        booted: field(want.booted.as_ref()),
        progress: field(want.progress.as_ref()),
        owned: field(want.owned.as_ref()),
        result: field(want.result.as_ref()),
        failed: field((!want.failed.identities.is_empty()).then_some(&want.failed)),
        suspected: vec![],
        system: want.system.clone(),
    };
    node.unschedulable = want.unschedulable.unwrap_or(node.unschedulable);
}
