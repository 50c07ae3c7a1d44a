//! Nodes that are to leave what does not work.

use super::*;
use crate::pool::{Canary, CanaryWho, Release};

/// `n1` runs [`NEW`], is not Ready, and wants to go back to [`OLD`].
fn sick(world: &mut World, text: &str) {
    let node = world.node(text);
    node.agent.needed = Field::Value(OLD);
    node.agent.booted = Field::Value(Booted {
        identity: NEW,
        version: "2".into(),
        boot: NEXT,
        since: at(NOW),
    });
    node.agent.failed = failures(Code::Unhealthy);
    node.agent.owned = Field::Value(id(1));
    (node.ready, node.unschedulable) = (false, true);
    phase(node, Phase::Failed);
}

fn failures(code: Code) -> Field<Failures> {
    let failure = Failure {
        identity: NEW,
        code: code.into(),
        at: at(NOW),
    };
    Field::Value(Failures {
        identities: vec![failure],
    })
}

#[test]
fn a_node_is_granted_the_way_back_though_it_is_not_ready_and_before_all_others() {
    let mut world = World::new(&["n1", "n2"]);
    world.node("n1").agent.needed = Field::Value(OTHER);
    sick(&mut world, "n2");
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(2);
    let grant = world.granted("n2");
    assert_eq!((grant.identity, grant.boot), (OLD, NEXT));
    let plan = world.run();
    assert_eq!(
        codes(&plan),
        [("n1", Code::Granted), ("n2", Code::Granted)],
        "there is room for both"
    );
}

/// Each alone makes it a node like any other that is out of service.
#[test]
fn only_what_is_known_not_to_work_is_left() {
    let cases: [(Code, Change); 9] = [
        (Code::AgentHolds, |world| {
            phase(world.node("n1"), Phase::Held)
        }),
        (Code::AgentHolds, |world| {
            world.node("n1").agent.failed = failures(Code::RolledBack)
        }),
        (Code::AgentHolds, |world| {
            world.node("n1").agent.failed = Field::Absent
        }),
        (Code::IdentityFailed, |world| {
            world.node("n1").agent.needed = Field::Value(NEW)
        }),
        (Code::IdentityFailed, |world| fails(world.node("n2"), OLD)),
        (Code::NodeNotReady, |world| world.node("n1").deleting = true),
        (Code::Paused, |world| world.node("n1").paused = true),
        (Code::ClusterPaused, |world| world.policy.paused = true),
        (Code::BudgetExhausted, |world| {
            world.node("n2").ready = false
        }),
    ];
    for (code, change) in cases {
        let mut world = World::new(&["n1", "n2"]);
        sick(&mut world, "n1");
        world.node("n2").agent.needed = Field::Absent;
        change(&mut world);
        let plan = world.run();
        assert_eq!(plan.verdicts[&name("n1")].code, code);
        assert_eq!(world.log, Vec::<String>::new(), "{code}");
    }
}

/// What was right when the node ran it needs no new consent.
#[test]
fn what_is_about_new_versions_does_not_hold_the_way_back() {
    let cases: [Change; 4] = [
        |world| world.policy.builtin.target = Some(Release::Id(NEW)),
        |world| world.policy.builtin.approved = Some(vec![]),
        |world| {
            let soak = SignedDuration::from_hours(1);
            let who = CanaryWho::Count(1);
            world.policy.builtin.canary = Some(Canary { who, soak });
        },
        |world| {
            world.policy.builtin.settle = SignedDuration::from_hours(1);
            world.node("n1").agent.result = Field::Value(RebootResult {
                id: id(1),
                outcome: Outcome::Failed,
                code: Some(Code::Unhealthy.into()),
                at: at(NOW),
            });
        },
    ];
    for (place, change) in cases.into_iter().enumerate() {
        let mut world = World::new(&["n1", "n2"]);
        sick(&mut world, "n1");
        world.node("n2").agent.needed = Field::Absent;
        change(&mut world);
        assert_eq!(codes(&world.run())[0], ("n1", Code::Granted), "{place}");
    }
}

/// The agent's time begins with the grant: the checks before it may have taken hours.
#[test]
fn a_slot_counts_from_the_grant() {
    let mut world = World::new(&["n1"]);
    world.policy.builtin.before = checks(&["example.com/quiet"]);
    world.run();
    world.now += 7200;
    let node = world.node("n1");
    node.others
        .insert("example.com/quiet".into(), "true".into());
    world.run();
    let since = world.ledger().entries[&name("n1")].since;
    assert_eq!(since, at(NOW + 7200));
}
