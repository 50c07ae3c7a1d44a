//! From the boot to the end of the slot.

use super::*;
use crate::survey::Unit;

pub(super) fn units(units: &[(&str, &str)]) -> Result<Survey, String> {
    let unit = |(name, state): &(&str, &str)| Unit {
        name: (*name).into(),
        found: true,
        state: (*state).into(),
    };
    Ok(Survey {
        units: units.iter().map(unit).collect(),
        ..Survey::default()
    })
}

/// Booted into what was granted, with something to demand.
fn booted() -> World {
    let mut world = World::new();
    world.settings.health = Health {
        units: vec!["crio.service".into()],
        settle: SignedDuration::from_secs(30),
        deadline: SignedDuration::from_secs(600),
        rollback: false,
    };
    world.seen.survey = units(&[
        ("boot-complete.target", "active"),
        ("crio.service", "active"),
    ]);
    world.until_reboot();
    world.boots(NEW, None, &[OLD]);
    world.now = 2000;
    world
}

fn verifying(code: Code) -> (Phase, Option<Code>, Act) {
    (Phase::Verifying, Some(code), Act::Wait)
}

#[test]
fn the_slot_is_given_back_once_everything_is_well_for_a_while() {
    let mut world = booted();
    world.node().ready = false;
    world.seen.survey = units(&[
        ("boot-complete.target", "activating"),
        ("crio.service", "failed"),
    ]);
    assert_eq!(world.shows(), verifying(Code::BootIncomplete));
    world.seen.survey = units(&[
        ("boot-complete.target", "active"),
        ("crio.service", "failed"),
    ]);
    assert_eq!(world.shows(), verifying(Code::NodeNotReady));
    world.node().ready = true;
    assert_eq!(world.shows(), verifying(Code::UnitsInactive));
    world.seen.survey = Err("no bus".into());
    assert_eq!(world.shows(), verifying(Code::UnitsUnknown));
    world.seen.survey = booted().seen.survey;
    assert_eq!(world.shows(), verifying(Code::Settling));

    // What breaks meanwhile restarts it.
    world.now = 2020;
    world.node().ready = false;
    assert_eq!(world.shows(), verifying(Code::NodeNotReady));
    world.node().ready = true;
    assert_eq!(world.shows(), verifying(Code::Settling));
    world.now = 2049;
    assert_eq!(world.shows(), verifying(Code::Settling));
    assert_eq!(world.wakes(), Some(2050));
    assert!(world.node().unschedulable);
    world.now = 2050;
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    assert_eq!(world.released(), Ok((Outcome::Done, None)));
    assert!(!world.node().unschedulable);
}

#[test]
fn after_the_deadline_the_node_has_failed_and_keeps_its_slot_until_it_is_well() {
    let mut world = booted();
    world.node().ready = false;
    assert_eq!(world.shows(), verifying(Code::NodeNotReady));
    assert_eq!(world.wakes(), Some(2601));
    world.now = 2600;
    assert_eq!(world.shows(), verifying(Code::NodeNotReady));
    world.now = 2601;
    let failed = (Phase::Failed, Some(Code::Unhealthy), Act::Wait);
    assert_eq!(world.shows(), failed);
    assert!(world.released().is_err(), "the slot was given back");
    assert!(world.node().unschedulable);
    let known = world
        .node()
        .agent
        .failed
        .value()
        .unwrap()
        .find(&NEW)
        .unwrap()
        .code
        .clone();
    assert_eq!(known, Code::Unhealthy, "no other node boots it");
    let reason = world.node().agent.reason.value().unwrap().message.clone();
    assert!(reason.starts_with("NodeNotReady: "), "{reason}");

    // It stays failed, whatever is next in the way and however often the agent is restarted.
    world.now = 2700;
    world.node().ready = true;
    world.seen.survey = units(&[("crio.service", "failed")]);
    assert_eq!(world.shows(), failed);

    world.seen.survey = booted().seen.survey;
    assert_eq!(world.shows(), verifying(Code::Settling));
    world.now = 2730;
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    assert_eq!(world.released(), Ok((Outcome::Done, None)));
    assert_eq!(
        world.state.failed,
        Failures::default(),
        "it is good after all"
    );
}

/// Of a reboot that did not happen for long, and then did.
#[test]
fn a_failure_before_the_boot_is_none_of_this_boot() {
    let mut world = booted();
    world.node().agent.status = Field::Value(Status {
        phase: Phase::Failed,
        since: at(1000),
    });
    world.node().agent.reason = Field::Value(Reason::from(Code::RebootDidNotHappen).read());
    world.node().ready = false;
    assert_eq!(world.shows(), verifying(Code::NodeNotReady));
    assert_eq!(world.state.failed, Failures::default());
}

/// The verdict is there at once, for the sake of the other nodes; the slot only once the node is well.
#[test]
fn a_bad_verdict_is_told_before_the_node_is_well() {
    let mut world = booted();
    world.boots(OLD, Some(deployment(NEW, false)), &[]);
    world.node().ready = false;
    assert_eq!(world.shows(), verifying(Code::NodeNotReady));
    let reported = world.node().agent.failed.value().unwrap();
    assert_eq!(reported.find(&NEW).unwrap().code, Code::BootedFallback);
    world.now = 2601;
    assert_eq!(world.shows().1, Some(Code::Unhealthy));
    world.node().ready = true;
    world.run();
    assert_eq!(world.result(), None);
    world.now = 2640;
    world.run();
    let failed = (Outcome::Failed, Some(Code::BootedFallback));
    assert_eq!(world.result(), Some(failed));
    let known = world.state.failed.find(&NEW).unwrap();
    assert_eq!(
        (&known.code, known.at),
        (&Code::BootedFallback.into(), at(2000))
    );
}

#[test]
fn a_silent_rpm_ostree_after_the_boot_has_a_deadline_too() {
    let mut world = booted();
    let host = world.seen.host.clone();
    world.seen.host = Err("no answer".into());
    assert_eq!(world.shows(), verifying(Code::RpmOstreeUnavailable));
    assert_eq!(world.wakes(), Some(2601));
    world.now = 2601;
    let failed = (Phase::Failed, Some(Code::Unhealthy), Act::Wait);
    assert_eq!(world.shows(), failed);
    assert_eq!(
        world.state.failed,
        Failures::default(),
        "not known what runs"
    );
    world.seen.host = host;
    world.run();
    world.now = 2640;
    world.run();
    assert_eq!(world.result(), Some((Outcome::Done, None)));
}

/// Where a host's clock is set after the boot, or in the middle of something, no time has passed by that.
#[test]
fn a_clock_that_is_set_is_no_deadline() {
    const DAY: i64 = 86_400;
    let up = |seconds| Some(SignedDuration::from_secs(seconds));
    // Health after the boot.
    let mut world = booted();
    world.seen.uptime = up(60);
    world.node().ready = false;
    assert_eq!(world.shows(), verifying(Code::NodeNotReady));
    world.now += DAY;
    world.ahead += DAY;
    world.seen.uptime = up(70);
    assert_eq!(world.shows(), verifying(Code::NodeNotReady));
    assert_eq!(world.wakes(), Some(world.now + 531));
    world.now += 531;
    world.seen.uptime = up(601);
    assert_eq!(world.shows().1, Some(Code::Unhealthy));

    // A drain.
    for (later, uptime, act) in [
        (DAY, 700, evicts(&[web()])),
        (-DAY, 700, evicts(&[web()])),
        (0, 1101, Act::Wait),
    ] {
        let mut world = World::new();
        world.seen.uptime = up(500);
        world.grant();
        world.seen.pods = Ok(vec![web()]);
        world.run();
        world.now += later + uptime - 500;
        world.ahead += later;
        world.seen.uptime = up(uptime);
        assert_eq!(world.run().act, act, "{later} {uptime}");
    }

    // A reboot that was asked for.
    for (later, uptime, act) in [(DAY, 700, Act::Wait), (0, 801, Act::Reboot)] {
        let mut world = World::new();
        world.seen.uptime = up(500);
        world.until_reboot();
        let finalize = Act::Finalize(deployment(NEW, true));
        let asked = Asked::next(None, ID, &finalize, world.clocks().tick);
        let unlocked = true;
        world.seen.asked = Some(Asked { unlocked, ..asked });
        world.now += later + uptime - 500;
        world.ahead += later;
        world.seen.uptime = up(uptime);
        assert_eq!(world.run().act, act, "{later} {uptime}");
    }
}

#[test]
fn a_clock_that_goes_back_does_not_settle_for_ever() {
    let mut world = booted();
    assert_eq!(world.shows(), verifying(Code::Settling));
    world.now = 500;
    assert_eq!(world.shows(), verifying(Code::Settling));
    world.now = 530;
    world.run();
    assert_eq!(world.result(), Some((Outcome::Done, None)));
}

/// A host that is about to fall back must not find an update staged in its way.
#[test]
fn nothing_is_staged_or_granted_before_the_boot_is_complete() {
    let mut world = World::new();
    world.seen.survey = units(&[("boot-complete.target", "inactive")]);
    world.seen.check_due = true;
    let incomplete = Some(Code::BootIncomplete);
    assert_eq!(world.shows(), (Phase::Held, incomplete, Act::Wait));
    world.host().pending = None;
    assert_eq!(world.shows(), (Phase::Idle, incomplete, Act::Wait));
    world.seen.survey = units(&[("boot-complete.target", "active")]);
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Stage));
}

/// A name that does not exist would otherwise be reported only after the boot, and count against the version on all nodes.
#[test]
fn what_has_to_run_after_the_boot_has_to_run_before_it() {
    for demanded in ["crio.service", "cri0.service"] {
        let mut world = World::new();
        world.settings.health.units = vec![demanded.into()];
        world.seen.survey = units(&[("crio.service", "failed")]);
        let inactive = Some(Code::UnitsInactive);
        assert_eq!(world.shows(), (Phase::Held, inactive, Act::Wait));
        world.grant();
        world.run();
        assert_eq!(world.result(), Some((Outcome::Refused, inactive)));
    }
}

/// Nothing has to be written down before it is reported that the node is not healthy: the disk may be full.
#[test]
fn a_node_that_is_not_healthy_yet_is_reported_without_a_note() {
    let mut world = World::new();
    world.until_reboot();
    world.boots(NEW, None, &[OLD]);
    world.node().ready = false;
    let before = world.state.clone();
    let verifying = (Phase::Verifying, Some(Code::NodeNotReady), Act::Wait);
    assert_eq!(world.shows(), verifying);
    assert_eq!(world.state, before);
}
