//! Looking for updates.

use super::*;

#[test]
fn a_host_that_only_checks_stages_nothing_and_reboots_into_what_others_staged() {
    let mut world = World::new();
    world.settings.mode = Mode::Check;
    world.seen.check_due = true;
    world.seen.looked = Some(Code::UpdateAvailable.into());
    let pending = world.host().pending.take();
    let available = Some(Code::UpdateAvailable);
    assert_eq!(world.shows(), (Phase::Idle, available, Act::Check));
    world.seen.check_due = false;
    world.host().pending = pending;
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    world.until_reboot();
}

/// It was found by an agent that was configured to leave it at that.
#[test]
fn an_update_that_is_only_told_of_is_not_told_of_where_it_is_to_be_staged() {
    let mut world = World::new();
    world.host().pending = None;
    world.seen.looked = Some(Code::UpdateAvailable.into());
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    world.settings.mode = Mode::Check;
    let available = Some(Code::UpdateAvailable);
    assert_eq!(world.shows(), (Phase::Idle, available, Act::Wait));
}

/// The host alone is concerned, so the API server may be away.
#[test]
fn looking_needs_no_node() {
    for (mode, act) in [(Mode::Stage, Act::Stage), (Mode::Check, Act::Check)] {
        let mut world = World::new();
        world.settings.mode = mode;
        world.seen.check_due = true;
        world.host().pending = None;
        world.seen.node = NodeSeen::Unknown("refused".into());
        assert_eq!(world.run().act, act);
    }
}
