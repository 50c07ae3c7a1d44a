//! Labels that nodes can set on themselves. Where a pool selects by such a label, a compromised host can choose its pool.

use std::collections::BTreeSet;

use crate::pool::{CanaryWho, Pool};

/// The namespace of labels that no node may set, wherever the admission plugin NodeRestriction is enabled.
pub const RESTRICTED: &str = "node-restriction.kubernetes.io";

/// Namespaces of Kubernetes' own labels, of which nodes may set only those below.
const KUBERNETES: [&str; 2] = ["kubernetes.io", "k8s.io"];

/// Those by name: `KubeletLabels` in k8s.io/kubelet/pkg/apis/well_known_labels.go, of Kubernetes 1.37.
const KUBELETS: [&str; 11] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

/// And all of these namespaces: `KubeletLabelNamespaces` in the same file.
const KUBELETS_NAMESPACES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Whether a node's credential may set, change and remove the label `key` on its own Node, as NodeRestriction judges it
/// (`getForbiddenLabels` in plugin/pkg/admission/noderestriction/admission.go of Kubernetes 1.37).
pub fn nodes_write(key: &str) -> bool {
    let namespace = key.split_once('/').map_or("", |(namespace, _)| namespace);
    if within(namespace, RESTRICTED) {
        return false;
    }
    let kubernetes = KUBERNETES.iter().any(|of| within(namespace, of));
    !kubernetes
        || KUBELETS.contains(&key)
        || KUBELETS_NAMESPACES.iter().any(|of| within(namespace, of))
}

/// Whether `namespace` is `domain` or below it.
fn within(namespace: &str, domain: &str) -> bool {
    namespace
        .strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The labels that nodes set themselves, by which a pool selects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chosen<'a> {
    /// Labels that decide whether a node is in the pool.
    pub members: BTreeSet<&'a str>,
    /// Labels that decide whether a node is its canary.
    pub canaries: BTreeSet<&'a str>,
}

impl<'a> Chosen<'a> {
    /// The labels of this kind that `pool` selects by.
    pub fn of(pool: &'a Pool) -> Self {
        let canaries = match pool.canary.as_ref().map(|canary| &canary.who) {
            Some(CanaryWho::Nodes(selector)) => Some(selector),
            Some(CanaryWho::Count(_)) | None => None,
        };
        let written = |key: &&str| nodes_write(key);
        Self {
            members: pool.selector.keys().filter(written).collect(),
            canaries: canaries
                .into_iter()
                .flat_map(|selector| selector.keys())
                .filter(written)
                .collect(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.canaries.is_empty()
    }
}

#[cfg(test)]
mod tests;
