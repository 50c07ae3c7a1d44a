//! After the reboot was asked for, when it does not come.

use super::*;

impl World {
    /// The agent does what the step says, which is to ask for the reboot.
    fn asks(&mut self) -> Act {
        let act = self.run().act;
        assert!(matches!(act, Act::Finalize(_) | Act::Reboot), "{act:?}");
        let before = self.seen.asked.take();
        self.seen.asked = Some(Asked::next(
            before,
            ID,
            &act,
            at(self.now),
            self.seen.uptime,
        ));
        act
    }

    fn asked(&mut self) -> &mut Asked {
        self.seen.asked.as_mut().unwrap()
    }

    /// The host could have been down by now.
    fn waits(&mut self) {
        assert_eq!(self.shows(), (Phase::Rebooting, None, Act::Wait));
        self.now += 301;
    }
}

fn finalize() -> Act {
    Act::Finalize(deployment(NEW, true))
}

/// At the moment at which the reboot is asked for.
fn ready() -> World {
    let mut world = World::new();
    world.until_reboot();
    world
}

#[test]
fn a_reboot_that_does_not_come_is_asked_for_again_and_then_told() {
    let mut world = ready();
    assert_eq!(world.run().act, finalize(), "another process asked");
    assert_eq!(world.asks(), finalize());
    world.asked().unlocked = true;
    world.waits();
    assert_eq!(world.asks(), Act::Reboot);
    world.waits();
    let told = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), told);
    assert!(
        world.result().is_none() && world.node().unschedulable,
        "the slot is kept"
    );
}

/// rpm-ostreed was lost before it had unlocked what is staged: another reboot than its own would drop the update.
#[test]
fn what_may_be_locked_is_finalized_again_and_not_rebooted_in_another_way() {
    let mut world = ready();
    for _ in 0..3 {
        assert_eq!(world.asks(), finalize());
        world.waits();
    }
    let told = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), told);

    // What ostree noted counts for more than what was heard.
    for (locked, heard, act) in [
        (false, false, Act::Reboot),
        (true, false, finalize()),
        (true, true, finalize()),
    ] {
        let mut world = ready();
        world.asks();
        world.seen.survey = noted(locked);
        world.asked().unlocked = heard;
        world.waits();
        assert_eq!(world.asks(), act, "{locked} {heard}");
    }
}

#[test]
fn what_was_not_granted_is_not_rebooted_into() {
    type Change = fn(&mut World);
    let cases: [Change; 2] = [
        |world| world.host().pending = None,
        |world| world.host().pending = Some(deployment(OTHER, false)),
    ];
    for change in cases {
        let mut world = ready();
        world.asks();
        world.asked().unlocked = true;
        world.waits();
        change(&mut world);
        world.run();
        let changed = Some(Code::PendingChanged);
        assert_eq!(world.released(), Ok((Outcome::Aborted, changed)));
    }

    let mut world = ready();
    world.asks();
    world.waits();
    world.seen.host = Err("no answer".into());
    let unavailable = Some(Code::RpmOstreeUnavailable);
    assert_eq!(world.shows(), (Phase::Rebooting, unavailable, Act::Wait));

    let mut world = ready();
    world.asks();
    world.waits();
    world.node().operator.grant = Field::Absent;
    let told = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), told);
}

#[test]
fn what_is_not_staged_is_asked_of_logind_twice() {
    let mut world = World::new();
    world.host().pending = Some(deployment(NEW, false));
    world.grant();
    for _ in 0..2 {
        assert_eq!(world.asks(), Act::Reboot);
        world.waits();
    }
    let told = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), told);
}

#[test]
fn a_refusal_gives_the_slot_back() {
    for code in [Code::FinalizeFailed, Code::Inhibited] {
        let mut world = ready();
        world.asks();
        world.asked().refused = Some(code.into());
        assert_eq!(world.shows(), (Phase::Held, Some(code), Act::Wait));
        assert_eq!(world.released(), Ok((Outcome::Aborted, Some(code))));
    }
}

/// The drain is not thrown away at once, and what changes meanwhile is seen.
#[test]
fn somebody_elses_work_is_waited_for_until_the_drain_has_to_be_over() {
    let busy = || Some(Code::RpmOstreeBusy);
    let mut world = ready();
    world.asks();
    world.asked().busy = busy().map(Reason::from);
    let waits = (Phase::Draining, busy(), Act::Wait);
    assert_eq!(world.shows(), waits);
    world.now += 10;
    assert_eq!(world.shows(), waits);
    world.now += 1;
    assert_eq!(world.asks(), finalize(), "asked again");
    assert_eq!(world.shows(), (Phase::Rebooting, None, Act::Wait));

    world.asked().busy = busy().map(Reason::from);
    world.node().paused = true;
    world.run();
    assert_eq!(world.released(), Ok((Outcome::Aborted, Some(Code::Paused))));

    let mut world = ready();
    world.asks();
    world.asked().busy = busy().map(Reason::from);
    world.now = 1601;
    world.run();
    assert_eq!(world.released(), Ok((Outcome::Aborted, busy())));
}

#[test]
fn a_grant_is_not_accepted_while_rpm_ostree_is_at_work() {
    let mut world = World::new();
    world.seen.busy = true;
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    world.grant();
    let busy = Some(Code::RpmOstreeBusy);
    assert_eq!(world.shows(), (Phase::Waiting, busy, Act::Wait));
    assert!(!world.node().unschedulable && world.result().is_none());
    world.seen.busy = false;
    world.until_reboot();
}
