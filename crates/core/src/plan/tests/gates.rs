//! What gates hold, and when they close.

use super::pools::{pool, verdict, world};
use super::*;
use crate::gate::{FoundGate, Gate};

fn gate(open: bool, until: Option<i64>) -> FoundGate {
    Ok(Gate {
        open,
        until: until.map(at),
        reason: Some("alerts".to_owned()),
    })
}

/// Node `a` of a pool that names the gate `quiet`, and `b` of none.
fn gated(found: Option<FoundGate>) -> World {
    let mut gated = pool("p");
    gated.gates = vec!["quiet".to_owned()];
    let mut world = world(&["a=p", "b"], vec![gated]);
    world.seen.gates = found
        .map(|gate| ("quiet".to_owned(), gate))
        .into_iter()
        .collect();
    world
}

#[test]
fn a_gate_that_is_not_open_holds_the_pools_that_name_it() {
    let reserved = "Reserved: The node is next; its slot is being confirmed.";
    let closed = "GateClosed: pool p: gate quiet ";
    let over = format!("was open until {}: alerts", at(NOW));
    let cases = [
        (None, Some("does not exist")),
        (Some(gate(false, None)), Some("is closed: alerts")),
        (Some(gate(true, Some(NOW))), Some(over.as_str())),
        (
            Some(Err("missing field `open`".to_owned())),
            Some("can't be understood: missing field `open`"),
        ),
        (Some(gate(true, None)), None),
        (Some(gate(true, Some(NOW + 1))), None),
    ];
    for (found, why) in cases {
        let world = gated(found.clone());
        let expected = why.map_or(reserved.to_owned(), |why| format!("{closed}{why}"));
        assert_eq!(verdict(&world, "a"), expected, "{found:?}");
        assert_eq!(verdict(&world, "b"), reserved, "{found:?}");
        let used = usize::from(why.is_none());
        assert_eq!(gated(found).run().pools[0].used, used);
    }
}

#[test]
fn a_gate_that_closes_takes_back_what_was_not_accepted_and_leaves_what_was() {
    for accepted in [false, true] {
        let mut world = gated(Some(gate(true, Some(NOW + 60))));
        // The agent may accept it no longer than the gate is open.
        assert_eq!(world.granted("a").deadline, at(NOW + 60));
        if accepted {
            world.accept("a");
        }
        world.now += 60;
        let plan = world.run();
        let code = if accepted {
            Code::Rebooting
        } else {
            Code::GateClosed
        };
        assert_eq!(codes(&plan)[0], ("a", code));
        assert_eq!(world.node("a").operator.grant.is_absent(), !accepted);
    }
}

#[test]
fn the_plan_is_made_again_when_a_gate_closes() {
    let mut world = gated(Some(gate(true, Some(NOW + 60))));
    let plan = world.run();
    assert!(
        plan.wake.is_some_and(|wake| wake <= at(NOW + 60)),
        "{:?}",
        plan.wake
    );
}
