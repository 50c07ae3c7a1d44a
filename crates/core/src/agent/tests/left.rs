//! A person goes back to an older version, and the next look finds the one that was left.

use super::*;

/// `NEW` runs and is the agent's own, `OLD` is there.
fn updated() -> World {
    let mut world = World::new();
    world.state.ours = Some(deployment(NEW, true).id);
    world.until_reboot();
    world.boots(NEW, None, &[OLD]);
    world.dated();
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    world.node().operator.grant = Field::Absent;
    world
}

impl World {
    /// Gives the deployments the times of their versions.
    fn dated(&mut self) {
        let host = self.host();
        let all = [&mut host.booted].into_iter();
        for one in all.chain(&mut host.pending).chain(&mut host.others) {
            one.published = match one.identity {
                OLD => 1,
                NEW => 2,
                _ => 3,
            };
        }
    }

    /// Somebody boots `booted` into the boot `boot`, with `others` left beside it.
    fn taken(&mut self, boot: u8, booted: ReleaseId, others: &[ReleaseId]) {
        self.boots(booted, None, others);
        self.seen.boot = BootId::from_bytes([boot; 16]);
        self.node().kubelet_boot = Some(self.seen.boot);
        self.dated();
        assert_eq!(self.shows(), (Phase::Idle, None, Act::Wait));
    }

    /// A look stages `identity`.
    fn stages(&mut self, identity: ReleaseId) -> (Phase, Option<Code>, Act) {
        self.seen.check_due = true;
        assert_eq!(self.run().act, Act::Stage);
        self.seen.check_due = false;
        let staged = deployment(identity, true);
        (self.state.ours, self.state.staging) = (Some(staged.id.clone()), None);
        self.host().pending = Some(staged);
        self.dated();
        self.shows()
    }
}

const HELD: (Phase, Option<Code>, Act) = (Phase::Held, Some(Code::IdentityFailed), Act::Wait);
const WAITS: (Phase, Option<Code>, Act) = (Phase::Waiting, None, Act::Wait);

#[test]
fn a_step_back_is_not_undone_for_the_version_that_was_left() {
    let mut world = updated();
    world.taken(3, OLD, &[NEW]);
    assert_eq!(world.stages(NEW), HELD);
    let why = world.run().reason.unwrap().message;
    let expected = format!(
        "somebody went back from {} to {} on this host; `cuo-agent forget {NEW}` undoes that; newer versions are asked for as usual",
        NEW.short(),
        OLD.short()
    );
    assert_eq!(why, expected);
    assert_eq!(
        world.state.failed,
        Failures::default(),
        "no other node minds"
    );
    world.grant();
    let Field::Value(grant) = &mut world.node().operator.grant else {
        panic!("no grant");
    };
    (grant.id.seq, grant.boot) = (ID.seq + 1, BootId::from_bytes([3; 16]));
    world.run();
    assert_eq!(
        world.result(),
        Some((Outcome::Refused, Some(Code::IdentityFailed)))
    );
    world.node().operator.grant = Field::Absent;
    // What is newer takes its place.
    assert_eq!(world.stages(OTHER), WAITS);

    // In the next boot of the same it is as before.
    world.taken(4, OLD, &[NEW]);
    assert_eq!(world.stages(NEW), HELD);
    world.state.left.clear();
    assert_eq!(world.shows(), WAITS, "forgotten");
}

#[test]
fn what_was_left_is_booted_again_if_somebody_wants_it() {
    let mut world = updated();
    world.taken(3, OLD, &[NEW]);
    world.host().pending = Some(deployment(NEW, false));
    assert_eq!(world.shows(), WAITS, "a second step");
    world.host().pending = Some(deployment(NEW, true));
    world.state.ours = None;
    assert_eq!(world.shows(), WAITS, "staged by hand");
    world.taken(4, NEW, &[OLD]);
    assert_eq!(world.state.left, vec![]);
}

/// The API server was away when the host came up, and the look was due before it was back.
#[test]
fn a_step_back_is_noted_though_a_look_came_before_the_node() {
    type Change = fn(&mut World);
    let ways: [(&str, Change); 3] = [
        ("as a run ends", |world| {
            world.state.ours = Some(deployment(NEW, true).id);
            world.state.staging = None;
        }),
        ("the process that began it was killed", |_| ()),
        ("its file is lost as well", |world| {
            world.state = State::default();
        }),
    ];
    for (way, change) in ways {
        let mut world = updated();
        let node = world.seen.node.clone();
        world.boots(OLD, None, &[NEW]);
        world.seen.boot = BootId::from_bytes([3; 16]);
        world.seen.node = NodeSeen::Unknown("down".into());
        world.dated();
        world.seen.check_due = true;
        assert_eq!(world.run().act, Act::Stage, "{way}");
        world.seen.check_due = false;
        world.host().pending = Some(deployment(NEW, true));
        world.dated();
        world.seen.survey = noted(true);
        change(&mut world);
        world.seen.node = node;
        world.node().kubelet_boot = Some(world.seen.boot);
        assert_eq!(world.shows(), HELD, "{way}");
    }
}

/// Two steps back leave two versions.
#[test]
fn each_version_that_was_left_stays_left_until_something_newer_runs() {
    let mut world = updated();
    world.taken(3, OTHER, &[NEW]);
    assert_eq!(world.state.left, vec![], "a step forward");
    world.taken(4, NEW, &[OTHER]);
    world.taken(5, OLD, &[NEW]);
    for identity in [NEW, OTHER] {
        assert_eq!(world.stages(identity), HELD, "{identity}");
    }
    world.taken(6, OTHER, &[OLD]);
    assert_eq!(world.state.left, vec![]);
}

#[test]
fn only_a_person_leaves_a_version() {
    type Change = fn(&mut World);
    let cases: [(&str, Change); 4] = [
        ("the default is still the other one", |world| {
            let host = world.host();
            host.pending = Some(host.others.remove(0));
        }),
        ("it failed, which is reported already", |world| {
            world.state.failed.add(Failure {
                identity: NEW,
                code: Code::Unhealthy.into(),
                at: at(1),
            });
        }),
        ("which was newer is not known", |world| {
            world.host().others.clear();
        }),
        ("the same boot", |world| {
            let Field::Value(booted) = &mut world.node().agent.booted else {
                panic!("nothing was reported");
            };
            booted.boot = BootId::from_bytes([3; 16]);
        }),
    ];
    for (what, change) in cases {
        let mut world = updated();
        world.boots(OLD, None, &[NEW]);
        world.seen.boot = BootId::from_bytes([3; 16]);
        world.dated();
        change(&mut world);
        world.run();
        assert_eq!(world.state.left, vec![], "{what}");
    }
}
