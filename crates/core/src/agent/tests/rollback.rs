//! The way back from an update that does not work.

use super::*;

const BACK: GrantId = GrantId { seq: 8, salt: 2 };
const LAST: BootId = BootId::from_bytes([3; 16]);

/// `NEW` has booted and its kubelet is dead; the deadline has passed.
fn unhealthy() -> World {
    let mut world = World::new();
    world.settings.health = Health {
        units: vec![],
        settle: SignedDuration::from_secs(30),
        deadline: SignedDuration::from_secs(600),
        rollback: true,
    };
    world.until_reboot();
    world.boots(NEW, None, &[OLD]);
    world.now = 2000;
    world.node().ready = false;
    let verifying = (Phase::Verifying, Some(Code::NodeNotReady), Act::Wait);
    assert_eq!(world.shows(), verifying);
    world.now = 2601;
    world
}

/// It has given its slot back, and the operator has taken its grant away.
pub(super) fn turned_back() -> World {
    let mut world = unhealthy();
    assert_eq!(world.shows(), WANTS);
    world.node().operator.grant = Field::Absent;
    assert_eq!(world.shows(), WANTS);
    world
}

const WANTS: (Phase, Option<Code>, Act) = (Phase::Failed, Some(Code::RollbackWanted), Act::Wait);

/// The grant of the way back.
pub(super) fn grant(world: &mut World) {
    world.grant();
    let now = world.now;
    if let Field::Value(grant) = &mut world.node().operator.grant {
        (grant.id, grant.identity, grant.boot) = (BACK, OLD, NEXT);
        grant.deadline = at(now + 300);
    }
}

fn rolls_back() -> (Phase, Option<Code>, Act) {
    let act = Act::RollBack(deployment(OLD, false));
    (Phase::Rebooting, None, act)
}

#[test]
fn a_node_that_does_not_become_healthy_goes_back_by_a_reboot_of_its_own() {
    let mut world = unhealthy();
    world.seen.check_due = true;
    assert_eq!(world.shows(), WANTS, "nothing is staged in its way");
    let result = Some((Outcome::Failed, Some(Code::Unhealthy)));
    assert_eq!(world.result(), result);
    let node = world.node();
    assert_eq!(node.agent.progress, Field::Absent);
    assert_eq!(node.agent.needed, Field::Value(OLD));
    assert_eq!(node.agent.needed_version, None);
    assert_eq!(node.agent.owned, Field::Value(ID));
    assert!(node.unschedulable);
    let text = node.agent.reason.value().unwrap().message.clone();
    let short = OLD.short();
    let expected = format!(
        "it wants to go back to {short} ({short}): NodeNotReady: {}",
        Code::NodeNotReady.means()
    );
    assert_eq!(text, expected);

    grant(&mut world);
    assert_eq!(world.shows(), rolls_back());
    assert_eq!(world.node().agent.owned, Field::Value(BACK));
    world.host().pending = Some(deployment(OLD, false));
    world.host().others.clear();
    assert_eq!(world.shows(), (Phase::Rebooting, None, Act::Reboot));

    world.boots(OLD, None, &[NEW]);
    world.seen.boot = LAST;
    world.node().kubelet_boot = Some(LAST);
    world.node().ready = true;
    world.shows();
    world.now += 30;
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Stage));
    assert_eq!(world.result(), Some((Outcome::Done, None)));
    let node = world.node();
    assert_eq!(node.agent.owned, Field::Absent);
    assert!(!node.unschedulable);
    let known = world
        .state
        .failed
        .find(&NEW)
        .map(|failure| failure.code.clone());
    assert_eq!(known, Some(Code::Unhealthy.into()), "it is not tried again");
}

/// Then it is as if nothing were configured: it keeps its slot.
#[test]
fn without_a_way_back_the_slot_is_kept() {
    type Change = fn(&mut World);
    let cases: [(&str, Change); 5] = [
        ("not configured", |world| {
            world.settings.health.rollback = false
        }),
        ("nothing there", |world| world.host().others.clear()),
        ("something is staged", |world| {
            world.host().pending = Some(deployment(OTHER, true))
        }),
        ("it failed before", |world| {
            world.state.failed.add(Failure {
                identity: OLD,
                code: Code::RolledBack.into(),
                at: at(0),
            })
        }),
        ("the version is the same", |world| {
            world.host().booted.identity = OLD;
            let attempt = world.state.attempt.as_mut().unwrap();
            attempt.grant.progress.identity = OLD;
            let progress = attempt.grant.progress.clone();
            world.node().agent.progress = Field::Value(progress);
        }),
    ];
    for (what, change) in cases {
        let mut world = unhealthy();
        change(&mut world);
        let failed = (Phase::Failed, Some(Code::Unhealthy), Act::Wait);
        assert_eq!(world.shows(), failed, "{what}");
        assert!(world.state.attempt.is_some(), "{what}");
        assert!(world.node().unschedulable, "{what}");
    }
}

#[test]
fn a_node_that_becomes_healthy_stays_where_it_is() {
    let mut world = turned_back();
    world.node().ready = true;
    let settles = (Phase::Held, Some(Code::Settling), Act::Wait);
    assert_eq!(world.shows(), settles);
    assert_eq!(world.wakes(), Some(2631));
    world.now = 2620;
    world.node().ready = false;
    assert_eq!(world.shows(), WANTS);
    world.node().ready = true;
    assert_eq!(world.shows(), settles);
    // No reboot meanwhile.
    grant(&mut world);
    assert_eq!(world.shows(), settles);
    let refused = Some((Outcome::Refused, Some(Code::Settling)));
    assert_eq!(world.result(), refused);
    world.now = 2650;
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    assert_eq!(world.state.failed, Failures::default());
    assert_eq!(world.state.unhealthy, None);
    assert_eq!(world.node().agent.owned, Field::Absent);
    assert!(!world.node().unschedulable);
}

/// Canaries are counted from when they are well.
#[test]
fn what_was_given_up_is_given_up_until_the_node_is_healthy() {
    let mut world = turned_back();
    let ended = |world: &mut World| world.node().agent.result.value().unwrap().at;
    assert_eq!(ended(&mut world), at(2601));
    world.node().ready = true;
    world.run();
    assert_eq!(ended(&mut world), at(2601));
    world.now = 2631;
    world.run();
    assert_eq!(ended(&mut world), at(2631));
    world.now = 4000;
    world.run();
    assert_eq!(ended(&mut world), at(2631));
    assert_eq!(
        world.result(),
        Some((Outcome::Failed, Some(Code::Unhealthy)))
    );
}

/// What the grant of the update asked of pods is asked of the node that gave it back, too.
#[test]
fn pods_that_are_not_ready_keep_it_sick() {
    let daemon = |ready| RawPod {
        controller: Some("DaemonSet".into()),
        ready,
        ..web()
    };
    let mut world = unhealthy();
    world.node().ready = true;
    world
        .state
        .attempt
        .as_mut()
        .unwrap()
        .grant
        .pods
        .daemon_sets_ready = true;
    world.seen.pods = Ok(vec![daemon(false)]);
    assert_eq!(world.shows(), WANTS);
    assert_eq!(world.shows(), WANTS);
    world.seen.pods = Ok(vec![daemon(true)]);
    let settles = (Phase::Held, Some(Code::Settling), Act::Wait);
    assert_eq!(world.shows(), settles);
}

#[test]
fn what_else_holds_a_node_holds_the_way_back() {
    type Change = fn(&mut World);
    let cases: [(Code, Change); 4] = [
        (Code::Paused, |world| world.node().paused = true),
        (Code::Hold, |world| {
            world.settings.hold = Some(Code::Hold.into())
        }),
        (Code::OtherDriver, |world| {
            world.seen.survey = rivals::rivalled()
        }),
        (Code::Inhibited, |world| {
            let (who, why) = ("dnf".into(), "x".into());
            world.seen.inhibitors = Ok(vec![Inhibitor { who, why }]);
        }),
    ];
    for (code, change) in cases {
        let mut world = turned_back();
        change(&mut world);
        assert_eq!(world.shows(), (Phase::Held, Some(code), Act::Wait));
        assert!(world.node().unschedulable, "{code}");
        grant(&mut world);
        world.run();
        let refused = Some((Outcome::Refused, Some(code)));
        assert_eq!(world.result(), refused, "{code}");
    }
}

/// With its file lost or from the disk, with or without the slot: the Node tells enough.
#[test]
fn a_lost_state_changes_nothing() {
    let mut world = turned_back();
    world.state = State::default();
    assert_eq!(world.shows(), WANTS);
    assert!(world.node().unschedulable);
    grant(&mut world);
    assert_eq!(world.shows(), rolls_back());
    world.state = State::default();
    assert_eq!(world.shows(), rolls_back());
}

#[test]
fn a_cordon_that_somebody_took_back_is_made_again_with_the_grant() {
    let mut world = turned_back();
    world.node().unschedulable = false;
    assert_eq!(world.shows(), WANTS);
    assert_eq!(world.node().agent.owned, Field::Absent);
    grant(&mut world);
    assert_eq!(world.shows(), rolls_back());
    assert!(world.node().unschedulable);
    assert_eq!(world.node().agent.owned, Field::Value(BACK));
}

/// rpm-ostree refuses: the slot is given back, and it is tried again after a pause.
#[test]
fn a_refusal_is_tried_again_later() {
    let mut world = turned_back();
    grant(&mut world);
    let (_, _, act) = world.shows();
    let mut asked = Asked::next(None, BACK, &act, tick(2601));
    asked.refused = Some(Code::FinalizeFailed.into());
    world.seen.asked = Some(asked);
    let pauses = (Phase::Held, Some(Code::FinalizeFailed), Act::Wait);
    assert_eq!(world.shows(), pauses);
    let aborted = Some((Outcome::Aborted, Some(Code::FinalizeFailed)));
    assert_eq!(world.result(), aborted);
    assert!(world.node().unschedulable);
    world.now += 61;
    assert_eq!(world.shows(), WANTS);
}

/// As long as the next boot would boot what does not work, no reboot is asked for.
#[test]
fn nothing_reboots_before_the_order_of_boots_is_seen() {
    let mut world = turned_back();
    grant(&mut world);
    for round in 0..3 {
        let (phase, code, act) = world.shows();
        assert_eq!((phase, code, act.clone()), rolls_back(), "{round}");
        let (before, now) = (world.seen.asked.take(), world.clocks().tick);
        world.seen.asked = Some(Asked::next(before, BACK, &act, now));
        let waits = (Phase::Rebooting, None, Act::Wait);
        assert_eq!(world.shows(), waits, "{round}");
        world.now += 301;
    }
    let failed = (Phase::Failed, Some(Code::RebootDidNotHappen), Act::Wait);
    assert_eq!(world.shows(), failed);
    world.host().pending = Some(deployment(OLD, false));
    assert_eq!(world.shows(), (Phase::Rebooting, None, Act::Reboot));
}

/// Neither version works here: there is no third one to go to, and a person has to look.
#[test]
fn no_node_goes_back_and_forth() {
    let mut world = turned_back();
    grant(&mut world);
    assert_eq!(world.shows(), rolls_back());
    world.boots(OLD, None, &[NEW]);
    world.seen.boot = LAST;
    world.node().kubelet_boot = Some(LAST);
    world.now = 3000;
    world.shows();
    world.now = 3601;
    let failed = (Phase::Failed, Some(Code::Unhealthy), Act::Wait);
    assert_eq!(world.shows(), failed);
    assert!(world.state.attempt.is_some(), "the slot is kept");
}

/// The reboot did not come after rpm-ostree had changed the order of boots: any reboot leaves the version now.
#[test]
fn a_node_that_becomes_healthy_too_late_goes_back_all_the_same() {
    let mut world = turned_back();
    grant(&mut world);
    assert_eq!(world.shows(), rolls_back());
    world.host().pending = Some(deployment(OLD, false));
    world.host().others.clear();
    world.node().paused = true;
    world.run();
    world.now += 301;
    world.run();
    let aborted = Some((Outcome::Aborted, Some(Code::Paused)));
    assert_eq!(world.result(), aborted);
    world.node().paused = false;
    world.node().ready = true;
    for _ in 0..2 {
        world.now += 1000;
        world.shows();
    }
    assert_eq!(world.shows(), WANTS);
    let text = world.run().reason.unwrap().message;
    assert!(
        text.ends_with("after rpm-ostree was asked to go back"),
        "{text}"
    );
    assert!(world.state.failed.find(&NEW).is_some());
}

/// The host went down before rpm-ostree had changed anything. What it was to go back to was there all the time and is not to blame.
#[test]
fn a_way_back_that_did_not_happen_is_tried_again() {
    let mut world = turned_back();
    grant(&mut world);
    assert_eq!(world.shows(), rolls_back());
    world.boots(NEW, None, &[OLD]);
    world.seen.boot = LAST;
    world.node().kubelet_boot = Some(LAST);
    world.now = 3000;
    let verifying = (Phase::Verifying, Some(Code::NodeNotReady), Act::Wait);
    assert_eq!(world.shows(), verifying);
    world.now = 3601;
    assert_eq!(world.shows(), WANTS);
    assert!(world.state.failed.find(&OLD).is_none());
}
