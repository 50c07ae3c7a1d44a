//! What the cluster assigns, and what the Node says of where releases come from.

use super::*;
use crate::release::{Assigned, Following, NamedRelease, Source};

fn exactly(identity: ReleaseId) -> Assigned {
    Assigned {
        identity: Some(identity),
        ..Assigned::default()
    }
}

/// A host with nothing pending and no look due.
fn idle() -> World {
    let mut world = World::new();
    world.host().pending = None;
    world
}

#[test]
fn another_assignment_is_looked_for_at_once_and_once() {
    let mut world = idle();
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    let steps = [Some(exactly(NEW)), Some(exactly(OTHER)), None];
    for assigned in steps {
        world.node().operator.assigned = assigned.clone().map_or(Field::Absent, Field::Value);
        assert_eq!(world.shows(), (Phase::Idle, None, Act::Stage));
        assert_eq!(world.state.assigned, assigned.unwrap_or_default());
        // That look has begun, and how it ends is for the pauses between looks to say.
        assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    }
}

#[test]
fn an_assignment_replaces_what_the_agent_staged_and_nothing_else() {
    for (ours, act) in [(true, Act::Stage), (false, Act::Wait)] {
        let mut world = World::new();
        let id = deployment(NEW, true).id;
        world.state.ours = ours.then_some(id);
        world.node().operator.assigned = Field::Value(exactly(OTHER));
        assert_eq!(world.shows(), (Phase::Waiting, None, act), "ours: {ours}");
    }
    // Once a slot is being prepared for it, it stays.
    let mut world = World::new();
    world.state.ours = Some(deployment(NEW, true).id);
    world.node().operator.assigned = Field::Value(exactly(OTHER));
    world.until_reboot();
}

#[test]
fn what_was_assigned_counts_while_the_node_is_not_known() {
    let mut world = idle();
    world.state.assigned = exactly(NEW);
    world.seen.node = NodeSeen::Unknown("refused".into());
    assert_eq!(world.run().act, Act::Wait);
    world.seen.check_due = true;
    assert_eq!(world.run().act, Act::Stage);
    assert_eq!(world.state.assigned, exactly(NEW));
}

/// Neither the release that can't be read nor that of another source is staged.
#[test]
fn an_assignment_that_can_not_be_read_stops_looks() {
    let cases = [
        (Field::OtherVersion(2), Code::ProtocolUnknown),
        (Field::Malformed("no".into()), Code::MalformedAnnotation),
    ];
    for (assigned, code) in cases {
        let mut world = World::new();
        world.state.ours = Some(deployment(NEW, true).id);
        world.state.assigned = exactly(NEW);
        world.seen.check_due = true;
        world.node().operator.assigned = assigned;
        assert_eq!(world.shows(), (Phase::Held, Some(code), Act::Wait));
        assert_eq!(world.state.assigned, exactly(NEW));
    }
}

#[test]
fn the_node_says_where_releases_come_from_and_no_longer_what_was_reached() {
    let goal = |identity| {
        Some(NamedRelease {
            identity,
            version: None,
        })
    };
    let following = |goal, behind| Following {
        source: Source::Graph,
        reference: "fedora:fedora/x86_64/coreos/stable".into(),
        goal,
        behind: Some(behind),
    };
    let mut world = idle();
    world.seen.following = Some(following(goal(NEW), 2));
    world.run();
    assert_eq!(
        world.node().agent.following,
        Field::Value(following(goal(NEW), 2))
    );
    // A process that has not looked yet leaves it.
    world.seen.following = None;
    world.run();
    assert_eq!(
        world.node().agent.following,
        Field::Value(following(goal(NEW), 2))
    );
    world.boots(NEW, None, &[OLD]);
    world.run();
    assert_eq!(
        world.node().agent.following,
        Field::Value(following(None, 0))
    );
}

#[test]
fn a_dead_end_is_a_label_for_as_long_as_it_is_one() {
    let mut world = idle();
    world.seen.looked = Some(Code::DeadEnd.into());
    assert_eq!(world.shows(), (Phase::Idle, Some(Code::DeadEnd), Act::Wait));
    assert!(world.node().agent.dead_end);
    world.seen.looked = None;
    world.run();
    assert!(!world.node().agent.dead_end);
}

#[test]
fn an_older_release_is_a_step_back_unless_a_pool_and_the_host_mean_it() {
    let declared = Assigned {
        declared: true,
        downgrade: true,
        ..exactly(NEW)
    };
    let other = Assigned {
        identity: Some(OTHER),
        ..declared.clone()
    };
    let by_itself = Assigned {
        declared: false,
        ..declared.clone()
    };
    let cases = [
        (true, declared.clone(), None),
        (false, declared, Some(Code::OlderVersion)),
        (true, other, Some(Code::OlderVersion)),
        (true, by_itself, Some(Code::OlderVersion)),
        (true, Assigned::default(), Some(Code::OlderVersion)),
    ];
    for (allowed, assigned, code) in cases {
        let mut world = World::new();
        world.settings.allow_downgrade = allowed;
        world.host().booted.published = 2;
        world.state.ours = Some(deployment(NEW, true).id);
        world.state.assigned = assigned.clone();
        if assigned != Assigned::default() {
            world.node().operator.assigned = Field::Value(assigned.clone());
        }
        let (_, found, _) = world.shows();
        assert_eq!(found, code, "{allowed} {assigned:?}");
    }
}

#[test]
fn an_update_waits_for_an_api_server_as_new_as_its_kubelet() {
    let skew = |update: &str, server: &str| crate::skew::Skew {
        update: update.into(),
        kubelet: crate::skew::Minor::parse("1.35").unwrap(),
        server: crate::skew::Minor::parse(server).unwrap(),
    };
    let id = deployment(NEW, true).id;
    let held = (Phase::Held, Some(Code::KubeletTooNew), Act::Wait);
    let waits = (Phase::Waiting, None, Act::Wait);
    let cases = [
        (skew(&id, "1.34"), false, held),
        (skew(&id, "1.34"), true, waits.clone()),
        (skew(&id, "1.35"), false, waits.clone()),
        (skew("another", "1.34"), false, waits),
    ];
    for (skew, any, expected) in cases {
        let mut world = World::new();
        world.settings.any_kubelet = any;
        world.seen.skew = Some(skew.clone());
        assert_eq!(world.shows(), expected, "{skew:?} {any}");
    }
    // A grant that came all the same is refused.
    let mut world = World::new();
    world.seen.skew = Some(skew(&id, "1.34"));
    world.grant();
    world.run();
    assert_eq!(
        world.result(),
        Some((Outcome::Refused, Some(Code::KubeletTooNew)))
    );
}

#[test]
fn what_the_graph_leads_to_no_longer_is_not_booted() {
    let following = |source, goal: Option<ReleaseId>| Following {
        source,
        reference: "fedora:fedora/x86_64/coreos/stable".into(),
        goal: goal.map(|identity| NamedRelease {
            identity,
            version: None,
        }),
        behind: None,
    };
    let cases = [
        (true, following(Source::Graph, Some(NEW)), None),
        (true, following(Source::Graph, Some(OTHER)), None),
        (
            true,
            following(Source::Graph, None),
            Some(Code::ReleaseWithdrawn),
        ),
        (true, following(Source::Origin, None), None),
        // What an administrator deployed.
        (false, following(Source::Graph, None), None),
    ];
    for (ours, following, expected) in cases {
        let mut world = World::new();
        world.state.ours = ours.then(|| deployment(NEW, true).id);
        world.seen.following = Some(following.clone());
        let (_, code, _) = world.shows();
        assert_eq!(code, expected, "{ours} {following:?}");
    }
}
