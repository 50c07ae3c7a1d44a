//! Labels that nodes can write on themselves. Where a pool selects by one, a host that somebody has taken over chooses its pool.

use std::collections::BTreeSet;

use crate::pool::{CanaryWho, Pool};

/// The namespace of labels that no node writes, wherever the admission plugin NodeRestriction is on.
pub const RESTRICTED: &str = "node-restriction.kubernetes.io";

/// Namespaces of Kubernetes' own labels, of which nodes write only those below.
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

/// The namespace is `domain` or below it.
fn within(namespace: &str, domain: &str) -> bool {
    namespace
        .strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Labels by which nodes choose for themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chosen<'a> {
    /// Whether they are in the pool.
    pub members: BTreeSet<&'a str>,
    /// Whether they are its canaries.
    pub canaries: BTreeSet<&'a str>,
}

impl<'a> Chosen<'a> {
    /// Those that `pool` selects by.
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

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.canaries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::pool::Canary;
    use crate::selector::{Operator, Requirement, Selector};

    /// The lab asks a real API server about the same labels.
    #[test]
    fn nodes_write_what_node_restriction_lets_them() {
        let cases = [
            ("pool", true),
            ("example.com/pool", true),
            ("node-restriction.example.com/pool", true),
            ("notkubernetes.io/pool", true),
            ("kubernetes.io.example.com/pool", true),
            ("kubernetes.io/hostname", true),
            ("kubernetes.io/arch", true),
            ("kubernetes.io/os", true),
            ("beta.kubernetes.io/arch", true),
            ("beta.kubernetes.io/os", true),
            ("beta.kubernetes.io/instance-type", true),
            ("node.kubernetes.io/instance-type", true),
            ("node.kubernetes.io/controller", true),
            ("sub.node.kubernetes.io/x", true),
            ("kubelet.kubernetes.io/x", true),
            ("sub.kubelet.kubernetes.io/x", true),
            ("topology.kubernetes.io/zone", true),
            ("topology.kubernetes.io/region", true),
            ("failure-domain.beta.kubernetes.io/zone", true),
            ("failure-domain.beta.kubernetes.io/region", true),
            ("topology.kubernetes.io/rack", false),
            ("kubernetes.io/role", false),
            ("beta.kubernetes.io/x", false),
            ("node-role.kubernetes.io/control-plane", false),
            ("mynode.kubernetes.io/x", false),
            ("k8s.io/x", false),
            ("sub.k8s.io/x", false),
            ("node.k8s.io/x", false),
            ("node-restriction.kubernetes.io/pool", false),
            ("sub.node-restriction.kubernetes.io/pool", false),
        ];
        for (key, expected) in cases {
            assert_eq!(nodes_write(key), expected, "{key}");
        }
    }

    #[test]
    fn both_selectors_of_a_pool_are_looked_at() {
        let demand = |key: &str| Requirement {
            key: key.to_owned(),
            operator: Operator::DoesNotExist,
            values: BTreeSet::new(),
        };
        let selector = |equal: &str, demands: &[&str]| Selector {
            match_labels: [(equal.to_owned(), "x".to_owned())].into(),
            match_expressions: demands.iter().map(|key| demand(key)).collect(),
        };
        let canary = |who| {
            Some(Canary {
                who,
                soak: SignedDuration::ZERO,
            })
        };
        let safe = "node-restriction.kubernetes.io/pool";
        let chosen = |members: &[&'static str], canaries: &[&'static str]| Chosen {
            members: members.iter().copied().collect(),
            canaries: canaries.iter().copied().collect(),
        };
        let cases = [
            (Selector::default(), None, chosen(&[], &[])),
            (
                selector(safe, &[]),
                canary(CanaryWho::Count(2)),
                chosen(&[], &[]),
            ),
            (selector("b", &[safe, "a"]), None, chosen(&["a", "b"], &[])),
            (
                selector(safe, &[]),
                canary(CanaryWho::Nodes(selector("c", &[safe]))),
                chosen(&[], &["c"]),
            ),
        ];
        for (selector, canary, expected) in cases {
            let pool = Pool {
                selector,
                canary,
                ..Pool::default()
            };
            let found = Chosen::of(&pool);
            assert_eq!(found, expected);
            assert_eq!(found.is_empty(), expected == Chosen::default());
        }
    }
}
