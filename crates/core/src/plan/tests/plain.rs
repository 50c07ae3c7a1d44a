//! Nodes that are to reboot without an update.

use super::pools::{pool, runs};
use super::*;
use crate::gate::Gate;
use crate::pool::{Canary, CanaryWho, Release};
use crate::values::PlainReboots;

/// `n1` wants to reboot into [`OLD`], which it runs.
fn asked() -> World {
    let mut world = World::new(&["n1", "n2"]);
    world.node("n2").agent.needed = Field::Absent;
    let agent = &mut world.node("n1").agent;
    agent.needed = Field::Value(OLD);
    agent.reboots = Field::Value(PlainReboots {
        wanted: Some("memory errors".into()),
        done: None,
    });
    world
}

/// What is about releases does not matter to a node that stays with its own.
#[test]
fn no_release_has_to_be_approved_tried_or_sound() {
    let cases: [Change; 5] = [
        |_| {},
        |world| world.policy.builtin.target = Some(Release::Id(NEW)),
        |world| world.policy.builtin.approved = Some(vec![]),
        |world| {
            let soak = SignedDuration::from_hours(1);
            let who = CanaryWho::Count(1);
            world.policy.builtin.canary = Some(Canary { who, soak });
        },
        |world| fails(world.node("n2"), OLD),
    ];
    for (place, change) in cases.into_iter().enumerate() {
        let mut world = asked();
        change(&mut world);
        assert_eq!(codes(&world.run())[0], ("n1", Code::Granted), "{place}");
        let grant = world.node("n1").operator.grant.value().unwrap().identity;
        assert_eq!(grant, OLD, "{place}");
    }
}

/// Whatever holds any reboot holds this one, too; and without the agent's word it is an update like any other.
#[test]
fn what_holds_every_reboot_holds_it() {
    let cases: [(Code, Change); 6] = [
        (Code::Paused, |world| world.node("n1").paused = true),
        (Code::ClusterPaused, |world| world.policy.paused = true),
        (Code::BudgetExhausted, |world| {
            world.node("n2").ready = false
        }),
        (Code::NodeNotReady, |world| world.node("n1").ready = false),
        (Code::GateClosed, |world| {
            world.policy.builtin.gates = vec!["quiet".to_owned()];
            let gate = Gate {
                open: false,
                until: None,
                reason: None,
            };
            world.seen.gates = [("quiet".to_owned(), Ok(gate))].into();
        }),
        (Code::NotApproved, |world| {
            world.policy.builtin.approved = Some(vec![]);
            world.node("n1").agent.reboots = Field::Absent;
        }),
    ];
    for (code, change) in cases {
        let mut world = asked();
        change(&mut world);
        let plan = world.run();
        assert_eq!(plan.verdicts[&name("n1")].code, code);
        assert_eq!(world.log, Vec::<String>::new(), "{code}");
    }
}

/// A canary that is rebooted in the middle of its soak has run the candidate all the same.
#[test]
fn it_restarts_no_soak() {
    let mut canary = pool("p");
    canary.canary = Some(Canary {
        who: CanaryWho::Count(1),
        soak: SignedDuration::from_mins(10),
    });
    for (done, expected) in [(Some(id(9)), 600), (None, 900)] {
        let mut world = super::pools::world(&["a=p"], vec![canary.clone()]);
        runs(&mut world, "a", NEW, NOW);
        let agent = &mut world.node("a").agent;
        agent.result = Field::Value(RebootResult {
            id: id(9),
            outcome: Outcome::Done,
            code: None,
            at: at(NOW + 300),
        });
        agent.reboots = Field::Value(PlainReboots { wanted: None, done });
        let soak = SignedDuration::from_mins(10);
        let node = &world.seen.nodes[&name("a")];
        let soaked = super::super::trial::soaked(node, &NEW, soak);
        assert_eq!(soaked, Some(at(NOW + expected)), "{done:?}");
    }
}

/// A node that needs an update needs the consent for it, whatever else it says.
#[test]
fn only_into_what_runs() {
    let mut world = asked();
    world.policy.builtin.approved = Some(vec![]);
    world.node("n1").agent.needed = Field::Value(NEW);
    let verdict = world.run().verdicts[&name("n1")].code;
    assert_eq!(verdict, Code::NotApproved);
}
