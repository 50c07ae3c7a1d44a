//! Which nodes are of the control plane, of which never two are out of service because of a grant: the quorum of etcd is at stake.
//!
//! Labels alone do not tell. Installers have labels and taints of their own, kubelets may not set the usual ones, and somebody may take
//! them away. What tells for itself are the static pods of etcd and kube-apiserver, which the agent sees on its own node.

use crate::drain::RawPod;
use crate::ids::NodeName;
use crate::node::NodeView;
use crate::selector::Selector;
use crate::values::Names;

/// The static pods that make a node one of the control plane, as kubeadm and most others call them.
pub const PARTS: [&str; 2] = ["etcd", "kube-apiserver"];

/// kubeadm's label on static pods of the control plane.
const LABEL: &str = "component";

/// What an administrator says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// Nodes with these labels are of the control plane, too.
    pub also: Vec<Selector>,
    /// Nodes with these labels are not, whatever else they have: any node can say of itself that it is, and would hold up the others.
    pub never: Vec<Selector>,
}

impl Rule {
    /// The node is of the control plane.
    pub fn counts(&self, node: &NodeView) -> bool {
        let any = |selectors: &[Selector]| selectors.iter().any(|one| one.matches(&node.labels));
        !any(&self.never) && (node.control_plane || any(&self.also))
    }
}

/// Which of [`PARTS`] `pod` is on the node `node`. The kubelet calls the picture of a static pod after the pod and its node.
pub fn part(pod: &RawPod, node: &NodeName) -> Option<&'static str> {
    let own = pod.name.strip_suffix(node.as_str())?.strip_suffix('-')?;
    let label = pod.labels.get(LABEL).map(String::as_str);
    let is = |part: &&&str| own == **part || label == Some(**part);
    let found = PARTS.iter().find(is).filter(|_| pod.mirror);
    found.copied()
}

/// All that are on the node.
pub fn parts(pods: &[RawPod], node: &NodeName) -> Names {
    pods.iter().filter_map(|pod| part(pod, node)).collect()
}

/// Those that are on the node and Ready.
pub fn ready(pods: &[RawPod], node: &NodeName) -> Names {
    let whole = |part: &&str| {
        let mut own = pods
            .iter()
            .filter(|pod| self::part(pod, node) == Some(*part));
        own.clone().any(|pod| pod.ready) && own.all(|pod| pod.ready)
    };
    PARTS.into_iter().filter(whole).collect()
}

/// Which of those that are `demanded` are not Ready.
pub fn not_ready(pods: &[RawPod], node: &NodeName, demanded: &Names) -> Vec<String> {
    let ready = ready(pods, node);
    let missing = PARTS.into_iter();
    let missing = missing.filter(|part| demanded.contains(part) && !ready.contains(part));
    missing.map(|part| format!("{part}-{node}")).collect()
}

#[cfg(test)]
mod tests;
