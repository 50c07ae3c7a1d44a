//! Facts about a node that follow from its own Node.

use crate::node::NodeView;
use crate::reason::Code;
use crate::values::Phase;

/// Whether the Node has a reservation, a grant or labels of checks, understood or not.
pub(super) fn holds(node: &NodeView) -> bool {
    node.operator.has_slot() || !node.agent.progress.is_absent()
}

/// The node does not become healthy with what it runs, has given its slot back, and wants to go back to what it ran before. That it is
/// out of service is no reason to keep it so.
pub(super) fn goes_back(node: &NodeView) -> bool {
    let agent = &node.agent;
    let ails = || {
        let booted = agent.booted.value()?.identity;
        let failure = agent.failed.value()?.find(&booted)?;
        Some(failure.code == Code::Unhealthy)
    };
    has_failed(node) && agent.progress.is_absent() && ails() == Some(true)
}

/// Whether the node is out of service, whatever the cause.
pub(super) fn unavailable(node: &NodeView) -> bool {
    !node.ready || node.unschedulable || node.deleting || has_failed(node)
}

/// Whether the node needs a person. If it has a slot, it keeps that until then.
pub(super) fn has_failed(node: &NodeView) -> bool {
    let status = node.agent.status.value();
    status.is_some_and(|status| status.phase == Phase::Failed)
}
