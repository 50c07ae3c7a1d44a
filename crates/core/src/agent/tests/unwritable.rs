//! A disk that is full under the agent's own state.

use super::*;

const WHY: &str = "can't write /var/lib/cuo-agent/state.json: No space left on device";

/// What is shown while the state can't be written, of a world that had come somewhere by then.
fn shown(world: &mut World) -> (Phase, Option<Code>, Act) {
    let (state, node) = (world.state.clone(), world.node().clone());
    world.settings.state_unusable = Some(StateTrouble::Unwritten(WHY.into()));
    let shows = world.shows();
    assert_eq!(
        world.run().reason,
        Some(Reason::new(Code::StateUnwritable, WHY))
    );
    assert_eq!(world.state, state, "nothing that would have to be written");
    let now = world.node();
    // All of an update stays as it is.
    let update = |node: &NodeView| {
        let agent = &node.agent;
        (
            agent.progress.clone(),
            agent.owned.clone(),
            agent.result.clone(),
            agent.failed.clone(),
            node.unschedulable,
        )
    };
    assert_eq!(update(now), update(&node));
    shows
}

#[test]
fn the_phase_is_what_it_is_without_a_full_disk() {
    type Come = fn(&mut World);
    let table: [(&str, Come, Phase); 9] = [
        (
            "nothing is pending",
            |world| {
                world.host().pending = None;
                world.run();
            },
            Phase::Idle,
        ),
        (
            "a look is due",
            |world| {
                world.host().pending = None;
                world.run();
                world.seen.check_due = true;
            },
            Phase::Idle,
        ),
        (
            "nothing was ever written",
            |world| world.host().pending = None,
            Phase::Idle,
        ),
        // It can't accept a grant, so it asks for none.
        (
            "an update waits",
            |world| {
                world.run();
            },
            Phase::Held,
        ),
        (
            "a grant came",
            |world| {
                world.run();
                world.grant();
            },
            Phase::Held,
        ),
        (
            "a drain",
            |world| {
                world.grant();
                world.seen.pods = Ok(vec![web()]);
                world.run();
            },
            Phase::Draining,
        ),
        (
            "a reboot",
            |world| {
                world.until_reboot();
            },
            Phase::Rebooting,
        ),
        (
            "a boot, of which the disk knows nothing any more",
            |world| {
                world.until_reboot();
                world.boots(NEW, None, &[OLD]);
                world.node().ready = false;
                world.run();
                world.state = State::default();
            },
            Phase::Verifying,
        ),
        (
            "a node that needs a person",
            |world| {
                world.until_reboot();
                world.seen.asked = None;
                world.boots(NEW, None, &[OLD]);
                world.node().ready = false;
                world.run();
                world.now += 100_000;
                world.run();
            },
            Phase::Failed,
        ),
    ];
    for (what, come, phase) in table {
        let mut world = World::new();
        come(&mut world);
        let expected = (phase, Some(Code::StateUnwritable), Act::Wait);
        assert_eq!(shown(&mut world), expected, "{what}");
    }
}

#[test]
fn it_goes_on_once_there_is_room() {
    let mut world = World::new();
    world.run();
    world.grant();
    shown(&mut world);
    world.settings.state_unusable = None;
    world.until_reboot();
}
