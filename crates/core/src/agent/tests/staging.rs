//! While rpm-ostree is at work: what is staged shows long before the run is over, and so does the unit that would write it.

use super::*;
use crate::values::Reservation;

/// What the agent's own run has staged just now: noted, shown, and not yet in the unit's hands.
fn just_staged() -> World {
    let mut world = World::new();
    let pending = world.host().pending.take();
    world.seen.check_due = true;
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Stage));
    world.seen.check_due = false;
    world.host().pending = pending;
    world.seen.survey = finalizer("inactive");
    world
}

/// `NEW` is staged and locked, and the unit is in this state.
fn finalizer(state: &str) -> Result<Survey, String> {
    let units = health::units(&[("ostree-finalize-staged.service", state)]);
    let staged = noted(true).unwrap().staged;
    units.map(|survey| Survey { staged, ..survey })
}

#[test]
fn its_own_run_asks_for_nothing_before_its_end() {
    for (staging, busy) in [
        (Staging::Begun, false),
        (Staging::Begun, true),
        (Staging::Lasting, false),
        (Staging::Lasting, true),
        // The process that began it is gone.
        (Staging::Idle, true),
    ] {
        let mut world = just_staged();
        (world.seen.staging, world.seen.busy) = (staging, busy);
        let nothing = (Phase::Staged, None, Act::Wait);
        assert_eq!(world.shows(), nothing, "{staging:?} {busy}");
        world.seen.survey = finalizer("active");
        assert_eq!(world.shows(), nothing, "{staging:?} {busy}");
        world.grant();
        assert_eq!(world.shows(), nothing, "{staging:?} {busy}");
        assert_eq!(world.result(), None, "{staging:?} {busy}");
        assert_eq!(world.state.ours, None, "{staging:?} {busy}");
        world.node().operator.grant = Field::Absent;
        (world.seen.staging, world.seen.busy) = (Staging::Idle, false);
        assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
        assert_eq!(world.state.ours, Some(deployment(NEW, true).id));
        world.until_reboot();
    }
}

/// Whose end nobody has heard of: its process is gone, or the look met somebody else's work.
#[test]
fn a_run_that_is_over_leaves_no_note_whatever_it_came_to() {
    let unread = Survey {
        unread: Some("no right".into()),
        ..Survey::default()
    };
    let staged = || Some(deployment(NEW, true));
    let ours = || staged().map(|staged| staged.id);
    let cases = [
        ("its own", staged(), noted(true), ours(), false),
        ("another's", staged(), noted(false), None, false),
        ("nothing", None, noted(true), None, false),
        ("not known whose", staged(), Ok(unread), None, true),
        ("not known what", staged(), Err("no bus".into()), None, true),
    ];
    for (what, pending, survey, ours, noted) in cases {
        let mut world = just_staged();
        (world.host().pending, world.seen.survey) = (pending, survey);
        world.seen.busy = true;
        world.run();
        assert!(world.state.staging.is_some(), "{what}");
        world.seen.busy = false;
        world.run();
        let found = (world.state.ours.clone(), world.state.staging.is_some());
        assert_eq!(found, (ours, noted), "{what}");
    }
}

/// What an administrator does afterwards is not the agent's, and is reported if it keeps a grant waiting.
#[test]
fn what_others_do_after_a_run_is_not_taken_for_its_work() {
    let mut world = just_staged();
    world.seen.survey = noted(false);
    let risk = Some(Code::StagedUnlocked);
    assert_eq!(world.shows(), (Phase::Waiting, risk, Act::Wait));
    world.seen.busy = true;
    assert_eq!(world.shows(), (Phase::Waiting, risk, Act::Wait));
    world.grant();
    let busy = Some(Code::RpmOstreeBusy);
    assert_eq!(world.shows(), (Phase::Waiting, busy, Act::Wait));
}

/// The unit is started a moment after the note is written, by whoever stages.
#[test]
fn the_unit_is_not_missed_while_rpm_ostree_works_for_anybody() {
    let inactive = Some(Code::FinalizerInactive);
    let mut world = World::new();
    world.seen.survey = finalizer("inactive");
    world.seen.busy = true;
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    world.grant();
    let busy = Some(Code::RpmOstreeBusy);
    assert_eq!(world.shows(), (Phase::Waiting, busy, Act::Wait));
    assert_eq!(world.result(), None);
    world.seen.busy = false;
    assert_eq!(world.shows(), (Phase::Held, inactive, Act::Wait));
    assert_eq!(world.result(), Some((Outcome::Refused, inactive)));
}

#[test]
fn a_drain_waits_for_rpm_ostree_and_then_for_the_unit() {
    let mut world = World::new();
    world.grant();
    world.seen.pods = Ok(vec![web()]);
    world.run();
    world.seen.pods = Ok(vec![]);
    world.seen.survey = finalizer("inactive");
    for (busy, code) in [
        (true, Code::RpmOstreeBusy),
        (false, Code::FinalizerInactive),
    ] {
        world.seen.busy = busy;
        assert_eq!(world.shows(), (Phase::Draining, Some(code), Act::Wait));
    }
    world.seen.survey = finalizer("active");
    world.until_reboot();
}

/// A look that lasts may be a download of something newer, and what is granted then would be granted in vain. Who was chosen already is
/// not held off: most looks find nothing.
#[test]
fn a_look_that_lasts_takes_back_a_wish_that_nobody_has_heard() {
    let id = deployment(NEW, true).id;
    type Change = fn(&mut World);
    let cases: [(Phase, Change); 3] = [
        (Phase::Staged, |_| ()),
        (Phase::Waiting, |world| {
            world.node().operator.reserved = Field::Value(Reservation {
                id: ID,
                identity: NEW,
                boot: BOOT,
            });
        }),
        (Phase::Waiting, World::grant),
    ];
    for (phase, change) in cases {
        let mut world = World::new();
        world.seen.survey = finalizer("active");
        world.state.ours = Some(id.clone());
        assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
        world.seen.check_due = true;
        assert_eq!(world.shows(), (Phase::Waiting, None, Act::Stage));
        world.seen.check_due = false;
        change(&mut world);
        for (staging, phase) in [(Staging::Begun, Phase::Waiting), (Staging::Lasting, phase)] {
            (world.seen.staging, world.seen.busy) = (staging, true);
            assert_eq!(world.shows(), (phase, None, Act::Wait), "{staging:?}");
            assert_eq!(world.result(), None);
        }
        (world.seen.staging, world.seen.busy) = (Staging::Idle, false);
        world.until_reboot();
    }
}
