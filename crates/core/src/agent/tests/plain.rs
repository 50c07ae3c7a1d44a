//! A reboot without an update.

use super::*;
use crate::values::{PlainReboots, RebootRequest};

const WAITS: (Phase, Option<Code>, Act) = (Phase::Waiting, Some(Code::RebootRequested), Act::Wait);
const REBOOTS: (Phase, Option<Code>, Act) = (Phase::Rebooting, None, Act::Reboot);
const WHY: &str = "requested by alice at 1970-01-01T00:15:00Z: memory errors";

fn request(boot: BootId) -> Field<RebootRequest> {
    Field::Value(RebootRequest {
        boot,
        at: at(900),
        by: Some("alice".into()),
        reason: Some("memory errors".into()),
    })
}

/// `OLD` runs, nothing is staged, and somebody asks for a reboot.
fn asked() -> World {
    let mut world = World::new();
    world.host().pending = None;
    world.node().requests.reboot = request(BOOT);
    world
}

impl World {
    fn grants_what_runs(&mut self) {
        self.grant();
        self.granted().identity = OLD;
    }

    fn reboots(&mut self) -> PlainReboots {
        let reboots = self.node().agent.reboots.value();
        reboots.cloned().unwrap_or_default()
    }
}

#[test]
fn it_is_announced_granted_and_proved_as_any_other() {
    let mut world = asked();
    assert_eq!(world.shows(), WAITS);
    let wanted = PlainReboots {
        wanted: Some(WHY.into()),
        done: None,
    };
    assert_eq!(world.reboots(), wanted);
    assert_eq!(world.node().only_reboots(), Some(WHY));
    let agent = &world.node().agent;
    assert_eq!(agent.needed, Field::Value(OLD));
    let since = agent.booted.value().unwrap().since;
    world.grants_what_runs();
    assert_eq!(world.shows(), REBOOTS);
    assert!(world.node().unschedulable);
    world.boots(OLD, None, &[]);
    world.now = 1200;
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    assert_eq!(world.released(), Ok((Outcome::Done, None)));
    let done = PlainReboots {
        wanted: None,
        done: Some(ID),
    };
    assert_eq!(world.reboots(), done);
    let agent = &world.node().agent;
    let booted = agent.booted.value().unwrap();
    assert_eq!((booted.since, booted.boot), (since, NEXT));
    assert_eq!(agent.needed, Field::Absent);
}

/// A locked update is dropped by the reboot; one that any reboot boots is the update that the node waits for anyway.
#[test]
fn what_is_staged_decides_by_its_lock() {
    for (survey, needed, code) in [
        (noted(true), OLD, Some(Code::RebootRequested)),
        (noted(false), NEW, Some(Code::StagedUnlocked)),
        (Ok(Survey::default()), NEW, None),
    ] {
        let mut world = asked();
        world.host().pending = Some(deployment(NEW, true));
        world.seen.survey = survey;
        assert_eq!(world.shows(), (Phase::Waiting, code, Act::Wait));
        assert_eq!(world.node().agent.needed, Field::Value(needed));
    }
    let mut world = asked();
    world.host().pending = Some(deployment(NEW, false));
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    assert_eq!(world.node().agent.needed, Field::Value(NEW), "deployed");
    let mut world = asked();
    world.host().pending = Some(deployment(NEW, true));
    world.seen.survey = noted(true);
    world.grants_what_runs();
    assert_eq!(world.shows(), REBOOTS);
}

#[test]
fn only_a_request_for_this_boot_or_a_file_of_it_counts() {
    let mut world = asked();
    world.node().requests.reboot = request(NEXT);
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    world.node().requests.reboot = Field::Malformed("no JSON".into());
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    world.seen.survey = Ok(Survey {
        sentinel: Some("/run/reboot-required".into()),
        ..Survey::default()
    });
    assert_eq!(world.shows(), WAITS);
    let why = "requested by the file /run/reboot-required";
    assert_eq!(world.node().only_reboots(), Some(why));
}

/// Neither what failed nor a unit that does not run is a reason not to reboot; what keeps any reboot is.
#[test]
fn it_is_held_by_what_holds_a_reboot_and_not_by_what_holds_an_update() {
    let mut world = asked();
    world.state.failed.add(Failure {
        identity: OLD,
        code: Code::RolledBack.into(),
        at: at(1),
    });
    world.settings.health.units = vec!["crio.service".into()];
    assert_eq!(world.shows(), WAITS);
    world.node().paused = true;
    let held = |code| (Phase::Held, Some(code), Act::Wait);
    assert_eq!(world.shows(), held(Code::Paused));
    world.node().paused = false;
    world.node().ready = false;
    assert_eq!(world.shows(), held(Code::NodeNotReady));
}

/// In a drain: the request is taken back, an update comes that any reboot boots, or systemd does not answer for a moment.
#[test]
fn it_ends_when_it_is_not_wanted_any_more() {
    type Change = fn(&mut World);
    let gone = Ok((Outcome::Aborted, Some(Code::PendingChanged)));
    let cases: [(Change, bool); 4] = [
        (|world| world.node().requests.reboot = Field::Absent, true),
        (
            |world| {
                world.host().pending = Some(deployment(NEW, true));
                world.seen.survey = noted(false);
            },
            true,
        ),
        (
            |world| world.host().pending = Some(deployment(NEW, false)),
            true,
        ),
        (
            |world| {
                world.host().pending = Some(deployment(NEW, true));
                world.seen.survey = noted(true);
            },
            false,
        ),
    ];
    for (case, (change, ends)) in cases.into_iter().enumerate() {
        let mut world = asked();
        world.grants_what_runs();
        world.seen.pods = Ok(vec![web()]);
        assert_eq!(world.shows(), (Phase::Draining, None, evicts(&[web()])));
        change(&mut world);
        let step = world.run();
        if ends {
            assert_eq!(world.released(), gone, "{case}");
            assert!(!world.node().unschedulable, "{case}");
        } else {
            assert_eq!(step.act, evicts(&[web()]), "{case}");
        }
    }
}

/// systemd does not answer, so whether what is staged is locked is not known: a reboot could boot it.
#[test]
fn nothing_reboots_while_the_lock_is_not_known() {
    let mut world = asked();
    world.host().pending = Some(deployment(NEW, true));
    world.seen.survey = noted(true);
    world.grants_what_runs();
    world.seen.pods = Ok(vec![web()]);
    world.run();
    world.seen.pods = Ok(vec![]);
    world.seen.survey = Err("no answer".into());
    let waits = (Phase::Draining, Some(Code::UnitsUnknown), Act::Wait);
    assert_eq!(world.shows(), waits);
    world.seen.survey = noted(true);
    assert_eq!(world.shows(), REBOOTS);
}

/// The file is lost before the boot or after it: the Node shows what the reboot was for.
#[test]
fn a_lost_state_file_changes_nothing() {
    for before in [true, false] {
        let mut world = asked();
        world.grants_what_runs();
        assert_eq!(world.shows(), REBOOTS);
        if before {
            world.state = State::default();
            assert_eq!(world.shows(), REBOOTS);
        }
        world.boots(OLD, None, &[]);
        if !before {
            world.state = State::default();
        }
        world.run();
        assert_eq!(world.released(), Ok((Outcome::Done, None)), "{before}");
        assert_eq!(world.reboots().done, Some(ID), "{before}");
    }
}

/// rpm-ostree does not answer, or the state can't be read: what the Node shows stays, and so does what the last grant was for.
#[test]
fn what_is_not_known_for_a_moment_is_not_taken_back() {
    let mut world = asked();
    world.run();
    let shown = PlainReboots {
        wanted: Some(WHY.into()),
        done: Some(ID),
    };
    world.state.rebooted = Some(ID);
    world.run();
    assert_eq!(world.reboots(), shown);
    let host = std::mem::replace(&mut world.seen.host, Err("no answer".into()));
    world.run();
    assert_eq!(world.reboots(), shown);
    assert_eq!(world.node().agent.needed, Field::Value(OLD));
    world.seen.host = host;
    world.settings.state_unusable = Some(StateTrouble::Unreadable("newer".into()));
    world.state = State::default();
    world.run();
    assert_eq!(world.reboots(), shown);
}

/// What ran before is not to blame if the node does not become healthy, and another deployment is no proof.
#[test]
fn no_release_is_blamed() {
    let mut world = asked();
    world.settings.health.rollback = true;
    world.grants_what_runs();
    world.run();
    world.boots(OLD, None, &[OTHER]);
    world.node().ready = false;
    world.run();
    world.now += 3700;
    let failed = (Phase::Failed, Some(Code::Unhealthy), Act::Wait);
    assert_eq!(world.shows(), failed);
    assert_eq!(world.state.failed, Failures::default());
    assert_eq!(world.state.spoiled, None);
    world.node().ready = true;
    world.run();
    assert_eq!(world.released(), Ok((Outcome::Done, None)));
    let mut world = asked();
    world.grants_what_runs();
    world.run();
    world.boots(OTHER, None, &[OLD]);
    world.run();
    let foreign = (Outcome::Aborted, Some(Code::ForeignDeployment));
    assert_eq!(world.released(), Ok(foreign));
    assert_eq!(world.state.failed, Failures::default());
}

/// A request in the middle of an update waits for its end, and that boot makes it stale.
#[test]
fn an_update_under_way_is_not_turned_into_it() {
    let mut world = World::new();
    world.seen.survey = noted(true);
    world.grant();
    world.seen.pods = Ok(vec![web()]);
    world.run();
    world.node().requests.reboot = request(BOOT);
    world.seen.pods = Ok(vec![]);
    let act = Act::Finalize(deployment(NEW, true));
    assert_eq!(world.shows(), (Phase::Rebooting, None, act));
    world.boots(NEW, None, &[OLD]);
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    assert_eq!(world.reboots(), PlainReboots::default());
}

/// Updates are looked for while the node waits, but not once its turn has come.
#[test]
fn looks_go_on_until_the_grant() {
    let mut world = asked();
    world.seen.check_due = true;
    assert_eq!(world.run().act, Act::Stage);
    world.grants_what_runs();
    assert_eq!(world.shows(), REBOOTS);
}
