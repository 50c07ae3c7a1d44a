//! Other programs that update the host.

use super::*;
use crate::survey::Unit;

/// Zincati runs.
pub(super) fn rivalled() -> Result<Survey, String> {
    let unit = Unit {
        name: "zincati.service".into(),
        found: true,
        state: "active".into(),
    };
    Ok(Survey {
        units: vec![unit],
        ..Survey::default()
    })
}

#[test]
fn a_rival_is_left_alone_until_it_is_gone() {
    for (survey, code) in [
        (rivalled(), Code::OtherDriver),
        (Err("no bus".into()), Code::UnitsUnknown),
    ] {
        let mut world = World::new();
        world.state.ours = Some(deployment(NEW, true).id);
        world.seen.check_due = true;
        world.seen.survey = survey;
        assert_eq!(world.shows(), (Phase::Held, Some(code), Act::Wait));
        world.grant();
        world.run();
        assert_eq!(world.result(), Some((Outcome::Refused, Some(code))));
        assert!(!world.node().unschedulable);

        world.node().operator.grant = Field::Absent;
        world.seen.survey = Ok(Survey::default());
        assert_eq!(world.shows(), (Phase::Waiting, None, Act::Stage));
    }
}

#[test]
fn what_is_not_known_for_a_moment_ends_no_drain() {
    let mut world = World::new();
    world.grant();
    world.seen.pods = Ok(vec![web()]);
    let drains = (Phase::Draining, None, evicts(&[web()]));
    assert_eq!(world.shows(), drains);
    world.seen.survey = Err("no bus".into());
    assert_eq!(world.shows(), drains);
}
