//! The only node that takes pods.

use super::*;
use crate::features::Feature;
use crate::values::DrainMode;

/// A cluster of nodes with agents of this version, of which these take no pods.
fn world(names: &[&str], others: &[&str]) -> World {
    let mut world = World::new(names);
    for text in names {
        let node = world.node(text);
        node.agent.needed = Field::Absent;
        node.agent.features = Feature::own();
        node.takes_pods = !others.contains(text);
    }
    world
}

/// The nodes that are marked as the only one, and the one that the pools report.
fn reported(world: &mut World) -> (Vec<&str>, Option<String>) {
    let plan = world.run();
    let lone = plan.pools.iter().find_map(|pool| pool.lone.as_ref());
    let lone = lone.map(NodeName::to_string);
    let nodes = world.seen.nodes.iter();
    let marked = nodes.filter(|(_, node)| node.operator.only_node);
    (marked.map(|(name, _)| name.as_str()).collect(), lone)
}

#[test]
fn the_only_node_that_takes_pods_is_told_so() {
    let table: [(&[&str], &[&str], Option<&str>); 5] = [
        (&["a"], &[], Some("a")),
        (&["a"], &["a"], Some("a")), // its administrator cordoned it
        (&["a", "b"], &["a"], Some("b")),
        (&["a", "b"], &[], None),
        (&["a", "b"], &["a", "b"], None),
    ];
    for (names, others, lone) in table {
        let mut world = world(names, others);
        let expected = (lone.into_iter().collect(), lone.map(str::to_owned));
        assert_eq!(
            reported(&mut world),
            expected,
            "{names:?} without {others:?}"
        );
    }
}

#[test]
fn it_is_not_told_where_it_is_not_drained_or_not_the_only_one_any_more() {
    let mut world = world(&["a", "b"], &["a"]);
    assert_eq!(reported(&mut world), (vec!["b"], Some("b".to_owned())));
    world.node("a").takes_pods = true;
    assert_eq!(reported(&mut world), (vec![], None));
    world.node("b").takes_pods = false;
    assert_eq!(reported(&mut world), (vec!["a"], Some("a".to_owned())));
    world.policy.builtin.drain.mode = DrainMode::None;
    assert_eq!(reported(&mut world), (vec![], None));
    // An agent that does not know the key has no use for it.
    world.policy.builtin.drain.mode = DrainMode::Evict;
    world.node("a").agent.features = Default::default();
    assert_eq!(reported(&mut world), (vec![], Some("a".to_owned())));
}

/// Nothing is ever decided on it: a webhook that takes it off again does not keep the node from its update.
#[test]
fn a_node_that_can_not_be_told_is_updated_all_the_same() {
    let mut world = world(&["a"], &[]);
    world.node("a").agent.needed = Field::Value(NEW);
    world.seen.writes.suspect = [name("a")].into();
    assert_eq!(codes(&world.run()), [("a", Code::Granted)]);
    let expected = [
        "ledger: a Reserved 1",
        "a: reserved",
        "ledger: a Granted 1",
        "a: grant",
    ];
    assert_eq!(world.log[..4], expected);
    assert!(world.node("a").operator.only_node);
}
