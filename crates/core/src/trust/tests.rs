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
