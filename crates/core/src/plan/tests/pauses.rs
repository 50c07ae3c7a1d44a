//! What pauses as objects hold, and how they end.

use super::pools::{pool, world};
use super::*;
use crate::pause::{FoundPause, Pause, Scope};

fn pause(scope: Scope, until: Option<i64>) -> FoundPause {
    FoundPause::Valid(Pause {
        name: "fair".to_owned(),
        scope,
        until: until.map(at),
        reason: Some("a fair".to_owned()),
        by: Some("alice".to_owned()),
    })
}

/// The verdicts about nodes `a` of pool `p` and `b` of none.
fn verdicts(pauses: Vec<FoundPause>) -> [String; 2] {
    let mut world = world(&["a=p", "b"], vec![pool("p")]);
    world.seen.pauses = pauses;
    let plan = world.plan();
    ["a", "b"].map(|node| plan.verdicts[&name(node)].to_string())
}

#[test]
fn a_pause_holds_what_it_is_about_and_says_whose_it_is() {
    let reserved = "Reserved: The node is next; its slot is being confirmed.";
    let words = "paused by alice (UpdatePause fair): a fair";
    let nodes = Scope::Nodes([name("b")].into());
    let broken = FoundPause::Invalid {
        name: "fair".to_owned(),
        why: "missing field `scope`".to_owned(),
    };
    let unreadable =
        "ClusterPaused: UpdatePause fair can't be understood: missing field `scope`".to_owned();
    let cases = [
        (vec![], [reserved.to_owned(), reserved.to_owned()]),
        (
            vec![pause(Scope::All, None)],
            [
                format!("ClusterPaused: {words}"),
                format!("ClusterPaused: {words}"),
            ],
        ),
        (
            vec![pause(Scope::Pool("p".parse().unwrap()), None)],
            [format!("PoolPaused: pool p: {words}"), reserved.to_owned()],
        ),
        (
            vec![pause(nodes, None)],
            [reserved.to_owned(), format!("Paused: {words}")],
        ),
        (
            vec![pause(Scope::Pool("q".parse().unwrap()), None)],
            [reserved.to_owned(), reserved.to_owned()],
        ),
        (vec![broken], [unreadable.clone(), unreadable]),
    ];
    for (pauses, expected) in cases {
        assert_eq!(verdicts(pauses.clone()), expected, "{pauses:?}");
    }
}

#[test]
fn a_pause_ends_by_itself_when_its_time_is_over() {
    let mut world = World::new(&["a"]);
    world.seen.pauses = vec![pause(Scope::All, Some(NOW + 60))];
    let plan = world.run();
    assert_eq!(codes(&plan), [("a", Code::ClusterPaused)]);
    assert_eq!(plan.wake, Some(at(NOW + 60)));
    world.now += 60;
    world.granted("a");
}

#[test]
fn a_pause_withdraws_what_was_not_accepted_and_leaves_what_was() {
    let mut world = world(&["a=p", "b"], vec![pool("p")]);
    world.granted("a");
    world.accept("a");
    world.granted("b");
    world.seen.pauses = vec![pause(Scope::All, None)];
    let plan = world.run();
    let expected = [("a", Code::Rebooting), ("b", Code::ClusterPaused)];
    assert_eq!(codes(&plan), expected);
    assert_eq!(world.slots(), ["a Granted 1"]);
    assert!(world.node("b").operator.grant.is_absent());
}
