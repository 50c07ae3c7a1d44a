//! After the reboot was asked for, when it does not come.

use super::*;

impl World {
    /// The agent does what the step says, which is to ask for the reboot.
    pub(super) fn asks(&mut self) -> Act {
        let act = self.run().act;
        assert!(matches!(act, Act::Finalize(_) | Act::Reboot), "{act:?}");
        let before = self.seen.asked.take();
        self.seen.asked = Some(Asked::next(before, ID, &act, self.clocks().tick));
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
pub(super) fn ready() -> World {
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
    let reported = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), reported);
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
    let reported = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), reported);

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

/// The lock that ostree noted tells that rpm-ostreed died before it did anything: it unlocks first.
#[test]
fn what_is_still_locked_after_rpm_ostreed_died_is_finalized_again_at_once() {
    let mut world = ready();
    world.seen.survey = noted(true);
    for times in 1..=3 {
        assert_eq!(world.asks(), finalize(), "{times}");
        assert_eq!(world.shows(), (Phase::Rebooting, None, Act::Wait));
        world.asked().unheard = true;
    }
    // Not without end.
    world.waits();
    let reported = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), reported);

    type Change = fn(&mut World);
    let cases: [(&str, Change); 5] = [
        ("an answer may come", |world| world.asked().unheard = false),
        ("it was unlocked", |world| world.seen.survey = noted(false)),
        ("nobody knows", |world| {
            world.seen.survey = Err("no bus".into())
        }),
        ("it goes on", |world| world.seen.busy = true),
        ("rpm-ostreed is silent", |world| {
            world.seen.host = Err("no answer".into());
        }),
    ];
    for (what, change) in cases {
        let mut world = ready();
        world.seen.survey = noted(true);
        world.asks();
        world.asked().unheard = true;
        change(&mut world);
        let waits = (Phase::Rebooting, None, Act::Wait);
        assert_eq!(world.shows(), waits, "{what}");
    }

    let mut world = ready();
    world.seen.survey = noted(true);
    world.asks();
    world.asked().unheard = true;
    world.node().paused = true;
    world.run();
    assert_eq!(world.released(), Ok((Outcome::Aborted, Some(Code::Paused))));
}

/// Nothing came of the first request, and whoever takes the node back meanwhile gets it.
#[test]
fn what_ends_a_drain_ends_a_reboot_that_did_not_come() {
    type Change = fn(&mut World);
    let cases: [(Code, Change); 5] = [
        (Code::PendingChanged, |world| world.host().pending = None),
        (Code::PendingChanged, |world| {
            world.host().pending = Some(deployment(OTHER, false));
        }),
        (Code::Uncordoned, |world| world.node().unschedulable = false),
        (Code::Paused, |world| world.node().paused = true),
        (Code::Hold, |world| {
            world.settings.hold = Some(Code::Hold.into());
        }),
    ];
    for (code, change) in cases {
        for unlocked in [false, true] {
            let mut world = ready();
            world.asks();
            world.asked().unlocked = unlocked;
            world.waits();
            change(&mut world);
            // rpm-ostree may be about to do what it was asked for.
            world.seen.busy = true;
            let busy = Some(Code::RpmOstreeBusy);
            assert_eq!(world.shows(), (Phase::Rebooting, busy, Act::Wait));
            world.seen.busy = false;
            world.run();
            let ended = Ok((Outcome::Aborted, Some(code)));
            assert_eq!(world.released(), ended, "{code} {unlocked}");
        }
    }
}

/// The process that asked is gone, and the one that follows does not know what came of it.
#[test]
fn a_slot_is_not_given_back_while_a_reboot_that_was_asked_for_may_still_come() {
    type Change = fn(&mut World);
    let cases: [(Code, Change); 6] = [
        (Code::PendingChanged, |world| world.host().pending = None),
        (Code::Uncordoned, |world| world.node().unschedulable = false),
        (Code::Paused, |world| world.node().paused = true),
        (Code::Inhibited, |world| {
            world.seen.inhibitors = Err("no answer".into());
        }),
        (Code::FinalizerInactive, |world| {
            world.seen.survey = health::units(&[("ostree-finalize-staged.service", "failed")]);
        }),
        (Code::GrantRevoked, |world| {
            world.node().operator.grant = Field::Absent;
            world.seen.survey = noted(true);
        }),
    ];
    for (code, change) in cases {
        let mut world = ready();
        world.asks();
        world.seen.asked = None;
        change(&mut world);
        let waits = (Phase::Rebooting, Some(code), Act::Wait);
        world.now += 300;
        assert_eq!(world.shows(), waits);
        assert_eq!(world.wakes(), Some(1301));
        assert_eq!(world.result(), None, "{code}");
        world.now += 1;
        world.run();
        let ended = Ok((Outcome::Aborted, Some(code)));
        assert_eq!(world.released(), ended);
    }

    // Perhaps unlocked, so perhaps on its way.
    let mut world = ready();
    world.asks();
    world.seen.asked = None;
    world.node().operator.grant = Field::Absent;
    world.now += 301;
    let reported = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), reported);
    assert_eq!(world.result(), None, "the slot is kept");
}

/// The drain was over when it was asked for, so its time does not count any more.
#[test]
fn a_process_that_follows_asks_again_whenever_that_is_unless_pods_came_back() {
    for now in [1001, 1601, 100_000] {
        let mut world = ready();
        world.asks();
        world.seen.asked = None;
        world.now = now;
        assert_eq!(world.run().act, finalize(), "{now}");
    }
    let mut world = ready();
    world.asks();
    world.seen.asked = None;
    world.now = 1601;
    world.seen.pods = Err(String::new());
    assert_eq!(world.shows(), (Phase::Rebooting, None, Act::Wait));
    world.seen.pods = Ok(vec![web()]);
    world.run();
    let blocked = Ok((Outcome::Aborted, Some(Code::DrainBlocked)));
    assert_eq!(world.released(), blocked);

    let mut world = ready();
    world.asks();
    world.seen.asked = None;
    world.now = 1500;
    world.seen.pods = Err("forbidden".into());
    assert_eq!(
        world.shows(),
        (Phase::Draining, Some(Code::Draining), Act::Wait)
    );
}

#[test]
fn a_reboot_that_did_not_come_is_told_when_rpm_ostree_does_not_come_back_either() {
    let mut world = ready();
    world.asks();
    world.waits();
    world.seen.host = Err("no answer".into());
    let unavailable = Some(Code::RpmOstreeUnavailable);
    assert_eq!(world.shows(), (Phase::Rebooting, unavailable, Act::Wait));
    assert_eq!(world.wakes(), Some(1601));
    world.now = 1601;
    assert_eq!(world.shows(), (Phase::Failed, unavailable, Act::Wait));
    assert!(world.result().is_none(), "the slot is kept");
    world.seen.host = ready().seen.host;
    assert_eq!(world.asks(), finalize());
}

#[test]
fn without_its_grant_no_reboot_is_asked_for_again() {
    let mut world = ready();
    world.asks();
    world.waits();
    world.node().operator.grant = Field::Absent;
    let reported = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), reported);
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
    let reported = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), reported);
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
    world.now += 9;
    assert_eq!(world.shows(), waits);
    // The clock of the wall is set, which ends no pause.
    (world.now, world.ahead) = (world.now - 100, -100);
    assert_eq!(world.shows(), waits);
    (world.now, world.ahead) = (world.now + 101, 0);
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

/// While rpm-ostree is at work for somebody else the drain is looked at once more, but that the reboot was asked for is not forgotten.
#[test]
fn what_was_asked_for_is_remembered_while_rpm_ostree_is_busy() {
    let is_busy = || {
        let mut world = ready();
        world.asks();
        let request = world.requested();
        world.asked().busy = Some(Code::RpmOstreeBusy.into());
        let waits = (Phase::Draining, Some(Code::RpmOstreeBusy), Act::Wait);
        assert_eq!(world.shows(), waits);
        assert_eq!(world.requested(), request);
        world
    };
    // The process ended then, and the drain's time with it: it was over when it was asked for.
    let mut world = is_busy();
    world.seen.asked = None;
    world.now = 1601;
    assert_eq!(world.asks(), finalize());

    let mut world = is_busy();
    world.seen.node = NodeSeen::Absent;
    let step = step(&world.state, &world.seen, &world.settings, world.clocks());
    assert_eq!((step.phase, step.act), (Phase::Rebooting, Act::Wait));
    assert_eq!(step.state, world.state);
}

/// What the watch shows may be older than a grant that was taken back.
#[test]
fn a_reboot_is_asked_for_only_on_a_node_that_was_just_read() {
    let mut world = World::new();
    world.grant();
    let mut acts = vec![];
    for _ in 0..20 {
        let step = step(&world.state, &world.seen, &world.settings, world.clocks());
        world.state = step.state.clone();
        match &step.act {
            Act::Publish(_, want) => publish(want, world.node()),
            act => acts.push(act.clone()),
        }
    }
    acts.dedup();
    assert_eq!(acts, [Act::Confirm]);
}
