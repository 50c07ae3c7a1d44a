//! Which nodes belong to the control plane. Grants never take two of them out of service at once, because etcd could lose its quorum.
//!
//! Labels alone are no proof: installers have labels and taints of their own, kubelets may not set the usual ones, and anybody may remove
//! them. Static pods of etcd and kube-apiserver are proof; the agent sees those on its own node.

use crate::drain::RawPod;
use crate::ids::NodeName;
use crate::node::NodeView;
use crate::selector::Selector;
use crate::values::Names;

/// The static pods that make a node one of the control plane, as kubeadm and most others call them.
pub const PARTS: [&str; 2] = ["etcd", "kube-apiserver"];

/// kubeadm's label on static pods of the control plane.
const LABEL: &str = "component";

/// The administrator's rules for what belongs to the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// Nodes with these labels belong to it, too.
    pub also: Vec<Selector>,
    /// Nodes with these labels do not, whatever else they have: any node can claim to be one, and would delay the others.
    pub never: Vec<Selector>,
}

impl Rule {
    /// Whether the node belongs to the control plane.
    pub fn counts(&self, node: &NodeView) -> bool {
        let any = |selectors: &[Selector]| selectors.iter().any(|one| one.matches(&node.labels));
        !any(&self.never) && (node.control_plane || any(&self.also))
    }
}

/// Which of [`PARTS`] `pod` is on the node `node`. The kubelet names the mirror pod of a static pod after the pod and its node.
pub fn part(pod: &RawPod, node: &NodeName) -> Option<&'static str> {
    let own = pod.name.strip_suffix(node.as_str())?.strip_suffix('-')?;
    let label = pod.labels.get(LABEL).map(String::as_str);
    let is = |part: &&&str| own == **part || label == Some(**part);
    let found = PARTS.iter().find(is).filter(|_| pod.mirror);
    found.copied()
}

/// The [`PARTS`] that exist on the node.
pub fn parts(pods: &[RawPod], node: &NodeName) -> Names {
    pods.iter().filter_map(|pod| part(pod, node)).collect()
}

/// The [`PARTS`] that are on the node and Ready.
pub fn ready(pods: &[RawPod], node: &NodeName) -> Names {
    let whole = |part: &&str| {
        let mut own = pods
            .iter()
            .filter(|pod| self::part(pod, node) == Some(*part));
        own.clone().any(|pod| pod.ready) && own.all(|pod| pod.ready)
    };
    PARTS.into_iter().filter(whole).collect()
}

/// Which of the `demanded` parts are not Ready, with the reason for each.
pub fn not_ready(pods: &[RawPod], node: &NodeName, demanded: &Names) -> Vec<String> {
    let ready = ready(pods, node);
    let missing = PARTS.into_iter();
    let missing = missing.filter(|part| demanded.contains(part) && !ready.contains(part));
    missing.map(|part| format!("{part}-{node}")).collect()
}

#[cfg(test)]
mod tests;
