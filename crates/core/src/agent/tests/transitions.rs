//! The table of transitions: each of them is taken by some history, and no history takes another.

use super::drain::granted;
use super::reboots::ready;
use super::rollback::{grant, turned_back};
use super::*;

/// The drain is over, and the pool wants half a minute.
fn delaying() -> World {
    let mut world = granted(|grant| grant.drain.delay_seconds = 30);
    let shown = (Phase::Draining, Some(Code::DrainDelay), Act::Wait);
    assert_eq!(world.shows(), shown);
    world
}

/// The reboot was asked for after that.
fn delayed() -> World {
    let mut world = delaying();
    world.now += 30;
    world.asks();
    world
}

/// The same without a pause.
fn asked() -> World {
    let mut world = ready();
    world.asks();
    world
}

fn draining() -> World {
    let mut world = granted(|_| ());
    world.seen.pods = Ok(vec![web()]);
    world.run();
    world
}

fn pauses(mut world: World) -> World {
    world.node().paused = true;
    world
}

fn boots(mut world: World) -> World {
    world.boots(OLD, None, &[]);
    world
}

fn is_busy(mut world: World) -> World {
    world.seen.asked.as_mut().unwrap().busy = Some(Code::RpmOstreeBusy.into());
    world
}

#[test]
fn every_transition_is_taken() {
    let histories: [fn() -> World; 12] = [
        asked,
        delayed,
        || pauses(draining()),
        || boots(draining()),
        || pauses(delaying()),
        || boots(delaying()),
        || {
            let mut world = delaying();
            world.seen.pods = Ok(vec![web()]);
            world
        },
        || is_busy(asked()),
        || is_busy(delayed()),
        || boots(asked()),
        || {
            let mut world = asked();
            world.seen.asked.as_mut().unwrap().refused = Some(Code::FinalizeFailed.into());
            world
        },
        || {
            let mut world = turned_back();
            grant(&mut world);
            world
        },
    ];
    let mut taken = BTreeSet::new();
    for history in histories {
        let mut world = history();
        world.run();
        taken.extend(world.ways);
    }
    let missed: Vec<_> = TRANSITIONS
        .iter()
        .filter(|way| {
            let mut taken = taken.iter();
            !taken.any(|(from, to)| match (way.to, to) {
                (Some(there), to) => (*from, *to) == (way.from, there),
                (None, to) => *from == way.from && matches!(to, Place::Rest(_)),
            })
        })
        .collect();
    assert_eq!(missed, Vec::<&Transition>::new());
}

#[test]
fn what_is_not_in_the_table_is_no_transition() {
    let waiting = Place::Rest(Rest::Waiting);
    let cases = [
        (waiting, Place::Draining, true),
        (waiting, Place::Rest(Rest::Held), true),
        (waiting, Place::Rebooting, false),
        (Place::Rest(Rest::Held), Place::Draining, false),
        (Place::Verifying, Place::Rest(Rest::Idle), true),
        (Place::Verifying, Place::Draining, false),
        (Place::Rebooting, Place::Delaying, true),
    ];
    for (from, to, leads) in cases {
        assert_eq!(from.leads_to(to), leads, "{from:?} to {to:?}");
    }
}

/// What a lost memory takes from the Node happened to the agent before, and is no news.
#[test]
fn what_is_taken_over_has_not_happened_now() {
    let mut world = draining();
    world.state = State::default();
    let step = world.run();
    assert!(world.state.attempt.is_some());
    assert_eq!(step.happened, []);

    let mut world = boots(draining());
    world.run();
    let answer = world.result();
    world.state = State::default();
    let step = world.run();
    assert_eq!((world.result(), step.happened), (answer, vec![]));
}
